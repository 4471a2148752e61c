import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import { type Asker, askersOf } from '../support/qdrant-double/asker.ts';
import type { QdrantVersion } from '../support/qdrant-double/collection.ts';
import { type JsonObject, parseExactJson } from '../support/qdrant-double/exact-json.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { callGrpc, connectGrpc } from '../support/qdrant-double/grpc-exchange.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';
import { seenJsonVectors, seenVectors } from '../support/qdrant-double/seen-vectors.ts';
import type { StoredVector } from '../support/qdrant-double/stored-point.ts';

const versions: readonly QdrantVersion[] = ['1.16.3', '1.18.3'];
const POINTS = 300;

const MIXED: GeneratedCollection = {
  name: 'mixed',
  points: POINTS,
  dimensions: 0,
  ids: 'mixed',
  vectors: [
    { kind: 'dense', name: '', size: 4, distance: 'Cosine', missing: 5 },
    { kind: 'sparse', name: 'bm25', entries: 6, missing: 3 },
  ],
};

const SEVERAL: GeneratedCollection = {
  name: 'several',
  points: POINTS,
  dimensions: 0,
  vectors: [
    { kind: 'dense', name: 'text', size: 8 },
    { kind: 'dense', name: 'image', size: 3, distance: 'Euclid', datatype: 'uint8', missing: 2 },
    { kind: 'dense', name: 'ha"lf é', size: 2, distance: 'Manhattan', datatype: 'float16' },
    { kind: 'multi', name: 'colbert', size: 2, rows: 3, missing: (index) => index % 7 > 3 },
    { kind: 'sparse', name: 'sparse', datatype: 'float16', missing: 4 },
  ],
};

const collections: readonly GeneratedCollection[] = [
  MIXED,
  SEVERAL,
  {
    name: 'rows',
    points: POINTS,
    dimensions: 0,
    ids: 'uuid',
    vectors: [{ kind: 'multi', name: '', size: 3, datatype: 'uint8' }],
  },
  {
    name: 'gaps',
    points: POINTS,
    dimensions: 0,
    payloadBytes: 0,
    vectors: [{ kind: 'dense', name: '', size: 5, missing: 3 }],
  },
  { name: 'words', points: POINTS, dimensions: 0, vectors: [{ kind: 'sparse', name: 's', entries: 40 }] },
  { name: 'none', points: POINTS, dimensions: 0, vectors: [] },
  {
    name: 'side by side',
    points: POINTS,
    dimensions: 0,
    vectors: [
      { kind: 'dense', name: '', size: 2 },
      { kind: 'dense', name: 'second', size: 3, missing: 2 },
    ],
  },
];

/** Where two long texts part, for a test to print no more than that. */
function firstDifference(found: string, wanted: string): { found: string; wanted: string } | undefined {
  if (found === wanted) return undefined;
  let at = 0;
  while (found[at] === wanted[at]) at++;
  const from = Math.max(0, at - 30);
  return { found: found.slice(from, at + 30), wanted: wanted.slice(from, at + 30) };
}

function expected(collection: GeneratedCollection, index: number) {
  const { id, payloadJson, vectors } = generatedPoint(collection, index);
  return { id, payload: payloadJson, vectors: seenVectors(vectors), shardKey: undefined };
}

describe.each(versions)('a generated collection of any vectors, of %s,', (version) => {
  let double: QdrantDouble;
  let askers: readonly Asker[];
  beforeAll(async () => {
    double = await startQdrantDouble({ version, generated: collections });
    askers = askersOf(double);
  });
  afterAll(async () => {
    for (const asker of askers) asker.close();
    await double.stop();
  });

  test.each(collections)(
    '$name is scrolled and retrieved as generatedPoint() makes it',
    async (collection) => {
      const points = Array.from({ length: POINTS }, (_, at) => expected(collection, at));
      const some = [299, 0, 7, 150, 151].map((at) => points[at]);
      for (const asker of askers) {
        const page = await asker.scroll({ collection: collection.name });
        expect(page).toEqual({ points, next: undefined });
        const ids = some.map((point) => point?.id ?? '');
        expect(await asker.retrieve({ collection: collection.name }, ids)).toEqual(some as typeof points);
      }
    },
  );

  test('shows the vectors that are asked for by name, and refuses a name that it does not have', async () => {
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'several', vectors: ['colbert', 'image'] });
      points.forEach(({ vectors }, at) => {
        const { colbert, image } = expected(SEVERAL, at).vectors;
        expect(vectors).toEqual({ ...(image && { image }), ...(colbert && { colbert }) });
      });
      const { points: without } = await asker.scroll({ collection: 'several', vectors: [] });
      expect(without.map(({ vectors }) => vectors)).toEqual(Array(POINTS).fill({}));
      const { points: unnamed } = await asker.scroll({ collection: 'mixed', vectors: [''], limit: 3 });
      expect(unnamed.map(({ vectors }) => Object.keys(vectors))).toEqual([[''], [''], ['']]);
      const refusal = await refusalOf(asker.scroll({ collection: 'several', vectors: ['text', 'nope'] }));
      expect(refusal.message).toBe('Wrong input: Not existing vector name error: nope');
      expect(refusal.status).toBe(asker.protocol === 'rest' ? 400 : 3);
    }
  });

  test('shows an unnamed vector bare where a point shows no other, in a map beside others, as Qdrant does', async () => {
    const url = `${double.restUrl}/collections/mixed/points/scroll`;
    const body = '{"limit":15,"with_payload":false,"with_vector":true}';
    const text = await (await fetch(url, { method: 'POST', body })).text();
    const shapes = [...text.matchAll(/"vector":(\[|\{(?:"(\w*)":[^"]|\}))/g)].map((match) => match[0]);
    const both = '"vector":{"":[';
    const bare = '"vector":[';
    const sparse = '"vector":{"bm25":{';
    const nothing = '"vector":{}';
    expect(shapes).toEqual([
      ...[both, both, bare, both, sparse, bare, both, both, bare, sparse, both, bare, both, both, nothing],
    ]);
    const { points } = await scrollMessage('mixed', {});
    expect(points.slice(0, 15).map(({ vectors }) => vectors?.vectorsOptions.case)).toEqual(
      shapes.map((shape) => (shape === bare ? 'vector' : 'vectors')),
    );
  });

  test('fills the gRPC fields of its own generation, and no others', async () => {
    const isOld = version === '1.16.3';
    for (const name of ['several', 'mixed', 'rows']) {
      const { points } = await scrollMessage(name, {});
      const outputs = points.flatMap(({ vectors }): schemas.VectorOutput[] => {
        const options = vectors?.vectorsOptions;
        if (options?.case === 'vector') return [options.value];
        return options?.case === 'vectors' ? Object.values(options.value.vectors) : [];
      });
      expect(outputs.length).toBeGreaterThan(POINTS / 2);
      for (const { data, indices, vector, vectorsCount } of outputs) {
        if (isOld) expect(vector.case).toBeUndefined();
        else
          expect({ data, indices, vectorsCount }).toEqual({
            data: [],
            indices: undefined,
            vectorsCount: undefined,
          });
      }
    }
  });

  test('takes no other way over its templates than point by point', async () => {
    const exclude = { payload: { exclude: { fields: ['no such field'] } } };
    for (const { name } of collections) {
      const quick = await scrollMessage(name, {});
      const slow = await scrollMessage(name, exclude);
      expect(firstDifference(slow.bytes.toString('latin1'), quick.bytes.toString('latin1'))).toBeUndefined();
      const url = `${double.restUrl}/collections/${encodeURIComponent(name)}/points/scroll`;
      const texts = await Promise.all(
        ['true', '{"exclude":["no such field"]}'].map(async (payload) => {
          const body = `{"limit":${POINTS},"with_payload":${payload},"with_vector":true}`;
          return (await fetch(url, { method: 'POST', body })).text();
        }),
      );
      expect(firstDifference(texts[1] ?? '', texts[0] ?? '')).toBeUndefined();
    }
  });

  test('describes its vectors in both protocols', async () => {
    const params = await describeRest('several');
    expect(params.vectors).toEqual({
      text: { size: 8, distance: 'Dot' },
      image: { size: 3, distance: 'Euclid', datatype: 'uint8' },
      'ha"lf é': { size: 2, distance: 'Manhattan', datatype: 'float16' },
      colbert: { size: 2, distance: 'Dot', multivector_config: { comparator: 'max_sim' } },
    });
    expect(params.sparse_vectors).toEqual({ sparse: { index: { datatype: 'float16' } } });
    const config = await describeMessage('several');
    const vectors = config?.vectorsConfig?.config;
    expect(
      Object.entries(vectors?.case === 'paramsMap' ? vectors.value.map : {}).map(
        ([name, { datatype, distance, multivectorConfig, size }]) => [
          name,
          Number(size),
          schemas.Distance[distance],
          datatype,
          multivectorConfig?.comparator,
        ],
      ),
    ).toEqual([
      ['colbert', 2, 'Dot', undefined, schemas.MultiVectorComparator.MaxSim],
      ['ha"lf é', 2, 'Manhattan', schemas.Datatype.Float16, undefined],
      ['image', 3, 'Euclid', schemas.Datatype.Uint8, undefined],
      ['text', 8, 'Dot', undefined, undefined],
    ]);
    expect(config?.sparseVectorsConfig?.map.sparse?.index?.datatype).toBe(schemas.Datatype.Float16);
  });

  test('describes an unnamed vector beside a sparse one apart, beside a dense one as one of the names', async () => {
    const mixed = await describeRest('mixed');
    expect(mixed.vectors).toEqual({ size: 4, distance: 'Cosine' });
    expect(mixed.sparse_vectors).toEqual({ bm25: {} });
    expect((await describeMessage('mixed'))?.vectorsConfig?.config.case).toBe('params');
    const beside = await describeRest('side by side');
    expect(Object.keys(beside.vectors ?? {})).toEqual(['', 'second']);
    const config = (await describeMessage('side by side'))?.vectorsConfig?.config;
    expect(config?.case === 'paramsMap' && Object.keys(config.value.map)).toEqual(['', 'second']);
  });

  async function scrollMessage(
    collectionName: string,
    { payload }: { payload?: { exclude: { fields: string[] } } },
  ): Promise<{ points: schemas.RetrievedPoint[]; bytes: Buffer }> {
    const enable = { selectorOptions: { case: 'enable' as const, value: true } };
    const request = create(schemas.ScrollPointsSchema, {
      collectionName,
      limit: POINTS,
      withPayload:
        payload === undefined
          ? enable
          : { selectorOptions: { case: 'exclude' as const, value: payload.exclude } },
      withVectors: enable,
    });
    const bytes = await callOnce('qdrant.Points/Scroll', toBinary(schemas.ScrollPointsSchema, request));
    return { points: fromBinary(schemas.ScrollResponseSchema, bytes).result, bytes };
  }

  interface RestParams {
    readonly vectors?: Readonly<Record<string, unknown>>;
    readonly sparse_vectors?: Readonly<Record<string, unknown>>;
  }

  async function describeRest(collection: string): Promise<RestParams> {
    const answer = await fetch(`${double.restUrl}/collections/${encodeURIComponent(collection)}`);
    const { result } = (await answer.json()) as { result: { config: { params: RestParams } } };
    return result.config.params;
  }

  async function describeMessage(collectionName: string): Promise<schemas.CollectionParams | undefined> {
    const request = create(schemas.GetCollectionInfoRequestSchema, { collectionName });
    const message = toBinary(schemas.GetCollectionInfoRequestSchema, request);
    const bytes = await callOnce('qdrant.Collections/Get', message);
    return fromBinary(schemas.GetCollectionInfoResponseSchema, bytes).result?.config?.params;
  }

  async function callOnce(method: string, message: Uint8Array): Promise<Buffer> {
    const session = connectGrpc(double.grpcUrl);
    const answer = await callGrpc(session, method, message);
    session.destroy();
    return answer.messages[0]?.data as Buffer;
  }
});

describe('generated vectors', () => {
  const points = Array.from({ length: POINTS }, (_, at) => generatedPoint(SEVERAL, at));
  const all = <Kind extends StoredVector['kind']>(name: string, kind: Kind) =>
    points.flatMap(({ vectors }) => {
      const vector = vectors.get(name);
      return vector?.kind === kind ? [vector as StoredVector & { kind: Kind }] : [];
    });

  test('hold only what their datatype can hold', () => {
    const bytes = all('image', 'dense').flatMap(({ values }) => [...values]);
    expect(bytes.every((value) => Number.isInteger(value) && value >= 0 && value <= 255)).toBe(true);
    expect(new Set(bytes).size).toBeGreaterThan(100);
    for (const { values } of [...all('ha"lf é', 'dense'), ...all('sparse', 'sparse')]) {
      expect([...new Float16Array(values)]).toEqual([...values]);
    }
    const singles = all('text', 'dense').flatMap(({ values }) => [...values]);
    expect(singles.some((value) => new Float16Array([value])[0] !== value)).toBe(true);
  });

  test('are of every number of rows and entries that there may be', () => {
    const rows = new Set(all('colbert', 'multi').map((vector) => vector.rows.length));
    expect([...rows].sort()).toEqual([1, 2, 3]);
    const entries = new Set(all('sparse', 'sparse').map(({ values }) => values.length));
    expect([...entries].sort((a, b) => a - b)).toEqual([...Array(17).keys()]);
    for (const { indices } of all('sparse', 'sparse')) {
      expect([...indices].sort((a, b) => a - b)).toEqual([...new Set(indices)]);
    }
    const indices = new Set(all('sparse', 'sparse').flatMap((vector) => vector.indices));
    expect(indices.has(0) && indices.has(4_294_967_295)).toBe(true);
  });

  test('lack the points that they are told to lack', () => {
    const has = (name: string) => points.map(({ vectors }) => vectors.has(name));
    expect(has('text')).not.toContain(false);
    expect(has('image')).toEqual(points.map((_, at) => at % 2 === 0));
    expect(has('colbert')).toEqual(points.map((_, at) => at % 7 <= 3));
  });

  test.each([
    ['`dimensions` beside `vectors`', { dimensions: 3, vectors: [] }, 'its `dimensions` are to be 0'],
    [
      'two vectors of one name',
      { dimensions: 0, vectors: [1, 2].map((size) => ({ kind: 'dense' as const, name: 'a', size })) },
      'two of the vectors have the same name',
    ],
    [
      'a sparse vector without a name',
      { dimensions: 0, vectors: [{ kind: 'sparse' as const, name: '' }] },
      'a sparse vector has a name',
    ],
  ])('refuse %s', (_, vectors, message) => {
    const start = startQdrantDouble({ generated: [{ name: 'c', points: 1, ...vectors }] });
    expect(start).rejects.toThrow(message);
  });
});

// `await using` ends the process also where the test fails: its open output would hold the run up for ever.
test('the double as a process of its own serves any vectors', async () => {
  const vectors = [
    { kind: 'dense', name: 'a', size: 6 },
    { kind: 'multi', name: 'b', size: 2, datatype: 'uint8', missing: 3 },
  ] as const;
  const program = join(import.meta.dir, '../support/qdrant-double/main.ts');
  const flags = [
    '--points',
    '40',
    '--vectors',
    JSON.stringify(vectors),
    '--shard-keys',
    '[{"key":"k"},{"key":7}]',
  ];
  await using child = Bun.spawn(
    [process.execPath, program, ...flags, '--rich-every', '10', '--rich-bytes', '50'],
    {
      stdout: 'pipe',
    },
  );
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { rest } = JSON.parse((await lines.read()).value ?? '');
  const body = '{"limit":100,"with_vector":true,"shard_key":7}';
  const answer = await fetch(`${rest}/collections/bench/points/scroll`, { method: 'POST', body });
  const bench: GeneratedCollection = {
    name: 'bench',
    points: 40,
    dimensions: 0,
    vectors,
    shardKeys: [{ key: 'k' }, { key: 7 }],
  };
  const { points } = (parseExactJson(await answer.text()) as JsonObject).result as { points: JsonObject[] };
  expect(points).toHaveLength(40);
  const { payload, vectors: made } = generatedPoint(bench, 39, 7);
  expect(points[39]?.payload).toMatchObject({ serial: payload.serial });
  expect(seenJsonVectors(points[39]?.vector)).toEqual(seenVectors(made));
  expect(points[10]?.payload).toHaveProperty('long', expect.stringMatching(/^.{50}$/));
  expect(points[11]?.payload).not.toHaveProperty('long');
  child.kill('SIGTERM');
  const { stats } = JSON.parse((await lines.read()).value ?? '');
  expect(stats.pointsSent).toBe(40);
  expect(await child.exited).toBe(0);
});
