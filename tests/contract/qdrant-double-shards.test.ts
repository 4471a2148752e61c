import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import { type Asker, askersOf } from '../support/qdrant-double/asker.ts';
import type { QdrantVersion, ShardKey } from '../support/qdrant-double/collection.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { callGrpc, connectGrpc } from '../support/qdrant-double/grpc-exchange.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';
import { seenVectors } from '../support/qdrant-double/seen-vectors.ts';

const versions: readonly QdrantVersion[] = ['1.16.3', '1.18.3'];
const LARGEST_KEY = 18_446_744_073_709_551_615n;

/** Keys that share places, and places from 100 on that none has. */
const TENANTS: GeneratedCollection = {
  name: 'tenants',
  points: 110,
  dimensions: 0,
  ids: 'mixed',
  vectors: [
    { kind: 'dense', name: 'a', size: 3, missing: 4 },
    { kind: 'sparse', name: 's' },
  ],
  shardKeys: [
    { key: 'acme "é"', points: 60 },
    { key: 7, first: 40, points: 60 },
    { key: '7', first: 90, points: 10 },
    { key: LARGEST_KEY, first: 0, points: 1 },
  ],
};

/** Which places each shard key has. */
const RANGES: readonly (readonly [ShardKey, number, number])[] = [
  ['acme "é"', 0, 60],
  [7, 40, 100],
  ['7', 90, 100],
  [LARGEST_KEY, 0, 1],
];

const SAME: GeneratedCollection = {
  name: 'same ids',
  points: 50,
  dimensions: 4,
  shardKeys: [{ key: 'a' }, { key: 'b' }, { key: '3', points: 0 }],
};

function expected(collection: GeneratedCollection, index: number, shardKey: ShardKey) {
  const { id, payloadJson, vectors } = generatedPoint(collection, index, shardKey);
  return { id, payload: payloadJson, vectors: seenVectors(vectors), shardKey };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

describe.each(versions)('a generated collection with custom sharding, of %s,', (version) => {
  let double: QdrantDouble;
  let askers: readonly Asker[];
  beforeAll(async () => {
    double = await startQdrantDouble({ version, generated: [TENANTS, SAME] });
    askers = askersOf(double);
  });
  afterAll(async () => {
    for (const asker of askers) asker.close();
    await double.stop();
  });

  test.each(RANGES)('shows the points of shard key %p alone', async (shardKey, from, to) => {
    const points = range(from, to).map((at) => expected(TENANTS, at, shardKey));
    const read = { collection: 'tenants', shardKey };
    for (const asker of askers) {
      expect(await asker.scroll(read)).toEqual({ points, next: undefined });
      expect(await asker.count(read)).toBe(to - from);
      const every = range(0, 110).map((at) => generatedPoint(TENANTS, at).id);
      expect(await asker.retrieve(read, every)).toEqual(points);
    }
  });

  test('counts equal ids once a key, and shows them once, under the key that is listed last', async () => {
    const shown = [
      expected(TENANTS, 0, LARGEST_KEY),
      ...range(1, 40).map((at) => expected(TENANTS, at, 'acme "é"')),
      ...range(40, 90).map((at) => expected(TENANTS, at, 7)),
      ...range(90, 100).map((at) => expected(TENANTS, at, '7')),
    ];
    for (const asker of askers) {
      expect(await asker.count({ collection: 'tenants' })).toBe(60 + 60 + 10 + 1);
      expect((await asker.scroll({ collection: 'tenants' })).points).toEqual(shown);
      const ids = shown.map(({ id }) => id);
      expect(await asker.retrieve({ collection: 'tenants' }, ids)).toEqual(shown);
    }
  });

  test('pages over the places that hold nothing', async () => {
    const limit = 7;
    for (const asker of askers) {
      const read = { collection: 'tenants', shardKey: 7 } as const;
      const first = await asker.scroll({ ...read, limit });
      expect(first.next).toBe(generatedPoint(TENANTS, 40 + limit).id);
      const last = await asker.scroll({ ...read, limit: 60, offset: generatedPoint(TENANTS, 40).id });
      expect([last.points.length, last.next]).toEqual([60, undefined]);
      const beyond = await asker.scroll({ ...read, offset: generatedPoint(TENANTS, 100).id });
      expect(beyond).toEqual({ points: [], next: undefined });
    }
  });

  test('has contents of its own under every key', () => {
    for (const at of range(0, 50)) {
      const [a, b] = [generatedPoint(SAME, at, 'a'), generatedPoint(SAME, at, 'b')];
      expect(a.id).toBe(b.id);
      expect(a.payload.serial).not.toBe(b.payload.serial as string);
      expect([...a.vector]).not.toEqual([...b.vector]);
    }
  });

  test('shows the shard key also where nothing else is asked for', async () => {
    const read = { collection: 'same ids', shardKey: 'a', payload: false, vectors: false, limit: 2 } as const;
    for (const asker of askers) {
      const { points } = await asker.scroll(read);
      expect(points.map(({ id, shardKey }) => [id, shardKey])).toEqual([
        ['1', 'a'],
        ['4', 'a'],
      ]);
    }
  });

  test('refuses a shard key that it does not have, a number where there is such a word', async () => {
    for (const asker of askers) {
      const keyword = await refusalOf(asker.scroll({ collection: 'same ids', shardKey: 'c' }));
      expect(keyword.message).toBe('Bad request: Shard key "c" not found');
      const number = await refusalOf(asker.count({ collection: 'same ids', shardKey: 3 }));
      expect(number.message).toBe('Bad request: Shard key 3 not found');
    }
  });

  test('lists its keys in both protocols, and says that it is sharded so', async () => {
    const shards = await fetch(`${double.restUrl}/collections/tenants/shards`);
    const keys = '[{"key":"acme \\"é\\""},{"key":7},{"key":"7"},{"key":18446744073709551615}]';
    expect(await shards.text()).toStartWith(`{"result":{"shard_keys":${keys}}`);
    const info = await fetch(`${double.restUrl}/collections/tenants`);
    expect(await info.text()).toContain('"sharding_method":"custom"');
    const session = connectGrpc(double.grpcUrl);
    const request = create(schemas.ListShardKeysRequestSchema, { collectionName: 'tenants' });
    const message = toBinary(schemas.ListShardKeysRequestSchema, request);
    const answer = await callGrpc(session, 'qdrant.Collections/ListShardKeys', message);
    session.destroy();
    const { shardKeys } = fromBinary(schemas.ListShardKeysResponseSchema, answer.messages[0]?.data as Buffer);
    expect(shardKeys.map(({ key }) => key?.key.value)).toEqual(['acme "é"', 7n, '7', LARGEST_KEY]);
  });
});
