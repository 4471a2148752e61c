import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import type { VectorSpec } from '../../../../lib/model.ts';
import type { Compression } from '../../../../lib/writers/parquet/compress.ts';
import {
  type ParquetOptions,
  parquetFormat,
  type TalliedUnit,
} from '../../../../lib/writers/parquet/parquet.ts';
import { anyFloats, bitsOf, seeded } from '../../../support/batches.ts';
import {
  DUCKDB_MISSING,
  PYARROW_MISSING,
  readAllWithPyarrow,
  readColumnsWithDuckDb,
  readColumnsWithHyparquet,
  readWithPyarrow,
} from '../../../support/foreign-readers.ts';
import {
  assembled,
  encodeRows,
  type PointRow,
  payloadText,
  shapeWith,
  unitsOf,
  vectorSpec,
  writeRows,
} from '../../../support/point-rows.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const OPTIONS: ParquetOptions = {
  strategy: 'parquet-small',
  rowGroupRows: 7,
  splitBytes: undefined,
  compression: 'none',
  vectorEncoding: 'plain',
  schema: 'keyed',
  keyField: 'key',
  metadataField: undefined,
  createdBy: 'qdrant-export-tools test',
  exportedAt: new Date(0),
  sample: { payloadBytes: 0, raggedVectorBytes: 0 },
};

function unnamed(size: number): VectorSpec {
  return vectorSpec('dense', '', size);
}

function formatOf(vectors: readonly VectorSpec[], options: Partial<ParquetOptions> = {}) {
  return parquetFormat(shapeWith(vectors), { ...OPTIONS, ...options });
}

/** Points with every kind of key, lacking vectors and any float there is. */
function somePoints(count: number, size: number, floats: 'any' | 'finite' = 'any'): readonly PointRow[] {
  const random = seeded(count * 31 + size);
  return Array.from({ length: count }, (_, index) => {
    const finite = () => Float32Array.from({ length: size }, () => random() * 2 - 1);
    const vector = index % 5 === 3 ? null : floats === 'any' ? anyFloats(random, size) : finite();
    const id = String(index);
    const vectors = { '': vector };
    if (index % 4 === 1) return { id, payload: { key: JSON.stringify(`ключ "${index}"\n`) }, vectors };
    if (index % 4 === 2) return { id, payload: { key: '""' }, vectors };
    return { id, payload: { n: id, text: JSON.stringify('x'.repeat(index)) }, vectors };
  });
}

function keyOf(point: PointRow): string {
  const key: unknown = JSON.parse(payloadText(point)).key;
  return typeof key === 'string' && key !== '' ? key : point.id;
}

function vectorOf(point: PointRow): Float32Array | null {
  return point.vectors?.[''] as Float32Array | null;
}

let files = 0;
async function write(
  points: readonly PointRow[],
  size: number,
  options: Partial<ParquetOptions> = {},
): Promise<string> {
  const path = join(folder, `${files++}.parquet`);
  await Bun.write(path, (await writeRows(formatOf([unnamed(size)], options), points)).bytes);
  return path;
}

const COMPRESSIONS: readonly Compression[] = ['none', 'zstd', 'snappy', 'gzip'];
const WAYS = COMPRESSIONS.flatMap((compression) =>
  (['plain', 'byte-stream-split'] as const).map((vectorEncoding) => ({ compression, vectorEncoding })),
);

describe('parquetFormat()', () => {
  test.skipIf(PYARROW_MISSING !== undefined)(
    'gives pyarrow the same rows bit for bit, however they are compressed and encoded',
    async () => {
      const points = somePoints(40, 5);
      const paths = await Promise.all(WAYS.map((way) => write(points, 5, way)));
      const read = await readAllWithPyarrow(paths);
      expect(read).toHaveLength(WAYS.length);
      for (const file of read) {
        expect(file.rows.map(({ key }) => key)).toEqual(points.map(keyOf));
        expect(file.rows.map(({ metadata }) => metadata)).toEqual(points.map(payloadText));
        expect(file.rows.map(({ vector }) => bitsOf(vector))).toEqual(
          points.map((point) => bitsOf(vectorOf(point))),
        );
        expect(file.rowGroups).toEqual([7, 7, 7, 7, 7, 5]);
      }
    },
  );

  for (const way of WAYS) {
    const words = `${way.compression} and ${way.vectorEncoding}`;
    test(`gives hyparquet the same rows, ${words}`, async () => {
      const points = somePoints(40, 5, 'finite');
      const { key, metadata, vector } = await readColumnsWithHyparquet(await write(points, 5, way));
      expect(key).toEqual(points.map(keyOf));
      expect(metadata).toEqual(points.map(payloadText));
      expect(vector).toEqual(points.map(vectorOf));
    });

    test.skipIf(DUCKDB_MISSING !== undefined)(`gives DuckDB the same rows, ${words}`, async () => {
      const points = somePoints(40, 5, 'finite');
      const { key, metadata, vector } = await readColumnsWithDuckDb(await write(points, 5, way));
      expect(key).toEqual(points.map(keyOf));
      expect(metadata).toEqual(points.map(payloadText));
      expect(vector).toEqual(points.map(vectorOf));
    });
  }

  test.skipIf(PYARROW_MISSING !== undefined)('keeps bounds of the keys of each row group', async () => {
    const points = somePoints(20, 2);
    const { keyBounds } = await readWithPyarrow(await write(points, 2));
    const groups = [points.slice(0, 7), points.slice(7, 14), points.slice(14)];
    expect(keyBounds).toEqual(
      groups.map((group) => {
        const keys = group.map(keyOf).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        return [keys[0] as string, keys.at(-1) as string];
      }),
    );
  });

  test.skipIf(PYARROW_MISSING !== undefined)('writes a valid file of no rows', async () => {
    const format = formatOf([unnamed(3)]);
    const { bytes, summary } = await writeRows(format, []);
    const path = join(folder, 'empty.parquet');
    await Bun.write(path, bytes);
    const file = await readWithPyarrow(path);
    expect(file.rows).toEqual([]);
    expect(file.schema).toEqual(['key: string', 'metadata: string', 'vector: list<element: float>']);
    expect(file.createdBy).toBe('qdrant-export-tools test');
    expect(summary).toEqual({
      rows: 0,
      rowGroups: 0,
      emptyVectors: { vector: 0 },
      keys: { fromPayload: 0, duplicates: 0, exact: true },
      notes: [],
    });
  });

  test.skipIf(PYARROW_MISSING !== undefined)('cuts columns into pages where they are large', async () => {
    // 1,000 rows of 300 floats are more than one page of 1 MiB, and payloads of 5 kB five.
    const random = seeded(1);
    const points = Array.from({ length: 1000 }, (_, index) => ({
      id: String(index),
      payload: { text: JSON.stringify('x'.repeat(5000)) },
      vectors: { '': Float32Array.from({ length: 300 }, random) },
    }));
    const path = await write(points, 300, { rowGroupRows: 1000, compression: 'none' });
    // hyparquet fetches chunks together up to 2 MiB, and payloads alone are more.
    expect((await readColumnsWithHyparquet(path)).metadata).toEqual(points.map(payloadText));
    const file = await readWithPyarrow(path);
    expect(file.rows.map(({ vector }) => bitsOf(vector))).toEqual(
      points.map((point) => bitsOf(vectorOf(point))),
    );
    expect(file.rows.map(({ metadata }) => metadata)).toEqual(points.map(payloadText));
  });

  test('closes a row group early where payloads would exceed 80 MiB', async () => {
    const payload = { text: JSON.stringify('x'.repeat(9 * 1024 * 1024)) };
    const points = Array.from({ length: 12 }, (_, index) => ({ id: String(index), payload }));
    // One row a unit: a row of 4 MiB of floats fills it.
    const path = await write(points, 1024 * 1024, { rowGroupRows: 100, compression: 'zstd' });
    expect((await readColumnsWithHyparquet(path)).key).toEqual(points.map(({ id }) => id));
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    expect(metadata.row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([8, 4]);
  });

  test('closes a row group rather than put more rows in than asked for, where shard keys cut units short', async () => {
    const shardKeys = ['a', 'b', 'c'].map((text) => ({ kind: 'keyword', text }) as const);
    const shape = shapeWith([], { sharding: 'custom', shardKeys });
    const rows = [3, 5, 2].flatMap((count, key) =>
      Array.from({ length: count }, (_, id) => ({ id: String(id), shardKey: shardKeys[key] })),
    );
    const { bytes, summary } = await writeRows(parquetFormat(shape, OPTIONS), rows);
    const path = join(folder, `${files++}.parquet`);
    await Bun.write(path, bytes);
    const { row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(path));
    expect(row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([3, 7]);
    expect(summary).toMatchObject({ rows: 10, rowGroups: 2 });
  });

  test('makes the same bytes whatever order units are encoded in, and however many at once', async () => {
    const vectors = [unnamed(3), vectorSpec('multi', 'm', 2), vectorSpec('sparse', 's')];
    const rows = somePoints(60, 3, 'finite').map((row, index) => ({
      ...row,
      vectors: {
        ...row.vectors,
        m: index % 3 === 0 ? null : Array.from({ length: index % 4 }, () => new Float32Array([index, 0.5])),
        s: { indices: Uint32Array.of(index, index + 9), values: Float32Array.of(1, index) },
      },
    }));
    const format = formatOf(vectors, { rowGroupRows: 20, compression: 'zstd', sample: HEAVY_PAYLOADS });
    const expected = await writeRows(format, rows);
    const units = unitsOf(format, rows);
    expect(units.length).toBeGreaterThan(10);
    const backwards: Promise<TalliedUnit>[] = [];
    for (const unit of units.toReversed()) backwards.unshift(encodeRows(format, unit));
    async function* inOrder(): AsyncGenerator<TalliedUnit> {
      for (const unit of backwards) yield await unit;
    }
    expect(await assembled(format, inOrder())).toEqual(expected);
  });

  test('lays the column chunks of a row group in the order of the schema, the first where the group begins', async () => {
    const vectors = [unnamed(4), vectorSpec('multi', 'm', 2), vectorSpec('sparse', 's')];
    const { bytes } = await writeRows(formatOf(vectors, { rowGroupRows: 1 }), [{ id: '1' }, { id: '2' }]);
    const path = join(folder, `${files++}.parquet`);
    await Bun.write(path, bytes);
    const { row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(path));
    expect(row_groups.length).toBe(2);
    let end = 4n;
    for (const { columns, file_offset } of row_groups) {
      expect(file_offset).toBe(end);
      for (const { meta_data } of columns) {
        expect(meta_data?.data_page_offset).toBe(end);
        end += meta_data?.total_compressed_size ?? 0n;
      }
    }
  });

  test('fixes the rows of work units by format and schema alone, row groups being whole units', () => {
    const format = formatOf([unnamed(1024)], { rowGroupRows: 10_007 });
    const rows = Array.from({ length: 20 }, (_, unit) => format.unitRows(unit));
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
    expect([sum(rows.slice(0, 10)), sum(rows.slice(10))]).toEqual([10_007, 10_007]);
    expect(Math.max(...rows)).toBe(format.layout.rows);
    expect(format.layout.rows).toBeLessThanOrEqual(1024);
  });

  const mostRows = (vectors: readonly VectorSpec[], payloadBytes: number, raggedVectorBytes: number) =>
    formatOf(vectors, { rowGroupRows: 1_000_000, sample: { payloadBytes, raggedVectorBytes } }).layout.rows;

  test('makes work units smaller where payloads are large, a row at least', () => {
    const rows = [0, 350, 9_000, 100_000, 1_000_000, 100_000_000].map((bytes) =>
      mostRows([unnamed(4)], bytes, 0),
    );
    expect(rows).toEqual([1024, 1024, 512, 64, 8, 1]);
  });

  test('makes work units smaller where multivectors and sparse vectors are large, a row at least', () => {
    const rows = [0, 4_000, 4_097, 60_000, 70_000, 100_000_000].map((bytes) =>
      mostRows([vectorSpec('multi', 'm', 128)], 0, bytes),
    );
    expect(rows).toEqual([1024, 1024, 512, 64, 32, 1]);
  });

  test('counts dense and ragged vectors together, and ragged bytes only where such a vector is chosen', () => {
    const both = [unnamed(1024), vectorSpec('sparse', 's')];
    expect([mostRows(both, 0, 0), mostRows(both, 0, 4096), mostRows([unnamed(1024)], 0, 4096)]).toEqual([
      1024, 512, 1024,
    ]);
  });

  test('cuts at the same rows when sampled sizes grow a little', () => {
    const vectors = [unnamed(100), vectorSpec('multi', 'm', 128)];
    expect(mostRows(vectors, 9_000, 33_000)).toBe(mostRows(vectors, 9_500, 35_000));
  });

  test('tells how many rows wait for their row group: all of one, or 80 MiB of them', () => {
    const { rowsHeld } = formatOf([unnamed(4)], { rowGroupRows: 10_000 });
    expect([100, (80 * 1024 * 1024) / 5, 10 ** 12].map(rowsHeld)).toEqual([10_000, 5, 1]);
  });

  for (const [words, options, vectors] of [
    ['parquet-small, row groups of 7, uncompressed, plain vectors', {}, [unnamed(3)]],
    [
      'parquet-med, schema points, row groups of 10,000, zstd, byte-stream-split vectors',
      {
        strategy: 'parquet-med',
        schema: 'points',
        rowGroupRows: 10_000,
        compression: 'zstd',
        vectorEncoding: 'byte-stream-split',
      },
      [unnamed(3)],
    ],
    ['parquet-small, row groups of 7, uncompressed, no vectors', {}, []],
  ] as const) {
    test(`says what it writes: ${words}`, () => {
      expect(formatOf(vectors, options).description).toBe(words);
    });
  }

  test('estimates a file rather larger than it becomes', async () => {
    const points = somePoints(500, 16, 'finite');
    const format = formatOf([unnamed(16)], { rowGroupRows: 500 });
    const { bytes } = await writeRows(format, points);
    const payloads = points.reduce((sum, point) => sum + payloadText(point).length, 0);
    const estimate = format.estimateBytes(points.length, payloads / points.length + 64);
    expect(estimate).toBeGreaterThan(bytes.length * 0.9);
    expect(estimate).toBeLessThan(bytes.length * 1.5);
  });
});

/** Small units: of four rows each. */
const HEAVY_PAYLOADS = { payloadBytes: 2 * 1024 * 1024, raggedVectorBytes: 0 };
