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
  queryWithDuckDb,
  readAllWithPyarrow,
  readColumnsWithDuckDb,
  readColumnsWithHyparquet,
  readRowsWithHyparquet,
  readWithPyarrow,
  typesInDuckDb,
} from '../../../support/foreign-readers.ts';
import { type TableOptions, type TestColumn, writeTable } from '../../../support/parquet-tables.ts';
import { allKinds, awkwardFloats, awkwardSparse } from '../../../support/random-cells.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-columns-'));
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

interface Scenario {
  readonly columns: readonly TestColumn[];
  readonly options?: Partial<TableOptions>;
}

/** Every kind × no NULL, some, none but NULL, empty lists, one row, a page and more, several row groups. */
const SCENARIOS: readonly Scenario[] = [
  { columns: allKinds(40, {}) },
  { columns: allKinds(40, { lacks: (row, column) => (row + column) % 3 === 0 }) },
  { columns: allKinds(40, { lacks: () => true }) },
  { columns: allKinds(40, { empty: (row) => row % 2 === 0, lacks: (row) => row % 5 === 0 }) },
  { columns: allKinds(20, { empty: () => true }) },
  { columns: allKinds(1, {}) },
  // About 1.2 MB in each column.
  { columns: allKinds(800, { scale: 140, lacks: (row) => row % 7 === 0 }), options: { unitRows: 800 } },
  {
    columns: allKinds(50, { lacks: (row) => row > 20 && row < 40 }),
    options: { rowGroupRows: 16, unitRows: 5 },
  },
];

describe('columns of every kind', () => {
  for (const compression of COMPRESSIONS) {
    for (const encoding of ENCODINGS) {
      // Each column is the one that goes straight to the file in some of them.
      const paths = () =>
        Promise.all(
          SCENARIOS.map(({ columns, options }) => written(columns, { compression, encoding, ...options })),
        );

      test.skipIf(PYARROW_MISSING !== undefined)(
        `give pyarrow the same cells bit for bit, ${compression} and ${encoding}`,
        async () => {
          const files = await readAllWithPyarrow(await paths());
          for (const [number, { columns }] of SCENARIOS.entries()) {
            expectColumns(files[number]?.columns ?? {}, columns);
          }
        },
      );

      test.skipIf(DUCKDB_MISSING !== undefined)(
        `give DuckDB the same cells bit for bit, ${compression} and ${encoding}`,
        async () => {
          const files = await Promise.all((await paths()).map(readColumnsWithDuckDb));
          for (const [number, { columns }] of SCENARIOS.entries()) {
            expectColumns(files[number] ?? {}, columns);
          }
        },
      );

      test(`give hyparquet the same cells but for the bits of NaNs, ${compression} and ${encoding}`, async () => {
        const files = await Promise.all((await paths()).map(readColumnsWithHyparquet));
        for (const [number, { columns }] of SCENARIOS.entries()) {
          expectColumns(files[number] ?? {}, columns, bitsOfOneNaN);
        }
      });
    }
  }

  test.skipIf(PYARROW_MISSING !== undefined || DUCKDB_MISSING !== undefined)(
    'hold rows larger than a page beside small ones',
    async () => {
      const random = seeded(3);
      const floats = (count: number) => awkwardFloats(random, count);
      const sparse = (count: number) => awkwardSparse(random, count);
      const columns: readonly TestColumn[] = [
        { kind: 'text', name: 'text', cells: ['a', 'x'.repeat(1_500_000), null, 'b'] },
        {
          kind: 'multi',
          name: 'multi',
          size: 30_000,
          cells: [[floats(30_000)], null, [], range(10, () => floats(30_000))],
        },
        { kind: 'sparse', name: 'sparse', cells: [sparse(2), sparse(300_000), null, sparse(0)] },
        {
          kind: 'dense',
          name: 'dense',
          size: 270_000,
          cells: [null, floats(270_000), floats(270_000), null],
        },
      ];
      const path = await written(columns, {});
      expectColumns((await readWithPyarrow(path)).columns, columns);
      expectColumns(await readColumnsWithDuckDb(path), columns);
      expectColumns(await readColumnsWithHyparquet(path), columns, bitsOfOneNaN);
    },
  );

  test.skipIf(PYARROW_MISSING !== undefined || DUCKDB_MISSING !== undefined)(
    'have the types that engines know them by',
    async () => {
      const path = await written(allKinds(3, {}));
      expect(await typesInDuckDb(path)).toEqual({
        text: 'VARCHAR',
        dense: 'FLOAT[]',
        multi: 'FLOAT[][]',
        sparse: 'STRUCT(indices UINTEGER[], "values" FLOAT[])',
      });
      const { schema, chunks } = await readWithPyarrow(path);
      expect(schema).toEqual([
        'text: string',
        'dense: list<element: float>',
        'multi: list<element: list<element: float>>',
        'sparse: struct<indices: list<element: uint32>, values: list<element: float>>',
      ]);
      expect(chunks[0]?.map((chunk) => chunk.path)).toEqual([
        'text',
        'dense.list.element',
        'multi.list.element.list.element',
        'sparse.indices.list.element',
        'sparse.values.list.element',
      ]);
    },
  );

  test.skipIf(DUCKDB_MISSING !== undefined)(
    'let an engine look into sparse vectors by their fields',
    async () => {
      const cell = (...indices: number[]) => ({
        indices: Uint32Array.from(indices),
        values: Float32Array.from(indices, (_, at) => at + 0.5),
      });
      const columns: readonly TestColumn[] = [
        { kind: 'sparse', name: 'sparse', cells: [cell(7, 2 ** 32 - 1), null, cell()] },
      ];
      const query = 'SELECT sparse.indices, sparse.values, sparse IS NULL AS missing FROM file';
      expect(await queryWithDuckDb(await written(columns), query)).toEqual([
        { indices: [7, 4294967295], values: [0.5, 1.5], missing: false },
        { indices: null, values: null, missing: true },
        { indices: [], values: [], missing: false },
      ]);
    },
  );

  test.skipIf(PYARROW_MISSING !== undefined)(
    'split bytes of floats alone, never of indices or texts',
    async () => {
      const { chunks } = await readWithPyarrow(
        await written(allKinds(9, {}), { encoding: 'byte-stream-split' }),
      );
      expect(chunks[0]?.map(({ encodings }) => [...encodings].sort())).toEqual([
        ['PLAIN', 'RLE'],
        ['BYTE_STREAM_SPLIT', 'RLE'],
        ['BYTE_STREAM_SPLIT', 'RLE'],
        ['PLAIN', 'RLE'],
        ['BYTE_STREAM_SPLIT', 'RLE'],
      ]);
    },
  );

  for (const unitRows of [1, 3]) {
    test.skipIf(PYARROW_MISSING !== undefined)(
      `keep bounds and NULLs of the texts of each row group of units of ${unitRows}, and nothing of vectors`,
      async () => {
        const texts = ['a', null, 'b', null, null, null, 'ä', 'z', '', null];
        const columns: readonly TestColumn[] = [
          { kind: 'text', name: 'text', cells: texts },
          { kind: 'text', name: 'unbound', cells: texts },
          { kind: 'dense', name: 'dense', size: 1, cells: texts.map(() => Float32Array.of(1)) },
          { kind: 'sparse', name: 'sparse', cells: texts.map(() => null) },
        ];
        const path = await written(columns, { rowGroupRows: 3, unitRows });
        const { chunks, rowGroups } = await readWithPyarrow(path);
        expect(rowGroups).toEqual([3, 3, 3, 1]);
        expect(chunks.map(([text]) => text?.statistics)).toEqual([
          { nullCount: 1, min: 'a', max: 'b' },
          { nullCount: 3, min: null, max: null },
          { nullCount: 0, min: '', max: 'ä' },
          { nullCount: 1, min: null, max: null },
        ]);
        expect(chunks.map(([, unbound]) => unbound?.statistics)).toEqual(
          [1, 3, 0, 1].map((nullCount) => ({ nullCount, min: null, max: null })),
        );
        for (const [, , ...vectors] of chunks) {
          expect(vectors.map(({ statistics }) => statistics)).toEqual([null, null, null]);
        }
      },
    );
  }

  test.skipIf(DUCKDB_MISSING !== undefined)('let an engine find rows by bounds and NULLs', async () => {
    const texts = Array.from({ length: 100 }, (_, row) => (row % 4 === 0 ? null : `${'k'.repeat(80)}${row}`));
    const path = await written([{ kind: 'text', name: 'text', cells: texts }], {
      rowGroupRows: 10,
      unitRows: 5,
    });
    const found = await queryWithDuckDb(
      path,
      `SELECT count(*) FILTER (text IS NULL) AS nulls, count(*) FILTER (text = '${texts[57]}') AS one FROM file`,
    );
    expect(found).toEqual([{ nulls: 25, one: 1 }]);
    expect(await queryWithDuckDb(path, `SELECT text FROM file WHERE text = '${texts[57]}'`)).toEqual([
      { text: texts[57] },
    ]);
  });
});

describe('rows in the middle of a file', () => {
  test('are found by the offset index alone', async () => {
    const columns = allKinds(800, { scale: 140, lacks: (row) => row % 7 === 0 });
    const path = await written(columns, { unitRows: 400 });
    const wanted = columns.map(
      (column) => ({ ...column, cells: column.cells.slice(600, 610) }) as TestColumn,
    );
    const { columns: found, bytesRead } = await readRowsWithHyparquet(path, 600, 610);
    expectColumns(found, wanted, bitsOfOneNaN);
    // The footer, read ahead with 512 kB, and one page of two or three in each leaf.
    expect(bytesRead).toBeLessThan(0.7 * Bun.file(path).size);
  });
});

function range<T>(length: number, make: (index: number) => T): T[] {
  return Array.from({ length }, (_, index) => make(index));
}
