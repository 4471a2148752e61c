import { expect, test } from 'bun:test';
import { manifestKey, manifestPath } from '../../../../lib/cli/settings/manifest-key.ts';

test('manifestKey() is beside the object', () => {
  expect(manifestKey('a.parquet/docs/latest.parquet')).toBe('a.parquet/docs/latest.json');
});

test.each(['x.parquet', 'x', 'folder/x.json', '.parquet'])('manifestPath(%p) is another name', (file) => {
  expect(manifestPath(file)).toBe(`${file}.json`);
});
