import { describe, expect, test } from 'bun:test';
import { EXPORTER_R2 } from '../../../../lib/cli/flags/exporter-r2.ts';
import { exporterR2Help } from '../../../../lib/cli/flags/exporter-r2-help.ts';
import { EXPORTER_SUPABASE } from '../../../../lib/cli/flags/exporter-supabase.ts';
import { exporterSupabaseHelp } from '../../../../lib/cli/flags/exporter-supabase-help.ts';
import { parseArguments } from '../../../../lib/cli/flags/parse-flags.ts';
import { readExporterRequest } from '../../../../lib/cli/settings/exporter-request.ts';

const ENVIRONMENT = {
  R2_BUCKET: 'b',
  R2_ENDPOINT: 'https://x',
  R2_ACCESS_KEY_ID: 'a',
  R2_SECRET_ACCESS_KEY: 's',
  SUPABASE_URL: 'https://x.supabase.co',
  SUPABASE_SERVICE_ROLE_KEY: 'sb_secret_0',
  SUPABASE_S3_ACCESS_KEY_ID: 'a',
  SUPABASE_S3_SECRET_ACCESS_KEY: 's',
};

describe.each([
  ['exporter-r2', EXPORTER_R2, exporterR2Help(), 6],
  ['exporter-supabase', EXPORTER_SUPABASE, exporterSupabaseHelp(), 7],
] as const)('%s --help', (name, program, help, examples) => {
  test('fits 80 columns and begins with examples', () => {
    const lines = help.split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines[0]).toStartWith(`${name}: `);
    expect(lines.indexOf('Examples')).toBeLessThan(5);
  });

  test('names every flag, its variable and its default', () => {
    const text = help.replace(/\s+/g, ' ');
    for (const [flagName, flag] of Object.entries(program.flags)) {
      expect(text).toContain(`--${flagName} `);
      if ('env' in flag) expect(text).toContain(`or ${flag.env}`);
    }
    expect(text).toContain('[1 to 1,000,000; default 10,000]');
    expect(text).toContain('[or QDRANT_URL; default localhost]');
    expect(text).toContain('[zstd, snappy, gzip, none; default zstd]');
    expect(text).toContain("[all, majority, quorum, 1 or more; default the server's]");
    expect(text).toContain('required without --all. [or QDRANT_COLLECTION_NAME]');
    expect(text).toContain('parquet-large; default ndjson-gz]');
    expect(text).toContain('--limit N Stop after so many points, in id order. [1 or more]');
    expect(text).toContain('--split-size SIZE Write part-00000.parquet, ');
    expect(text).toContain('[1MB or more, such as 45MB, 1.5GB or 45MiB; default one file]');
  });

  test('has examples that the program takes as they stand', () => {
    const shown = help.split('Examples\n')[1]?.split('\n\nSource')[0] ?? '';
    const lines = shown.replaceAll('\\\n', '').match(new RegExp(`^ +${name} .*$`, 'gm')) ?? [];
    expect(lines.length).toBe(examples);
    for (const line of lines) {
      const [, ...argv] = line.trim().match(/'[^']*'|\S+/g) ?? [];
      const given = argv.map((argument) => argument.replace(/^'(.*)'$/, '$1'));
      expect(() =>
        readExporterRequest(program, parseArguments(given, program.flags), ENVIRONMENT, {
          isInteractive: false,
        }),
      ).not.toThrow();
    }
  });
});

test("each --help names the variables of its own store, and none of the other's", () => {
  const variables = (help: string) => new Set(help.match(/\b(R2|SUPABASE)_[A-Z0-9_]+\b/g));
  expect(variables(exporterR2Help())).toEqual(
    new Set(['R2_BUCKET', 'R2_ENDPOINT', 'R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY', 'R2_REGION']),
  );
  expect(variables(exporterSupabaseHelp())).toEqual(
    new Set([
      'SUPABASE_STORAGE_BUCKET',
      'SUPABASE_URL',
      'SUPABASE_SERVICE_ROLE_KEY',
      'SUPABASE_S3_ACCESS_KEY_ID',
      'SUPABASE_S3_SECRET_ACCESS_KEY',
      'SUPABASE_S3_REGION',
      'SUPABASE_ANON_KEY',
    ]),
  );
});

test('what is too wide for the first column has a line of its own', () => {
  expect(exporterSupabaseHelp()).toContain(
    `\n  SUPABASE_S3_SECRET_ACCESS_KEY\n${' '.repeat(28)}Its secret.\n`,
  );
});
