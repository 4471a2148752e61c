import { afterEach, describe, expect, test } from 'bun:test';
import { type Asker, askersOf } from '../support/qdrant-double/asker.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import {
  type QdrantDouble,
  type QdrantDoubleOptions,
  startQdrantDouble,
} from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';

const PLAIN: GeneratedCollection = { name: 'plain', points: 6, dimensions: 4, ids: 'mixed' };
const SHARDED: GeneratedCollection = {
  name: 'sharded',
  points: 4,
  dimensions: 2,
  shardKeys: [{ key: 'a' }, { key: 1, first: 2 }],
};

let double: QdrantDouble;
let askers: readonly Asker[] = [];

async function start(options: QdrantDoubleOptions = {}): Promise<void> {
  double = await startQdrantDouble({ generated: [PLAIN, SHARDED], ...options });
  askers = askersOf(double);
}

afterEach(async () => {
  for (const asker of askers) asker.close();
  await double.stop();
});

function idsOf(collection: GeneratedCollection, places: readonly number[]): string[] {
  return places.map((place) => generatedPoint(collection, place).id);
}

/** Whether a promise is settled once everything that is due now was done. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<false>((resolve) => setImmediate(() => resolve(false)));
  return Promise.race([promise.then(() => true), later]);
}

describe('the double counts', () => {
  test('each point of an answer by its place, over both protocols, and no ids alone', async () => {
    await start();
    const fetched = double.fetched('plain');
    for (const asker of askers) {
      fetched.reset();
      await asker.scroll({ collection: 'plain', payload: false, vectors: false });
      expect({ total: fetched.total, counts: [...fetched.counts()] }).toEqual({
        total: 0,
        counts: [0, 0, 0, 0, 0, 0],
      });
      await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [1, 4]));
      await asker.retrieve({ collection: 'plain', vectors: false }, idsOf(PLAIN, [4]));
      await asker.scroll({ collection: 'plain', payload: false, limit: 2 });
      expect({ total: fetched.total, counts: [...fetched.counts()] }).toEqual({
        total: 5,
        counts: [1, 2, 0, 0, 2, 0],
      });
    }
  });

  test('no point that is not there, or that a filter keeps back', async () => {
    await start({ generated: [{ ...PLAIN, absent: (at) => at === 1, deleted: (at) => at === 2 }] });
    const fetched = double.fetched('plain');
    for (const asker of askers) {
      fetched.reset();
      const [, , , , id = ''] = idsOf(PLAIN, [0, 1, 2, 3, 4]);
      await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [0, 1, 2]));
      const isIt = { hasId: [{ pointIdOptions: { case: 'uuid' as const, value: id } }] };
      const grpc = { must: [{ conditionOneOf: { case: 'hasId' as const, value: isIt } }] };
      const rest = `{"must":[{"has_id":["${id}"]}]}`;
      await asker.scroll({ collection: 'plain', filter: { rest, grpc } });
      expect([...fetched.counts()]).toEqual([1, 0, 0, 0, 1, 0]);
    }
  });

  test('points under the shard key that shows them', async () => {
    await start();
    const fetched = double.fetched('sharded');
    for (const asker of askers) {
      fetched.reset();
      await asker.scroll({ collection: 'sharded', shardKey: 'a' });
      await asker.scroll({ collection: 'sharded', shardKey: 1 });
      // Of an id under both keys the one that is listed last is shown.
      await asker.scroll({ collection: 'sharded' });
      expect([...fetched.counts('a')]).toEqual([2, 2, 1, 1]);
      expect([...fetched.counts(1)]).toEqual([0, 0, 2, 2]);
      expect(fetched.total).toBe(10);
    }
    expect(() => fetched.counts()).toThrow('it has shard keys: name one');
    expect(() => fetched.counts('1')).toThrow('it has no shard key 1');
  });

  test('on into the same array while vectors change and the server goes down and comes back', async () => {
    await start();
    const counts = double.fetched('plain').counts();
    for (const asker of askers) {
      await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [3]));
    }
    double.change('plain', { kind: 'addVector', vector: { kind: 'dense', name: 'new', size: 2 } });
    await double.pause();
    await double.resume();
    const again = askersOf(double);
    for (const asker of again) {
      await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [3]));
      asker.close();
    }
    expect([...counts]).toEqual([0, 0, 0, 4, 0, 0]);
    expect(double.fetched('plain').counts()).toBe(counts);
  });

  test('points of an answer that is lost on its way, and none of a refusal', async () => {
    await start();
    const fetched = double.fetched('plain');
    const ids = idsOf(PLAIN, [0]);
    for (const asker of askers) {
      fetched.reset();
      double.setFaults(() => ({ kind: 'status', http: 500, grpc: 13, message: 'no' }));
      expect((await refusalOf(asker.retrieve({ collection: 'plain' }, ids))).message).toBe('no');
      expect(fetched.total).toBe(0);
      double.setFaults(() => ({ kind: 'resetMidway' }));
      expect(
        await asker.retrieve({ collection: 'plain' }, ids).catch((error: Error) => error),
      ).toBeInstanceOf(Error);
      // Bun's fetch asks once more by itself.
      expect(fetched.total).toBeGreaterThanOrEqual(1);
    }
  });

  test('no points of a collection that is stored, and says so', async () => {
    await start({ recorded: ['standalone'] });
    expect(() => double.fetched('cosine')).toThrow('The double counts no points of "cosine": it is stored');
    expect(() => double.fetched('nope')).toThrow("Collection `nope` doesn't exist");
  });
});

describe('who waits for a number of fetched points', () => {
  test('hears of it with the answer that reaches it, over both protocols', async () => {
    await start();
    const fetched = double.fetched('plain');
    for (const asker of askers) {
      fetched.reset();
      const [two, four] = [fetched.reached(2), fetched.reached(4)];
      await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [0]));
      expect(await isSettled(two)).toBe(false);
      await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [0, 1]));
      expect(await isSettled(two)).toBe(true);
      expect(await isSettled(four)).toBe(false);
      await asker.scroll({ collection: 'plain' });
      expect(await isSettled(four)).toBe(true);
    }
  });

  test('hears at once of what has been reached, and anew after a reset', async () => {
    await start();
    const fetched = double.fetched('plain');
    const [asker] = askers as [Asker];
    expect(await isSettled(fetched.reached(0))).toBe(true);
    await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [0, 1]));
    expect(await isSettled(fetched.reached(2))).toBe(true);
    const three = fetched.reached(3);
    fetched.reset();
    await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [0, 1]));
    expect(await isSettled(three)).toBe(false);
    expect(await isSettled(fetched.reached(3))).toBe(false);
    await asker.retrieve({ collection: 'plain' }, idsOf(PLAIN, [2]));
    expect(await isSettled(three)).toBe(true);
  });

  test('over all shard keys together', async () => {
    await start();
    const fetched = double.fetched('sharded');
    const [asker] = askers as [Asker];
    const six = fetched.reached(6);
    await asker.scroll({ collection: 'sharded', shardKey: 'a' });
    expect(await isSettled(six)).toBe(false);
    await asker.scroll({ collection: 'sharded', shardKey: 1 });
    expect(await isSettled(six)).toBe(true);
  });
});
