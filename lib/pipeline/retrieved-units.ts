import type { PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import type { PointId } from '../model.ts';
import { type PointSet, pointsName, type Transport } from '../qdrant/transport.ts';
import type { BatchPool } from './batch-pool.ts';
import type { BatchSize } from './batch-size.ts';
import type { IdUnit } from './id-units.ts';
import { Semaphore } from './semaphore.ts';

export interface Retrieval {
  readonly transport: Transport;
  readonly batches: BatchPool;
  /** Points a request. */
  readonly retrieveSize: BatchSize;
  /** Requests in flight at once. */
  readonly parallel: number;
  readonly signal: AbortSignal;
}

/** How a unit's points are fetched: by retrieve, as many requests one after the other as they take. */
export function unitRetriever(retrieval: Retrieval): (unit: IdUnit) => Promise<PointBatch> {
  const { transport, batches, retrieveSize, signal } = retrieval;
  const requests = new Semaphore(retrieval.parallel);

  return async ({ points: set, ids }) => {
    const batch = batches.take();
    batch.shardKey = set.shardKey;
    for (let from = 0; from < ids.length; ) {
      from += await requests.hold(() =>
        retrieveSize.attempt(
          signal,
          async (points) => {
            const asked = ids.slice(from, from + points);
            const before = batch.rowCount;
            await transport.retrieve(set, asked, batch, signal);
            checkAnswered(set, asked, batch.ids, before);
            return asked.length;
          },
          evenShare(ids.length - from, retrieveSize.size),
        ),
      );
    }
    return batch;
  };
}

/** What is left of a unit, cut into as few requests as it takes and none of them much smaller. */
function evenShare(left: number, most: number): number {
  return Math.ceil(left / Math.ceil(left / most));
}

/**
 * Retrieve answers in the order of the request and leaves out what does not exist (any more). Anything else,
 * an id that was not asked for or one twice, would be a wrong file.
 */
function checkAnswered(
  points: PointSet,
  asked: readonly PointId[],
  answered: readonly PointId[],
  from: number,
): void {
  let at = 0;
  for (let row = from; row < answered.length; row++) {
    const id = answered[row];
    while (at < asked.length && asked[at] !== id) at++;
    if (at === asked.length) {
      throw new ToolError(
        'integrity',
        `Cannot export ${pointsName(points)}: Qdrant answered point ${id}, which was not asked for or came twice.`,
      );
    }
    at++;
  }
}
