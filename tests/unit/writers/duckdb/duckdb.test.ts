import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync, watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { duckDbConverter, type FoundDuckDb, findDuckDb } from '../../../../lib/writers/duckdb/duckdb.ts';
import { duckDbMisfit, duckDbSql } from '../../../../lib/writers/duckdb/duckdb-sql.ts';
import { CONVERTER_OPTIONS, jobOf, shapeOf, withTexts } from '../../../support/conversions.ts';
import { DUCKDB_MISSING } from '../../../support/foreign-readers.ts';
import { gzipMembers, ndjsonLines, writeNdjson } from '../../../support/ndjson-data.ts';
import type { TestColumn } from '../../../support/parquet-tables.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'duckdb-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A search path on which `duckdb` is a shell script. */
async function scriptPath(script: string, mode = 0o755): Promise<string> {
  const bin = await mkdtemp(join(folder, 'bin-'));
  await writeFile(join(bin, 'duckdb'), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, 'duckdb'), mode);
  return [bin, '/usr/bin', '/bin'].join(delimiter);
}

async function scripted(script: string): Promise<FoundDuckDb> {
  const searchPath = await scriptPath(script);
  return { path: join(searchPath.split(delimiter)[0] as string, 'duckdb'), version: '1.5.6', searchPath };
}

describe('findDuckDb()', () => {
  test('finds none on a search path without it, or without a search path', async () => {
    expect(await findDuckDb(join(folder, 'nothing-here'))).toBeUndefined();
    expect(await findDuckDb('')).toBeUndefined();
    expect(await findDuckDb(undefined)).toBeUndefined();
  });

  test.each([
    ['v1.5.6 (Variegata) 069cc9f9b5', '1.5.6'],
    ['v1.1.0 fa5c2fe15f', '1.1.0'],
    ['v1.10.2-dev12 abc', '1.10.2'],
    ['2.0', '2.0'],
  ])('takes a DuckDB that answers %s', async (answer, version) => {
    const searchPath = await scriptPath(`test "$*" = --version && echo "${answer}"`);
    expect(await findDuckDb(searchPath)).toEqual({
      path: join(searchPath.split(delimiter)[0] as string, 'duckdb'),
      version,
      searchPath,
    });
  });

  test.each([
    ["echo 'v0.9.2 3c695d7ba9'", 'DuckDB 0.9.2 is older than 1.1'],
    ["echo 'v1.0.0 1f98600c2c'", 'DuckDB 1.0.0 is older than 1.1'],
    ["echo 'ducks and drakes'", 'answers "ducks and drakes", which is no version'],
    ['true', 'answers "", which is no version'],
    ["echo 'bad library' >&2; exit 127", '--version ended with 127: bad library'],
    ['kill -9 $$', '--version ended with SIGKILL'],
  ])('says why it cannot use one that does %s', async (script, problem) => {
    expect(await findDuckDb(await scriptPath(script))).toEqual({ problem: expect.stringContaining(problem) });
  });

  test('passes over a file that cannot be run', async () => {
    const bin = (await scriptPath('echo v1.5.6', 0o644)).split(delimiter)[0] as string;
    expect(await findDuckDb(bin)).toBeUndefined();
  });

  test('gives it no input and no variables of this process', async () => {
    process.env.SECRET_OF_A_TEST = 'hush';
    try {
      const out = join(folder, 'environment');
      const found = await findDuckDb(await scriptPath(`env > '${out}'; cat; echo v1.5.6`));
      expect(found).toMatchObject({ version: '1.5.6' });
      const names = readFileSync(out, 'utf8')
        .split('\n')
        .map((line) => line.split('=')[0]);
      expect(names).toContain('PATH');
      expect(names).not.toContain('SECRET_OF_A_TEST');
    } finally {
      delete process.env.SECRET_OF_A_TEST;
    }
  });
});

const COLUMNS: readonly TestColumn[] = withTexts([
  { kind: 'dense', name: 'vector', size: 2, cells: [Float32Array.of(1, 2), null, Float32Array.of(0.5, -1)] },
]);

async function dataJob(columns = COLUMNS) {
  const from = join(folder, `${Bun.randomUUIDv7()}.ndjson.gz`);
  return jobOf(folder, from, await writeNdjson(from, columns));
}

const converterOf = (found: FoundDuckDb) => duckDbConverter(found, shapeOf(COLUMNS), CONVERTER_OPTIONS);
const never = () => new AbortController().signal;

describe('a conversion by DuckDB', () => {
  test('is refused with what DuckDB says, and what helps', async () => {
    const found = await scripted("cat > /dev/null; echo 'Some Error: no luck' >&2; echo 'more' >&2; exit 3");
    const job = await dataJob();
    await expect(converterOf(found).convert(job, never())).rejects.toMatchObject({
      code: 'format',
      remedy: 'none',
      message: `Cannot make Parquet of "${job.from}" with DuckDB 1.5.6 ("${found.path}"): Some Error: no luck more. Remove DuckDB from the PATH to use the built-in converter; --resume goes on from the finished data.`,
    });
  });

  test('is refused with the start of what DuckDB says where that is long', async () => {
    const found = await scripted("yes 'Some Error: again' | head -c 3000000 | tr '\\n' ' ' >&2; exit 1");
    const error = await converterOf(found)
      .convert(await dataJob(), never())
      .catch((thrown: unknown) => thrown);
    expect((error as ToolError).message).toContain('Some Error: again Some Error: again');
    expect((error as ToolError).message.length).toBeLessThan(2600);
  });

  test.each([
    'IO Error: Could not write file "/x": No space left on device',
    'IO Error: Cannot write: Disk quota exceeded',
    "Out of Memory Error: failed to offload. This limit was set by the 'max_temp_directory_size' setting.",
  ])('is an error of the store after %s', async (said) => {
    const found = await scripted(`echo "${said}" >&2; exit 1`);
    await expect(converterOf(found).convert(await dataJob(), never())).rejects.toMatchObject({
      code: 'store',
      message: expect.stringContaining('the disk is full'),
    });
  });

  test('says of a lack of memory that less would do', async () => {
    const found = await scripted("echo 'Out of Memory Error: failed to allocate' >&2; exit 1");
    await expect(converterOf(found).convert(await dataJob(), never())).rejects.toMatchObject({
      code: 'format',
      remedy: 'smaller',
    });
  });

  test('is refused when DuckDB is killed, or cannot be started', async () => {
    await expect(
      converterOf(await scripted('kill -9 $$')).convert(await dataJob(), never()),
    ).rejects.toMatchObject({ code: 'format', message: expect.stringContaining('it ended with SIGKILL') });
    const gone = { path: join(folder, 'gone'), version: '1.5.6', searchPath: '/bin' };
    await expect(converterOf(gone).convert(await dataJob(), never())).rejects.toMatchObject({
      code: 'format',
      message: expect.stringContaining('Cannot start DuckDB 1.5.6'),
    });
  });

  test('is refused when DuckDB says all went well and there is no whole file', async () => {
    await expect(
      converterOf(await scripted('exit 0')).convert(await dataJob(), never()),
    ).rejects.toMatchObject({ code: 'integrity' });
  });

  test('begins with a file that is not there, whatever an earlier one left open', async () => {
    const job = await dataJob();
    await writeFile(job.to, 'of an earlier run');
    const found = await scripted(`test -e '${job.to}' && echo 'still there' >&2; exit 1`);
    await expect(converterOf(found).convert(job, never())).rejects.toMatchObject({
      message: expect.stringContaining('without a word'),
    });
  });

  test('ends with the reason of the signal once DuckDB and all that it started are gone', async () => {
    const job = await dataJob();
    const mark = join(job.scratch, 'started');
    await mkdir(job.scratch);
    // As packages of other languages do: the command waits for the real one, a process of its own.
    const found = await scripted(
      `sh -c 'echo $$ > "${mark}.part"; mv "${mark}.part" "${mark}"; exec sleep 1000'\ntrue`,
    );
    const stop = new AbortController();
    const conversion = converterOf(found)
      .convert(job, stop.signal)
      .catch((thrown: unknown) => thrown);
    await fileAppears(mark);
    const pid = Number(readFileSync(mark, 'utf8'));
    expect(isRunning(pid)).toBe(true);
    const reason = new ToolError('cancelled', 'Enough.');
    stop.abort(reason);
    expect(await conversion).toBe(reason);
    // Its files are closed by now; that the system forgets it may take a moment longer. One left behind would run on.
    while (isRunning(pid)) await new Promise(setImmediate);
  });

  test('does not begin when the signal was aborted before', async () => {
    const job = await dataJob();
    const found = await scripted(`touch '${folder}/never'`);
    const reason = new ToolError('cancelled', 'Enough.');
    await expect(converterOf(found).convert(job, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(existsSync(join(folder, 'never'))).toBe(false);
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('counts the rows', async () => {
    const found = (await findDuckDb(process.env.PATH)) as FoundDuckDb;
    const job = await dataJob();
    await converterOf(found).convert(job, never());
    await expect(converterOf(found).convert({ ...job, rows: 4 }, never())).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringContaining('laid 3 rows'),
    });
  });

  test.skipIf(DUCKDB_MISSING !== undefined)(
    'leaves nothing but the file, and files in its scratch folder',
    async () => {
      const found = (await findDuckDb(process.env.PATH)) as FoundDuckDb;
      const job = await dataJob();
      const before = await readdir(dirname(job.to));
      await converterOf(found).convert(job, never());
      const added = (await readdir(dirname(job.to))).filter((name) => !before.includes(name));
      expect(added.map((name) => join(folder, name)).sort()).toEqual([job.to, job.scratch].sort());
    },
  );

  test.skipIf(DUCKDB_MISSING !== undefined)("does not read its user's own settings", async () => {
    const real = (await findDuckDb(process.env.PATH)) as FoundDuckDb;
    const home = await mkdtemp(join(folder, 'home-'));
    await writeFile(join(home, '.duckdbrc'), "SELECT error('the settings were read');\n");
    const found = await scripted(`HOME='${home}' PATH='${real.searchPath}' exec '${real.path}' "$@"`);
    const job = await dataJob();
    await converterOf(found).convert(job, never());
    expect(existsSync(job.to)).toBe(true);
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('refuses lines that are not JSON', async () => {
    const found = (await findDuckDb(process.env.PATH)) as FoundDuckDb;
    const job = await dataJob();
    const lines = [...ndjsonLines(COLUMNS), '{"key":"a","metadata":"b",\n'];
    await writeFile(job.from, gzipMembers(lines, 2));
    await expect(converterOf(found).convert(job, never())).rejects.toMatchObject({
      code: 'format',
      message: expect.stringContaining('Malformed JSON'),
    });
  });

  test('refuses a file that is damaged, of which DuckDB itself takes no notice', async () => {
    const job = await dataJob();
    const whole = gzipMembers(ndjsonLines(COLUMNS), 2);
    const flipped = new Uint8Array(whole);
    flipped[whole.length - 6] = (whole.at(-6) as number) ^ 1;
    for (const bytes of [whole.slice(0, -1), whole.slice(0, -12), flipped]) {
      await writeFile(job.from, bytes);
      await expect(
        converterOf(await scripted('exec sleep 1000')).convert(job, never()),
      ).rejects.toMatchObject({
        code: 'integrity',
        message: expect.stringContaining('it is damaged or cut off'),
      });
    }
  });
});

/** Resolves once the file is in its folder, which is there. */
async function fileAppears(path: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watcher = watch(dirname(path), () => existsSync(path) && resolve());
  if (existsSync(path)) resolve();
  await promise;
  watcher.close();
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // One that ended and that nobody has asked for yet is gone as well.
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return !existsSync('/proc');
  }
}

describe('duckDbMisfit()', () => {
  const text = (name: string) => ({ kind: 'text', name, bounds: false }) as const;

  test('tells of names that differ only in case', () => {
    expect(duckDbMisfit([text('key'), text('vector_A'), text('vector_a')])).toBe(
      'column names differ only in case',
    );
  });

  test('tells of names that no statement holds', () => {
    expect(duckDbMisfit([text('a\0b')])).toBe('DuckDB cannot take all column names');
  });

  test('has nothing against other names', () => {
    expect(duckDbMisfit(["it's", 'a"b', 'a b', '文', 'key'].map(text))).toBeUndefined();
  });
});

test('duckDbSql() refuses what no statement holds', () => {
  const job = {
    from: '/a',
    to: '/b',
    spill: '/c',
    columns: [],
    compression: 'zstd',
    rowGroupRows: 2048,
    keyValues: [{ key: 'k', value: 'a\0b' }],
    longestRow: 1,
    memoryLimit: 256,
  } as const;
  expect(() => duckDbSql(job)).toThrow('Cannot hand "a\\u0000b" to DuckDB');
});
