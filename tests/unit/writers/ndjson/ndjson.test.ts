import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { PointBatch } from '../../../../lib/batch.ts';
import type { CollectionShape, VectorSpec } from '../../../../lib/model.ts';
import { readRetrieved } from '../../../../lib/qdrant/rest-reader.ts';
import type { VectorColumn } from '../../../../lib/vector-columns.ts';
import { type NdjsonOptions, ndjsonFormat } from '../../../../lib/writers/ndjson/ndjson.ts';
import { schemaOf } from '../../../../lib/writers/schema/schema-of.ts';
import { seeded } from '../../../support/batches.ts';
import { DUCKDB_MISSING, type ForeignCell, readColumnsWithDuckDb } from '../../../support/foreign-readers.ts';
import {
  batchOfRows,
  type PointRow,
  payloadText,
  shapeWith,
  sparse,
  type VectorCell,
  vectorSpec,
  writeRows,
} from '../../../support/point-rows.ts';
import { awkwardFloats, awkwardSparse, awkwardText, upTo } from '../../../support/random-cells.ts';

const OPTIONS: NdjsonOptions = {
  schema: 'keyed',
  keyField: 'key',
  metadataField: undefined,
  sample: { payloadBytes: 0, raggedVectorBytes: 0 },
};
const VECTORS = [
  vectorSpec('dense', 'd', 3),
  vectorSpec('multi', 'm', 2),
  vectorSpec('sparse', 's'),
  vectorSpec('dense', 'odd "name"\\\n\u0001é😀', 1),
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ndjson-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function textOf(
  shape: CollectionShape,
  rows: readonly PointRow[],
  options: Partial<NdjsonOptions> = {},
): Promise<string> {
  const { bytes } = await writeRows(ndjsonFormat(shape, { ...OPTIONS, ...options }), rows);
  return new TextDecoder('utf-8', { fatal: true }).decode(gunzipSync(bytes));
}

/** Rows of every kind of vector and any text, each cell lacking now and then. */
function awkwardRows(count: number): readonly PointRow[] {
  const random = seeded(count);
  const orNull = <T>(make: () => T): T | null => (random() < 0.2 ? null : make());
  return Array.from({ length: count }, (_, id) => {
    const vectors: Record<string, VectorCell> = {
      d: orNull(() => awkwardFloats(random, 3)),
      m: orNull(() => Array.from({ length: upTo(random, 4) - 1 }, () => awkwardFloats(random, 2))),
      s: orNull(() => awkwardSparse(random, upTo(random, 6) - 1)),
      'odd "name"\\\n\u0001é😀': orNull(() => awkwardFloats(random, 1)),
    };
    const payload: Record<string, string> = { t: JSON.stringify(awkwardText(random, upTo(random, 20))) };
    if (random() < 0.7) payload.key = JSON.stringify(awkwardText(random, upTo(random, 20) - 1));
    return { id: String(id), payload, vectors };
  });
}

const FINITE: readonly PointRow[] = Array.from({ length: 30 }, (_, id) => ({
  id: String(id),
  payload: { n: String(id) },
  vectors: {
    text: Float32Array.of(id + 0.5, -id / 3),
    bm25: id % 3 === 0 ? null : sparse([id, 70_000 + id], [0.25, id]),
  },
}));

describe('lines of ndjsonFormat()', () => {
  test('are the columns of the schema in its order, without white space', async () => {
    const rows: readonly PointRow[] = [
      {
        id: '7',
        payload: { a: '1', key: '"k"' },
        vectors: {
          d: Float32Array.of(0.5, -1, 12),
          m: [Float32Array.of(1, 2), Float32Array.of(-0, 0)],
          s: sparse([4, 4_294_967_295], [0.25, -3]),
        },
      },
      { id: '8', vectors: { m: [], s: sparse([], []) } },
      { id: '9', vectors: { d: Float32Array.of(Number.NaN, -1 / 0, 1 / 0) } },
    ];
    expect(await textOf(shapeWith(VECTORS.slice(0, 3)), rows)).toBe(
      [
        String.raw`{"key":"k","metadata":"{\"a\":1,\"key\":\"k\"}","vector_d":[0.5,-1,12],"vector_m":[[1,2],[-0.0,0]],"vector_s":{"indices":[4,4294967295],"values":[0.25,-3]}}`,
        '{"key":"8","metadata":"{}","vector_d":null,"vector_m":[],"vector_s":{"indices":[],"values":[]}}',
        '{"key":"9","metadata":"{}","vector_d":["NaN","-Infinity","Infinity"],"vector_m":null,"vector_s":null}',
        '',
      ].join('\n'),
    );
  });

  test('escape what JSON requires in a text, and nothing else', async () => {
    const controls = Array.from({ length: 33 }, (_, code) => String.fromCharCode(code)).join('');
    const text = `${controls}"\\/\x7f\u0080\u2028é文😀`;
    const rows = [{ id: '1', payload: { key: JSON.stringify(text) } }];
    const written = await textOf(shapeWith([]), rows);
    expect(written).toStartWith(`{"key":${JSON.stringify(text)},"metadata":`);
    expect(JSON.parse(written).key).toBe(text);
  });

  test('hold texts that are longer than what is escaped at a time', async () => {
    for (const length of [16_383, 16_384, 16_385, 50_001]) {
      const text = '"\u0001x'.repeat(length).slice(0, length);
      const rows = [{ id: '1', payload: { key: JSON.stringify(text) } }];
      expect(JSON.parse(await textOf(shapeWith([]), rows)).key).toBe(text);
    }
  });

  test('hold texts that only their escapes make longer than the memory for lines is at first', async () => {
    for (const length of [170_000, 180_000, 360_000, 800_000]) {
      const text = '\u0001'.repeat(length);
      const rows = [{ id: '1', payload: { key: JSON.stringify(text) } }];
      const { key } = JSON.parse(await textOf(shapeWith([]), rows));
      expect(key === text).toBe(true);
    }
  });

  test('hold vectors that are longer than the memory for lines is at first', async () => {
    const count = 200_000;
    const floats = Float32Array.from({ length: count }, (_, i) => 1 / (i + 3));
    const indices = Uint32Array.from({ length: count }, (_, i) => 2 ** 32 - 1 - i);
    const size = count / 2;
    for (const [spec, cell] of [
      [vectorSpec('dense', '', count), floats],
      [vectorSpec('multi', '', size), [floats.slice(0, size), floats.slice(size)]],
      [vectorSpec('sparse', ''), { indices, values: floats }],
    ] as const) {
      const { vector } = JSON.parse(await textOf(shapeWith([spec]), [{ id: '1', vectors: { '': cell } }]));
      const read: number[] = spec.kind === 'sparse' ? vector.values : vector.flat();
      expect(Float32Array.from(read).every((value, i) => value === floats[i])).toBe(true);
      expect(read.length).toBe(count);
      if (spec.kind !== 'sparse') continue;
      expect(Uint32Array.from(vector.indices as number[]).every((index, i) => index === indices[i])).toBe(
        true,
      );
    }
  });

  for (const [schema, vectors, columns] of [
    ['keyed', ['text', 'bm25'], ['key', 'metadata', 'vector_text', 'vector_bm25']],
    ['points', ['text', 'bm25'], ['id', 'payload', 'vector_text', 'vector_bm25', 'shard_key']],
    ['pinecone', ['text', 'bm25'], ['id', 'values', 'metadata', 'sparse_values']],
    ['milvus', ['text'], ['id', 'vector_text', '$meta']],
  ] as const) {
    test(`hold what schema ${schema} says`, async () => {
      const specs = vectors.map((name) => vectorSpec(name === 'text' ? 'dense' : 'sparse', name, 2));
      const shape = shapeWith(specs);
      const lines = (await textOf(shape, FINITE, { schema })).trimEnd().split('\n');
      const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(Object.keys(parsed[0] ?? {})).toEqual([...columns]);
      const { columns: declared } = schemaOf(shape, { ...OPTIONS, schema });
      expect(declared.map(({ name }) => name)).toEqual([...columns]);
      for (const [row, point] of FINITE.entries()) {
        const line = parsed[row] ?? {};
        const text = line[schema === 'pinecone' ? 'values' : 'vector_text'] as number[];
        expect<unknown>(Float32Array.from(text)).toEqual(point.vectors?.text as Float32Array);
        expect(line.key ?? line.id).toBe(point.id);
        const bm25 = line[schema === 'pinecone' ? 'sparse_values' : 'vector_bm25'];
        const cell = point.vectors?.bm25 as { indices: Uint32Array; values: Float32Array } | null;
        const wanted = cell && { indices: [...cell.indices], values: [...cell.values] };
        expect<unknown>(bm25).toEqual(schema === 'milvus' ? undefined : wanted);
        expect(line.metadata ?? line.payload ?? line.$meta).toBe(payloadText(point));
      }
    });
  }

  test('refuse a point that the schema cannot hold, by its id, and others are written after it', async () => {
    const format = ndjsonFormat(shapeWith([vectorSpec('dense', '', 2)]), { ...OPTIONS, schema: 'milvus' });
    const good = { id: '1', vectors: { '': Float32Array.of(1, 2) } };
    // More often than there are buffers: a refusal gives its own back.
    for (let i = 0; i < 10; i++) {
      const encoding = format.encode(batchOfRows(format.layout, [good, { id: '17' }]));
      expect(await encoding.then(() => 'encoded', String)).toContain('point 17');
    }
    expect((await format.encode(batchOfRows(format.layout, [good]))).rowCount).toBe(1);
  });

  test.skipIf(DUCKDB_MISSING !== undefined)(
    'are the same cells to DuckDB, every float bit for bit',
    async () => {
      const shape = shapeWith(VECTORS);
      const rows = awkwardRows(400);
      const format = ndjsonFormat(shape, OPTIONS);
      const { bytes } = await writeRows(format, rows);
      const read = await readInDuckDb(shape, bytes);
      const { columns } = schemaOf(shape, OPTIONS).fill(batchOfRows(format.layout, rows));
      const names = schemaOf(shape, OPTIONS).columns.map(({ name }) => name);
      for (const [index, cells] of columns.entries()) {
        const cellAt =
          cells.kind === 'text'
            ? (row: number) =>
                Buffer.from(
                  cells.column.bytes.subarray(cells.column.start(row), cells.column.end(row)),
                ).toString()
            : (row: number) => vectorAt(cells, row);
        const wanted = rows.map((_, row) => cellAt(row));
        expect((read[names[index] as string] ?? []).map(bitsIn)).toEqual(wanted.map(bitsIn));
      }
    },
  );
});

/** The columns as DuckDB makes Parquet of them. */
async function readInDuckDb(shape: CollectionShape, bytes: Uint8Array) {
  const from = join(folder, 'lines.ndjson.gz');
  const to = join(folder, 'lines.parquet');
  await Bun.write(from, bytes);
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const typeOf = (spec: VectorSpec) =>
    ({ dense: 'FLOAT[]', multi: 'FLOAT[][]', sparse: 'STRUCT(indices UINTEGER[], "values" FLOAT[])' })[
      spec.kind
    ];
  const types = schemaOf(shape, OPTIONS).columns.map(
    (column) => `${quoted(column.name)}: ${quoted(column.kind === 'text' ? 'VARCHAR' : typeOf(column.spec))}`,
  );
  const sql = `COPY (SELECT * FROM read_json(${quoted(from)}, format = 'newline_delimited', columns = {${types.join()}})) TO ${quoted(to)}`;
  expect(await Bun.spawn(['duckdb', '-c', sql], { stdout: 'ignore', stderr: 'inherit' }).exited).toBe(0);
  return readColumnsWithDuckDb(to);
}

function vectorAt(column: VectorColumn, row: number): ForeignCell {
  if (column.present[row] === 0) return null;
  const { size } = column.spec;
  if (column.kind === 'dense') return column.values.slice(row * size, (row + 1) * size);
  const start = row === 0 ? 0 : (column.ends[row - 1] as number);
  const end = column.ends[row] as number;
  if (column.kind === 'sparse') {
    return { indices: column.indices.slice(start, end), values: column.values.slice(start, end) };
  }
  const vectors = (end - start) / size;
  return Array.from({ length: vectors }, (_, i) =>
    column.values.slice(start + i * size, start + (i + 1) * size),
  );
}

/** Floats as their bits, all NaNs as one: JSON has but one word for them. */
function bitsIn(cell: ForeignCell): unknown {
  if (cell === null || typeof cell === 'string') return cell;
  if (cell instanceof Float32Array) {
    return Array.from(new Uint32Array(cell.buffer), (bits, i) => (Number.isNaN(cell[i]) ? 'NaN' : bits));
  }
  if ('indices' in cell) return { indices: [...cell.indices], values: bitsIn(cell.values) };
  return cell.map(bitsIn);
}

describe('vectors as REST sent them', () => {
  const shape = shapeWith([vectorSpec('dense', 'd', 2), vectorSpec('multi', 'm', 2)]);
  const points = [
    '{"d":[0.10,1.0e1],"m":[[1.0,2.50],[3,4e0]]}',
    '{"d":[0.10, 1.0e1],"m":[[1.0,2.50], [3,4e0]]}',
    '{"d":[-0,7.038531e-26],"m":[]}',
    '{"m":null}',
  ].map((vector, id) => `{"id":${id},"vector":${vector}}`);

  async function linesOf(vectorTexts: boolean): Promise<readonly string[]> {
    const format = ndjsonFormat(shape, OPTIONS);
    const batch = new PointBatch({ ...format.layout, vectorTexts });
    readRetrieved(new TextEncoder().encode(`{"result":[${points.join()}]}`), batch, points.length);
    const { member } = await format.encode(batch);
    return gunzipSync(member).toString().trimEnd().split('\n');
  }

  test('are wanted by the format, and stand in the lines where a line can carry them', async () => {
    expect(ndjsonFormat(shape, OPTIONS).layout.vectorTexts).toBe(true);
    const vectors = (await linesOf(true)).map((line) => line.slice(line.indexOf('"vector_d"')));
    expect(vectors.slice(0, 2)).toEqual([
      '"vector_d":[0.10,1.0e1],"vector_m":[[1.0,2.50],[3,4e0]]}',
      '"vector_d":[0.100000001,10],"vector_m":[[1,2.5],[3,4]]}',
    ]);
    expect(vectors[2]).toStartWith('"vector_d":[-0.0,7.038530');
    expect(vectors[3]).toBe('"vector_d":null,"vector_m":null}');
  });

  test('are the same floats as in our own spelling', async () => {
    const floats = (line: string) => {
      const { vector_d: d, vector_m: m } = JSON.parse(line) as { vector_d: number[]; vector_m: number[][] };
      return [d && Float32Array.from(d), m?.map((vector) => Float32Array.from(vector))];
    };
    const own = (await linesOf(false)).map(floats);
    expect(own[0]).toEqual([Float32Array.of(0.1, 10), [Float32Array.of(1, 2.5), Float32Array.of(3, 4)]]);
    expect((await linesOf(true)).map(floats)).toEqual(own);
  });
});
