import { afterAll, describe, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import type { VectorSpec } from '../../lib/model.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { Consistency, PointSet, Transport } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { pointsOf } from '../support/point-sets.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

const signal = new AbortController().signal;
const ONCE: RetryPolicy = { attempts: 1, toldPauses: 0, baseMs: 1, capMs: 1 };
const PAGE = { offset: undefined, limit: 1000 } as const;
const ACME = { kind: 'keyword', text: 'acme' } as const;
const SEVEN = { kind: 'number', text: '7' } as const;

const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function connect(
  { grpcUrl, restUrl }: QdrantDouble,
  protocol: 'grpc' | 'rest' = 'grpc',
  consistency?: Consistency,
): Promise<Transport> {
  const transport = await connectQdrant(protocol, {
    url: new URL(protocol === 'grpc' ? grpcUrl : restUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    consistency,
    retryPolicy: ONCE,
  });
  stops.push(() => transport.close());
  return transport;
}

const FACTS = 60;
const UNNAMED = { kind: 'dense', name: '', size: 4, missing: 3 } as const;

/** A payload with something for every kind of condition. */
function factsAt(index: number): string {
  const item = (a: number, b: number) => `{"a":${a % 3},"b":${b % 3}}`;
  return `{${[
    `"n":${index}`,
    `"even":${index % 2 === 0}`,
    `"word":"${['alpha', 'beta', 'gamma'][index % 3]}"`,
    `"big":${9_007_199_254_740_990n + BigInt(index)}`,
    `"when":"2024-05-${String(1 + (index % 31)).padStart(2, '0')}T00:00:00Z"`,
    `"place":{"lon":${index},"lat":${index / 2}}`,
    `"list":[${Array.from({ length: index % 4 }, (_, at) => at)}]`,
    `"items":[${item(index, index + 1)},${item(index + 1, index)}]`,
    ...(index % 3 === 0 ? ['"maybe":null'] : index % 3 === 1 ? ['"maybe":1'] : []),
  ].join()}}`;
}

const server = await startQdrantDouble({
  recorded: ['standalone', 'cluster'],
  generated: [
    { name: 'facts', points: FACTS, dimensions: 0, payload: factsAt, vectors: [UNNAMED] },
    { name: 'g', points: 300, dimensions: 4, ids: 'mixed', keys: true },
    {
      name: 'mixed',
      points: 40,
      dimensions: 0,
      vectors: [
        { kind: 'dense', name: '', size: 4, missing: 3 },
        { kind: 'sparse', name: 's', missing: 2 },
        { kind: 'multi', name: 'm', size: 2, missing: 5 },
      ],
    },
    { name: 'none', points: 5, dimensions: 0, vectors: [] },
  ],
});
stops.push(() => server.stop());

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

function batchFor(vectors: readonly VectorSpec[]): PointBatch {
  return new PointBatch({ rows: 1000, vectors, fields: [] });
}

/** Reads a set of points in every way there is; the requests that this took. */
async function readAll(transport: Transport, points: PointSet, vectors: readonly VectorSpec[] = []) {
  const before = server.requests.length;
  const { ids } = await transport.scrollIds(points, PAGE, signal);
  await transport.retrieve(points, ids, batchFor(vectors), signal);
  const batch = batchFor(vectors);
  await transport.scroll(points, PAGE, batch, signal);
  const count = await transport.count(points, signal);
  return { ids, batch, count, requests: server.requests.slice(before) };
}

describe('a shard key', () => {
  test('of a keyword or a number goes with every read, and only its points come', async () => {
    const transport = await connect(server);
    const { vectors } = await transport.describe('tenants', signal);
    for (const [shardKey, key, wanted] of [
      [ACME, 'acme', ['1', '3']],
      [SEVEN, 7, ['2', '4']],
    ] as const) {
      const { ids, batch, count, requests } = await readAll(
        transport,
        pointsOf('tenants', { shardKey }),
        vectors,
      );
      expect(ids).toEqual([...wanted]);
      expect(batch.ids).toEqual([...wanted]);
      expect(count).toBe(2);
      expect(requests.map(({ method, shardKeys }) => [method, shardKeys])).toEqual(
        ['scroll', 'retrieve', 'scroll', 'count'].map((method) => [method, [key]]) as never,
      );
    }
  });

  test('tells points with the same id apart', async () => {
    const transport = await connect(server);
    const payloads = await Promise.all(
      ['a', 'b'].map(async (text) => {
        const batch = batchFor([]);
        await transport.retrieve(
          pointsOf('same ids', { shardKey: { kind: 'keyword', text } }),
          ['1'],
          batch,
          signal,
        );
        return Buffer.from(batch.payload.bytes.subarray(0, batch.payload.length)).toString();
      }),
    );
    expect(payloads).toEqual(['{"tenant":"a"}', '{"tenant":"b"}']);
  });

  test('that is gone is told as drift, whatever is read', async () => {
    const transport = await connect(server);
    for (const shardKey of [
      { kind: 'keyword', text: '7' },
      { kind: 'number', text: '8' },
    ] as const) {
      const points = pointsOf('tenants', { shardKey });
      for (const reading of [
        transport.count(points, signal),
        transport.scrollIds(points, PAGE, signal),
        transport.retrieve(points, ['1'], batchFor([]), signal),
        transport.scroll(points, PAGE, batchFor([]), signal),
      ]) {
        const error = await errorOf(reading);
        expect(error.code).toBe('integrity');
        expect(error.message).toMatch(
          /^Cannot .* collection `tenants` under shard key `[78]`.*: its shard key `[78]` is gone; the collection's shard keys changed while it was being exported\. Export it again\.$/,
        );
      }
    }
  });
});

describe('consistency', () => {
  test.each(['all', 'majority', 'quorum', 1, 4_294_967_296] as const)(
    '%p goes with every read',
    async (wanted) => {
      const { requests } = await readAll(await connect(server, 'grpc', wanted), pointsOf('plain'));
      expect(requests.map(({ consistency }) => consistency)).toEqual([wanted, wanted, wanted, wanted]);
    },
  );

  test("is left to the server where none was asked for, and so is the time-out's length told", async () => {
    const { requests } = await readAll(await connect(server), pointsOf('plain'));
    expect(requests.map(({ consistency }) => consistency)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(requests.map(({ timeoutSeconds }) => timeoutSeconds)).toEqual([5, 5, 5, 5]);
    expect(requests.at(-1)?.exact).toBe(true);
  });
});

describe('a filter', () => {
  const ring = (size: number) =>
    `{"points":[${[
      [0, 0],
      [size, 0],
      [size, size],
      [0, 0],
    ]
      .map(([lon, lat]) => `{"lon":${lon},"lat":${lat}}`)
      .join()}]}`;
  const FILTERS = [
    '{"must":[{"key":"word","match":{"value":"beta"}}]}',
    '{"must_not":[{"key":"word","match":{"value":"beta"}}]}',
    '{"must":{"key":"even","match":{"value":false}}}',
    '{"must":[{"key":"n","match":{"value":7}}]}',
    '{"must":[{"key":"big","match":{"value":9007199254740993}}]}',
    '{"must":[{"key":"big","match":{"any":[9007199254740993,9007199254740995,-1]}}]}',
    '{"must":[{"key":"big","match":{"except":[9007199254740993]}}]}',
    '{"must":[{"key":"word","match":{"any":["alpha","gamma"]}}]}',
    '{"must":[{"key":"word","match":{"except":["alpha"]}}]}',
    '{"must":[{"key":"word","match":{"text":"lph"}}]}',
    '{"must":[{"key":"word","match":{"text_any":"lph amm"}}]}',
    '{"must":[{"key":"word","match":{"phrase":"beta"}}]}',
    '{"must":[{"key":"n","range":{"gt":3,"lt":9.5}}]}',
    '{"must":[{"key":"n","range":{"gte":3,"lte":9}}]}',
    '{"must":[{"key":"when","range":{"gte":"2024-05-10T02:00:00+02:00","lt":"2024-05-20"}}]}',
    '{"must":[{"key":"when","range":{"gt":"2024-05-10 00:00","lte":"2024-05-20T00:00:00.000000001Z"}}]}',
    '{"must":[{"key":"place","geo_radius":{"center":{"lon":0,"lat":0},"radius":1500000.5}}]}',
    '{"must":[{"key":"place","geo_bounding_box":{"top_left":{"lon":-1,"lat":12.5},"bottom_right":{"lon":12.5,"lat":2}}}]}',
    `{"must":[{"key":"place","geo_polygon":{"exterior":${ring(40)},"interiors":[${ring(10)}]}}]}`,
    '{"must":[{"key":"list","values_count":{"gte":1,"lt":3}}]}',
    '{"must":[{"key":"list","values_count":{"gt":2,"lte":3}}]}',
    '{"must":[{"is_empty":{"key":"maybe"}}]}',
    '{"must":[{"is_null":{"key":"maybe"}}]}',
    '{"must":[{"key":"maybe","is_empty":false}]}',
    '{"must":[{"key":"maybe","is_null":true}]}',
    '{"must":[{"has_id":[1,4,9007199254740993,18446744073709551615,"f47ac10b-58cc-4372-a567-0e02b2c3d479"]}]}',
    '{"must":[{"has_vector":""}]}',
    '{"must_not":[{"has_vector":""}]}',
    '{"must":[{"nested":{"key":"items","filter":{"must":[{"key":"a","match":{"value":1}},{"key":"b","match":{"value":2}}]}}}]}',
    '{"must":[{"key":"items[].a","match":{"value":1}},{"key":"items[].b","match":{"value":2}}]}',
    '{"min_should":{"conditions":[{"key":"even","match":{"value":true}},{"key":"n","range":{"lt":20}},{"key":"word","match":{"value":"beta"}}],"min_count":2}}',
    '{"should":[{"key":"n","match":{"value":1}},{"must":[{"key":"n","match":{"value":2}}]}],"must_not":{"has_id":[7]}}',
  ];
  const all = '{"must":[],"should":null}';

  test.each([...FILTERS, all])('finds the same points over both protocols: %s', async (filter) => {
    const [grpc, rest] = await Promise.all([connect(server), connect(server, 'rest')]);
    const points = pointsOf('facts', { filter });
    const [overGrpc, overRest] = [await readAll(grpc, points), await readAll(rest, points)];
    expect(overGrpc.ids).toEqual(overRest.ids);
    expect(overGrpc.batch.ids).toEqual(overRest.batch.ids);
    expect(overGrpc.count).toBe(overRest.count);
    // It finds some and leaves some out, or the comparison would say little.
    expect(overGrpc.ids.length > 0 && overGrpc.ids.length < FACTS).toBe(filter !== all);
    // On all reads but the retrieve, where it does not count.
    const filters = overGrpc.requests.map((request) => request.filter);
    expect(filters.map((text) => text !== undefined)).toEqual([true, false, true, true]);
    expect(filters).toEqual(overRest.requests.map((request) => request.filter));
  });

  test('is read anew where another one is asked for', async () => {
    const transport = await connect(server);
    for (const n of [1, 2, 1]) {
      const filter = `{"must":[{"key":"n","range":{"lt":${n}}}]}`;
      expect(await transport.count(pointsOf('facts', { filter }), signal)).toBe(n);
    }
  });

  test('goes with a shard key, each for itself', async () => {
    const transport = await connect(server);
    const filter = '{"must":[{"has_id":[1,2]}]}';
    for (const [shardKey, id] of [
      [ACME, '1'],
      [SEVEN, '2'],
    ] as const) {
      const { ids, count } = await readAll(transport, pointsOf('tenants', { shardKey, filter }));
      expect(ids).toEqual([id]);
      expect(count).toBe(1);
    }
  });

  test('with a slip of the pen never reaches the server', async () => {
    const transport = await connect(server);
    const before = server.requests.length;
    const points = pointsOf('plain', { filter: '{"must":[{"key":"a","mach":{"value":1}}]}' });
    for (const reading of [
      transport.count(points, signal),
      transport.scrollIds(points, PAGE, signal),
      transport.scroll(points, PAGE, batchFor([]), signal),
    ]) {
      const error = await errorOf(reading);
      expect(error.code).toBe('usage');
      expect(error.message).toStartWith('--filter: must[0].mach is not a condition on a field');
    }
    expect(server.requests.length).toBe(before);
  });

  test.each([
    ['{"must":[{"has_id":["17"]}]}', 'Unable to parse UUID: 17'],
    ['{"must":[{"key":"a[","match":{"value":1}}]}', "Invalid json path: 'a['"],
  ])('that the server refuses is told as the filter that it is: %s', async (filter, words) => {
    const transport = await connect(server);
    const error = await errorOf(transport.count(pointsOf('plain', { filter }), signal));
    expect(error.code).toBe('usage');
    expect(error.message).toBe(
      `Cannot count collection \`plain\`: Qdrant does not take the filter given with --filter: ${words}.`,
    );
  });

  test('with a slice is refused once the server is known to be too old for it', async () => {
    const transport = await connect(server);
    await transport.describe('plain', signal);
    const filter = '{"must":[{"slice":{"total":2,"index":0}}]}';
    const error = await errorOf(transport.count(pointsOf('plain', { filter }), signal));
    expect(error.message).toContain('must[0].slice needs Qdrant 1.19 or later, and this one is 1.18.3');
  });
});

describe('vectors', () => {
  /** What the last scroll with payloads asked for. */
  const asked = () => server.requests.filter(({ method }) => method === 'scroll').at(-1)?.vectors;

  async function scrolled(collection: string, names: readonly string[] | undefined, known = true) {
    const transport = await connect(server);
    const { vectors } = await (known ? transport : await connect(server)).describe(collection, signal);
    const batch = batchFor(vectors.filter(({ name }) => names?.includes(name) ?? true));
    await transport.scroll(pointsOf(collection), PAGE, batch, signal);
    return batch;
  }

  test('are asked for by name, so that one that is gone is missed', async () => {
    await scrolled('named', undefined);
    expect(asked()).toEqual(['bm25', 'colbert', 'half', 'image', 'text']);
    await scrolled('named', ['colbert']);
    expect(asked()).toEqual(['colbert']);
  });

  test('are all asked for where the unnamed one is known to be all there is', async () => {
    expect((await scrolled('g', undefined)).vectors[0]?.present[0]).toBe(1);
    expect(asked()).toBe(true);
    expect((await scrolled('g', undefined, false)).vectors[0]?.present[0]).toBe(1);
    expect(asked()).toEqual(['']);
  });

  test('are not asked for where there are none, or none is wanted', async () => {
    expect((await scrolled('none', undefined)).rowCount).toBe(5);
    expect(asked()).toBe(false);
    expect((await scrolled('g', [])).rowCount).toBe(300);
    expect(asked()).toBe(false);
  });

  test('without a name come beside named ones, and alone, as REST gives them', async () => {
    for (const names of [undefined, [''], ['s'], ['', 's'], ['m', '']]) {
      const batch = await scrolled('mixed', names);
      expect(asked()).toEqual(names?.toSorted() ?? ['', 'm', 's']);
      const rest = await connect(server, 'rest');
      await rest.describe('mixed', signal);
      const expected = batchFor(batch.layout.vectors);
      await rest.scroll(pointsOf('mixed'), PAGE, expected, signal);
      for (const [at, column] of batch.vectors.entries()) {
        const other = expected.vectors[at] as typeof column;
        expect(column.present).toEqual(other.present);
        expect(column.values).toEqual(other.values);
        expect(new Set(column.present.subarray(0, 40))).toEqual(new Set([0, 1]));
      }
    }
  });
});
