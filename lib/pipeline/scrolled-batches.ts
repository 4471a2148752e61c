import type { PointBatch } from '../batch.ts';
import type { PointId } from '../model.ts';
import type { Transport } from '../qdrant/transport.ts';
import type { BatchPool } from './batch-pool.ts';
import type { BatchSize } from './batch-size.ts';
import { checkedOrder, checkNext } from './id-units.ts';
import type { UnitGate } from './unit-gate.ts';

/** Batches that may wait to be encoded while the next page is read. */
const BATCHES_AHEAD = 1;

export interface Scrolling {
  readonly transport: Transport;
  readonly collection: string;
  readonly batches: BatchPool;
  /** Entered before a batch is filled; whoever is done with the batch leaves it. */
  readonly gate: UnitGate;
  /** Points a page. */
  readonly pageSize: BatchSize;
  readonly unitRows: (unit: number) => number;
  readonly signal: AbortSignal;
}

/** One pass: scrolls with payloads and vectors, one page after the other, a batch a work unit. */
export function scrolledBatches(scrolling: Scrolling): ReadableStream<PointBatch> {
  const filled = fillBatches(scrolling);
  return new ReadableStream<PointBatch>(
    {
      async pull(controller) {
        const { value, done } = await filled.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await filled.return(undefined);
      },
    },
    { highWaterMark: BATCHES_AHEAD },
  );
}

async function* fillBatches(scrolling: Scrolling): AsyncGenerator<PointBatch, undefined> {
  const { transport, collection, batches, gate, pageSize, unitRows, signal } = scrolling;
  let offset: PointId | undefined;
  let last: PointId | undefined;
  for (let unit = 0; ; unit++) {
    await gate.enter();
    const batch = batches.take();
    const rows = unitRows(unit);
    do {
      const before = batch.rowCount;
      offset = await pageSize.attempt(
        signal,
        (limit) => transport.scroll(collection, { offset, limit }, batch, signal),
        rows - before,
      );
      last = checkedOrder(collection, last, batch.ids.slice(before));
      checkNext(collection, last, offset);
    } while (offset !== undefined && batch.rowCount < rows);
    if (batch.rowCount > 0) yield batch;
    else gate.leave();
    if (offset === undefined) return undefined;
  }
}
