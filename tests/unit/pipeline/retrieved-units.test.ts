import { describe, expect, test } from 'bun:test';
import type { PointBatch } from '../../../lib/batch.ts';
import { ToolError } from '../../../lib/errors.ts';
import { BatchPool } from '../../../lib/pipeline/batch-pool.ts';
import { BatchSize } from '../../../lib/pipeline/batch-size.ts';
import { unitRetriever } from '../../../lib/pipeline/retrieved-units.ts';
import { pointsOf } from '../../support/point-sets.ts';
import { scriptedTransport } from '../../support/scripted-transport.ts';

const signal = new AbortController().signal;
const points = pointsOf('c');
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));

function retriever(
  retrieve: (ids: readonly string[], into: PointBatch) => Promise<void>,
  options: { size?: number; parallel?: number } = {},
) {
  return unitRetriever({
    transport: scriptedTransport({ retrieve: (_, ids, into) => retrieve(ids, into) }),
    batches: new BatchPool({ rows: 100, vectors: [], fields: [] }),
    retrieveSize: new BatchSize(options.size ?? 100),
    parallel: options.parallel ?? 1,
    signal,
  });
}

const answer = async (ids: readonly string[], into: PointBatch) => {
  for (const id of ids) into.endRow(id);
};

describe('unitRetriever()', () => {
  test('fetches a unit in requests of nearly equal size', async () => {
    const sizes: number[] = [];
    const fetch = retriever(
      (ids, into) => {
        sizes.push(ids.length);
        return answer(ids, into);
      },
      { size: 45 },
    );
    const batch = await fetch({ points, set: 0, ids: numbers(100) });
    expect(batch.ids).toEqual(numbers(100));
    expect(sizes).toEqual([34, 33, 33]);
  });

  test('leaves out points that retrieve leaves out', async () => {
    const fetch = retriever((ids, into) =>
      answer(
        ids.filter((id) => Number(id) % 3 !== 0),
        into,
      ),
    );
    const batch = await fetch({ points, set: 0, ids: numbers(10) });
    expect([...batch.ids]).toEqual(['1', '2', '4', '5', '7', '8', '10']);
  });

  for (const [what, answered] of [
    ['twice', ['1', '1']],
    ['that was not asked for', ['7']],
    ['out of order', ['2', '1']],
  ] as const) {
    test(`refuses a point ${what}`, async () => {
      const fetch = retriever((_, into) => answer(answered, into));
      const error = await fetch({ points, set: 0, ids: ['1', '2'] }).catch((thrown: unknown) => thrown);
      expect((error as ToolError).code).toBe('integrity');
    });
  }

  test('keeps at most `parallel` requests in flight', async () => {
    let inFlight = 0;
    let most = 0;
    const fetch = retriever(
      async (ids, into) => {
        most = Math.max(most, ++inFlight);
        await new Promise((resolve) => setImmediate(resolve));
        await answer(ids, into);
        inFlight--;
      },
      { parallel: 3 },
    );
    await Promise.all(Array.from({ length: 10 }, () => fetch({ points, set: 0, ids: numbers(5) })));
    expect(most).toBe(3);
  });

  test('goes on with what is left after an answer was too large', async () => {
    const fetch = retriever((ids, into) => {
      if (ids.length > 30) return Promise.reject(new ToolError('qdrant', 'x', { remedy: 'smaller' }));
      return answer(ids, into);
    });
    expect([...(await fetch({ points, set: 0, ids: numbers(100) })).ids]).toEqual(numbers(100));
  });
});
