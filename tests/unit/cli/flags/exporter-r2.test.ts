import { describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BIN = join(import.meta.dir, '../../../../bin/exporter-r2.ts');

/** Runs the program in a folder with these files and no variables but those given. */
async function exporter(
  argv: string[],
  env: Record<string, string> = {},
  files: Record<string, string> = {},
) {
  const top = mkdtempSync(join(tmpdir(), 'bin-test-'));
  const folder = join(top, 'a', 'b');
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const child = Bun.spawn([process.execPath, BIN, ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  rmSync(top, { recursive: true });
  return { out, err, code };
}

describe('exporter-r2', () => {
  test('--help and --version answer on stdout, whatever else is given', async () => {
    const help = await exporter(['--nonsense', '-h']);
    expect(help).toMatchObject({ code: 0, err: '' });
    expect(help.out).toStartWith('exporter-r2: ');
    expect(await exporter(['--version'])).toEqual({ code: 0, err: '', out: 'exporter-r2 0.1.0\n' });
  });

  test('ends usage errors in 2 with one sentence on stderr', async () => {
    expect(await exporter(['--colection', 'x'])).toEqual({
      code: 2,
      out: '',
      err: 'Error: --colection is not a flag of this program. Did you mean --collection?\n',
    });
  });

  test('reads a filter from a file of the folder it runs in, before it asks any server', async () => {
    const argv = ['--collection', 'c', '--output', 'c.parquet', '--filter', '@filter.json'];
    const { err, code } = await exporter(argv, {}, { 'filter.json': '{"must": [}' });
    expect(code).toBe(2);
    expect(err).toStartWith('Error: --filter @filter.json is not JSON: line 1, column 11 has "}" where ');
  });

  test('refuses --debug where nobody could answer, before it asks any server', async () => {
    const store = {
      R2_ENDPOINT: 'https://x',
      R2_ACCESS_KEY_ID: 'a',
      R2_SECRET_ACCESS_KEY: 's',
      R2_BUCKET: 'b',
    };
    expect(await exporter(['--collection', 'c', '--debug'], store)).toEqual({
      code: 2,
      out: '',
      err: 'Error: --debug asks before the upload, and there is no terminal to ask at; --yes is wanted with it.\n',
    });
  });

  test('prints usage errors as JSON too with --json, even when another flag cannot be read', async () => {
    const { out, code } = await exporter(['--parallel', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(out).error).toMatchObject({ code: 'usage', exitCode: 2 });
  });

  test('reads .env by its own rules, not by those of Bun', async () => {
    // A variable that is read out in the error shows whose value won.
    const shown = async (argv: string[], env: Record<string, string>, files: Record<string, string>) =>
      /is "([^"]*)"/.exec((await exporter(argv, env, files)).err)?.[1];
    const argv = ['--output', 'f'];
    const name = 'QDRANT_COLLECTION_NAME';
    expect(await shown(argv, {}, { '.env': `${name}=$HOME/x` })).toBe('$HOME/x');
    expect(await shown(argv, {}, { '.env': `${name}=near/`, '.env.local': `${name}=local/` })).toBe('near/');
    expect(await shown(argv, { [name]: 'own/' }, { '.env': `${name}=near/` })).toBe('own/');
    const named = { '.env': `${name}=near/`, named: `${name}=named/` };
    expect(await shown([...argv, '--env-file', 'named'], {}, named)).toBe('named/');
    expect(await shown([...argv, '--env-file=named'], { [name]: 'own/' }, named)).toBe('own/');
  });
});
