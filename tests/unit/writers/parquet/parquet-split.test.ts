import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VectorSpec } from '../../../../lib/model.ts';
import type { Compression } from '../../../../lib/writers/parquet/compress.ts';
import type { ParquetOptions } from '../../../../lib/writers/parquet/parquet.ts';
import { parquetSummary } from '../../../../lib/writers/parquet/parquet-summary.ts';
import type { SchemaName } from '../../../../lib/writers/schema/schema.ts';
import { seeded } from '../../../support/batches.ts';
import { expectColumns } from '../../../support/expect-columns.ts';
import {
  DUCKDB_MISSING,
  type ForeignCell,
  PYARROW_MISSING,
  type PyarrowFile,
  readAllWithPyarrow,
  readColumnsWithHyparquet,
} from '../../../support/foreign-readers.ts';
import { type PointRow, shapeWith, vectorSpec, writeRows } from '../../../support/point-rows.ts';
import { schemaFormat } from '../../../support/schema-files.ts';
import { differencesInDuckDb, filesOf, writeFiles } from '../../../support/split-files.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-split-'));
});
afterAll(() => rm(folder, { recursive: true }));

const ROWS = 700;
/** For which row groups have several units. */
const SMALL_UNITS = { payloadBytes: 80, raggedVectorBytes: 0 };
const DENSE = vectorSpec('dense', '', 6);
const SPARSE = vectorSpec('sparse', 'words', 0);
const MULTI = vectorSpec('multi', 'many', 2);

/** Points of these vectors; with NULLs where the schema takes them, with keys that occur twice and again in other files. */
function points(vectors: readonly VectorSpec[], hasHoles: boolean): readonly PointRow[] {
  const random = seeded(vectors.length);
  const floats = (count: number) => Float32Array.from({ length: count }, () => random());
  const cell = ({ kind, size }: VectorSpec, row: number) => {
    if (hasHoles && row % 5 === 3) return null;
    if (kind === 'dense') return floats(size);
    if (kind === 'multi') return Array.from({ length: 1 + (row % 3) }, () => floats(size));
    return { indices: Uint32Array.of(row, row + 7), values: floats(2) };
  };
  return Array.from({ length: ROWS }, (_, row) => ({
    id: String(row),
    payload: {
      ...(row % 4 === 1 ? { key: JSON.stringify(`ключ ${row % 300}`) } : {}),
      text: JSON.stringify('y'.repeat(Math.floor(random() * 60))),
    },
    vectors: Object.fromEntries(vectors.map((vector) => [vector.name, cell(vector, row)])),
  }));
}

interface Way extends Partial<ParquetOptions> {
  readonly schema: SchemaName;
  readonly vectors: readonly VectorSpec[];
}

/** The same rows in one file and in files of at most so many bytes. */
async function bothWays({ vectors, ...options }: Way, splitBytes: number) {
  const shape = shapeWith(vectors);
  const rows = points(vectors, options.schema === 'keyed' || options.schema === 'points');
  const format = (limit: number | undefined) =>
    schemaFormat(shape, { rowGroupRows: 50, sample: SMALL_UNITS, ...options, splitBytes: limit });
  const whole = await writeRows(format(undefined), rows);
  const split = await writeRows(format(splitBytes), rows);
  const files = filesOf(split.bytes, split.summary.parts);
  const [path] = await writeFiles(folder, [whole.bytes]);
  return { whole, split, files, path: path as string, paths: await writeFiles(folder, files) };
}

const COMPRESSIONS: readonly Compression[] = ['none', 'zstd', 'snappy', 'gzip'];
const VECTORS: Readonly<Record<SchemaName, readonly VectorSpec[]>> = {
  keyed: [DENSE, SPARSE, MULTI],
  points: [DENSE, SPARSE, MULTI],
  pinecone: [DENSE, SPARSE],
  milvus: [DENSE, SPARSE],
};
const WAYS: readonly Way[] = Object.entries(VECTORS).flatMap(([schema, vectors], index) =>
  COMPRESSIONS.map((compression) => ({
    schema: schema as SchemaName,
    vectors,
    compression,
    vectorEncoding: index % 2 === 0 ? ('plain' as const) : ('byte-stream-split' as const),
  })),
);

/** The columns of several files, one after the other. */
function joined(files: readonly PyarrowFile[]): Readonly<Record<string, readonly ForeignCell[]>> {
  const names = Object.keys(files[0]?.columns ?? {});
  return Object.fromEntries(
    names.map((name) => [name, files.flatMap(({ columns }) => columns[name] as readonly ForeignCell[])]),
  );
}

describe('parquetFormat() with files of at most so many bytes', () => {
  test.skipIf(DUCKDB_MISSING !== undefined).each(WAYS)(
    'gives DuckDB the rows of the one file: $schema, $compression',
    async (way) => {
      const { paths, path, files } = await bothWays(way, 12_000);
      expect(files.length).toBeGreaterThan(3);
      expect(await differencesInDuckDb(path, paths)).toEqual({ rows: ROWS, missing: 0, added: 0 });
    },
  );

  test.skipIf(PYARROW_MISSING !== undefined)(
    'gives pyarrow file after file, each with the whole metadata, in the order of the rows',
    async () => {
      for (const schema of Object.keys(VECTORS) as SchemaName[]) {
        const { paths, path } = await bothWays({ schema, vectors: VECTORS[schema] }, 12_000);
        const [whole, ...parts] = (await readAllWithPyarrow([path, ...paths])) as [PyarrowFile];
        expect(joined(parts)).toEqual(whole.columns);
        for (const part of parts as readonly PyarrowFile[]) {
          expect(part.keyValues).toEqual(whole.keyValues);
          expect(part.schema).toEqual(whole.schema);
          expect(part.createdBy).toBe(whole.createdBy);
        }
      }
    },
  );

  test('keeps to every limit, whole row groups and parts of them alike', async () => {
    const way: Way = { schema: 'keyed', vectors: [DENSE, SPARSE, MULTI] };
    for (const splitBytes of [8000, 9001, 12_345, 20_000, 33_333, 70_000]) {
      const { files, split, paths } = await bothWays(way, splitBytes);
      const parts = split.summary.parts ?? [];
      for (const [index, file] of files.entries()) {
        expect(file.length).toBeLessThanOrEqual(splitBytes);
        const { rows, rowGroups } = parts[index] as { rows: number; rowGroups: number };
        const columns = await readColumnsWithHyparquet(paths[index] as string);
        expect(columns.key).toHaveLength(rows);
        expect(await parquetSummary(paths[index] as string)).toEqual({ rows, rowGroups });
      }
    }
  });

  test.each([
    [1536, 300],
    [4096, 300],
    [8, 60_000],
    [0, 9000],
  ])(
    'makes units small enough for files of 1 MB: %d dimensions, payloads of %d bytes',
    (size, payloadBytes) => {
      const vectors = size === 0 ? [SPARSE] : [vectorSpec('dense', '', size)];
      const sample = { payloadBytes, raggedVectorBytes: 700 };
      const formatOf = (splitBytes: number | undefined) =>
        schemaFormat(shapeWith(vectors), { rowGroupRows: 10_000, sample, splitBytes });
      const rowBytes = Math.max(size * 4, payloadBytes);
      const format = formatOf(1_000_000);
      const whole = formatOf(undefined);
      expect(format.unitRows(0)).toBe(format.layout.rows);
      expect(format.unitRows(0) * rowBytes).toBeLessThanOrEqual(1_000_000 / 8);
      expect(format.unitRows(0) * rowBytes).toBeGreaterThan(1_000_000 / 33);
      expect(whole.unitRows(0) * rowBytes).toBeGreaterThan(1_000_000 / 4);
    },
  );

  test('counts over all files: rows, row groups, keys that occur in several, and vectors that are not there', async () => {
    const { whole, split } = await bothWays({ schema: 'keyed', vectors: [DENSE, SPARSE] }, 12_000);
    const parts = split.summary.parts ?? [];
    expect(whole.summary.keys?.duplicates).toBeGreaterThan(50);
    expect(split.summary).toEqual({
      ...whole.summary,
      parts,
      rowGroups: parts.reduce((sum, { rowGroups }) => sum + rowGroups, 0),
    });
    expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(ROWS);
    expect(whole.summary.parts).toBeUndefined();
  });

  test('makes one file of no rows of an empty collection', async () => {
    const format = schemaFormat(shapeWith([DENSE]), { splitBytes: 1_000_000 });
    const { bytes, summary } = await writeRows(format, []);
    expect(summary.parts).toEqual([{ bytes: bytes.length, rows: 0, rowGroups: 0 }]);
    const [path] = await writeFiles(folder, filesOf(bytes, summary.parts));
    expectColumns(await readColumnsWithHyparquet(path as string), [
      { kind: 'text', name: 'key', cells: [] },
      { kind: 'text', name: 'metadata', cells: [] },
      { kind: 'dense', name: 'vector', size: 6, cells: [] },
    ]);
  });

  test('says so, and nothing else where there is no limit', () => {
    const described = (splitBytes: number | undefined) =>
      schemaFormat(shapeWith([DENSE]), { splitBytes }).description;
    expect(described(45_000_000)).toBe(`${described(undefined)}, files of at most 45 MB`);
  });

  test('estimates all files together', () => {
    const estimate = (splitBytes: number | undefined) =>
      schemaFormat(shapeWith([DENSE]), { splitBytes }).estimateBytes(1_000_000, 500);
    expect(estimate(45_000_000)).toBe(estimate(undefined));
  });
});
