import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { CollectionShape } from '../../../lib/model.ts';
import type { Converter } from '../../../lib/writers/converter.ts';
import type { ConverterOptions } from '../../../lib/writers/converter-options.ts';
import { duckDbConverter, type FoundDuckDb, findDuckDb } from '../../../lib/writers/duckdb/duckdb.ts';
import { builtInConverter } from '../../../lib/writers/ndjson/built-in-converter.ts';
import type { Compression } from '../../../lib/writers/parquet/compress.ts';
import { seeded } from '../../support/batches.ts';
import {
  bytesOfFile,
  CONVERTER_OPTIONS,
  converted,
  jobOf,
  shapeOf,
  withTexts,
} from '../../support/conversions.ts';
import { bitsOfOneNaN, expectColumns } from '../../support/expect-columns.ts';
import {
  DUCKDB_MISSING,
  PYARROW_MISSING,
  queryWithDuckDb,
  readColumnsWithDuckDb,
  readWithPyarrow,
  typesInDuckDb,
} from '../../support/foreign-readers.ts';
import { writeNdjson } from '../../support/ndjson-data.ts';
import type { TestColumn } from '../../support/parquet-tables.ts';
import { sparse } from '../../support/point-rows.ts';
import { allKinds, awkwardText } from '../../support/random-cells.ts';

const MISSING = PYARROW_MISSING !== undefined || DUCKDB_MISSING !== undefined;

let folder: string;
let found: FoundDuckDb;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conversions-'));
  if (!MISSING) found = (await findDuckDb(process.env.PATH)) as FoundDuckDb;
});
afterAll(() => rm(folder, { recursive: true }));

type Make = (shape: CollectionShape, options: ConverterOptions) => Converter;

const CONVERTERS: readonly (readonly [name: string, make: Make])[] = [
  ['DuckDB', (shape, options) => duckDbConverter(found, shape, options)],
  ['the built-in converter', builtInConverter],
];

/** Vectors of each kind with NULLs, empty ones and awkward floats. */
function someVectors(rows: number): readonly TestColumn[] {
  const lacks = (row: number, column: number) => (row + column) % 5 === 2;
  const [, dense, multi, sparse] = allKinds(rows, { lacks, empty: (row) => row % 7 === 1 });
  return [
    { ...(dense as TestColumn), name: 'vector' },
    { ...(multi as TestColumn), name: 'vector_many' },
    { ...(sparse as TestColumn), name: 'vector_few' },
  ];
}

async function convertedBy(
  make: Make,
  columns: readonly TestColumn[],
  options: Partial<ConverterOptions> = {},
  other: Partial<CollectionShape> = {},
): Promise<string> {
  return converted(folder, columns, make(shapeOf(columns, other), { ...CONVERTER_OPTIONS, ...options }));
}

for (const [name, make] of CONVERTERS) {
  describe.skipIf(MISSING)(`${name} makes a file`, () => {
    test('of every kind of vector, NULLs, empty lists and awkward floats', async () => {
      const columns = withTexts(someVectors(60));
      const path = await convertedBy(make, columns);
      expectColumns((await readWithPyarrow(path)).columns, columns, bitsOfOneNaN);
      expectColumns(await readColumnsWithDuckDb(path), columns, bitsOfOneNaN);
      expect(await typesInDuckDb(path)).toEqual({
        key: 'VARCHAR',
        metadata: 'VARCHAR',
        vector: 'FLOAT[]',
        vector_many: 'FLOAT[][]',
        vector_few: 'STRUCT(indices UINTEGER[], "values" FLOAT[])',
      });
    });

    test('of texts with NULs, quotes, backslashes, control characters and any letters', async () => {
      const random = seeded(17);
      const columns = withTexts(someVectors(40), (row) =>
        row === 0 ? '\0"\\\b\t\n\f\r\x1f\x7f/\u2028' : awkwardText(random, row),
      );
      expectColumns((await readWithPyarrow(await convertedBy(make, columns))).columns, columns, bitsOfOneNaN);
    });

    test('of NULL texts', async () => {
      const [key, metadata, ...vectors] = withTexts(someVectors(20)) as [TestColumn, TestColumn];
      const holes = metadata.cells.map((cell, row) => (row % 3 === 0 ? null : cell));
      const columns = [key, { ...metadata, cells: holes } as TestColumn, ...vectors];
      const path = await convertedBy(make, columns, { metadataField: 'text' });
      expectColumns((await readWithPyarrow(path)).columns, columns, bitsOfOneNaN);
    });

    test('of columns with quotes, dots, spaces, lines and any letters in their names', async () => {
      const names = ["it's", 'a"b', 'a.b', ' x ', 'a\\b', 'a\nb', '文 😀', "');--", '{[*?]}', 'indices'];
      const vectors = names.map((vector) => smallSparse(`vector_${vector}`));
      const columns = withTexts(vectors);
      expectColumns((await readWithPyarrow(await convertedBy(make, columns))).columns, columns, bitsOfOneNaN);
    });

    test('of no rows', async () => {
      const columns = withTexts(someVectors(0));
      const file = await readWithPyarrow(await convertedBy(make, columns));
      expectColumns(file.columns, columns);
      expect(file.rowGroups).toEqual([]);
    });

    test('of no vectors', async () => {
      const columns = withTexts(someVectors(9)).slice(0, 2);
      expectColumns((await readWithPyarrow(await convertedBy(make, columns))).columns, columns);
    });

    test('with a row of 20 MB among small ones', async () => {
      const long = awkwardText(seeded(3), 2000).repeat(5000);
      const columns = withTexts(someVectors(30), (row) => (row === 11 ? long : `${row}`));
      const path = await convertedBy(make, columns);
      expect(Buffer.byteLength(long)).toBeGreaterThan(20_000_000);
      const rows = await queryWithDuckDb(
        path,
        'SELECT count(*) AS rows, max(strlen(metadata)) AS longest, md5(max_by(metadata, strlen(metadata))) AS md5 FROM file',
      );
      const md5 = new Bun.CryptoHasher('md5').update(long).digest('hex');
      expect(rows).toEqual([{ rows: 30, longest: Buffer.byteLength(long), md5 }]);
    });

    test('in row groups of at most about as many rows as were wanted', async () => {
      const columns = withTexts(someVectors(9000));
      const { rowGroups } = await readWithPyarrow(await convertedBy(make, columns, { rowGroupRows: 4096 }));
      expect(rowGroups.length).toBeGreaterThan(1);
      expect(rowGroups.reduce((sum, rows) => sum + rows)).toBe(9000);
      expect(
        (await readWithPyarrow(await convertedBy(make, columns, { rowGroupRows: 4096 }))).rowGroups,
      ).toEqual(rowGroups);
    });

    test('of every compression', async () => {
      const columns = withTexts(someVectors(10));
      const codecs = { zstd: 'ZSTD', snappy: 'SNAPPY', gzip: 'GZIP', none: 'UNCOMPRESSED' };
      for (const [compression, codec] of Object.entries(codecs)) {
        const path = await convertedBy(make, columns, { compression: compression as Compression });
        const { chunks } = await readWithPyarrow(path);
        expect(new Set(chunks.flat().map((chunk) => chunk.compression))).toEqual(new Set([codec]));
      }
    });

    test('with the same metadata as files that are written directly', async () => {
      const columns = withTexts(someVectors(3));
      const config = `{"a":"it's \\"quoted\\"; 文","long":"${'x'.repeat(200_000)}"}`;
      const { keyValues } = await readWithPyarrow(
        await convertedBy(make, columns, {}, { name: "it's", config }),
      );
      expect(keyValues).toMatchObject({
        'qdrant.collection': "it's",
        'qdrant.collection_config': config,
        'qdrant.server_version': '1.18.3',
        'qdrant.schema': 'keyed',
        'qdrant.exporter': 'qdrant-export-tools test',
        'qdrant.exported_at': '1970-01-01T00:00:00.000Z',
      });
      expect(Object.keys(JSON.parse(keyValues['qdrant.vectors'] as string))).toEqual([
        'vector',
        'vector_many',
        'vector_few',
      ]);
    });

    test('of the same bytes every time', async () => {
      const columns = withTexts(someVectors(3000));
      const files = [await convertedBy(make, columns), await convertedBy(make, columns)];
      const [first, second] = await Promise.all(files.map(bytesOfFile));
      expect(second).toBe(first as string);
    });

    test('in folders whose names are partitions, patterns or quotes to others', async () => {
      const columns = withTexts(someVectors(4));
      for (const odd of ['a=b', 'x[1]', '*', '?', "it's", '{a,b}']) {
        // Where patterns would find another file.
        for (const other of ['x1', 'y']) await mkdir(join(folder, name, other), { recursive: true });
        await mkdir(join(folder, name, odd), { recursive: true });
        const files = [odd, 'x1', 'y'].map((part) => join(folder, name, part, 'data.gz'));
        const [from, ...others] = files as [string, ...string[]];
        const job = jobOf(dirname(from), from, await writeNdjson(from, columns));
        for (const other of others) await writeNdjson(other, withTexts(someVectors(6)));
        await make(shapeOf(columns), CONVERTER_OPTIONS).convert(job, new AbortController().signal);
        const path = join(folder, `${Bun.randomUUIDv7()}.parquet`);
        await rename(job.to, path);
        expectColumns(await readColumnsWithDuckDb(path), columns, bitsOfOneNaN);
      }
    });
  });
}

function smallSparse(name: string): TestColumn {
  return { kind: 'sparse', name, cells: [sparse([1, 7], [0.5, -2]), null, sparse([], [])] };
}

test.skipIf(MISSING)('both converters make the same rows, in the same order', async () => {
  const columns = withTexts(someVectors(5000));
  const paths = [];
  for (const [, make] of CONVERTERS) paths.push(await convertedBy(make, columns));
  const other = (path: string) => `(SELECT row_number() OVER () AS row, * FROM read_parquet('${path}'))`;
  const [first, second] = paths.map((path) => other(path as string));
  const rows = await queryWithDuckDb(
    paths[0] as string,
    `SELECT count(*) AS rows, (SELECT count(*) FROM (FROM ${first} EXCEPT ALL FROM ${second})) AS less, (SELECT count(*) FROM (FROM ${second} EXCEPT ALL FROM ${first})) AS more FROM file`,
  );
  expect(rows).toEqual([{ rows: 5000, less: 0, more: 0 }]);
});
