import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetSummary } from '../../../../lib/writers/parquet/parquet-summary.ts';
import { writeTable } from '../../../support/parquet-tables.ts';
import { allKinds } from '../../../support/random-cells.ts';

let folder: string;
let whole: Uint8Array;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-summary-'));
  whole = await fileOf(25);
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(rows: number): Promise<Uint8Array> {
  const path = join(folder, `${rows}.parquet`);
  await writeTable(path, allKinds(rows, {}), {
    compression: 'zstd',
    encoding: 'plain',
    rowGroupRows: 10,
    unitRows: 5,
  });
  return readFile(path);
}

function summaryOf(bytes: Uint8Array) {
  const path = join(folder, `${Bun.randomUUIDv7()}.parquet`);
  return writeFile(path, bytes).then(() => parquetSummary(path));
}

describe('parquetSummary()', () => {
  test('tells rows and row groups', async () => {
    expect(await summaryOf(whole)).toEqual({ rows: 25, rowGroups: 3 });
  });

  test('tells that a file has no rows', async () => {
    expect(await summaryOf(await fileOf(0))).toEqual({ rows: 0, rowGroups: 0 });
  });

  test('refuses a file that is cut off anywhere near its end or start', async () => {
    const lengths = [0, 1, 4, 8, 11, 12, 100, whole.length - 1, whole.length - 4, whole.length - 9];
    for (const length of lengths) {
      await expect(summaryOf(whole.slice(0, length))).rejects.toMatchObject({
        code: 'integrity',
        message: expect.stringContaining('is not a whole Parquet file'),
      });
    }
  });

  test('refuses a file that does not begin as one', async () => {
    const other = new Uint8Array(whole);
    other[0] = 0;
    await expect(summaryOf(other)).rejects.toMatchObject({ code: 'integrity' });
  });

  test('tells of one file among several that lie end to end', async () => {
    const files = [await fileOf(7), whole, await fileOf(0), await fileOf(12)];
    const path = join(folder, 'several.parquet');
    await writeFile(path, Buffer.concat(files));
    const found: unknown[] = [];
    let start = 0;
    for (const { length } of files) {
      found.push(await parquetSummary(path, { start, end: start + length }));
      start += length;
    }
    expect(found).toEqual([
      { rows: 7, rowGroups: 1 },
      { rows: 25, rowGroups: 3 },
      { rows: 0, rowGroups: 0 },
      { rows: 12, rowGroups: 2 },
    ]);
  });

  test('refuses a range that is not just one file, and names it', async () => {
    const path = join(folder, 'two.parquet');
    await writeFile(path, Buffer.concat([whole, whole]));
    const { length } = whole;
    const ranges = [
      [0, length - 1],
      [1, length],
      [length - 1, 2 * length],
      [length, 2 * length + 1],
      [length, 2 * length - 4],
      [length, length + 11],
      [3 * length, 4 * length],
    ] as const;
    for (const [start, end] of ranges) {
      await expect(parquetSummary(path, { start, end })).rejects.toMatchObject({
        code: 'integrity',
        message: expect.stringContaining(`"${path}", bytes ${start} to ${end}, is not a whole Parquet file`),
      });
    }
  });

  test('refuses a file that is not there', async () => {
    await expect(parquetSummary(join(folder, 'none.parquet'))).rejects.toMatchObject({ code: 'integrity' });
  });
});
