import { expect, test } from 'bun:test';
import { EXPORTER_R2_FLAGS } from '../../../lib/cli/exporter-r2-flags.ts';
import { readExporterRequest } from '../../../lib/cli/exporter-request.ts';
import { exporterR2Help } from '../../../lib/cli/help.ts';
import { parseArguments } from '../../../lib/cli/parse-flags.ts';

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
  expect(text).toContain("[all, majority, quorum, 1 or more; default the server's]");
  expect(text).toContain('required without --all. [or QDRANT_COLLECTION_NAME]');
  expect(text).toContain('parquet-large; default ndjson-gz]');
  expect(text).toContain('--limit N Stop after so many points, in id order. [1 or more]');
});

test('exporterR2Help() has examples that the program takes as they stand', () => {
  const examples = exporterR2Help().split('Examples\n')[1]?.split('\n\nSource')[0] ?? '';
  const lines = examples.replaceAll('\\\n', '').match(/^ +exporter-r2 .*$/gm) ?? [];
  expect(lines.length).toBe(6);
  for (const line of lines) {
    const [, ...argv] = line.trim().match(/'[^']*'|\S+/g) ?? [];
    const given = argv.map((argument) => argument.replace(/^'(.*)'$/, '$1'));
    const environment = {
      R2_BUCKET: 'b',
      R2_ENDPOINT: 'https://x',
      R2_ACCESS_KEY_ID: 'a',
      R2_SECRET_ACCESS_KEY: 's',
    };
    expect(() =>
      readExporterRequest(parseArguments(given, EXPORTER_R2_FLAGS), environment, { isInteractive: false }),
    ).not.toThrow();
  }
});
