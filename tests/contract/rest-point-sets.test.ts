import { afterAll, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import type { VectorSpec } from '../../lib/model.ts';
import { restTransport } from '../../lib/qdrant/rest.ts';
import type { PointSet, Transport, TransportSettings } from '../../lib/qdrant/transport.ts';
import { pointsOf } from '../support/point-sets.ts';
import { rowsOf, rowsOfAnswer, specOf } from '../unit/qdrant/batch-rows.ts';
import { exchangesOf, replay, VERSIONS } from './recorded-rest.ts';
import { recordedAnswer, type ScriptedAnswer, scriptedRest } from './scripted-rest.ts';

const signal = new AbortController().signal;
const PAGE = { offset: undefined, limit: 10 };
const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

function connect(url: URL, settings: Partial<TransportSettings> = {}): Transport {
  const transport = restTransport({
    url,
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: { attempts: 3, toldPauses: 0, baseMs: 1, capMs: 1 },
    ...settings,
  });
  stops.push(() => transport.close());
  return transport;
}

function batchOf(...vectors: readonly VectorSpec[]): PointBatch {
  return new PointBatch({ rows: 100, vectors, fields: [] });
}

const word = (text: string) => ({ kind: 'keyword', text }) as const;
const number = (text: string) => ({ kind: 'number', text }) as const;

const POINTS = { result: '{"points":[],"next_page_offset":null}' };
const EMPTY_SERVER: Readonly<Record<string, ScriptedAnswer>> = {
  'POST /collections/c/points/count': { result: '{"count":3}' },
  'POST /collections/c/points/scroll': POINTS,
  'POST /collections/c/points': { result: '[]' },
};

/** The four reads of a set, each as a function that sends it. */
function readsOf(transport: Transport, points: PointSet, ...vectors: readonly VectorSpec[]) {
  return [
    () => transport.count(points, signal),
    () => transport.scrollIds(points, { offset: '7', limit: 10 }, signal),
    () => transport.retrieve(points, ['1', '18446744073709551615'], batchOf(...vectors), signal),
    () => transport.scroll(points, PAGE, batchOf(...vectors), signal),
  ];
}

/** Queries and bodies of the four reads. */
async function sent(
  points: PointSet,
  settings: Partial<TransportSettings> = {},
  ...vectors: readonly VectorSpec[]
) {
  const server = scriptedRest(EMPTY_SERVER);
  stops.push(server.stop);
  for (const read of readsOf(connect(server.url, settings), points, ...vectors)) await read();
  return server.seen;
}

const unnamed = specOf('dense', '', 2);

test('a shard key goes with every read, words in quotes and numbers digit by digit', async () => {
  const bodies = async (points: PointSet) => (await sent(points, {}, unnamed)).map(({ body }) => body);
  expect(await bodies(pointsOf('c', { shardKey: word('a"\u0000é') }))).toEqual([
    '{"exact":true,"shard_key":"a\\"\\u0000é"}',
    '{"limit":10,"with_payload":false,"with_vector":false,"offset":7,"shard_key":"a\\"\\u0000é"}',
    '{"ids":[1,18446744073709551615],"with_payload":true,"with_vector":[""],"shard_key":"a\\"\\u0000é"}',
    '{"limit":10,"with_payload":true,"with_vector":[""],"shard_key":"a\\"\\u0000é"}',
  ]);
  for (const body of await bodies(pointsOf('c', { shardKey: number('18446744073709551615') }))) {
    expect(body).toEndWith(',"shard_key":18446744073709551615}');
  }
  for (const body of await bodies(pointsOf('c', { shardKey: word('7') })))
    expect(body).toEndWith(',"shard_key":"7"}');
});

test('a filter goes as it is with counts and scrolls, and not with retrieves', async () => {
  const filter =
    '{ "must": [ {"key":"n","match":{"value":18446744073709551615}} , {"has_id":[9007199254740993]} ] }';
  const [count, ids, retrieve, scroll] = await sent(pointsOf('c', { filter }));
  for (const body of [count, ids, scroll].map((seen) => seen?.body))
    expect(body).toEndWith(`,"filter":${filter}}`);
  expect(retrieve?.body).not.toContain('filter');
});

test('consistency goes beside the time limit with every read of points, and with nothing else', async () => {
  for (const consistency of ['majority', 'quorum', 'all', 2] as const) {
    for (const { query } of await sent(pointsOf('c'), { consistency })) {
      expect(query).toBe(`?timeout=5&consistency=${consistency}`);
    }
  }
  for (const { query } of await sent(pointsOf('c'))) expect(query).toBe('?timeout=5');
  const server = scriptedRest({ 'GET /collections/c': { result: '{"config":{"params":{}}}' } });
  stops.push(server.stop);
  await connect(server.url, { consistency: 'all' }).describe('c', signal);
  for (const { query } of server.seen) expect(query).toBe('?timeout=5');
});

test('no more vectors are asked for than the layout has', async () => {
  const selector = async (...vectors: readonly VectorSpec[]) => {
    const [, , retrieve, scroll] = await sent(pointsOf('c'), {}, ...vectors);
    const [one, other] = [retrieve, scroll].map(
      (seen) => /"with_vector":(\[.*\]|\w+)/.exec(seen?.body ?? '')?.[1],
    );
    expect(one).toBe(other as string);
    return one;
  };
  expect(await selector()).toBe('false');
  expect(await selector(unnamed)).toBe('[""]');
  expect(await selector(specOf('sparse', 'b"é', 0), specOf('multi', 'a', 1))).toBe('["b\\"é","a"]');
  expect(await selector(unnamed, specOf('sparse', 's', 0))).toBe('["","s"]');
});

test('a collection whose only vector has no name is asked for all it has, once that is known', async () => {
  const only = '{"config":{"params":{"vectors":{"size":2,"distance":"Dot"}}}}';
  const mixed = '{"config":{"params":{"vectors":{"size":2,"distance":"Dot"},"sparse_vectors":{"s":{}}}}}';
  const aliases = { result: '{"aliases":[{"alias_name":"alias","collection_name":"c"}]}' };
  for (const [info, wanted] of [
    [only, '"with_vector":true'],
    [mixed, '"with_vector":[""]'],
  ] as const) {
    const server = scriptedRest({
      ...EMPTY_SERVER,
      'GET /collections/alias': { result: info },
      'GET /aliases': aliases,
    });
    stops.push(server.stop);
    const transport = connect(server.url);
    await transport.describe('alias', signal);
    await transport.scroll(pointsOf('c'), PAGE, batchOf(unnamed), signal);
    expect(server.seen.at(-1)?.body).toContain(wanted);
  }
});

for (const version of VERSIONS) {
  test(`reads under one shard key give what ${version} answered, the same ids twice included`, async () => {
    const server = replay(version);
    stops.push(server.stop);
    const transport = connect(server.url);
    const scrolled = async (points: PointSet) => {
      const batch = batchOf(unnamed);
      await transport.scroll(points, PAGE, batch, signal);
      return rowsOf(batch);
    };
    const retrieved = async (points: PointSet, ids: readonly string[]) => {
      const batch = batchOf(unnamed);
      await transport.retrieve(points, ids, batch, signal);
      return rowsOf(batch);
    };
    const recorded = (name: string) => {
      const found = exchangesOf(version).find((exchange) => exchange.name === name);
      return rowsOfAnswer(found?.response.body ?? '', [unnamed]);
    };
    const same = 'same ids in two shard keys:';
    const under = (key: string) => pointsOf('same ids', { shardKey: word(key) });
    expect(await scrolled(pointsOf('tenants', { shardKey: word('acme') }))).toEqual(
      recorded('tenants: scroll one'),
    );
    expect(await retrieved(pointsOf('tenants', { shardKey: number('7') }), ['1', '2', '3', '4'])).toEqual(
      recorded('tenants: retrieve one'),
    );
    expect(await scrolled(under('a'))).toEqual(recorded(`${same} scroll a`));
    expect(await scrolled(under('b'))).toEqual(recorded(`${same} scroll b`));
    expect(await retrieved(under('b'), ['1', '2'])).toEqual(recorded(`${same} retrieve b`));
    expect(await transport.count(under('b'), signal)).toBe(2);
    const filter = '{"must":[{"key":"group","match":{"value":1}}]}';
    expect(await transport.count(pointsOf('three shards', { filter }), signal)).toBeGreaterThan(0);
    expect(server.asked.filter((name) => name.startsWith('?'))).toEqual([]);
  });

  test(`what ${version} refuses of a request ends the run at once, with a sentence`, async () => {
    const told = async (answer: string | ScriptedAnswer, points: PointSet) => {
      const scripted = typeof answer === 'string' ? recordedAnswer(version, answer) : answer;
      const server = scriptedRest(
        Object.fromEntries(Object.keys(EMPTY_SERVER).map((route) => [route, scripted])),
      );
      stops.push(server.stop);
      const errors: ToolError[] = [];
      for (const read of readsOf(connect(server.url), points, unnamed)) {
        const error = await read().then(
          () => new Error('nothing was thrown'),
          (thrown: unknown) => thrown,
        );
        if (!(error instanceof ToolError)) throw error;
        errors.push(error);
      }
      expect(errors.map(({ remedy }) => remedy)).toEqual(['none', 'none', 'none', 'none']);
      expect(server.seen).toHaveLength(4);
      return errors.map(({ code, message }) => `${code}: ${message}`);
    };
    expect(await told('error: bad filter', pointsOf('c', { filter: '{"must":[{"nope":1}]}' }))).toEqual(
      [
        'usage: Cannot count collection `c`',
        'usage: Cannot read ids of collection `c` from id 7',
        'usage: Cannot read 2 points of collection `c` from id 1',
        'usage: Cannot read points of collection `c` from the first',
      ].map(
        (start) =>
          `${start}: Qdrant does not take the filter given with --filter: Expected some form of condition, which can be a field condition (like {"key": ..., "match": ... }), or some other mentioned in the documentation: https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions.`,
      ),
    );
    const [gone] = await told('tenants: unknown shard key', pointsOf('c', { shardKey: word('nope') }));
    expect(gone).toBe(
      "integrity: Cannot count collection `c` under shard key `nope`: its shard key `nope` is gone; the collection's shard keys changed while it was being exported. Export it again.",
    );
    const [dropped] = await told('scroll vector name unknown', pointsOf('c'));
    expect(dropped).toBe(
      "integrity: Cannot count collection `c`: its vector `nope` is gone; the collection's vectors changed while it was being exported. Export it again.",
    );
    const limited = await told('error: strict limit', pointsOf('c', { filter: '{}', shardKey: word('a') }));
    for (const text of limited) expect(text).toMatch(/^qdrant: .* answered 400 .*Limit exceeded 11 > 10/);
  });
}

test('other refusals of a filter are told with its flag, long ones cut', async () => {
  const words = [
    'Bad request: Index required but not found for \\"city\\" of one of the following types: [keyword]. Help: Create an index for this key or use a different filter.',
    'Validation error in JSON body: [scroll_request.filter.must[0].geo_radius.radius: value -1 invalid, must be 0.0 or larger]',
    'Format error in JSON body: unknown field `musst`, expected one of `should`, `min_should`, `must`, `must_not` at line 1 column 80',
    `Format error in JSON body: ${'data did not match any variant of untagged enum '.repeat(20)} at line 1 column 80`,
  ];
  const messages: string[] = [];
  for (const [i, text] of words.entries()) {
    const answer = { status: i === 1 ? 422 : 400, body: `{"status":{"error":"${text}"},"time":0.0}` };
    const server = scriptedRest({ 'POST /collections/c/points/count': answer });
    stops.push(server.stop);
    const error: unknown = await connect(server.url)
      .count(pointsOf('c', { filter: '{"a":1}' }), signal)
      .catch((e) => e);
    expect(error instanceof ToolError && error.code).toBe('usage');
    messages.push((error as ToolError).message.replace(/^.*--filter: /, ''));
    const plain: unknown = await connect(server.url)
      .count(pointsOf('c'), signal)
      .catch((e) => e);
    expect(plain instanceof ToolError && plain.code).toBe('qdrant');
  }
  expect(messages.slice(0, 3)).toEqual([
    'Index required but not found for "city" of one of the following types: [keyword]. Help: Create an index for this key or use a different filter.',
    '[scroll_request.filter.must[0].geo_radius.radius: value -1 invalid, must be 0.0 or larger].',
    'unknown field `musst`, expected one of `should`, `min_should`, `must`, `must_not`.',
  ]);
  expect(messages[3]).toMatch(/^data did not .* …$/);
  expect(messages[3]?.length).toBeLessThan(250);
});
