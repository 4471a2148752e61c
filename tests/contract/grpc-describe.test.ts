import { afterAll, describe, expect, test } from 'bun:test';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  CollectionClusterInfoResponseSchema,
  Distance,
  GetCollectionInfoResponseSchema,
  HealthCheckReplySchema,
  ListAliasesResponseSchema,
  ListShardKeysResponseSchema,
  ShardingMethod,
} from '@qdrant/js-client-grpc';
import { ToolError } from '../../lib/errors.ts';
import type { CollectionShape } from '../../lib/model.ts';
import { canonicalConfig } from '../../lib/qdrant/collection-config.ts';
import { grpcTransport } from '../../lib/qdrant/grpc.ts';
import type { Transport } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { type RestExchange, readRecording } from '../support/qdrant-double/recorded-exchanges.ts';
import { type ScriptedReply, scriptedGrpc } from './scripted-grpc.ts';

const signal = new AbortController().signal;
const TWICE: RetryPolicy = { attempts: 2, toldPauses: 0, baseMs: 1, capMs: 1 };
const VERSIONS = ['1.16.3', '1.18.3'] as const;

const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

function connect(url: URL, apiKey?: string): Transport {
  const transport = grpcTransport({
    url,
    apiKey: apiKey === undefined ? undefined : new Secret(apiKey),
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: TWICE,
  });
  stops.push(() => transport.close());
  return transport;
}

function message<Desc extends DescMessage>(schema: Desc, content: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, content));
}

const HEALTH = message(HealthCheckReplySchema, { title: 'qdrant', version: '1.15.0' });
const PARAMS = {
  shardNumber: 2,
  vectorsConfig: { config: { case: 'params', value: { size: 2n, distance: Distance.Dot } } },
} as const;
const PLAIN = message(GetCollectionInfoResponseSchema, { result: { config: { params: PARAMS } } });
const CUSTOM = message(GetCollectionInfoResponseSchema, {
  result: { config: { params: { ...PARAMS, shardingMethod: ShardingMethod.Custom } } },
});
const ALIASES = message(ListAliasesResponseSchema, {
  aliases: [
    { aliasName: 'other', collectionName: 'another' },
    { aliasName: 'c', collectionName: 'real' },
  ],
});

async function scripted(replies: Readonly<Record<string, ScriptedReply>>) {
  const server = await scriptedGrpc({ HealthCheck: HEALTH, Get: PLAIN, ListAliases: ALIASES, ...replies });
  stops.push(() => server.stop());
  return server;
}

async function described(replies: Readonly<Record<string, ScriptedReply>>): Promise<CollectionShape> {
  return connect((await scripted(replies)).url).describe('c', signal);
}

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

function restConfig(version: string, exchange: string): string {
  const exchanges = readRecording<RestExchange[]>(version, 'rest.json');
  const body = exchanges.find(({ name }) => name === exchange)?.response.body;
  const answer = JSON.parse(String(body)) as { result: { config: unknown } };
  return canonicalConfig(answer.result.config);
}

for (const version of VERSIONS) {
  test(`describe() reads the shape of every kind of collection of ${version}`, async () => {
    const server = await startQdrantDouble({ version, recorded: ['standalone', 'cluster'] });
    stops.push(() => server.stop());
    const transport = connect(new URL(server.grpcUrl));
    const unnamed = { kind: 'dense', name: '', size: 4, distance: 'Dot', datatype: 'float32' } as const;
    const plain = await transport.describe('plain', signal);
    expect(plain).toEqual({
      name: 'plain',
      collection: 'plain',
      serverVersion: version,
      vectors: [unnamed],
      shardCount: 1,
      sharding: 'auto',
      shardKeys: [],
      strictMode: {},
      config: restConfig(version, 'info plain'),
      updateQueue: version === '1.18.3' ? 0 : undefined,
    });
    expect(await transport.describe('plain-alias', signal)).toEqual({ ...plain, name: 'plain-alias' });
    expect((await transport.describe('named', signal)).vectors).toEqual([
      { ...unnamed, kind: 'sparse', name: 'bm25', size: 0 },
      { ...unnamed, kind: 'multi', name: 'colbert', size: 2 },
      { ...unnamed, name: 'half', size: 2, distance: 'Manhattan', datatype: 'float16' },
      { ...unnamed, name: 'image', size: 3, distance: 'Euclid', datatype: 'uint8' },
      { ...unnamed, name: 'text' },
    ]);
    const tenants = await transport.describe('tenants', signal);
    expect(tenants.sharding).toBe('custom');
    expect(tenants.shardKeys).toEqual([
      { kind: 'number', text: '7' },
      { kind: 'keyword', text: 'acme' },
    ]);
    expect(tenants.config).toBe(restConfig(version, 'tenants: info'));
    const both = await transport.describe('same ids', signal);
    expect(both.shardKeys.map(({ text }) => text)).toEqual(['a', 'b']);
  });
}

describe('describe() and aliases', () => {
  test('gives a name that is an alias the name it stands for, and any other its own', async () => {
    expect(await described({})).toMatchObject({ name: 'c', collection: 'real' });
    expect(await described({ ListAliases: message(ListAliasesResponseSchema, {}) })).toMatchObject({
      name: 'c',
      collection: 'c',
    });
  });

  test.each([
    ['refused', { status: 7, text: 'Global access is required' }],
    ['unknown to the server', { status: 12 }],
    ['unavailable for good', { status: 14 }],
    ['answered with bytes that are no message', Uint8Array.of(0xff)],
  ])('keeps the name it was given where listing them is %s', async (_, reply) => {
    expect(await described({ ListAliases: reply })).toMatchObject({
      name: 'c',
      collection: 'c',
      shardCount: 2,
    });
  });

  test('needs no more than a read-only key', async () => {
    const server = await startQdrantDouble({ recorded: ['auth'], apiKey: 'secret', readOnlyKey: 'ro' });
    stops.push(() => server.stop());
    expect((await connect(new URL(server.grpcUrl), 'ro').describe('k', signal)).collection).toBe('k');
  });

  test('ends with the reason when the run is aborted while they are listed', async () => {
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'stop');
    const server = await startQdrantDouble({
      recorded: ['standalone'],
      faults: ({ method }) => {
        if (method !== 'aliases') return undefined;
        controller.abort(reason);
        return { kind: 'stall' };
      },
    });
    stops.push(() => server.stop());
    const transport = connect(new URL(server.grpcUrl));
    expect(await errorOf(transport.describe('plain', controller.signal))).toBe(reason);
  });
});

describe('describe() and shard keys', () => {
  const keyword = (value: string) => ({ key: { case: 'keyword', value } }) as const;
  const number = (value: bigint) => ({ key: { case: 'number', value } }) as const;

  test('asks for them under custom sharding alone', async () => {
    const server = await scripted({});
    expect((await connect(server.url).describe('c', signal)).shardKeys).toEqual([]);
    expect(server.asked.map(({ path }) => path.split('/').at(-1)).toSorted()).toEqual([
      'Get',
      'HealthCheck',
      'ListAliases',
    ]);
  });

  test('puts numbers before keywords, each in order, exactly', async () => {
    const keys = [keyword('b'), number(2n ** 64n - 1n), keyword('7'), number(7n), number(10n), keyword('')];
    const reply = message(ListShardKeysResponseSchema, { shardKeys: keys.map((key) => ({ key })) });
    expect((await described({ Get: CUSTOM, ListShardKeys: reply })).shardKeys).toEqual([
      { kind: 'number', text: '7' },
      { kind: 'number', text: '10' },
      { kind: 'number', text: '18446744073709551615' },
      { kind: 'keyword', text: '' },
      { kind: 'keyword', text: '7' },
      { kind: 'keyword', text: 'b' },
    ]);
  });

  test('finds them with the shards of the cluster on servers that cannot list them', async () => {
    const reply = message(CollectionClusterInfoResponseSchema, {
      localShards: [{ shardKey: keyword('b') }, { shardKey: number(7n) }, { shardKey: keyword('b') }, {}],
      remoteShards: [{ shardKey: keyword('a') }, { shardKey: number(7n) }],
    });
    const shape = await described({ Get: CUSTOM, CollectionClusterInfo: reply });
    expect(shape.shardKeys).toEqual([
      { kind: 'number', text: '7' },
      { kind: 'keyword', text: 'a' },
      { kind: 'keyword', text: 'b' },
    ]);
  });

  test('fails where they cannot be found, as points would be missing', async () => {
    const refused = await errorOf(
      described({ Get: CUSTOM, ListShardKeys: { status: 7, text: 'Forbidden' } }),
    );
    expect(refused.message).toStartWith(
      'Cannot list the shard keys of collection `c`: Qdrant answered PERMISSION_DENIED ("Forbidden").',
    );
    expect((await errorOf(described({ Get: CUSTOM }))).message).toContain('answered UNIMPLEMENTED');
  });
});

test('describe() says that an answer is malformed rather than showing how', async () => {
  for (const broken of [{ Get: Uint8Array.of(10, 200) }, { HealthCheck: Uint8Array.of(0xff) }]) {
    const error = await errorOf(described(broken));
    expect(error.message).toContain('its bytes are malformed');
    expect(error.message).not.toContain('RangeError');
  }
});
