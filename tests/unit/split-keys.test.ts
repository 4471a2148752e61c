import { describe, expect, test } from 'bun:test';
import { folderOfPart, isPartKey, partKey, partsPattern } from '../../lib/split-keys.ts';

const KEY = 'p/docs/latest.parquet';
const AT = new Date('2026-11-23T00:40:23.999Z');

describe('partKey()', () => {
  test('gives each run a folder of its own beside the latest export', () => {
    expect(partKey(KEY, AT, '0a1b2c3d', 0)).toBe('p/docs/20261123T004023Z-0a1b2c3d/part-00000.parquet');
    expect(partKey('latest.parquet', AT, '0a1b2c3d', 12)).toBe(
      '20261123T004023Z-0a1b2c3d/part-00012.parquet',
    );
  });

  test('sorts as the files follow one another', () => {
    const keys = [0, 9, 10, 99, 100, 9_999, 99_999].map((number) => partKey(KEY, AT, '0a1b2c3d', number));
    expect(keys.toSorted()).toEqual(keys);
  });
});

test('partsPattern() matches what partKey() makes, and of any run where its id is not known', () => {
  const key = partKey(KEY, AT, '0a1b2c3d', 7);
  expect(new Bun.Glob(partsPattern(KEY, AT, '0a1b2c3d')).match(key)).toBe(true);
  expect(new Bun.Glob(partsPattern(KEY, AT, undefined)).match(key)).toBe(true);
  expect(new Bun.Glob(partsPattern(KEY, AT, 'ffffffff')).match(key)).toBe(false);
  expect(folderOfPart(key)).toBe('p/docs/20261123T004023Z-0a1b2c3d/');
});

describe('isPartKey()', () => {
  test('knows what partKey() makes', () => {
    for (const number of [0, 12_345, 100_000]) {
      expect(isPartKey(partKey(KEY, AT, '0a1b2c3d', number), KEY)).toBe(true);
      expect(isPartKey(partKey('latest.parquet', AT, '0a1b2c3d', number), 'latest.parquet')).toBe(true);
    }
  });

  test.each([
    KEY,
    'p/docs/20261123T004023Z.parquet',
    'p/docs/20261123T004023Z-0a1b2c3d/part-0000.parquet',
    'p/docs/20261123T004023Z-0a1b2c3d/part-000000.parquet',
    'p/docs/20261123T004023Z-0a1b2c3d/part-00000.parquet.bak',
    'p/docs/20261123T004023Z-0a1b2c3d/part-00000.parquet\n',
    'p/docs/20261123T004023Z-0A1B2C3D/part-00000.parquet',
    'p/docs/20261123T004023Z-0a1b2c3/part-00000.parquet',
    'p/docs/20261323T004023Z-0a1b2c3d/part-00000.parquet',
    'p/docs/sub/20261123T004023Z-0a1b2c3d/part-00000.parquet',
    'p/docs/20261123T004023Z-0a1b2c3d/sub/part-00000.parquet',
    'p/docs2/20261123T004023Z-0a1b2c3d/part-00000.parquet',
    '20261123T004023Z-0a1b2c3d/part-00000.parquet',
    '',
  ])('takes %j for nothing that was made here', (key) => {
    expect(isPartKey(key, KEY)).toBe(false);
  });
});
