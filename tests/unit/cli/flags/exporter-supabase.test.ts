import { describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runExporter } from '../../../support/exporter.ts';
import { jwt, KEYS } from '../supabase-keys.ts';

const SUPABASE_URL = 'https://projectrefprojectref.supabase.co';

async function exporter(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await runExporter(args, { program: 'exporter-supabase', env });
  return { code, out: stdout, err: stderr };
}

describe('exporter-supabase', () => {
  test('--help and --version answer on stdout, whatever else is given', async () => {
    const help = await exporter(['--nonsense', '-h']);
    expect(help).toMatchObject({ code: 0, err: '' });
    expect(help.out).toStartWith('exporter-supabase: ');
    expect(await exporter(['--version'])).toEqual({ code: 0, err: '', out: 'exporter-supabase 0.1.0\n' });
  });

  test('ends usage errors in 2 with one sentence on stderr, its own flags known', async () => {
    expect(await exporter(['--creat-bucket'])).toEqual({
      code: 2,
      out: '',
      err: 'Error: --creat-bucket is not a flag of this program. Did you mean --create-bucket?\n',
    });
    expect(await exporter(['--collection', 'c'])).toEqual({
      code: 2,
      out: '',
      err: 'Error: SUPABASE_URL is not set; https://REF.supabase.co is wanted (dashboard: Project Settings, Data API), or a local file with --output FILE.\n',
    });
  });

  test('knows a wrong key before it asks any server, and prints none, with --verbose neither', async () => {
    const key = jwt({ role: 'anon', ref: 'projectrefprojectref' });
    const env = { SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY: key };
    const { code, out, err } = await exporter(['--collection', 'c', '--verbose', '--json'], env);
    expect(code).toBe(2);
    expect(err).toStartWith('Error: SUPABASE_SERVICE_ROLE_KEY is the anon key, ');
    expect(JSON.parse(out).error).toMatchObject({ code: 'usage', exitCode: 2 });
    for (const part of key.split('.').slice(1)) expect(`${out}${err}`).not.toContain(part);
  });

  test('warns of what is worth a word, before it asks Qdrant', async () => {
    const env = {
      SUPABASE_URL: 'http://127.0.0.1:1',
      SUPABASE_SERVICE_ROLE_KEY: KEYS.secret,
      QDRANT_URL: 'http://127.0.0.1:1',
    };
    const { code, err } = await exporter(['--collection', 'c', '--dry-run', '--timeout', '1'], env);
    expect(code).toBe(10);
    expect(err).toStartWith('Warning: SUPABASE_SERVICE_ROLE_KEY is an sb_secret_… key, ');
  });

  test('reads its variables from .env', async () => {
    const top = mkdtempSync(join(tmpdir(), 'bin-test-'));
    const cwd = join(top, 'a', 'b');
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(cwd, '.env'), `SUPABASE_URL=${SUPABASE_URL}\nSUPABASE_S3_ACCESS_KEY_ID=id-of-a-key\n`);
    try {
      const { code, stderr } = await runExporter(['--collection', 'c'], {
        program: 'exporter-supabase',
        cwd,
      });
      expect(code).toBe(2);
      expect(stderr).toBe(
        'Error: SUPABASE_S3_SECRET_ACCESS_KEY is not set, but SUPABASE_S3_ACCESS_KEY_ID is; both are wanted, or neither (dashboard: Storage, S3 access keys).\n',
      );
    } finally {
      rmSync(top, { recursive: true });
    }
  });
});
