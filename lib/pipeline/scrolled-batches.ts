import type { PointBatch } from '../batch.ts';
import type { PointSet, Transport } from '../qdrant/transport.ts';
import type { BatchPool } from './batch-pool.ts';
import type { BatchSize } from './batch-size.ts';
import { type Cursor, checkedOrder, checkNext, type ScrollPosition, setsFrom } from './id-units.ts';
import { streamOf } from './stream-of.ts';
import type { UnitGate } from './unit-gate.ts';

/** Batches that may wait to be encoded while the next page is read. */
const BATCHES_AHEAD = 1;

/** Where whole points are scrolled from. */
export interface PointSource {
  readonly transport: Transport;
  /** Points a page. */
  readonly pageSize: BatchSize;
  readonly signal: AbortSignal;
}

export interface Scrolling extends PointSource {
  /** Read one after the other: an id may occur in several. */
  readonly sets: readonly PointSet[];
  /** Undefined = from the first point on. */
  readonly from: Cursor | undefined;
  /** Most points that are read, of all sets together. */
  readonly limit: number;
  readonly batches: BatchPool;
  /** Entered before a batch is filled; whoever is done with the batch leaves it. */
  readonly gate: UnitGate;
  readonly unitRows: (unit: number) => number;
}

/** One pass: scrolls with payloads and vectors, one page after the other, a batch a work unit. */
export function scrolledBatches(scrolling: Scrolling): ReadableStream<ScrolledBatch> {
  return streamOf(fillBatches(scrolling), BATCHES_AHEAD);
}

/** The points of one work unit. */
export interface ScrolledBatch {
  readonly batch: PointBatch;
  /** Number of its set. */
  readonly set: number;
}

async function* fillBatches(scrolling: Scrolling): AsyncGenerator<ScrolledBatch> {
  const { sets, batches, gate, unitRows, from } = scrolling;
  let unit = from?.units ?? 0;
  let left = scrolling.limit;
  for (const { points, set, start } of setsFrom(sets, from)) {
    let end = start;
    do {
      if (left === 0) return;
      await gate.enter();
      const batch = batches.take();
      batch.shardKey = points.shardKey;
      end = await fillBatch(scrolling, points, batch, Math.min(unitRows(unit), left), end);
      left -= batch.rowCount;
      if (batch.rowCount > 0) {
        unit++;
        yield { batch, set };
      } else {
        gate.leave();
        batches.release(batch);
      }
    } while (end.offset !== undefined);
  }
}

/** Scrolls into a batch until it has `rows` more rows, in as many pages as it takes, or the points end. */
export async function fillBatch(
  { transport, pageSize, signal }: PointSource,
  points: PointSet,
  batch: PointBatch,
  rows: number,
  from: ScrollPosition,
): Promise<ScrollPosition> {
  const wanted = batch.rowCount + rows;
  let { offset, last } = from;
  do {
    const before = batch.rowCount;
    offset = await pageSize.attempt(
      signal,
      (limit) => transport.scroll(points, { offset, limit }, batch, signal),
      wanted - before,
    );
    last = checkedOrder(points, last, batch.ids.slice(before));
    checkNext(points, last, offset);
  } while (offset !== undefined && batch.rowCount < wanted);
  return { offset, last };
}
