import type { PointBatch } from '../batch.ts';
import type { PointId } from '../model.ts';
import type { Transport } from '../qdrant/transport.ts';
import type { BatchPool } from './batch-pool.ts';
import type { BatchSize } from './batch-size.ts';
import { checkedOrder, checkNext } from './id-units.ts';
import { streamOf } from './stream-of.ts';
import type { UnitGate } from './unit-gate.ts';

/** Batches that may wait to be encoded while the next page is read. */
const BATCHES_AHEAD = 1;

/** Where whole points are scrolled from. */
export interface PointSource {
  readonly transport: Transport;
  readonly collection: string;
  /** Points a page. */
  readonly pageSize: BatchSize;
  readonly signal: AbortSignal;
}

export interface Scrolling extends PointSource {
  readonly batches: BatchPool;
  /** Entered before a batch is filled; whoever is done with the batch leaves it. */
  readonly gate: UnitGate;
  readonly unitRows: (unit: number) => number;
}

/** One pass: scrolls with payloads and vectors, one page after the other, a batch a work unit. */
export function scrolledBatches(scrolling: Scrolling): ReadableStream<PointBatch> {
  return streamOf(fillBatches(scrolling), BATCHES_AHEAD);
}

async function* fillBatches(scrolling: Scrolling): AsyncGenerator<PointBatch> {
  const { batches, gate, unitRows } = scrolling;
  let end: ScrollPosition = { offset: undefined, last: undefined };
  for (let unit = 0; unit === 0 || end.offset !== undefined; unit++) {
    await gate.enter();
    const batch = batches.take();
    end = await fillBatch(scrolling, batch, unitRows(unit), end);
    if (batch.rowCount > 0) yield batch;
    else gate.leave();
  }
}

/** Where a scroll goes on, and the last id before that. */
export interface ScrollPosition {
  /** Undefined before the first page and after the last. */
  readonly offset: PointId | undefined;
  readonly last: PointId | undefined;
}

/** Scrolls into an empty batch until it has `rows` rows, in as many pages as it takes, or the points end. */
export async function fillBatch(
  { transport, collection, pageSize, signal }: PointSource,
  batch: PointBatch,
  rows: number,
  from: ScrollPosition,
): Promise<ScrollPosition> {
  let { offset, last } = from;
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
  return { offset, last };
}
