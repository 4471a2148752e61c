import { describe, expect, test } from 'bun:test';
import { datedKeys, isDatedKey } from '../../lib/dated-keys.ts';

const KEY = 'p/docs/latest.parquet';
const MANIFEST_KEY = 'p/docs/latest.json';

describe('datedKeys()', () => {
  test('names the copies by the UTC time in whole seconds, beside the latest', () => {
    expect(datedKeys(KEY, MANIFEST_KEY, new Date('2026-11-23T00:40:23.999Z'))).toEqual({
      key: 'p/docs/20261123T004023Z.parquet',
      manifestKey: 'p/docs/20261123T004023Z.json',
    });
    expect(datedKeys('latest.parquet', 'latest.json', new Date(0)).key).toBe('19700101T000000Z.parquet');
  });

  test('sorts by time', () => {
    const times = [0, 1_000, 86_399_000, 951_782_400_000, 4_102_444_799_000, 253_402_300_799_000];
    const keys = times.map((time) => datedKeys(KEY, MANIFEST_KEY, new Date(time)).key);
    expect(keys.toSorted()).toEqual(keys);
  });
});

describe('isDatedKey()', () => {
  test('knows what datedKeys() makes, of the export and of the manifest', () => {
    const made = datedKeys(KEY, MANIFEST_KEY, new Date(951_782_400_000));
    expect(isDatedKey(made.key, KEY)).toBe(true);
    expect(isDatedKey(made.manifestKey, MANIFEST_KEY)).toBe(true);
    expect(isDatedKey(made.manifestKey, KEY)).toBe(false);
    expect(isDatedKey('20000229T000000Z.parquet', 'latest.parquet')).toBe(true);
  });

  test.each([
    'p/docs/latest.parquet',
    'p/docs/20261123T004023Z',
    'p/docs/20261123T004023Z.parquet.bak',
    'p/docs/20261123T004023Z.PARQUET',
    'p/docs/20261123T004023.parquet',
    'p/docs/x20261123T004023Z.parquet',
    'p/docs/20261123T004023Zx.parquet',
    'p/docs/20261123T004023Z\n.parquet',
    'p/docs/sub/20261123T004023Z.parquet',
    'p/docs2/20261123T004023Z.parquet',
    'docs/20261123T004023Z.parquet',
    'p/docs//20261123T004023Z.parquet',
    'p/docs/20261323T004023Z.parquet',
    'p/docs/20260229T004023Z.parquet',
    'p/docs/20261123T240000Z.parquet',
    'p/docs/20261123T006023Z.parquet',
    'p/docs/２０261123T004023Z.parquet',
    '',
    '.parquet',
  ])('takes %j for nothing that was made here', (key) => {
    expect(isDatedKey(key, KEY)).toBe(false);
  });
});
