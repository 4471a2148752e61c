import { describe, expect, test } from 'bun:test';
import { compareIds, idAfter } from '../../lib/model.ts';

describe('idAfter()', () => {
  test.each([
    ['0', '1'],
    ['9', '10'],
    ['9007199254740992', '9007199254740993'],
    ['18446744073709551614', '18446744073709551615'],
    ['18446744073709551615', '00000000-0000-0000-0000-000000000000'],
    ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001'],
    ['00000000-0000-0000-0000-ffffffffffff', '00000000-0000-0000-0001-000000000000'],
    ['fffffffe-ffff-ffff-ffff-ffffffffffff', 'ffffffff-0000-0000-0000-000000000000'],
  ])('of %s is %s, and there is none between', (id, next) => {
    expect(idAfter(id)).toBe(next);
    expect(compareIds(id, next)).toBeLessThan(0);
  });

  test('knows that no id comes after the last UUID', () => {
    expect(idAfter('ffffffff-ffff-ffff-ffff-ffffffffffff')).toBeUndefined();
  });
});
