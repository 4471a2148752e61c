import { afterAll, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { restTransport } from '../../lib/qdrant/rest.ts';
import type { Transport, TransportSettings } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { replay, VERSIONS } from './recorded-rest.ts';
import { scriptedRest } from './scripted-rest.ts';

const signal = new AbortController().signal;
const TWICE: RetryPolicy = { attempts: 2, toldPauses: 0, baseMs: 1, capMs: 1 };
/** In UTF-16 the last two would change places. */
const ODD_NAMES = ['#1% &co?', '.hidden', 'A', 'a', 'a b', 'a\\b', 'é', '日本', '\uff61', '😀'];
const RECORDED = [
  ...['cosine', 'empty', 'multi', 'named', 'plain', 'quantized', 'sparse_only', 'strict', 'three shards'],
  'ünï #1% &co',
];

const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

function connect(url: string | URL, settings: Partial<TransportSettings> = {}): Transport {
  const transport = restTransport({
    url: new URL(url),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: TWICE,
    ...settings,
  });
  stops.push(() => transport.close());
  return transport;
}

async function start(options: QdrantDoubleOptions) {
  const double = await startQdrantDouble(options);
  stops.push(() => double.stop());
  return double;
}

function generated(names: readonly string[]) {
  return names.map((name) => ({ name, points: 1, dimensions: 2 }));
}

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

/** The error for a server that answers the question so. */
async function refused(result: string): Promise<ToolError> {
  const server = scriptedRest({ 'GET /collections': { result } });
  stops.push(server.stop);
  return errorOf(connect(server.url).collections(signal));
}

for (const version of VERSIONS) {
  test(`collections() lists those that Qdrant ${version} had, without its alias`, async () => {
    const server = replay(version, 'list collections');
    const greeted = scriptedRest({ 'GET /collections': await answerOf(`${server.url}collections`) }, version);
    stops.push(server.stop, greeted.stop);
    expect(await connect(greeted.url).collections(signal)).toEqual(RECORDED);
  });
}

async function answerOf(url: string) {
  return { status: 200, body: await (await fetch(url)).text() };
}

test('collections() lists names of any characters by code point, in whatever order they come', async () => {
  const names = ODD_NAMES.toReversed();
  const double = await start({ generated: generated(names), aliases: { another: 'A' } });
  expect(await connect(double.restUrl).collections(signal)).toEqual(ODD_NAMES);
});

test('collections() of a server that has none are none', async () => {
  const double = await start({});
  expect(await connect(double.restUrl).collections(signal)).toEqual([]);
});

test('collections() needs no more than a read-only key, and a wrong one is told', async () => {
  const double = await start({ generated: generated(['c']), apiKey: 'secret', readOnlyKey: 'readonly' });
  const readOnly = connect(double.restUrl, { apiKey: new Secret('readonly') });
  expect(await readOnly.collections(signal)).toEqual(['c']);
  const error = await errorOf(connect(double.restUrl, { apiKey: new Secret('wrong') }).collections(signal));
  expect(error.message).toBe(
    'Cannot list collections: Qdrant answered 401 Unauthorized ("Invalid API key or JWT"). Check QDRANT_API_KEY.',
  );
});

test('collections() asks again after what passes, and once more it gives up', async () => {
  const double = await start({ generated: generated(['c']) });
  let failures = 1;
  double.setFaults(({ method }) => {
    if (method !== 'list' || failures-- <= 0) return undefined;
    return { kind: 'status', http: 503, grpc: 14, message: 'starting' };
  });
  const transport = connect(double.restUrl);
  expect(await transport.collections(signal)).toEqual(['c']);
  expect(double.stats.requests.list).toBe(2);
  failures = 2;
  const error = await errorOf(transport.collections(signal));
  expect(error.message).toBe(
    'Cannot list collections: Qdrant answered 503 Service Unavailable ("starting").',
  );
});

test('collections() is not waited for longer than its deadline, nor once the run is cancelled', async () => {
  const double = await start({ generated: generated(['c']) });
  const cancelled = new AbortController();
  const standing = Promise.withResolvers<void>();
  double.setFaults(({ method }) => (method === 'list' ? { kind: 'stall' } : undefined));
  const hasty = connect(double.restUrl, { timeoutSeconds: 0.1, retryPolicy: { ...TWICE, attempts: 1 } });
  const late = await errorOf(hasty.collections(signal));
  expect(late.message).toMatch(
    /^Cannot list collections: 127\.0\.0\.1:\d+ did not answer within .+ s\. See /,
  );
  double.setFaults(({ method }) => {
    if (method === 'list') standing.resolve();
    return method === 'list' ? { kind: 'stall' } : undefined;
  });
  const asking = errorOf(connect(double.restUrl).collections(cancelled.signal));
  await standing.promise;
  cancelled.abort(new ToolError('cancelled', 'Enough.'));
  expect((await asking).message).toBe('Enough.');
});

test("collections() as the first question of all says when the port is gRPC's", async () => {
  const double = await start({});
  const error = await errorOf(connect(double.grpcUrl).collections(signal));
  expect(error.message).toMatch(/is Qdrant's gRPC port\. Leave out --http, or use port 6333\.$/);
});

test.each([
  ['a name that is none', '{"collections":[{"name":"a"},{"name":7}]}', 'has a value of type number for'],
  ['an integer that no number holds', '{"collections":[{"name":18446744073709551615}]}', 'type bigint for'],
  ['no name', '{"collections":[{}]}', 'has a value of type undefined for'],
  ['null for a name', '{"collections":[{"name":null}]}', 'has null for'],
  ['an empty name', '{"collections":[{"name":""}]}', 'has "" for'],
  ['a path for a name', '{"collections":[{"name":"../a"}]}', 'has "../a" for'],
  ['NUL in a name', '{"collections":[{"name":"a\\u0000"}]}', 'has "a\\u0000" for'],
  ['half a character in a name', '{"collections":[{"name":"a\\ud83d"}]}', 'has "a\\ud83d" for'],
])('collections() refuses a list with %s', async (_, result, found) => {
  const { message } = await refused(result);
  expect(message).toStartWith('Cannot list collections: the answer has ');
  expect(message).toEndWith(`${found} a collection's name.`);
});

test('collections() repeats no more than the beginning of a name that is none', async () => {
  const { message } = await refused(`{"collections":[{"name":"${'/'.repeat(100_000)}"}]}`);
  expect(message).toBe(
    `Cannot list collections: the answer has "${'/'.repeat(100)}…" for a collection's name.`,
  );
});

test('collections() refuses a list with the same name twice', async () => {
  const { message } = await refused('{"collections":[{"name":"b"},{"name":"a"},{"name":"b"}]}');
  expect(message).toBe('Cannot list collections: the answer lists collection `b` twice.');
});

test.each(['{}', '{"collections":null}', '{"collections":"c"}', '{"collections":[null]}'])(
  'collections() refuses an answer of another shape: %s',
  async (result) => {
    expect((await refused(result)).message).toBe(
      "Cannot list collections: the answer is not of the shape that Qdrant's API promises.",
    );
  },
);

test('collections() that the key may not ask for says so, and not that it may not read', async () => {
  const server = scriptedRest({
    'GET /collections': { status: 403, body: '{"status":{"error":"Forbidden"}}' },
  });
  stops.push(server.stop);
  expect((await errorOf(connect(server.url).collections(signal))).message).toBe(
    'Cannot list collections: Qdrant answered 403 Forbidden ("Forbidden"). QDRANT_API_KEY needs to be allowed to do that.',
  );
});
