import { afterEach, describe, expect, test } from 'bun:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import { type Asker, askersOf } from '../support/qdrant-double/asker.ts';
import type { Fault, WrongContents } from '../support/qdrant-double/fault.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { callGrpc, connectGrpc } from '../support/qdrant-double/grpc-exchange.ts';
import {
  type QdrantDouble,
  type QdrantDoubleOptions,
  startQdrantDouble,
} from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';
import { seenVectors } from '../support/qdrant-double/seen-vectors.ts';

const UNNAMED: GeneratedCollection = { name: 'unnamed', points: 40, dimensions: 4, ids: 'mixed' };

const NAMED: GeneratedCollection = {
  name: 'named',
  points: 40,
  dimensions: 0,
  ids: 'mixed',
  vectors: [
    { kind: 'dense', name: 'a', size: 4 },
    { kind: 'multi', name: 'm', size: 3 },
    { kind: 'sparse', name: 's', entries: 5 },
  ],
  absent: (index) => index % 10 === 9,
};

let double: QdrantDouble;
let askers: readonly Asker[] = [];

async function start(options: QdrantDoubleOptions = {}): Promise<void> {
  double = await startQdrantDouble({ generated: [UNNAMED, NAMED], recorded: ['standalone'], ...options });
  askers = askersOf(double);
}

afterEach(async () => {
  for (const asker of askers) asker.close();
  await double.stop();
});

function idOf(collection: GeneratedCollection, index: number): string {
  return generatedPoint(collection, index).id;
}

const PRESENT = Array.from({ length: 40 }, (_, at) => at).filter((at) => at % 10 !== 9);

describe('a change shows in whatever is answered after it:', () => {
  test('points are added and deleted, before and behind those that were read', async () => {
    await start();
    for (const asker of askers) {
      expect(await asker.count({ collection: 'named' })).toBe(36);
      const { points } = await asker.scroll({ collection: 'named' });
      expect(points.map(({ id }) => id)).toEqual(PRESENT.map((at) => idOf(NAMED, at)));
    }
    double.change('named', { kind: 'addPoints', ids: [idOf(NAMED, 9), idOf(NAMED, 29)] });
    double.change('named', { kind: 'deletePoints', ids: [0, 1, 38].map((at) => idOf(NAMED, at)) });
    const left = [...PRESENT, 9, 29].sort((a, b) => a - b).filter((at) => ![0, 1, 38].includes(at));
    for (const asker of askers) {
      expect(await asker.count({ collection: 'named' })).toBe(35);
      const { points } = await asker.scroll({ collection: 'named' });
      expect(points.map(({ id }) => id)).toEqual(left.map((at) => idOf(NAMED, at)));
      expect(points[7]?.vectors).toEqual(seenVectors(generatedPoint(NAMED, 9).vectors));
      const ids = [0, 9, 2, 19].map((at) => idOf(NAMED, at));
      const retrieved = await asker.retrieve({ collection: 'named' }, ids);
      expect(retrieved.map(({ id }) => id)).toEqual([ids[1], ids[2]] as string[]);
      // A page's next one begins where a point is.
      const { next } = await asker.scroll({ collection: 'named', limit: left.length - 1 });
      expect(next).toBe(idOf(NAMED, left.at(-1) as number));
    }
  });

  test('points of one shard key go, and stay under the others', async () => {
    const sharded: GeneratedCollection = {
      name: 'sharded',
      points: 4,
      dimensions: 2,
      shardKeys: [{ key: 'a' }, { key: 1 }],
    };
    await start({ generated: [sharded] });
    double.change('sharded', { kind: 'deletePoints', ids: ['4'], shardKey: 1 });
    for (const asker of askers) {
      const keys = (await asker.scroll({ collection: 'sharded' })).points.map(({ shardKey }) => shardKey);
      expect(keys).toEqual([1, 'a', 1, 1]);
      expect(await asker.count({ collection: 'sharded' })).toBe(7);
    }
  });

  test('a vector name appears, and another one goes', async () => {
    await start();
    const added = { kind: 'dense', name: 'new', size: 2, missing: 2 } as const;
    double.change('named', { kind: 'addVector', vector: added });
    double.change('named', { kind: 'dropVector', name: 'm' });
    const now: GeneratedCollection = {
      ...NAMED,
      vectors: [...(NAMED.vectors ?? []).filter(({ name }) => name !== 'm'), added],
    };
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'named' });
      expect(points.map(({ vectors }) => vectors)).toEqual(
        PRESENT.map((at) => seenVectors(generatedPoint(now, at).vectors)),
      );
      expect(Object.keys(points[0]?.vectors ?? {}).sort()).toEqual(['a', 'new', 's']);
      const refusal = await refusalOf(asker.scroll({ collection: 'named', vectors: ['m'] }));
      expect(refusal.message).toBe('Wrong input: Not existing vector name error: m');
    }
    const { vectors } = await paramsOf('named');
    expect(Object.keys(vectors)).toEqual(['a', 'new']);
  });

  test('an unnamed vector beside which a name appears is one of the names from then on', async () => {
    await start();
    double.change('unnamed', {
      kind: 'addVector',
      vector: { kind: 'dense', name: 'b', size: 2, missing: 2 },
    });
    expect(Object.keys((await paramsOf('unnamed')).vectors)).toEqual(['', 'b']);
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'unnamed' });
      expect(points.slice(0, 2).map((point) => Object.keys(point.vectors))).toEqual([['', 'b'], ['']]);
    }
  });

  test('a recorded collection takes points, loses points and vectors', async () => {
    await start();
    double.change('named', { kind: 'updateQueue', length: 0 });
    double.change('plain', { kind: 'deletePoints', ids: ['0', '18446744073709551615'] });
    const point = '{"id":5,"vector":[1,2,3,4],"payload":{"n":9223372036854775808}}';
    double.change('plain', { kind: 'upsertPoints', points: [point] });
    double.change('multi', { kind: 'addVector', vector: { kind: 'sparse', name: 'words' } });
    double.change('sparse_only', { kind: 'dropVector', name: 's' });
    const [rest] = askers as [Asker];
    expect(await rest.count({ collection: 'plain' })).toBe(27);
    const page = await rest.scroll({ collection: 'plain', offset: '4', limit: 1 });
    expect(page.points).toEqual([
      {
        id: '5',
        payload: '{"n":9223372036854775808}',
        vectors: { '': { dense: [1, 2, 3, 4] } },
        shardKey: undefined,
      },
    ]);
    expect((await paramsOf('multi')).sparse_vectors).toEqual({ words: {} });
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'sparse_only' });
      expect(points.map(({ vectors }) => vectors)).toEqual([{}, {}]);
    }
  });

  test('updates wait, which only 1.18 tells', async () => {
    await start({ generated: [{ ...UNNAMED, updateQueue: 7 }] });
    expect(await queueOf('unnamed')).toEqual({ rest: 7, grpc: 7n });
    double.change('unnamed', { kind: 'updateQueue', length: 0 });
    expect(await queueOf('unnamed')).toEqual({ rest: 0, grpc: 0n });
    for (const asker of askers) asker.close();
    await double.stop();
    await start({ version: '1.16.3', generated: [{ ...UNNAMED, updateQueue: 7 }] });
    expect(await queueOf('unnamed')).toEqual({ rest: undefined, grpc: undefined });
  });

  test.each([
    ['a point that is there is added', { kind: 'addPoints', ids: ['1'] }, 'has no absent point 1 to add'],
    [
      'a point that is not there is deleted',
      { kind: 'deletePoints', ids: ['2'] },
      'has no point 2 to delete',
    ],
    ['a vector goes that there is not', { kind: 'dropVector', name: 'x' }, 'has no vector "x" to drop'],
    ['stored points come', { kind: 'upsertPoints', points: [] }, 'it takes addPoints, not upsertPoints'],
  ] as const)('no test can be wrong unnoticed about what there is: %s', async (_, change, message) => {
    await start();
    expect(() => double.change('unnamed', change)).toThrow(message);
  });
});

describe('a change that is due after so many requests', () => {
  test('is made before the next one is answered, whichever protocol it comes by', async () => {
    await start();
    double.changeAfter({ requests: 3 }, 'unnamed', { kind: 'deletePoints', ids: ['1'] });
    const [rest, grpc] = askers as [Asker, Asker];
    const counts: number[] = [];
    for (const asker of [rest, grpc, grpc, rest]) counts.push(await asker.count({ collection: 'unnamed' }));
    expect(counts).toEqual([40, 40, 40, 39]);
  });

  test('counts only the requests of its method, and of its collection', async () => {
    await start();
    double.changeAfter({ requests: 2, method: 'scroll', collection: 'unnamed' }, 'unnamed', {
      kind: 'dropVector',
      name: '',
    });
    const shown: string[][] = [];
    for (const asker of [...askers, ...askers]) {
      await asker.count({ collection: 'unnamed' });
      await asker.scroll({ collection: 'named', limit: 1 });
      const { points } = await asker.scroll({ collection: 'unnamed', limit: 1 });
      shown.push(Object.keys(points[0]?.vectors ?? {}));
    }
    expect(shown).toEqual([[''], [''], [], []]);
  });

  test('is told to the client where it cannot be made', async () => {
    await start();
    for (const asker of askers) {
      double.changeAfter({ requests: 0 }, 'unnamed', { kind: 'dropVector', name: 'x' });
      const refusal = await refusalOf(asker.count({ collection: 'unnamed' }));
      expect(refusal.message).toBe('The double cannot change "unnamed": it has no vector "x" to drop');
      expect(await asker.count({ collection: 'unnamed' })).toBe(40);
    }
  });
});

describe.each(['1.16.3', '1.18.3'] as const)('an answer of %s lies about its points:', (version) => {
  async function startLying(wrong: WrongContents, rest: { at?: number; vector?: string } = {}) {
    const fault: Fault = { kind: 'contents', wrong, ...rest };
    await start({ version, faults: ({ method }) => (method === 'count' ? undefined : fault) });
  }

  const read = { collection: 'named', limit: 4 } as const;

  test.each([
    ['duplicateId', [0, 1, 1, 3]],
    ['idOutOfOrder', [0, 2, 1, 3]],
  ] as const)('%s', async (wrong, order) => {
    await startLying(wrong, { at: 1 });
    for (const asker of askers) {
      const { points } = await asker.scroll(read);
      expect(points.map(({ id }) => id)).toEqual(order.map((at) => idOf(NAMED, at)));
      const ids = [0, 1, 2, 3].map((at) => idOf(NAMED, at));
      const retrieved = await asker.retrieve(read, ids);
      expect(retrieved.map(({ id }) => id)).toEqual(order.map((at) => idOf(NAMED, at)));
    }
  });

  test('a duplicate of the last one comes on top', async () => {
    await startLying('duplicateId', { at: 3 });
    for (const asker of askers) {
      const { points } = await asker.scroll(read);
      expect(points.map(({ id }) => id)).toEqual([0, 1, 2, 3, 3].map((at) => idOf(NAMED, at)));
    }
  });

  test('an id that was not asked for, in the middle', async () => {
    await startLying('idNotAskedFor');
    for (const asker of askers) {
      const { points } = await asker.scroll(read);
      expect(points[2]?.id).toBe('18446744073709551615');
      expect(points[2]?.vectors).toEqual(seenVectors(generatedPoint(NAMED, 2).vectors));
      expect(points.filter((_, at) => at !== 2).map(({ id }) => id)).toEqual(
        [0, 1, 3].map((at) => idOf(NAMED, at)),
      );
    }
  });

  test('a vector without one of its values', async () => {
    await startLying('vectorLength', { at: 0 });
    const [rest] = askers as [Asker];
    const { a } = seenVectors(generatedPoint(NAMED, 0).vectors);
    const short = { dense: (a as { dense: number[] }).dense.slice(0, 3) };
    for (const asker of askers) {
      expect((await asker.scroll(read)).points[0]?.vectors).toEqual({
        ...seenVectors(generatedPoint(NAMED, 0).vectors),
        a: short,
      });
    }
    double.setFaults(() => ({ kind: 'contents', wrong: 'vectorLength', at: 0, vector: 'm' }));
    const [first] = (await rest.scroll(read)).points;
    const { m } = seenVectors(generatedPoint(NAMED, 0).vectors);
    const rows = (m as { multi: number[][] }).multi;
    expect(first?.vectors.m).toEqual({
      multi: rows.map((row, at) => row.slice(0, at + 1 < rows.length ? 3 : 2)),
    });
    double.setFaults(() => ({ kind: 'contents', wrong: 'vectorLength', at: 1, vector: 's' }));
    for (const asker of askers) {
      const s = (await asker.scroll(read)).points[1]?.vectors.s as { indices: number[]; values: number[] };
      expect(s.indices.length).toBe(s.values.length + 1);
    }
  });

  test('a vector of another kind', async () => {
    await startLying('vectorKind', { at: 1 });
    for (const asker of askers) {
      expect((await asker.scroll(read)).points[1]?.vectors.a).toHaveProperty('indices');
    }
    double.setFaults(() => ({ kind: 'contents', wrong: 'vectorKind', at: 1, vector: 'm' }));
    for (const asker of askers) {
      expect((await asker.scroll(read)).points[1]?.vectors.m).toHaveProperty('dense');
    }
    double.setFaults(() => ({ kind: 'contents', wrong: 'vectorKind', at: 1, vector: 's' }));
    for (const asker of askers) {
      expect((await asker.scroll(read)).points[1]?.vectors.s).toHaveProperty('dense');
    }
  });

  test('a vector that the collection does not have, also where vectors are asked for by name', async () => {
    await startLying('vectorUnknown', { at: 0 });
    for (const asker of askers) {
      const { points } = await asker.scroll({ ...read, vectors: ['s'] });
      expect(Object.keys(points[0]?.vectors ?? {}).sort()).toEqual(['s', 'stranger']);
      expect(Object.keys(points[1]?.vectors ?? {})).toEqual(['s']);
    }
  });

  test('a next page that is the same again', async () => {
    await startLying('offsetBack');
    for (const asker of askers) {
      const offset = idOf(NAMED, 3);
      const { next, points } = await asker.scroll({ ...read, offset });
      expect([points[0]?.id, next]).toEqual([offset, offset]);
    }
  });

  test('or says why it cannot', async () => {
    await startLying('vectorLength', { at: 0 });
    for (const asker of askers) {
      const refusal = await refusalOf(asker.scroll({ ...read, vectors: false }));
      expect(refusal.status).toBe(asker.protocol === 'rest' ? 500 : 13);
      expect(refusal.message).toStartWith(
        'The double cannot make the fault "vectorLength": it takes a vector',
      );
      const far = await refusalOf(asker.retrieve(read, []));
      expect(far.message).toContain('it takes a point at 0, and the answer has 0');
      double.setFaults(() => ({ kind: 'contents', wrong: 'duplicateId' }));
      expect((await refusalOf(asker.count(read))).message).toContain('it takes a scroll or a retrieve');
      double.setFaults(() => ({ kind: 'contents', wrong: 'vectorLength', at: 0 }));
    }
    expect(double.stats.faults).toBe(6);
  });
});

interface Params {
  readonly vectors: Readonly<Record<string, unknown>>;
  readonly sparse_vectors?: unknown;
}

async function paramsOf(collection: string): Promise<Params> {
  const answer = await fetch(`${double.restUrl}/collections/${collection}`);
  const { result } = (await answer.json()) as { result: { config: { params: Params } } };
  return result.config.params;
}

async function queueOf(collectionName: string) {
  const answer = await fetch(`${double.restUrl}/collections/${collectionName}`);
  const { result } = (await answer.json()) as { result: { update_queue?: { length: number } } };
  const session = connectGrpc(double.grpcUrl);
  const request = create(schemas.GetCollectionInfoRequestSchema, { collectionName });
  const message = toBinary(schemas.GetCollectionInfoRequestSchema, request);
  const { messages } = await callGrpc(session, 'qdrant.Collections/Get', message);
  session.destroy();
  const info = fromBinary(schemas.GetCollectionInfoResponseSchema, messages[0]?.data as Buffer).result;
  return { rest: result.update_queue?.length, grpc: info?.updateQueue?.length };
}
