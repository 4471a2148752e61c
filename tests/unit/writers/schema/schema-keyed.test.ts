import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { DUCKDB_MISSING, typesInDuckDb } from '../../../support/foreign-readers.ts';
import { type PointRow, payloadText, shapeWith, sparse, vectorSpec } from '../../../support/point-rows.ts';
import { expectInReaders, schemaFiles, schemaFormat } from '../../../support/schema-files.ts';

let files: Awaited<ReturnType<typeof schemaFiles>>;
beforeAll(async () => {
  files = await schemaFiles();
});
afterAll(() => files.remove());

const KEYED = { schema: 'keyed' } as const;
const EVERY_KIND = shapeWith([
  vectorSpec('dense', 'text', 2),
  vectorSpec('multi', 'tokens', 2),
  vectorSpec('sparse', 'bm25'),
  vectorSpec('dense', '', 3),
]);

const ROWS: readonly PointRow[] = [
  {
    id: '1',
    payload: { key: '"one"', n: '7' },
    vectors: {
      text: Float32Array.of(1, 2),
      tokens: [Float32Array.of(1, 2), Float32Array.of(3, 4)],
      bm25: sparse([7, 3], [0.5, -1]),
      '': Float32Array.of(1, 2, 3),
    },
  },
  { id: '2' },
  { id: '18446744073709551615', vectors: { tokens: [], bm25: sparse([], []) } },
  { id: '21c7a2f6-4dc1-4b4e-9e0a-8b4b2f8f7a11', vectors: { bm25: sparse([4294967295], [2]) } },
  { id: 'ffffffff-ffff-ffff-ffff-ffffffffffff', vectors: { text: Float32Array.of(5, 6) } },
];

describe('schema keyed', () => {
  test('has key, metadata and a column a vector in the collection’s order, NULL where a point lacks it', async () => {
    const { path, summary } = await files.write(EVERY_KIND, ROWS, KEYED);
    await expectInReaders(path, {
      key: ['one', ...ROWS.slice(1).map(({ id }) => id)],
      metadata: ROWS.map(payloadText),
      vector_text: [Float32Array.of(1, 2), null, null, null, Float32Array.of(5, 6)],
      vector_tokens: [[Float32Array.of(1, 2), Float32Array.of(3, 4)], null, [], null, null],
      vector_bm25: [sparse([7, 3], [0.5, -1]), null, sparse([], []), sparse([4294967295], [2]), null],
      vector: [Float32Array.of(1, 2, 3), null, null, null, null],
    });
    expect(summary).toEqual({
      rows: 5,
      rowGroups: 2,
      emptyVectors: { vector_text: 3, vector_tokens: 3, vector_bm25: 2, vector: 4 },
      keys: { fromPayload: 1, duplicates: 0, exact: true },
      notes: [],
    });
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('has the types of the contract', async () => {
    const { path } = await files.write(EVERY_KIND, ROWS, KEYED);
    expect(await typesInDuckDb(path)).toEqual({
      key: 'VARCHAR',
      metadata: 'VARCHAR',
      vector_text: 'FLOAT[]',
      vector_tokens: 'FLOAT[][]',
      vector_bm25: 'STRUCT(indices UINTEGER[], "values" FLOAT[])',
      vector: 'FLOAT[]',
    });
  });

  test('has no more than key and metadata where no vector is asked for', async () => {
    const { path, summary } = await files.write(shapeWith([]), ROWS, KEYED);
    await expectInReaders(path, {
      key: ['one', ...ROWS.slice(1).map(({ id }) => id)],
      metadata: ROWS.map(payloadText),
    });
    expect(summary.emptyVectors).toEqual({});
  });

  for (const [words, value, key] of [
    ['a string', '"ab"', 'ab'],
    ['a string with escapes', '"a\\"\\n\\u0000ß\\\\"', 'a"\n\0ß\\'],
    ['one character', '"x"', 'x'],
    ['an empty string', '""', '12'],
    ['a number', '7', '12'],
    ['null', 'null', '12'],
    ['a list', '["a"]', '12'],
    ['an object', '{"a":"b"}', '12'],
  ] as const) {
    test(`makes ${JSON.stringify(key)} the key where the key field is ${words}`, async () => {
      const { path, summary } = await files.write(
        shapeWith([]),
        [{ id: '12', payload: { slug: value, key: '"no"' } }],
        { ...KEYED, keyField: 'slug' },
      );
      await expectInReaders(path, { key: [key], metadata: [`{"key":"no","slug":${value}}`] });
      expect(summary.keys?.fromPayload).toBe(key === '12' ? 0 : 1);
    });
  }

  test('counts rows whose key a row before them has, under other shard keys too', async () => {
    const custom = shapeWith([], {
      sharding: 'custom',
      shardKeys: [
        { kind: 'keyword', text: 'a' },
        { kind: 'keyword', text: 'b' },
      ],
    });
    const [a, b] = custom.shardKeys;
    const rows: PointRow[] = [
      { id: '1', shardKey: a },
      { id: '2', shardKey: a, payload: { key: '"same"' } },
      { id: '3', shardKey: a, payload: { key: '"same"' } },
      { id: '1', shardKey: b },
      { id: '4', shardKey: b, payload: { key: '"1"' } },
    ];
    const { summary } = await files.write(custom, rows, KEYED);
    expect(summary.keys).toEqual({ fromPayload: 3, duplicates: 3, exact: true });
    expect(summary.notes).toEqual([
      'Schema keyed has no column for shard keys: the file does not tell which one a row lies under.',
    ]);
  });

  test('puts the metadata field’s value as it is spelled into metadata, NULL in rows without it', async () => {
    const values = ['{"b":1.0,"a":[null,12345678901234567890]}', '"text"', '0.1', 'null', '[]', 'true', '""'];
    const rows: PointRow[] = [
      { id: '0' },
      ...values.map((value, index) => ({ id: String(index + 1), payload: { a: '1', meta: value, z: '2' } })),
      { id: '9', payload: { other: '{}' } },
    ];
    const { path } = await files.write(shapeWith([]), rows, { ...KEYED, metadataField: 'meta' });
    await expectInReaders(path, { key: rows.map(({ id }) => id), metadata: [null, ...values, null] });
  });

  test('takes one field for key and metadata both', async () => {
    const rows = [
      { id: '1', payload: { key: '"k"' } },
      { id: '2', payload: { key: '3' } },
    ];
    const options = { ...KEYED, metadataField: 'key' };
    expect(schemaFormat(shapeWith([]), options).layout.fields).toEqual(['key']);
    const { path } = await files.write(shapeWith([]), rows, options);
    await expectInReaders(path, { key: ['k', '2'], metadata: ['"k"', '3'] });
  });
});
