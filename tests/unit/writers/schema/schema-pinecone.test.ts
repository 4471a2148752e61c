import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import type { VectorSpec } from '../../../../lib/model.ts';
import type { ParquetOptions } from '../../../../lib/writers/parquet/parquet.ts';
import { pineconeSchema } from '../../../../lib/writers/schema/schema-pinecone.ts';
import { seeded } from '../../../support/batches.ts';
import { DUCKDB_MISSING, readColumnsWithHyparquet, typesInDuckDb } from '../../../support/foreign-readers.ts';
import {
  batchOfRows,
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

const PINECONE = { schema: 'pinecone' } as const;
const DENSE = shapeWith([vectorSpec('dense', '', 2)]);
const HYBRID = shapeWith([vectorSpec('sparse', 'bm25'), vectorSpec('dense', 'text', 2)]);
const ONE = Float32Array.of(1, 0);
const LETTERS = ['a', '"', '\\', ',', ':', '{', '}', '[', ']', 'null', '\n', '\0', 'é', '文', '😀'];

function row(payload: PointRow['payload'], id = '17'): PointRow {
  return { id, payload: payload ?? {}, vectors: { '': ONE } };
}

async function metadataOf(rows: readonly PointRow[], options: Partial<ParquetOptions> = {}) {
  return files.write(DENSE, rows, { ...PINECONE, ...options });
}

async function messageOf(failing: Promise<unknown>): Promise<string> {
  const error = await failing.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ToolError);
  expect((error as ToolError).code).toBe('format');
  return (error as ToolError).message;
}

/** What encoding rows says, of which the second and the third are wrong. */
async function refusal(rows: readonly PointRow[], options: Partial<ParquetOptions> = {}, shape = DENSE) {
  return messageOf(encodeRows(schemaFormat(shape, { ...PINECONE, ...options }), rows));
}

/** What making the format says at once. */
function usageRefusal(vectors: readonly VectorSpec[]): string {
  try {
    schemaFormat(shapeWith(vectors), PINECONE);
  } catch (error) {
    expect(error).toBeInstanceOf(ToolError);
    expect((error as ToolError).code).toBe('usage');
    return (error as ToolError).message;
  }
  return 'nothing';
}

describe('schema pinecone', () => {
  test('has id, values and metadata, and nothing else', async () => {
    const rows: PointRow[] = [
      row({ a: '"x"', b: '1.5', c: 'true', d: '["p","q,]"]', e: '[]' }, '18446744073709551615'),
      row({}, '21c7a2f6-4dc1-4b4e-9e0a-8b4b2f8f7a11'),
      row({ key: '"not the id"' }, '3'),
    ];
    const { path, summary } = await metadataOf(rows);
    await expectInReaders(path, {
      id: rows.map(({ id }) => id),
      values: [ONE, ONE, ONE],
      metadata: rows.map(payloadText),
    });
    expect(summary).toEqual({
      rows: 3,
      rowGroups: 1,
      emptyVectors: { values: 0 },
      keys: undefined,
      notes: [],
    });
  });

  test('has sparse_values too where a sparse vector is chosen, NULL where it is lacking or empty', async () => {
    const rows: PointRow[] = [
      { id: '1', vectors: { text: ONE, bm25: sparse([9, 4294967295], [0.5, -2]) } },
      { id: '2', vectors: { text: Float32Array.of(0, -1) } },
      { id: '3', vectors: { text: ONE, bm25: sparse([], []) } },
      { id: '4', vectors: { text: ONE, bm25: sparse([1], [0]) } },
    ];
    const { path, summary } = await files.write(HYBRID, rows, PINECONE);
    await expectInReaders(path, {
      id: ['1', '2', '3', '4'],
      values: [ONE, Float32Array.of(0, -1), ONE, ONE],
      metadata: ['{}', '{}', '{}', '{}'],
      sparse_values: [sparse([9, 4294967295], [0.5, -2]), null, null, sparse([1], [0])],
    });
    expect(summary.emptyVectors).toEqual({ values: 0, sparse_values: 2 });
    expect(summary.notes).toEqual(['1 empty sparse vector is NULL: Pinecone takes none without values.']);
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('has the types that Pinecone names', async () => {
    const { path } = await files.write(HYBRID, [], PINECONE);
    expect(await typesInDuckDb(path)).toEqual({
      id: 'VARCHAR',
      values: 'FLOAT[]',
      metadata: 'VARCHAR',
      sparse_values: 'STRUCT(indices UINTEGER[], "values" FLOAT[])',
    });
  });

  test('leaves nulls out wherever they stand, and counts them', async () => {
    const rows = [
      row({ a: 'null', b: '"null"', c: 'null', d: '"x,}{\\"]"', e: 'null' }, '1'),
      row({ a: 'null' }, '2'),
      row({ a: '1', b: '["null"]' }, '3'),
    ];
    const { path, summary } = await metadataOf(rows);
    await expectInReaders(path, {
      id: ['1', '2', '3'],
      values: [ONE, ONE, ONE],
      metadata: ['{"b":"null","d":"x,}{\\"]"}', '{}', '{"a":1,"b":["null"]}'],
    });
    expect(summary.notes).toEqual(["4 null values were left out: Pinecone's metadata has no nulls."]);
  });

  test('copies members as they are spelled, whatever is in their strings', async () => {
    const random = seeded(11);
    const any = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
    const text = () => JSON.stringify(Array.from({ length: any([0, 1, 5]) }, () => any(LETTERS)).join(''));
    const list = () => `[${Array.from({ length: any([0, 1, 3]) }, text).join(',')}]`;
    const value = () => any([text, text, list, () => any(['null', 'true', 'false', '0', '-1.5', '1e+21'])])();
    const rows = Array.from({ length: 400 }, (_, id) => {
      const members = Array.from({ length: any([0, 1, 2, 6]) }, () => [JSON.parse(text()), value()]);
      return row(Object.fromEntries(members), String(id));
    });
    const { path } = await metadataOf(rows, { rowGroupRows: 400 });
    const wanted = rows.map(({ id, payload = {} }) => {
      const kept = Object.entries(payload).filter(([, json]) => json !== 'null');
      return payloadText({ id, payload: Object.fromEntries(kept) });
    });
    expect((await readColumnsWithHyparquet(path)).metadata).toEqual(wanted);
  });

  test('keeps every digit of integers, and counts those that a 64-bit float does not hold', async () => {
    const held = [
      '0',
      '-1',
      '999999999999999',
      '9007199254740992',
      '-9007199254740994',
      '1000000000000000000000',
    ];
    const notHeld = ['9007199254740993', '-9007199254740993', '18446744073709551615', '1'.repeat(400)];
    const others = ['1.5', '1e+300', '0.1', '123456789012345680.0'];
    const rows = [...held, ...notHeld, ...others].map((value, index) => row({ n: value }, String(index)));
    const { path, summary } = await metadataOf(rows);
    await expectInReaders(path, {
      id: rows.map(({ id }) => id),
      values: rows.map(() => ONE),
      metadata: rows.map(payloadText),
    });
    expect(summary.notes).toEqual([
      '4 integers have every digit in the file, but Pinecone will round them: its numbers are 64-bit floats.',
    ]);
  });

  test('makes the metadata field’s object the metadata, {} in rows without it', async () => {
    const rows = [
      row({ meta: '{"a":"b","n":null,"z":1}', other: '{"nested":{}}' }, '1'),
      row({ other: '[1]' }, '2'),
      row({ meta: 'null' }, '3'),
      row({ meta: '{}' }, '4'),
    ];
    const { path, summary } = await metadataOf(rows, { metadataField: 'meta' });
    await expectInReaders(path, {
      id: ['1', '2', '3', '4'],
      values: [ONE, ONE, ONE, ONE],
      metadata: ['{"a":"b","z":1}', '{}', '{}', '{}'],
    });
    expect(summary.notes).toEqual(["2 null values were left out: Pinecone's metadata has no nulls."]);
  });

  test('counts ids that lie under several shard keys, which would overwrite one another', async () => {
    const shape = shapeWith(DENSE.vectors, {
      sharding: 'custom',
      shardKeys: [
        { kind: 'number', text: '1' },
        { kind: 'number', text: '2' },
      ],
    });
    const [one, two] = shape.shardKeys;
    const rows = [
      { ...row({}, '5'), shardKey: one },
      { ...row({}, '6'), shardKey: one },
      { ...row({}, '6'), shardKey: two },
    ];
    const { summary } = await files.write(shape, rows, PINECONE);
    expect(summary.keys).toEqual({ fromPayload: 0, duplicates: 1, exact: true });
    expect(summary.notes).toEqual([
      'Schema pinecone has no column for shard keys: the file does not tell which one a row lies under.',
    ]);
  });

  const METADATA = "Pinecone's metadata takes strings, numbers, booleans and lists of strings";
  const CHOOSE = 'Choose a flat object with --metadata-field, or another --schema.';
  for (const [value, what] of [
    ['{"b":1}', 'is an object'],
    ['[1]', 'is a list of other things than strings'],
    ['["a",null]', 'is a list of other things than strings'],
    ['["a","b",["c"]]', 'is a list of other things than strings'],
    ['[{}]', 'is a list of other things than strings'],
  ] as const) {
    test(`refuses ${value} in the metadata and names the first id`, async () => {
      const wrong = { a: '"x"', 'b "c"': value };
      expect(await refusal([row({ fine: '1' }, '1'), row(wrong, '2'), row(wrong, '3')])).toBe(
        `Cannot write point 2 for Pinecone: payload field \`b "c"\` ${what}, and ${METADATA}. ${CHOOSE}`,
      );
    });
  }

  test('refuses names that begin with $, in the metadata field too', async () => {
    const sentence = `Cannot write point 2 for Pinecone: payload field \`$a\` begins with \`$\`, and Pinecone's metadata takes names that do not. ${CHOOSE}`;
    expect(await refusal([row({ a$: '1' }, '1'), row({ $a: '1' }, '2')])).toBe(sentence);
    expect(
      await refusal([row({ $a: '1' }, '1'), row({ m: '{"$a":null}' }, '2')], { metadataField: 'm' }),
    ).toBe(sentence);
  });

  test('refuses metadata of more than 40,960 bytes, nulls not counted, and no byte less', async () => {
    // {"t":"…"} has 8 bytes around the text.
    const fits = row({ t: JSON.stringify('ß'.repeat((40_960 - 8) / 2)), n: 'null' }, '1');
    const { summary } = await metadataOf([fits]);
    expect(summary.rows).toBe(1);
    expect(await refusal([fits, row({ t: JSON.stringify('x'.repeat(40_960 - 7)) }, '2')])).toBe(
      'Cannot write point 2 for Pinecone: its metadata has 40,961 bytes, and Pinecone takes 40,960. Choose less of it with --metadata-field, or another --schema.',
    );
  });

  test('refuses a metadata field that is no object', async () => {
    for (const value of ['"{}"', '1', '[]', 'true']) {
      const rows = [row({}, '1'), row({ meta: value }, '2'), row({ meta: value }, '3')];
      expect(await refusal(rows, { metadataField: 'meta' })).toBe(
        "Cannot write point 2 for Pinecone: payload field `meta` is no object, and Pinecone's metadata is one. Another --schema holds it.",
      );
    }
  });

  const many = Array.from({ length: 2049 }, (_, index) => index);
  const TAIL = 'Another --schema holds it.';
  for (const [vectors, why] of [
    [{}, 'it lacks vector `text`, and Pinecone wants one in every row'],
    [
      { text: Float32Array.of(1, Number.NaN) },
      'vector `text` has a NaN or an infinity, and Pinecone takes finite numbers only',
    ],
    [
      { text: Float32Array.of(Number.NEGATIVE_INFINITY, 1) },
      'vector `text` has a NaN or an infinity, and Pinecone takes finite numbers only',
    ],
    [{ text: Float32Array.of(0, -0) }, 'vector `text` is all zeros, and Pinecone wants a number that is not'],
    [
      { text: ONE, bm25: sparse([1], [Number.POSITIVE_INFINITY]) },
      'vector `bm25` has a NaN or an infinity, and Pinecone takes finite numbers only',
    ],
    [
      { text: ONE, bm25: sparse(many, many) },
      'vector `bm25` has 2,049 values, and Pinecone takes at most 2,048 in a sparse vector',
    ],
  ] as const satisfies readonly (readonly [Record<string, VectorCell>, string])[]) {
    test(`refuses a point and names the first id: ${why}`, async () => {
      const fine = { text: ONE, bm25: sparse(many.slice(1), many.slice(1)) };
      const rows = [
        { id: '1', vectors: fine },
        { id: '2', vectors },
        { id: '3', vectors },
      ];
      expect(await refusal(rows, {}, HYBRID)).toBe(`Cannot write point 2 for Pinecone: ${why}. ${TAIL}`);
    });
  }

  test('checks vectors of rows that share a batch with none but their own numbers', async () => {
    const rows = [row({}, '1'), { ...row({}, '2'), vectors: { '': Float32Array.of(0, 3) } }];
    expect((await metadataOf(rows)).summary.rows).toBe(2);
  });

  const WANTED = 'Pinecone takes exactly one dense vector, at most one sparse vector and no multivector';
  const dense = (name: string) => vectorSpec('dense', name, 2);
  for (const [vectors, found] of [
    [[], 'no vector'],
    [[vectorSpec('sparse', 's')], 'a sparse vector `s`'],
    [[dense(''), dense('b')], 'an unnamed dense vector, a dense vector `b`'],
    [[dense('a'), vectorSpec('multi', 'm', 2)], 'a dense vector `a`, a multivector `m`'],
    [
      [dense('a'), vectorSpec('sparse', 's'), vectorSpec('sparse', 't')],
      'a dense vector `a`, a sparse vector `s`, a sparse vector `t`',
    ],
  ] as const satisfies readonly (readonly [readonly VectorSpec[], string])[]) {
    test(`refuses at once a collection of which ${found} ${vectors.length < 2 ? 'is' : 'are'} chosen`, () => {
      expect(usageRefusal(vectors)).toBe(
        `Collection \`things\` does not fit --schema pinecone: ${WANTED}, and found is ${found}. Choose with --vectors NAME.`,
      );
    });
  }

  test('refuses at once more than 20,000 dimensions, and no dimension less', () => {
    const sized = (size: number) => usageRefusal([vectorSpec('dense', '', size)]);
    expect(sized(20_000)).toBe('nothing');
    expect(sized(20_001)).toBe(
      'Collection `things` does not fit --schema pinecone: the unnamed vector has 20,001 dimensions, and Pinecone takes at most 20,000. Choose another with --vectors NAME, or another --schema.',
    );
  });

  test('leaves the batch as it is, empty sparse vectors too', async () => {
    const format = schemaFormat(HYBRID, PINECONE);
    const batch = batchOfRows(format.layout, [
      { id: '1', vectors: { text: ONE, bm25: sparse([], []) } },
      { id: '2', vectors: { text: ONE } },
    ]);
    await format.encode(batch);
    expect(batch.vectors[0]?.present.slice(0, 2)).toEqual(Uint8Array.of(1, 0));
  });

  test('says that a file is too large for one import', () => {
    const totals = { nulls: 0, inexactIntegers: 0, emptySparse: 0, ambiguousKeys: [] };
    const { notes } = pineconeSchema(DENSE, undefined);
    expect(notes({ ...totals, bytes: 10_000_000_000 })).toEqual([]);
    expect(notes({ ...totals, bytes: 10_000_000_001 })).toEqual([
      'The file is larger than 10 GB, the most that Pinecone imports of one file.',
    ]);
  });
});
