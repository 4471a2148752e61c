import { expect, test } from 'bun:test';
import { EXPORTER_R2_FLAGS } from '../../../lib/cli/flags.ts';
import { exporterR2Help } from '../../../lib/cli/help.ts';

test('exporterR2Help() fits 80 columns and begins with examples', () => {
  const lines = exporterR2Help().split('\n');
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.indexOf('Examples')).toBeLessThan(5);
});

test('exporterR2Help() names every flag, its variable and its default', () => {
  const text = exporterR2Help().replace(/\s+/g, ' ');
  for (const [name, flag] of Object.entries(EXPORTER_R2_FLAGS)) {
    expect(text).toContain(`--${name} `);
    if ('env' in flag) expect(text).toContain(`or ${flag.env}`);
  }
  expect(text).toContain('[1 to 1,000,000; default 10,000]');
  expect(text).toContain('[or QDRANT_URL; default localhost]');
  expect(text).toContain('[zstd, snappy, gzip, none; default zstd]');
});
