import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../lib/errors.ts';
import { builtInConverter } from '../../../lib/writers/built-in-converter.ts';
import { CONVERTER_OPTIONS, jobOf, shapeOf, withTexts } from '../../support/conversions.ts';
import { expectColumns } from '../../support/expect-columns.ts';
import { readColumnsWithHyparquet } from '../../support/foreign-readers.ts';
import { gzipMembers, ndjsonLines, writeNdjson } from '../../support/ndjson-data.ts';
import type { TestColumn } from '../../support/parquet-tables.ts';

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
