import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CollectionShape } from '../../../lib/model.ts';
import type { Compression } from '../../../lib/writers/compress.ts';
import { type ParquetOptions, parquetFormat } from '../../../lib/writers/parquet.ts';
import type { ParquetUnit } from '../../../lib/writers/parquet-page.ts';
import { anyFloats, batchOf, bitsOf, denseSpec, seeded, type TestPoint } from '../../support/batches.ts';
import {
  DUCKDB_MISSING,
  PYARROW_MISSING,
  queryWithDuckDb,
  readWithDuckDb,
  readWithHyparquet,
  readWithPyarrow,
} from '../../support/foreign-readers.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

function shapeOf(size: number): CollectionShape {
  return {
    name: 'test',
    serverVersion: '1.18.3',
    vectors: [denseSpec(size)],
    shardCount: 1,
    sharding: 'auto',
    strictMode: {},
  };
}

const OPTIONS: ParquetOptions = {
  strategy: 'parquet-small',
  rowGroupRows: 7,
  compression: 'none',
  vectorEncoding: 'plain',
  keyField: 'key',
  createdBy: 'qdrant-export-tools test',
  exportedAt: new Date(0),
  payloadBytes: 0,
};

/** Points with every kind of key, lacking vectors and any float there is. */
function somePoints(count: number, size: number, floats: 'any' | 'finite' = 'any'): readonly TestPoint[] {
  const random = seeded(count * 31 + size);
  return Array.from({ length: count }, (_, index) => {
    const finite = () => Float32Array.from({ length: size }, () => random() * 2 - 1);
    const vector = index % 5 === 3 ? null : floats === 'any' ? anyFloats(random, size) : finite();
    if (index % 4 === 1) {
      const value = JSON.stringify(`ключ "${index}"\n`);
      return { id: String(index), payload: `{"key":${value}}`, key: [7, 7 + bytes(value)], vector };
    }
    if (index % 4 === 2) return { id: String(index), payload: '{"key":""}', key: [7, 9], vector };
    return { id: String(index), payload: `{"n":${index},"text":"${'x'.repeat(index)}"}`, vector };
  });
}

function bytes(text: string): number {
  return Buffer.byteLength(text);
}

function keyOf(point: TestPoint): string {
  const key: unknown = JSON.parse(point.payload).key;
  return typeof key === 'string' && key !== '' ? key : point.id;
}

/** Writes points in units as the format wants them and returns the file's path. */
async function write(
  points: readonly TestPoint[],
  size: number,
  options: Partial<ParquetOptions> = {},
): Promise<string> {
  const format = parquetFormat(shapeOf(size), { ...OPTIONS, ...options });
  async function* units(): AsyncGenerator<ParquetUnit> {
    let from = 0;
    for (let unit = 0; from < points.length; unit++) {
      const rows = points.slice(from, from + format.unitRows(unit));
      from += rows.length;
      yield await format.encode(batchOf(rows, size, format.layout.rows));
    }
  }
  const path = join(folder, `${Bun.randomUUIDv7()}.parquet`);
  const file = Bun.file(path).writer();
  for await (const chunk of format.assemble(units())) {
    file.write(new Uint8Array(chunk));
    await file.flush();
  }
  await file.end();
  return path;
}

const COMPRESSIONS: readonly Compression[] = ['none', 'zstd', 'snappy', 'gzip'];

describe('parquetFormat()', () => {
  for (const compression of COMPRESSIONS) {
    for (const vectorEncoding of ['plain', 'byte-stream-split'] as const) {
      test.skipIf(PYARROW_MISSING !== undefined)(
        `gives pyarrow the same rows bit for bit, ${compression} and ${vectorEncoding}`,
        async () => {
          const points = somePoints(40, 5);
          const file = await readWithPyarrow(await write(points, 5, { compression, vectorEncoding }));
          expect(file.rows.map(({ key }) => key)).toEqual(points.map(keyOf));
          expect(file.rows.map(({ metadata }) => metadata)).toEqual(points.map(({ payload }) => payload));
          expect(file.rows.map(({ vector }) => bitsOf(vector))).toEqual(
            points.map(({ vector }) => bitsOf(vector)),
          );
          expect(file.rowGroups).toEqual([7, 7, 7, 7, 7, 5]);
        },
      );

      test(`gives hyparquet the same rows, ${compression} and ${vectorEncoding}`, async () => {
        const points = somePoints(40, 5, 'finite');
        const rows = await readWithHyparquet(await write(points, 5, { compression, vectorEncoding }));
        expect(rows.map(({ key }) => key)).toEqual(points.map(keyOf));
        expect(rows.map(({ metadata }) => metadata)).toEqual(points.map(({ payload }) => payload));
        expect(rows.map(({ vector }) => bitsOf(vector))).toEqual(points.map(({ vector }) => bitsOf(vector)));
      });

      test.skipIf(DUCKDB_MISSING !== undefined)(
        `gives DuckDB the same rows, ${compression} and ${vectorEncoding}`,
        async () => {
          const points = somePoints(40, 5, 'finite');
          const rows = await readWithDuckDb(await write(points, 5, { compression, vectorEncoding }));
          expect(rows.map(({ key }) => key)).toEqual(points.map(keyOf));
          expect(rows.map(({ vector }) => bitsOf(vector))).toEqual(
            points.map(({ vector }) => bitsOf(vector)),
          );
        },
      );
    }
  }

  test.skipIf(DUCKDB_MISSING !== undefined)('has the columns of schema keyed', async () => {
    const path = await write(somePoints(3, 2), 2);
    const columns = await queryWithDuckDb(path, 'SELECT column_name, column_type FROM (DESCRIBE file)');
    expect(columns).toEqual([
      { column_name: 'key', column_type: 'VARCHAR' },
      { column_name: 'metadata', column_type: 'VARCHAR' },
      { column_name: 'vector', column_type: 'FLOAT[]' },
    ]);
  });

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
    const file = await readWithPyarrow(await write([], 3));
    expect(file.rows).toEqual([]);
    expect(file.schema).toEqual(['key: string', 'metadata: string', 'vector: list<element: float>']);
    expect(file.keyValues).toMatchObject({ 'qdrant.collection': 'test', 'qdrant.schema': 'keyed' });
  });

  test.skipIf(PYARROW_MISSING !== undefined)('cuts columns into pages where they are large', async () => {
    // 1,000 rows of 300 floats are more than one page of 1 MiB, and payloads of 5 kB five.
    const random = seeded(1);
    const points = Array.from({ length: 1000 }, (_, index) => ({
      id: String(index),
      payload: `{"text":"${'x'.repeat(5000)}"}`,
      vector: Float32Array.from({ length: 300 }, random),
    }));
    const path = await write(points, 300, { rowGroupRows: 1000, compression: 'zstd' });
    const file = await readWithPyarrow(path);
    expect(file.rows.map(({ vector }) => bitsOf(vector))).toEqual(points.map(({ vector }) => bitsOf(vector)));
    expect(file.rows.map(({ metadata }) => metadata)).toEqual(points.map(({ payload }) => payload));
  });

  test('closes a row group early where waiting payloads would exceed 64 MiB', async () => {
    const payload = `{"text":"${'x'.repeat(9 * 1024 * 1024)}"}`;
    const points = Array.from({ length: 9 }, (_, index) => ({ id: String(index), payload, vector: null }));
    // One row a unit: a row of 4 MiB of floats fills it.
    const path = await write(points, 1024 * 1024, { rowGroupRows: 100, compression: 'zstd' });
    const rows = await readWithHyparquet(path);
    expect(rows.map(({ key }) => key)).toEqual(points.map(({ id }) => id));
    const { parquetMetadataAsync, asyncBufferFromFile } = await import('hyparquet');
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    expect(metadata.row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([7, 2]);
  });

  test('fixes the rows of work units by format and schema alone, row groups being whole units', () => {
    const format = parquetFormat(shapeOf(1024), { ...OPTIONS, rowGroupRows: 10_000 });
    const rows = Array.from({ length: 10 }, (_, unit) => format.unitRows(unit));
    expect(rows.reduce((sum, count) => sum + count, 0)).toBe(10_000);
    expect(Math.max(...rows)).toBe(format.layout.rows);
    expect(format.layout.rows).toBeLessThanOrEqual(1024);
  });

  test('makes work units smaller where payloads are large, a row at least', () => {
    const rows = [0, 350, 9_000, 100_000, 1_000_000, 100_000_000].map(
      (payloadBytes) =>
        parquetFormat(shapeOf(4), { ...OPTIONS, rowGroupRows: 1_000_000, payloadBytes }).layout.rows,
    );
    expect(rows).toEqual([1024, 1024, 512, 64, 8, 1]);
  });

  for (const [found, vectors] of [
    ['a named dense vector `text`', [{ ...denseSpec(3), name: 'text' }]],
    ['an unnamed multivector', [{ ...denseSpec(3), kind: 'multi' as const }]],
    ['a named sparse vector `s`', [{ ...denseSpec(0), kind: 'sparse' as const, name: 's' }]],
    ['no vector', []],
  ] as const) {
    test(`refuses a collection with ${found} rather than drop it`, () => {
      expect(() => parquetFormat({ ...shapeOf(3), vectors }, OPTIONS)).toThrow(found);
    });
  }
});
