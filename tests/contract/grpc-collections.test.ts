import { afterAll, expect, test } from 'bun:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { HealthCheckReplySchema, ListCollectionsResponseSchema } from '@qdrant/js-client-grpc';
import { ToolError } from '../../lib/errors.ts';
import { grpcTransport } from '../../lib/qdrant/grpc.ts';
import type { Transport, TransportSettings } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { type GrpcExchangeRecording, readRecording } from '../support/qdrant-double/recorded-exchanges.ts';
import { type ScriptedReply, scriptedGrpc } from './scripted-grpc.ts';

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
  const transport = grpcTransport({
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

/** What a server makes of the question that gives this reply. */
async function listed(reply: ScriptedReply): Promise<readonly string[]> {
  const version = create(HealthCheckReplySchema, { title: 'qdrant', version: '1.18.3' });
  const server = await scriptedGrpc({ HealthCheck: toBinary(HealthCheckReplySchema, version), List: reply });
  stops.push(() => server.stop());
  return connect(server.url).collections(signal);
}

function listOf(names: readonly string[]): Uint8Array {
  const list = create(ListCollectionsResponseSchema, { collections: names.map((name) => ({ name })) });
  return toBinary(ListCollectionsResponseSchema, list);
}

for (const version of ['1.16.3', '1.18.3']) {
  test(`collections() lists those that Qdrant ${version} had, without its alias`, async () => {
    const exchanges = readRecording<GrpcExchangeRecording[]>(version, 'grpc.json');
    const found = exchanges.find(({ name }) => name === 'list collections')?.response.messages[0]?.data;
    expect(await listed(Buffer.from(String(found), 'base64'))).toEqual(RECORDED);
  });
}

test('collections() lists names of any characters by code point, in whatever order they come', async () => {
  const names = ODD_NAMES.toReversed();
  const double = await start({ generated: generated(names), aliases: { another: 'A' } });
  expect(await connect(double.grpcUrl).collections(signal)).toEqual(ODD_NAMES);
});

test('collections() of a server that has none are none', async () => {
  const double = await start({});
  expect(await connect(double.grpcUrl).collections(signal)).toEqual([]);
});

test('collections() needs no more than a read-only key, and a wrong one is told', async () => {
  const double = await start({ generated: generated(['c']), apiKey: 'secret', readOnlyKey: 'readonly' });
  const readOnly = connect(double.grpcUrl, { apiKey: new Secret('readonly') });
  expect(await readOnly.collections(signal)).toEqual(['c']);
  const error = await errorOf(connect(double.grpcUrl, { apiKey: new Secret('wrong') }).collections(signal));
  expect(error.message).toBe(
    'Cannot list collections: Qdrant answered UNAUTHENTICATED ("Invalid API key or JWT"). Check QDRANT_API_KEY.',
  );
});

test('collections() asks again after what passes, and once more it gives up', async () => {
  const double = await start({ generated: generated(['c']) });
  let failures = 1;
  double.setFaults(({ method }) => {
    if (method !== 'list' || failures-- <= 0) return undefined;
    return { kind: 'status', http: 503, grpc: 14, message: 'starting' };
  });
  const transport = connect(double.grpcUrl);
  expect(await transport.collections(signal)).toEqual(['c']);
  expect(double.stats.requests.list).toBe(2);
  failures = 2;
  const error = await errorOf(transport.collections(signal));
  expect(error.message).toBe('Cannot list collections: Qdrant answered UNAVAILABLE ("starting").');
});

test('collections() is not waited for longer than its deadline, nor once the run is cancelled', async () => {
  const double = await start({ generated: generated(['c']) });
  const cancelled = new AbortController();
  const standing = Promise.withResolvers<void>();
  double.setFaults(({ method }) => (method === 'list' ? { kind: 'stall' } : undefined));
  const hasty = connect(double.grpcUrl, { timeoutSeconds: 0.1, retryPolicy: { ...TWICE, attempts: 1 } });
  const late = await errorOf(hasty.collections(signal));
  expect(late.message).toMatch(
    /^Cannot list collections: 127\.0\.0\.1:\d+ did not answer within .+ s\. See /,
  );
  double.setFaults(({ method }) => {
    if (method === 'list') standing.resolve();
    return method === 'list' ? { kind: 'stall' } : undefined;
  });
  const asking = errorOf(connect(double.grpcUrl).collections(cancelled.signal));
  await standing.promise;
  cancelled.abort(new ToolError('cancelled', 'Enough.'));
  expect((await asking).message).toBe('Enough.');
});

test("collections() as the first question of all says when the port is REST's", async () => {
  const double = await start({});
  const error = await errorOf(connect(double.restUrl).collections(signal));
  expect(error.message).toMatch(/is Qdrant's REST port\. Use --http, or port 6334\.$/);
});

test.each([
  ['an empty name', [''], 'has ""'],
  ['a path for a name', ['a', '../a'], 'has "../a"'],
  ['NUL in a name', ['a\0'], 'has "a\\u0000"'],
])('collections() refuses a list with %s', async (_, names, found) => {
  const { message } = await errorOf(listed(listOf(names)));
  expect(message).toBe(`Cannot list collections: the answer ${found} for a collection's name.`);
});

test('collections() repeats no more than the beginning of a name that is none', async () => {
  const { message } = await errorOf(listed(listOf(['/'.repeat(100_000)])));
  expect(message).toBe(
    `Cannot list collections: the answer has "${'/'.repeat(100)}…" for a collection's name.`,
  );
});

test('collections() refuses a list with the same name twice', async () => {
  const { message } = await errorOf(listed(listOf(['b', 'a', 'b'])));
  expect(message).toBe('Cannot list collections: the answer lists collection `b` twice.');
});

test.each([
  ['no list of names', Buffer.from([0x0a, 0x05, 0x0a])],
  ['half a character in a name', Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0x61, 0xf0])],
])('collections() refuses bytes that are %s', async (_, bytes) => {
  const { message } = await errorOf(listed(bytes));
  expect(message).toBe('Cannot read an answer of Qdrant over gRPC: its bytes are malformed.');
});

test('collections() that the key may not ask for says so, and not that it may not read', async () => {
  const { message } = await errorOf(listed({ status: 7, text: 'Forbidden' }));
  expect(message).toBe(
    'Cannot list collections: Qdrant answered PERMISSION_DENIED ("Forbidden"). QDRANT_API_KEY needs to be allowed to do that.',
  );
});
