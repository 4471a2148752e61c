import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { builtInConverter } from '../../../../lib/writers/ndjson/built-in-converter.ts';
import { seeded } from '../../../support/batches.ts';
import { bytesOfFile, CONVERTER_OPTIONS, jobOf, shapeOf, withTexts } from '../../../support/conversions.ts';
import { expectColumns } from '../../../support/expect-columns.ts';
import { DUCKDB_MISSING, readColumnsWithHyparquet } from '../../../support/foreign-readers.ts';
import { gzipMembers, ndjsonLines, writeNdjson } from '../../../support/ndjson-data.ts';
import type { TestColumn } from '../../../support/parquet-tables.ts';
import { differencesInDuckDb, filesOf, writeFiles } from '../../../support/split-files.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'built-in-converter-'));
});
afterAll(() => rm(folder, { recursive: true }));

const ROWS = 3000;
const COLUMNS: readonly TestColumn[] = withTexts([
  {
    kind: 'dense',
    name: 'vector',
    size: 3,
    cells: Array.from({ length: ROWS }, (_, row) =>
      row % 4 === 1 ? null : Float32Array.of(row, row / 7, -row),
    ),
  },
]);

async function dataJob() {
  const from = join(folder, `${Bun.randomUUIDv7()}.ndjson.gz`);
  return jobOf(folder, from, await writeNdjson(from, COLUMNS, 500));
}

const converter = builtInConverter(shapeOf(COLUMNS), CONVERTER_OPTIONS);
const never = () => new AbortController().signal;

describe('the built-in converter', () => {
  test('says what it is, and what it made', async () => {
    expect(converter).toMatchObject({ description: 'built-in converter', rowGroupRows: 2048 });
    const job = await dataJob();
    await converter.convert(job, never());
    expect(await converter.summary(job.to)).toEqual({ rows: ROWS, rowGroups: 2 });
    expect(converter.estimateBytes(ROWS, 20)).toBeGreaterThan(Bun.file(job.to).size / 2);
  });

  test('makes files of at most so many bytes, end to end, and says what each of them holds', async () => {
    const splitting = builtInConverter(shapeOf(COLUMNS), {
      ...CONVERTER_OPTIONS,
      rowGroupRows: 500,
      splitBytes: 12_000,
    });
    const job = await dataJob();
    const parts = (await splitting.convert(job, never())) ?? [];
    expect(parts.length).toBeGreaterThan(2);
    const rows: number[] = [];
    let start = 0;
    for (const { bytes, ...held } of parts) {
      expect(bytes).toBeLessThanOrEqual(12_000);
      expect(await splitting.summary(job.to, { start, end: start + bytes })).toEqual(held);
      rows.push(held.rows);
      start += bytes;
    }
    expect(start).toBe(Bun.file(job.to).size);
    expect(rows.reduce((sum, count) => sum + count)).toBe(ROWS);
    // Another data file of the same rows: where its members end does not matter.
    const other = jobOf(folder, `${job.from}.2`, await writeNdjson(`${job.from}.2`, COLUMNS, 77));
    expect(await splitting.convert(other, never())).toEqual(parts);
    expect(await bytesOfFile(other.to)).toBe(await bytesOfFile(job.to));
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('lays the same rows into several files as into one', async () => {
    const whole = await dataJob();
    expect(await converter.convert(whole, never())).toBeUndefined();
    for (const compression of ['none', 'zstd', 'snappy', 'gzip'] as const) {
      const options = { ...CONVERTER_OPTIONS, compression, rowGroupRows: 200, splitBytes: 12_000 };
      const job = await dataJob();
      const parts = await builtInConverter(shapeOf(COLUMNS), options).convert(job, never());
      const files = filesOf(await readFile(job.to), parts);
      expect(files.length).toBeGreaterThan(2);
      const paths = await writeFiles(folder, files);
      expect(await differencesInDuckDb(whole.to, paths)).toEqual({ rows: ROWS, missing: 0, added: 0 });
    }
  });

  test('refuses a row that no file of so many bytes holds, and names a limit that will do', async () => {
    const cells = Array.from({ length: 900 }, (_, row) => Float32Array.of(row, row, row));
    const random = seeded(5);
    const noise = (length: number) =>
      Array.from({ length }, () => random().toString(36).slice(2, 12)).join('');
    const columns = withTexts([{ kind: 'dense', name: 'vector', size: 3, cells }], (row) =>
      noise(row === 700 ? 20_000 : 20),
    );
    const from = join(folder, 'large-row.gz');
    const job = jobOf(folder, from, await writeNdjson(from, columns));
    const splitting = (splitBytes: number) =>
      builtInConverter(shapeOf(columns), { ...CONVERTER_OPTIONS, splitBytes });
    const refused = await splitting(60_000)
      .convert(job, never())
      .then(
        () => undefined,
        (error: unknown) => error as ToolError,
      );
    const { code, message = '' } = refused ?? {};
    expect(code).toBe('usage');
    expect(message).toStartWith(
      'Cannot keep files to the 60,000 bytes of --split-size: row 701 needs a file of ',
    );
    const enough = Number(/Give --split-size (\d+) or more/.exec(message)?.[1]);
    expect(enough).toBeLessThan(400_000);
    const parts = (await splitting(enough).convert(job, never())) ?? [];
    expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(900);
  });

  test('writes the file anew, whatever was there', async () => {
    const job = await dataJob();
    await writeFile(job.to, 'x'.repeat(1_000_000));
    await converter.convert(job, never());
    expectColumns(await readColumnsWithHyparquet(job.to), COLUMNS);
  });

  test('tells how far it is', async () => {
    const told: number[] = [];
    await converter.convert({ ...(await dataJob()), onProgress: (rows) => told.push(rows) }, never());
    expect(told).toEqual([1024, 2048, 3000]);
  });

  test('encodes vectors as it is told', async () => {
    const split = builtInConverter(shapeOf(COLUMNS), {
      ...CONVERTER_OPTIONS,
      vectorEncoding: 'byte-stream-split',
    });
    const job = await dataJob();
    await split.convert(job, never());
    expectColumns(await readColumnsWithHyparquet(job.to), COLUMNS);
    const plain = await dataJob();
    await converter.convert(plain, never());
    expect(Bun.file(job.to).size).not.toBe(Bun.file(plain.to).size);
  });

  test('ends with the reason of a signal that is aborted while it works', async () => {
    const stop = new AbortController();
    const reason = new ToolError('cancelled', 'Enough.');
    const told: number[] = [];
    const onProgress = (rows: number) => {
      told.push(rows);
      stop.abort(reason);
    };
    await expect(converter.convert({ ...(await dataJob()), onProgress }, stop.signal)).rejects.toBe(reason);
    expect(told).toEqual([1024]);
  });

  test('does not begin when the signal was aborted before', async () => {
    const job = await dataJob();
    const reason = new ToolError('cancelled', 'Enough.');
    await expect(converter.convert(job, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(existsSync(job.to)).toBe(false);
  });

  test('refuses a file of another number of rows', async () => {
    const job = await dataJob();
    await expect(converter.convert({ ...job, rows: ROWS + 1 }, never())).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringContaining('it has 3000 rows, 3001 were written'),
    });
  });

  test('refuses a file that is damaged, wherever that is', async () => {
    const job = await dataJob();
    const whole = gzipMembers(ndjsonLines(COLUMNS), 500);
    for (const bytes of [whole.slice(0, -1), whole.slice(0, whole.length / 2), flipped(whole, -5)]) {
      await writeFile(job.from, bytes);
      await expect(converter.convert(job, never())).rejects.toMatchObject({ code: 'integrity' });
    }
  });

  test('refuses a line of another collection by its number', async () => {
    const job = await dataJob();
    await writeFile(job.from, gzipMembers([...ndjsonLines(COLUMNS), '{"id":1}\n'], 500));
    await expect(converter.convert(job, never())).rejects.toMatchObject({
      code: 'format',
      message: expect.stringContaining('line 3,001'),
    });
  });

  test('says where it cannot write', async () => {
    const job = { ...(await dataJob()), to: join(folder, 'none', 'x.parquet') };
    await expect(converter.convert(job, never())).rejects.toMatchObject({
      code: 'store',
      message: expect.stringContaining('Cannot write'),
    });
  });

  test.skipIf(!existsSync('/dev/full'))('says that the disk is full', async () => {
    await expect(converter.convert({ ...(await dataJob()), to: '/dev/full' }, never())).rejects.toMatchObject(
      {
        code: 'store',
        message: 'Cannot write "/dev/full": the disk is full (ENOSPC). Free space and go on with --resume.',
      },
    );
  });
});

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const other = new Uint8Array(bytes);
  other[bytes.length + at] = (other.at(at) as number) ^ 1;
  return other;
}
