import { afterEach, describe, expect, test } from 'bun:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import { type Asker, askersOf, type Read } from '../support/qdrant-double/asker.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { callGrpc, connectGrpc } from '../support/qdrant-double/grpc-exchange.ts';
import {
  type QdrantDouble,
  type QdrantDoubleOptions,
  startQdrantDouble,
} from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';
import { richPayload } from '../support/qdrant-double/rich-payload.ts';

const TENANTS: GeneratedCollection = {
  name: 'tenants',
  points: 20,
  dimensions: 0,
  vectors: [
    { kind: 'dense', name: 'a', size: 2 },
    { kind: 'sparse', name: 'b' },
  ],
  shardKeys: [{ key: 'x' }, { key: 2 }],
};

let double: QdrantDouble;
let askers: readonly [Asker, Asker];

async function start(options: QdrantDoubleOptions = {}): Promise<void> {
  double = await startQdrantDouble({ generated: [TENANTS], recorded: ['standalone'], ...options });
  askers = askersOf(double);
}

afterEach(async () => {
  for (const asker of askers) asker.close();
  await double.stop();
});

async function askGrpc(method: string, message: Uint8Array, metadata: Record<string, string> = {}) {
  const session = connectGrpc(double.grpcUrl);
  const answer = await callGrpc(session, method, message, { metadata });
  session.destroy();
  return answer;
}

describe('the double remembers', () => {
  test('what every read asked for, alike in both protocols', async () => {
    await start();
    const read: Read = {
      collection: 'tenants',
      shardKey: 2,
      vectors: ['b'],
      payload: false,
      consistency: 'quorum',
      timeoutSeconds: 9,
    };
    const filter = {
      rest: '{"must":{"has_vector":"b"}}',
      grpc: { must: [{ conditionOneOf: { case: 'hasVector' as const, value: { hasVector: 'b' } } }] },
    };
    for (const asker of askers) {
      await asker.scroll({ ...read, filter, limit: 3, offset: '4' });
      await asker.retrieve({ ...read, vectors: true, payload: true, consistency: 2 }, ['1', '4']);
      await asker.count({ ...read, filter });
      await asker.scroll({ collection: 'plain', vectors: false, limit: 1 });
    }
    const scope = { collection: 'tenants', shardKeys: [2], timeoutSeconds: 9 };
    const shown = { filter: '{"must":[{"has_vector":"b"}]}', consistency: 'quorum' } as const;
    const expected = (['rest', 'grpc'] as const).flatMap((protocol, at) =>
      [
        {
          protocol,
          method: 'scroll',
          points: 3,
          offset: '4',
          payload: false,
          vectors: ['b'],
          ...scope,
          ...shown,
        },
        { protocol, method: 'retrieve', points: 2, payload: true, vectors: true, ...scope, consistency: 2 },
        { protocol, method: 'count', points: 0, exact: true, ...scope, ...shown },
        { protocol, method: 'scroll', collection: 'plain', points: 1, payload: true, vectors: false },
      ].map((request, place) => ({ ...request, index: at * 4 + place })),
    );
    expect<unknown>(double.requests).toEqual(expected);
  });

  test('who a request wants to be served by', async () => {
    await start();
    const headers = { 'X-Qdrant-Route-Affinity': 'run 1' };
    await fetch(`${double.restUrl}/collections/plain`, { headers });
    await askGrpc('qdrant.Collections/Get', Buffer.from('0a05706c61696e', 'hex'), {
      'x-qdrant-route-affinity': 'run 2',
    });
    expect(double.requests.map(({ method, routeAffinity }) => [method, routeAffinity])).toEqual([
      ['describe', 'run 1'],
      ['describe', 'run 2'],
    ]);
  });

  test('requests that were refused, too', async () => {
    await start();
    for (const asker of askers) await refusalOf(asker.scroll({ collection: 'tenants', shardKey: 'y' }));
    expect(double.requests.map(({ shardKeys }) => shardKeys)).toEqual([['y'], ['y']]);
  });

  test('the last thousand requests and no more', async () => {
    await start();
    const [rest] = askers;
    for (let at = 0; at < 1003; at++) await rest.count({ collection: 'tenants' });
    expect(double.requests).toHaveLength(1000);
    expect(double.requests[0]?.index).toBe(3);
    expect(double.requests.at(-1)?.index).toBe(1002);
  });
});

describe('a consistency', () => {
  test.each(['all', 'majority', 'quorum', 1, 3] as const)(
    'of %p is accepted in both protocols',
    async (consistency) => {
      await start();
      for (const asker of askers) {
        const read = { collection: 'tenants', consistency };
        expect(await asker.count(read)).toBe(40);
        expect((await asker.scroll(read)).points).toHaveLength(20);
        expect(await asker.retrieve(read, ['1'])).toHaveLength(1);
      }
      expect(double.requests.map((request) => request.consistency)).toEqual(Array(6).fill(consistency));
    },
  );

  test('of 0, or of a word that is none, is refused', async () => {
    await start();
    for (const asker of askers) {
      const refusal = await refusalOf(asker.count({ collection: 'tenants', consistency: 0 }));
      expect(refusal.status).toBe(asker.protocol === 'rest' ? 400 : 3);
      expect(refusal.message).toContain('consistency');
    }
    const url = `${double.restUrl}/collections/plain/points/count?consistency=some`;
    expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(400);
  });
});

describe('aliases', () => {
  const options = { aliases: { one: 'tenants', two: 'tenants', lost: 'no such collection' } };

  async function listed(method: string, message: Uint8Array): Promise<[string, string][]> {
    const { messages } = await askGrpc(`qdrant.Collections/${method}`, message);
    const { aliases } = fromBinary(schemas.ListAliasesResponseSchema, messages[0]?.data as Buffer);
    return aliases.map(({ aliasName, collectionName }) => [aliasName, collectionName]);
  }

  function ofCollection(collectionName: string): Uint8Array {
    const schema = schemas.ListCollectionAliasesRequestSchema;
    return toBinary(schema, create(schema, { collectionName }));
  }

  test('are listed in both protocols, all of them or those of a collection', async () => {
    await start(options);
    const all = [
      ['one', 'tenants'],
      ['two', 'tenants'],
      ['plain-alias', 'plain'],
    ];
    expect(await listed('ListAliases', new Uint8Array())).toEqual(all as [string, string][]);
    expect(await listed('ListCollectionAliases', ofCollection('tenants'))).toEqual(
      all.slice(0, 2) as [string, string][],
    );
    expect(await listed('ListCollectionAliases', ofCollection('cosine'))).toEqual([]);
    for (const [path, names] of [
      ['/aliases', ['one', 'two', 'plain-alias']],
      ['/collections/tenants/aliases', ['one', 'two']],
      ['/collections/cosine/aliases', []],
    ] as const) {
      const text = await (await fetch(double.restUrl + path)).text();
      expect([...text.matchAll(/"alias_name":"([^"]*)"/g)].map((match) => match[1])).toEqual([...names]);
    }
  });

  test('of a collection that is not there are refused', async () => {
    await start(options);
    const { headers } = await askGrpc('qdrant.Collections/ListCollectionAliases', ofCollection('nope'));
    expect(headers['grpc-status']).toBe('5');
    expect((await fetch(`${double.restUrl}/collections/nope/aliases`)).status).toBe(404);
  });
});

describe("strict mode's read limit", () => {
  const read = { collection: 'strict', limit: 3 } as const;

  test('is five a minute, and says how long to wait', async () => {
    await start();
    const [rest] = askers;
    for (let at = 0; at < 5; at++) await rest.count(read);
    const refusal = await refusalOf(rest.count(read));
    expect([refusal.status, refusal.message]).toEqual([429, expect.stringContaining('Retry after 12s')]);
  });

  test('refills so many times as fast, and still is no larger', async () => {
    await start({ rateLimitScale: 600_000 });
    for (const asker of askers) {
      for (let at = 0; at < 20; at++) await asker.scroll(read);
      const refusal = await refusalOf(asker.retrieve(read, ['1', '2', '3', '4', '5', '6']));
      expect(refusal.message).toContain('request larger than rate limiter capacity');
    }
  });

  test('names the shorter wait', async () => {
    await start({ rateLimitScale: 2 });
    const [rest] = askers;
    await rest.retrieve(read, ['1', '2', '3', '4', '5']);
    expect((await refusalOf(rest.count(read))).message).toContain('Retry after 6s');
  });
});

describe.each(['1.16.3', '1.18.3'] as const)('a rich payload of %s', (version) => {
  const MEGABYTES = 10_000_000;
  const rich: GeneratedCollection = {
    name: 'rich',
    points: 4,
    dimensions: 2,
    payload: (index) => [richPayload(), richPayload({ depth: 60 }), richPayload({ bytes: MEGABYTES })][index],
  };

  test('is delivered exactly in both protocols: every kind of value, 60 levels, 10 MB', async () => {
    await start({ version, generated: [rich] });
    const expected = [0, 1, 2, 3].map((at) => generatedPoint(rich, at).payloadJson);
    expect(expected[2]?.length).toBeGreaterThan(MEGABYTES);
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'rich' });
      // One by one: a difference in 10 MB is nothing to print.
      expect(points.map(({ payload }, at) => payload === expected[at])).toEqual([true, true, true, true]);
      expect(points[3]?.payload).toContain('"serial":"000000000003"');
      const [retrieved] = await asker.retrieve({ collection: 'rich' }, [generatedPoint(rich, 1).id]);
      expect(retrieved?.payload === expected[1]).toBe(true);
    }
  });
});

test('richPayload() is as deep and as long as it is told', () => {
  const depthOf = (value: unknown): number =>
    typeof value !== 'object' || value === null ? 0 : 1 + Math.max(0, ...Object.values(value).map(depthOf));
  expect(depthOf(JSON.parse(richPayload({ depth: 60 })))).toBe(60);
  expect(depthOf(JSON.parse(richPayload()))).toBe(4);
  expect(JSON.parse(richPayload({ bytes: 1001 })).long).toHaveLength(1001);
  expect(JSON.parse(richPayload())).toMatchObject({ '': 'empty name', ключ: 'é 漢字 😀' });
});
