import { afterAll, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { CollectionShape } from '../../lib/model.ts';
import { restTransport } from '../../lib/qdrant/rest.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { exchangesOf, type RecordedVersion, replay, VERSIONS } from './recorded-rest.ts';
import { type ScriptedAnswer, scriptedRest } from './scripted-rest.ts';

const signal = new AbortController().signal;
const ONCE: RetryPolicy = { attempts: 2, toldPauses: 0, baseMs: 1, capMs: 1 };
const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

function connect(url: URL) {
  const settings = { url, apiKey: undefined, caCertificate: undefined, timeoutSeconds: 5, retryPolicy: ONCE };
  const transport = restTransport(settings);
  stops.push(() => transport.close());
  return transport;
}

function connectReplay(version: RecordedVersion) {
  const server = replay(version);
  stops.push(server.stop);
  return connect(server.url);
}

/** Describes collection `c` of a server that answers so. */
async function described(answers: Readonly<Record<string, ScriptedAnswer>>, of = signal) {
  const server = scriptedRest(answers);
  stops.push(server.stop);
  return connect(server.url).describe('c', of);
}

/** The `result` of a CollectionInfo. */
function infoOf(params: string, more = ''): ScriptedAnswer {
  return { result: `{"status":"green","config":{"params":{${params}}${more}}}` };
}

const PLAIN = infoOf('"vectors":{"size":4,"distance":"Dot"}');
const CUSTOM = infoOf('"vectors":{},"sharding_method":"custom"');
const ALIASES = { result: '{"aliases":[{"alias_name":"c","collection_name":"real"}]}' };

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

const COLLECTIONS = exchangesOf('1.18.3').flatMap(({ name }) => /^info (?!of)(.*)/.exec(name)?.[1] ?? []);
const ALL = [...COLLECTIONS, 'tenants', 'same ids', 'plain-alias'];

async function recordedShapes(version: RecordedVersion): Promise<Readonly<Record<string, CollectionShape>>> {
  const transport = connectReplay(version);
  const shapes = await Promise.all(ALL.map((name) => transport.describe(name, signal)));
  return Object.fromEntries(shapes.map((shape) => [shape.name, shape]));
}

for (const version of VERSIONS) {
  test(`describe() reads the shape of every recorded collection of ${version}`, async () => {
    const shapes = await recordedShapes(version);
    const unnamed = { kind: 'dense', name: '', size: 4, distance: 'Dot', datatype: 'float32' } as const;
    const { config, ...plain } = shapes.plain as CollectionShape;
    expect(plain).toEqual({
      name: 'plain',
      collection: 'plain',
      serverVersion: version,
      vectors: [unnamed],
      shardCount: 1,
      sharding: 'auto',
      shardKeys: [],
      strictMode: {},
      updateQueue: version === '1.18.3' ? 0 : undefined,
    });
    expect(shapes['plain-alias']).toEqual({ ...plain, config, name: 'plain-alias' });
    expect(shapes['three shards']?.shardCount).toBe(3);
    expect(shapes.strict?.strictMode).toEqual({ maxQueryLimit: 10, readRateLimit: 5, maxTimeoutSeconds: 30 });
    expect(shapes.cosine?.vectors).toEqual([{ ...unnamed, distance: 'Cosine' }]);
    expect(shapes.multi?.vectors).toEqual([{ ...unnamed, kind: 'multi', size: 3, distance: 'Cosine' }]);
    expect(shapes.sparse_only?.vectors).toEqual([{ ...unnamed, kind: 'sparse', name: 's', size: 0 }]);
    expect(shapes.named?.vectors).toEqual([
      { ...unnamed, kind: 'sparse', name: 'bm25', size: 0 },
      { ...unnamed, kind: 'multi', name: 'colbert', size: 2 },
      { ...unnamed, name: 'half', size: 2, distance: 'Manhattan', datatype: 'float16' },
      { ...unnamed, name: 'image', size: 3, distance: 'Euclid', datatype: 'uint8' },
      { ...unnamed, name: 'text' },
    ]);
    expect(shapes.tenants?.sharding).toBe('custom');
    expect(shapes.tenants?.shardKeys).toEqual([
      { kind: 'number', text: '7' },
      { kind: 'keyword', text: 'acme' },
    ]);
    expect(shapes['same ids']?.shardKeys.map(({ text }) => text)).toEqual(['a', 'b']);
  });
}

test('the config of a recorded collection is the same text from both versions', async () => {
  const [old, current] = await Promise.all(VERSIONS.map(recordedShapes));
  for (const name of ALL) expect([name, current?.[name]?.config]).toEqual([name, old?.[name]?.config]);
  expect(old?.quantized?.config).toBe(
    '{"hnsw_config":{"ef_construct":100,"full_scan_threshold":10000,"m":8,"max_indexing_threads":0,"on_disk":false},"optimizer_config":{"default_segment_number":0,"deleted_threshold":0.2,"flush_interval_sec":5,"indexing_threshold":10000,"vacuum_min_vector_number":1000},"params":{"on_disk_payload":true,"replication_factor":1,"shard_number":1,"vectors":{"distance":"Dot","on_disk":true,"size":4},"write_consistency_factor":1},"quantization_config":{"scalar":{"always_ram":true,"type":"int8"}},"wal_config":{"wal_capacity_mb":32,"wal_retain_closed":1,"wal_segments_ahead":0}}',
  );
});

test('a config keeps integers above 2^53 whole', async () => {
  const info = infoOf(
    '"vectors":{}',
    ',"optimizer_config":{"max_segment_size":18446744073709551615,"a":9007199254740993,"b":0.25}',
  );
  const shape = await described({ 'GET /collections/c': info, 'GET /aliases': ALIASES });
  expect(shape.config).toBe(
    '{"optimizer_config":{"a":9007199254740993,"b":0.25,"max_segment_size":18446744073709551615},"params":{"vectors":{}}}',
  );
});

test('a name that is an alias gets the name it stands for, and any other its own', async () => {
  const others = { result: '{"aliases":[{"alias_name":"x","collection_name":"c"}]}' };
  const told = async (aliases: ScriptedAnswer) =>
    (await described({ 'GET /collections/c': PLAIN, 'GET /aliases': aliases })).collection;
  expect(await told(ALIASES)).toBe('real');
  expect(await told(others)).toBe('c');
});

test('a list of aliases that is refused, failing or nonsense costs nothing but the name', async () => {
  const bad: readonly ScriptedAnswer[] = [
    { status: 403, body: '{"status":{"error":"Forbidden: Global access is required"}}' },
    { status: 401, body: 'Invalid API key or JWT' },
    { status: 500, body: '{"status":{"error":"Service internal error"}}' },
    { status: 404, body: '' },
    { result: 'null' },
    { result: '{}' },
    { result: '{"aliases":[null]}' },
    { result: '{"aliases":[{"alias_name":"c"}]}' },
    { result: '{"aliases":' },
  ];
  for (const aliases of bad) {
    const shape = await described({ 'GET /collections/c': PLAIN, 'GET /aliases': aliases });
    expect(shape.collection).toBe('c');
    expect(shape.vectors).toHaveLength(1);
  }
});

test('cancelling while aliases are listed ends with the reason', async () => {
  const stop = new AbortController();
  const reason = new ToolError('cancelled', 'Stopped by Ctrl+C.');
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === '/') return Response.json({ title: 'qdrant', version: '1.18.3' });
      if (pathname !== '/aliases') return Response.json({ result: { config: { params: {} } } });
      stop.abort(reason);
      return new Promise<Response>(() => undefined);
    },
  });
  stops.push(() => server.stop(true));
  expect(await errorOf(connect(server.url).describe('c', stop.signal))).toBe(reason);
});

test('shard keys come in order, numbers as exact u64s, words as they are', async () => {
  const keys = [
    '"b"',
    '18446744073709551615',
    '"7"',
    '0',
    '9007199254740993',
    '"é\\u0000\\"😀"',
    '7',
    '"B"',
    '9007199254740992',
  ];
  const result = `{"shard_keys":[${keys.map((key) => `{"key":${key}}`).join()}]}`;
  const answers = {
    'GET /collections/c': CUSTOM,
    'GET /aliases': ALIASES,
    'GET /collections/c/shards': { result },
  };
  const { shardKeys } = await described(answers);
  expect(shardKeys.filter(({ kind }) => kind === 'number').map(({ text }) => text)).toEqual([
    ...['0', '7', '9007199254740992', '9007199254740993', '18446744073709551615'],
  ]);
  expect(shardKeys.slice(5)).toEqual(
    ['7', 'B', 'b', 'é\u0000"😀'].map((text) => ({ kind: 'keyword', text })),
  );
});

test('shard keys are not asked for without custom sharding, and none at all are none', async () => {
  const server = scriptedRest({ 'GET /collections/c': PLAIN, 'GET /aliases': ALIASES });
  stops.push(server.stop);
  expect((await connect(server.url).describe('c', signal)).shardKeys).toEqual([]);
  expect(server.seen.map(({ route }) => route)).toEqual(['GET /collections/c', 'GET /aliases']);
  for (const result of ['{}', '{"shard_keys":null}', '{"shard_keys":[]}']) {
    const answers = { 'GET /collections/c': CUSTOM, 'GET /collections/c/shards': { result } };
    expect((await described(answers)).shardKeys).toEqual([]);
  }
});

test('a server that cannot list shard keys names them with its shards', async () => {
  const cluster = {
    result:
      '{"peer_id":1,"shard_count":5,"local_shards":[{"shard_id":1,"shard_key":"b","state":"Active"},{"shard_id":2,"shard_key":18446744073709551615}],"remote_shards":[{"shard_id":3,"shard_key":"b","peer_id":2},{"shard_id":4,"shard_key":"a"},{"shard_id":0}],"shard_transfers":[]}',
  };
  for (const status of [404, 405]) {
    const { shardKeys } = await described({
      'GET /collections/c': CUSTOM,
      'GET /collections/c/shards': { status, body: '' },
      'GET /collections/c/cluster': cluster,
    });
    expect(shardKeys).toEqual([
      { kind: 'number', text: '18446744073709551615' },
      { kind: 'keyword', text: 'a' },
      { kind: 'keyword', text: 'b' },
    ]);
  }
});

test('shard keys that cannot be learnt end the run: without them points would be missed', async () => {
  const refused = { status: 403, body: '{"status":{"error":"Forbidden"}}' };
  const error = await errorOf(
    described({ 'GET /collections/c': CUSTOM, 'GET /collections/c/shards': refused }),
  );
  expect(error.message).toStartWith('Cannot list the shard keys of collection `c`: Qdrant answered 403');
  const oddly = async (result: string) => {
    const answers = { 'GET /collections/c': CUSTOM, 'GET /collections/c/shards': { result } };
    const { code, message } = await errorOf(described(answers));
    expect(code).toBe('qdrant');
    return message;
  };
  for (const key of ['-1', '1.5', 'null', 'true', '[]']) {
    const message = await oddly(`{"shard_keys":[{"key":${key}}]}`);
    expect(message).toContain('for a shard key, which is neither word nor u64');
  }
  for (const keys of ['7', '[null]', '{}']) {
    const message = await oddly(`{"shard_keys":${keys}}`);
    expect(message).toContain("the answer is not of the shape that Qdrant's API promises");
  }
});

test('datatypes of all vectors, updates that wait, and settings of newer servers are read', async () => {
  const params = [
    '"vectors":{"size":{"size":2,"distance":"Dot"},"new":{"size":3,"distance":"Cosine","datatype":{"turbo4":{"x":1}}}}',
    '"sparse_vectors":{"f":{"index":{"datatype":"float16"}},"u":{"index":{"on_disk":true,"datatype":"uint8"}},"n":{"index":{"datatype":null}},"o":null}',
  ];
  const result = `{"config":{"params":{${params.join()}}},"update_queue":{"length":17}}`;
  const { vectors, updateQueue } = await described({ 'GET /collections/c': { result } });
  expect(vectors.map(({ name, kind, datatype }) => [name, kind, datatype])).toEqual([
    ['f', 'sparse', 'float16'],
    ['n', 'sparse', 'float32'],
    ['new', 'dense', 'turbo4'],
    ['o', 'sparse', 'float32'],
    ['size', 'dense', 'float32'],
    ['u', 'sparse', 'uint8'],
  ]);
  expect(updateQueue).toBe(17);
});

test('an unnamed vector beside others is declared by the empty name', async () => {
  const mixed = infoOf('"vectors":{"size":4,"distance":"Dot"},"sparse_vectors":{"s":{}}');
  const added = infoOf('"vectors":{"":{"size":4,"distance":"Dot"},"x":{"size":2,"distance":"Dot"}}');
  const names = async (info: ScriptedAnswer) =>
    (await described({ 'GET /collections/c': info })).vectors.map(({ kind, name }) => [kind, name]);
  expect(await names(mixed)).toEqual([
    ['dense', ''],
    ['sparse', 's'],
  ]);
  expect(await names(added)).toEqual([
    ['dense', ''],
    ['dense', 'x'],
  ]);
});

test('a description that is not of the promised shape is a clear error', async () => {
  const bad = [
    '{"config":null}',
    '{"config":{"params":null}}',
    '{"config":{"params":{"vectors":{"a":null}}}}',
    '{"config":{"params":{"vectors":{"a":7}}}}',
    '{"config":{"params":{"vectors":{"size":0,"distance":"Dot"}}}}',
    '{"config":{"params":{"vectors":{"size":1.5,"distance":"Dot"}}}}',
    '{"config":{"params":{"vectors":{"size":18446744073709551615,"distance":"Dot"}}}}',
    '{"config":{"params":{"vectors":"x"}}}',
    `{"config":{"params":{"vectors":{}},"metadata":${'['.repeat(1000)}${']'.repeat(1000)}}}`,
    '[]',
    '7',
    '{',
  ];
  for (const result of bad) {
    const error = await errorOf(described({ 'GET /collections/c': { result } }));
    expect(error.code).toBe('qdrant');
    expect(error.message).toStartWith('Cannot look up collection `c`: ');
  }
});
