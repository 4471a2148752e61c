import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import type { VectorSpec } from '../../../../lib/model.ts';
import { milvusSchema } from '../../../../lib/writers/schema/schema-milvus.ts';
import { DUCKDB_MISSING, typesInDuckDb } from '../../../support/foreign-readers.ts';
import {
  encodeRows,
  type PointRow,
  payloadText,
  shapeWith,
  sparse,
  type VectorCell,
  vectorSpec,
} from '../../../support/point-rows.ts';
import { expectInReaders, schemaFiles, schemaFormat } from '../../../support/schema-files.ts';

let files: Awaited<ReturnType<typeof schemaFiles>>;
beforeAll(async () => {
  files = await schemaFiles();
});
afterAll(() => files.remove());

const MILVUS = { schema: 'milvus' } as const;
const SHAPE = shapeWith([vectorSpec('dense', '', 2), vectorSpec('sparse', 'bm25')]);
const FINE = { '': Float32Array.of(0, 0), bm25: sparse([], []) };

async function refusal(rows: readonly PointRow[]): Promise<string> {
  const error = await encodeRows(schemaFormat(SHAPE, MILVUS), rows).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ToolError);
  expect((error as ToolError).code).toBe('format');
  return (error as ToolError).message;
}

/** What making the format says at once. */
function usageRefusal(vectors: readonly VectorSpec[]): string {
  try {
    schemaFormat(shapeWith(vectors), MILVUS);
  } catch (error) {
    expect(error).toBeInstanceOf(ToolError);
    expect((error as ToolError).code).toBe('usage');
    return (error as ToolError).message;
  }
  return 'nothing';
}

describe('schema milvus', () => {
  test('has id, the vectors and the payload as $meta', async () => {
    const rows: PointRow[] = [
      {
        id: '18446744073709551615',
        payload: { key: '"x"', nested: '{"id":[1,null]}', 'vector ': '1' },
        vectors: { '': Float32Array.of(1, -2), bm25: sparse([4294967294, 0], [0, 0.5]) },
      },
      { id: '21c7a2f6-4dc1-4b4e-9e0a-8b4b2f8f7a11', vectors: FINE },
    ];
    const { path, summary } = await files.write(SHAPE, rows, MILVUS);
    await expectInReaders(path, {
      id: rows.map(({ id }) => id),
      vector: [Float32Array.of(1, -2), Float32Array.of(0, 0)],
      vector_bm25: [sparse([4294967294, 0], [0, 0.5]), sparse([], [])],
      $meta: rows.map(payloadText),
    });
    expect(summary).toEqual({
      rows: 2,
      rowGroups: 1,
      emptyVectors: { vector: 0, vector_bm25: 0 },
      keys: undefined,
      notes: ['Milvus imports sparse vectors from Parquet structs from version 2.5.8 on.'],
    });
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('has the types that Milvus reads', async () => {
    const { path } = await files.write(SHAPE, [], MILVUS);
    expect(await typesInDuckDb(path)).toEqual({
      id: 'VARCHAR',
      vector: 'FLOAT[]',
      vector_bm25: 'STRUCT(indices UINTEGER[], "values" FLOAT[])',
      $meta: 'VARCHAR',
    });
  });

  test('counts ids that lie under several shard keys', async () => {
    const shape = shapeWith([vectorSpec('dense', '', 2)], {
      sharding: 'custom',
      shardKeys: [
        { kind: 'keyword', text: 'a' },
        { kind: 'keyword', text: 'b' },
      ],
    });
    const [a, b] = shape.shardKeys;
    const rows = [a, b, b].map((shardKey, index) => ({
      id: index === 2 ? '6' : '5',
      vectors: FINE,
      shardKey,
    }));
    const { summary } = await files.write(shape, rows, MILVUS);
    expect(summary.keys).toEqual({ fromPayload: 0, duplicates: 1, exact: true });
    expect(summary.notes).toEqual([
      'Schema milvus has no column for shard keys: the file does not tell which one a row lies under.',
    ]);
  });

  test('says what Milvus must be configured for when there are more than four vectors', async () => {
    const vectors = ['a', 'b', 'c', 'd', 'e'].map((name) => vectorSpec('dense', name, 2));
    const notesOf = async (count: number) =>
      (await files.write(shapeWith(vectors.slice(0, count)), [], MILVUS)).summary.notes;
    expect(await notesOf(4)).toEqual([]);
    expect(await notesOf(5)).toEqual([
      'A collection of Milvus has at most 4 vector fields until proxy.maxVectorFieldNum is raised, and the file has 5.',
    ]);
  });

  for (const [vectors, why] of [
    [{ bm25: sparse([1], [1]) }, 'it lacks the unnamed vector, and a vector field of Milvus has no NULL'],
    [{ '': Float32Array.of(1, 2) }, 'it lacks vector `bm25`, and a vector field of Milvus has no NULL'],
    [
      { ...FINE, '': Float32Array.of(Number.NaN, 1) },
      'the unnamed vector has a NaN or an infinity, and Milvus takes finite numbers only',
    ],
    [
      { ...FINE, bm25: sparse([1, 2], [1, Number.POSITIVE_INFINITY]) },
      'vector `bm25` has a NaN or an infinity, and Milvus takes finite numbers only',
    ],
    [
      { ...FINE, bm25: sparse([1, 2], [1, -0.5]) },
      'vector `bm25` has a negative value, and Milvus takes none in a sparse vector',
    ],
    [
      { ...FINE, bm25: sparse([1, 4294967295], [1, 1]) },
      'vector `bm25` has the index 4294967295, and Milvus takes smaller ones only',
    ],
  ] as const satisfies readonly (readonly [Record<string, VectorCell>, string])[]) {
    test(`refuses a point and names the first id: ${why}`, async () => {
      const rows = [
        { id: '1', vectors: FINE },
        { id: '2', vectors },
        { id: '3', vectors },
      ];
      expect(await refusal(rows)).toBe(`Cannot write point 2 for Milvus: ${why}. Another --schema holds it.`);
    });
  }

  for (const name of ['id', 'vector', 'vector_bm25', '$meta']) {
    test(`refuses a payload with a field ${name} and names the first id`, async () => {
      const payload = { a: '1', [name]: 'null' };
      const rows = [
        { id: '1', vectors: FINE, payload: { a: '{"id":1}' } },
        { id: '2', vectors: FINE, payload },
        { id: '3', vectors: FINE, payload },
      ];
      expect(await refusal(rows)).toBe(
        `Cannot write point 2 for Milvus: its payload has a field \`${name}\`, and Milvus takes none that is named like a column of the file. Another --schema holds it.`,
      );
    });
  }

  test('refuses a payload of more than 65,536 bytes, and no byte less', async () => {
    // {"t":"…"} has 8 bytes around the text.
    const sized = (bytes: number, id: string) => ({
      id,
      vectors: FINE,
      payload: { t: JSON.stringify('x'.repeat(bytes - 8)) },
    });
    expect((await files.write(SHAPE, [sized(65_536, '1')], MILVUS)).summary.rows).toBe(1);
    expect(await refusal([sized(65_536, '1'), sized(65_537, '2'), sized(70_000, '3')])).toBe(
      'Cannot write point 2 for Milvus: its payload has 65,537 bytes, and Milvus takes at most 65,536 in $meta. Another --schema holds it.',
    );
  });

  const dense = (name: string, size = 2) => vectorSpec('dense', name, size);
  for (const [vectors, why] of [
    [[], 'Milvus wants at least one vector, and none is chosen'],
    [
      [dense('a'), vectorSpec('multi', 'm', 2), vectorSpec('multi', '', 2)],
      'Milvus imports no multivectors, and found is a multivector `m`, an unnamed multivector',
    ],
    [
      Array.from({ length: 11 }, (_, i) => dense(`v${i}`)),
      'Milvus takes at most 10 vectors, and there are 11',
    ],
    [
      [dense('a-b')],
      'the field of vector `a-b` would be `vector_a-b`, and Milvus takes names of at most 255 letters, digits and underscores',
    ],
    [
      [dense('ü')],
      'the field of vector `ü` would be `vector_ü`, and Milvus takes names of at most 255 letters, digits and underscores',
    ],
    [
      [vectorSpec('sparse', 'x'.repeat(249))],
      `the field of vector \`${'x'.repeat(249)}\` would be \`vector_${'x'.repeat(249)}\`, and Milvus takes names of at most 255 letters, digits and underscores`,
    ],
    [[dense('', 32_769)], 'the unnamed vector has 32,769 dimensions, and Milvus takes 2 to 32,768'],
    [[dense('a', 1)], 'vector `a` has 1 dimension, and Milvus takes 2 to 32,768'],
  ] as const satisfies readonly (readonly [readonly VectorSpec[], string])[]) {
    test(`refuses a collection at once: ${why.slice(0, 80)}`, () => {
      expect(usageRefusal(vectors)).toBe(
        `Collection \`things\` does not fit --schema milvus: ${why}. Choose with --vectors NAME, or another --schema.`,
      );
    });
  }

  test('takes what is just within those limits', () => {
    const vectors = [
      ...Array.from({ length: 8 }, (_, i) => dense(`v_${i}`)),
      dense('', 32_768),
      vectorSpec('sparse', 'x'.repeat(248)),
    ];
    expect(usageRefusal(vectors)).toBe('nothing');
  });

  test('says that a file is too large for one import as Milvus comes', () => {
    const totals = { nulls: 0, inexactIntegers: 0, emptySparse: 0, ambiguousKeys: [] };
    const { notes } = milvusSchema(shapeWith([vectorSpec('dense', '', 2)]));
    expect(notes({ ...totals, bytes: 16 * 2 ** 30 })).toEqual([]);
    expect(notes({ ...totals, bytes: 16 * 2 ** 30 + 1 })).toEqual([
      'The file is larger than 16 GB, the most that Milvus imports of one file until it is configured to take more.',
    ]);
  });
});
