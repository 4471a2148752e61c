import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Compression } from '../../../../lib/writers/parquet/compress.ts';
import type { VectorEncoding } from '../../../../lib/writers/parquet/parquet-page.ts';
import { seeded } from '../../../support/batches.ts';
import { bitsOfOneNaN, expectColumns } from '../../../support/expect-columns.ts';
import {
  DUCKDB_MISSING,
  PYARROW_MISSING,
  readAllWithPyarrow,
  readColumnsWithDuckDb,
  readColumnsWithHyparquet,
  readWithPyarrow,
} from '../../../support/foreign-readers.ts';
import { type TableOptions, type TestColumn, writeTable } from '../../../support/parquet-tables.ts';
import { allKinds, awkwardColumn, upTo } from '../../../support/random-cells.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-tables-'));
});
afterAll(() => rm(folder, { recursive: true }));

const COMPRESSIONS: readonly Compression[] = ['none', 'zstd', 'snappy', 'gzip'];
const ENCODINGS: readonly VectorEncoding[] = ['plain', 'byte-stream-split'];

const OPTIONS: TableOptions = {
  compression: 'zstd',
  encoding: 'plain',
  rowGroupRows: 1000,
  unitRows: 16,
};

/** Writes a table and sees that all its rows were laid and all page buffers given back. */
async function written(columns: readonly TestColumn[], options: Partial<TableOptions> = {}): Promise<string> {
  const path = join(folder, `${Bun.randomUUIDv7()}.parquet`);
  const { rows, lent } = await writeTable(path, columns, { ...OPTIONS, ...options });
  expect({ rows, lent }).toEqual({ rows: columns[0]?.cells.length ?? 0, lent: 0 });
  return path;
}

describe('files of any number of columns and rows', () => {
  test.skipIf(PYARROW_MISSING !== undefined || DUCKDB_MISSING !== undefined)(
    'are whole with no rows at all',
    async () => {
      const columns = allKinds(0, {});
      const path = await written(columns);
      const file = await readWithPyarrow(path);
      expectColumns(file.columns, columns);
      expect(file.rowGroups).toEqual([]);
      expectColumns(await readColumnsWithDuckDb(path), columns);
      expectColumns(await readColumnsWithHyparquet(path), columns);
    },
  );

  for (const column of allKinds(30, { lacks: (row) => row % 4 === 1 })) {
    test.skipIf(PYARROW_MISSING !== undefined || DUCKDB_MISSING !== undefined)(
      `are whole with one ${column.kind} column`,
      async () => {
        const path = await written([column], { rowGroupRows: 16, unitRows: 8 });
        expectColumns((await readWithPyarrow(path)).columns, [column]);
        expectColumns(await readColumnsWithDuckDb(path), [column]);
        expectColumns(await readColumnsWithHyparquet(path), [column], bitsOfOneNaN);
      },
    );
  }

  test.skipIf(PYARROW_MISSING !== undefined || DUCKDB_MISSING !== undefined)(
    'are whole with hundreds of columns',
    async () => {
      const random = seeded(4);
      const columns = range(300, (column) => awkwardColumn(random, `vector_${column}`, 12));
      const path = await written(columns, { rowGroupRows: 5, unitRows: 3 });
      expectColumns((await readWithPyarrow(path)).columns, columns);
      expectColumns(await readColumnsWithDuckDb(path), columns);
      expectColumns(await readColumnsWithHyparquet(path), columns, bitsOfOneNaN);
    },
  );
});

describe('random tables', () => {
  const NAMES = [
    'key',
    'vector',
    'vector_a.b',
    'vector_"quoted"',
    'vector_文 😀',
    "vector_it's",
    'list',
    'element',
  ];

  function randomTable(seed: number): { columns: readonly TestColumn[]; options: TableOptions } {
    const random = seeded(seed);
    const rows = Math.floor(random() * 60);
    const columns = NAMES.slice(0, upTo(random, NAMES.length)).map((name) =>
      awkwardColumn(random, name, rows),
    );
    const unitRows = upTo(random, 20);
    return {
      columns,
      options: {
        compression: COMPRESSIONS[seed % 4] as Compression,
        encoding: ENCODINGS[Math.floor(seed / 4) % 2] as VectorEncoding,
        unitRows,
        rowGroupRows: unitRows + Math.floor(random() * 40),
      },
    };
  }
  const tables = range(24, randomTable);
  const paths = () => Promise.all(tables.map(({ columns, options }) => written(columns, options)));

  test.skipIf(PYARROW_MISSING !== undefined)('read the same with pyarrow, bit for bit', async () => {
    const files = await readAllWithPyarrow(await paths());
    for (const [seed, { columns }] of tables.entries()) expectColumns(files[seed]?.columns ?? {}, columns);
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('read the same with DuckDB, bit for bit', async () => {
    for (const [seed, path] of (await paths()).entries()) {
      expectColumns(await readColumnsWithDuckDb(path), tables[seed]?.columns ?? []);
    }
  });

  test('read the same with hyparquet but for the bits of NaNs', async () => {
    for (const [seed, path] of (await paths()).entries()) {
      expectColumns(await readColumnsWithHyparquet(path), tables[seed]?.columns ?? [], bitsOfOneNaN);
    }
  });
});

function range<T>(length: number, make: (index: number) => T): T[] {
  return Array.from({ length }, (_, index) => make(index));
}
