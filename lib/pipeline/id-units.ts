import { ToolError } from '../errors.ts';
import { compareIds, type PointId } from '../model.ts';
import type { Transport } from '../qdrant/transport.ts';
import type { BatchSize } from './batch-size.ts';
import { streamOf } from './stream-of.ts';

/** The ids of one work unit, in id order. */
export interface IdUnit {
  readonly ids: readonly PointId[];
}

/**
 * Units of ids that may wait to be fetched, so that the next page of ids is read while points are: at 1,024
 * ids a unit and about 60 bytes an id, 2 MB.
 */
const UNITS_AHEAD = 32;

export interface IdSource {
  readonly transport: Transport;
  readonly collection: string;
  /** Ids a scroll page. */
  readonly pageSize: BatchSize;
  readonly unitRows: (unit: number) => number;
  readonly signal: AbortSignal;
}

/** Reads all ids by scroll, without payloads and vectors, and cuts them into units. */
export function idUnits(source: IdSource): ReadableStream<IdUnit> {
  return streamOf(readUnits(source), UNITS_AHEAD);
}

async function* readUnits(source: IdSource): AsyncGenerator<IdUnit> {
  const { unitRows } = source;
  let unit = 0;
  let pending: PointId[] = [];
  for await (const page of readPages(source)) {
    pending = pending.length === 0 ? [...page] : pending.concat(page);
    let from = 0;
    for (let rows = unitRows(unit); pending.length - from >= rows; rows = unitRows(unit)) {
      yield { ids: pending.slice(from, from + rows) };
      from += rows;
      unit++;
    }
    pending = pending.slice(from);
  }
  if (pending.length > 0) yield { ids: pending };
}

async function* readPages(source: IdSource): AsyncGenerator<readonly PointId[]> {
  const { transport, collection, pageSize, signal } = source;
  let offset: PointId | undefined;
  let last: PointId | undefined;
  do {
    const { ids, next } = await pageSize.attempt(signal, (limit) =>
      transport.scrollIds(collection, { offset, limit }, signal),
    );
    last = checkedOrder(collection, last, ids);
    checkNext(collection, last, next);
    offset = next;
    yield ids;
  } while (offset !== undefined);
}

/** Ids must ascend, over pages too: a repeated or misplaced one would be a row twice, or lost. */
export function checkedOrder(
  collection: string,
  before: PointId | undefined,
  ids: readonly PointId[],
): PointId | undefined {
  let last = before;
  for (const id of ids) {
    if (last !== undefined && compareIds(last, id) >= 0) {
      throw new ToolError(
        'integrity',
        `Cannot export collection \`${collection}\`: Qdrant listed id ${id} after id ${last}, out of order.`,
      );
    }
    last = id;
  }
  return last;
}

/** The next page must lie behind this one, or the run would go round in circles. */
export function checkNext(collection: string, last: PointId | undefined, next: PointId | undefined): void {
  if (next === undefined || last === undefined || compareIds(next, last) > 0) return;
  throw new ToolError(
    'integrity',
    `Cannot export collection \`${collection}\`: Qdrant's page after id ${last} would begin at id ${next}.`,
  );
}
