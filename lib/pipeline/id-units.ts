import { ToolError } from '../errors.ts';
import { compareIds, idAfter, type PointId } from '../model.ts';
import { type PointSet, pointsName, type Transport } from '../qdrant/transport.ts';
import type { BatchSize } from './batch-size.ts';
import { streamOf } from './stream-of.ts';

/** The ids of one work unit, in id order, all of one set. */
export interface IdUnit {
  readonly points: PointSet;
  /** Number of its set. */
  readonly set: number;
  readonly ids: readonly PointId[];
}

/** Where an earlier run stopped: behind which id, and before which work unit. */
export interface Cursor {
  /** Number of the set that it was in. */
  readonly set: number;
  readonly after: PointId;
  /** Work units before it. */
  readonly units: number;
}

/**
 * Units of ids that may wait to be fetched, so that the next page of ids is read while points are: at 1,024
 * ids a unit and about 60 bytes an id, 2 MB.
 */
const UNITS_AHEAD = 32;

export interface IdSource {
  readonly transport: Transport;
  /** Read one after the other: an id may occur in several. */
  readonly sets: readonly PointSet[];
  /** Undefined = from the first id on. */
  readonly from: Cursor | undefined;
  /** Most ids that are read, of all sets together. */
  readonly limit: number;
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
  const { unitRows, from: cursor } = source;
  let unit = cursor?.units ?? 0;
  let left = source.limit;
  for (const { points, set, start } of setsFrom(source.sets, cursor)) {
    if (left === 0) return;
    let pending: PointId[] = [];
    for await (const page of readPages(source, points, start, left)) {
      left -= page.length;
      pending = pending.length === 0 ? [...page] : pending.concat(page);
      let from = 0;
      for (let rows = unitRows(unit); pending.length - from >= rows; rows = unitRows(unit)) {
        yield { points, set, ids: pending.slice(from, from + rows) };
        from += rows;
        unit++;
      }
      pending = pending.slice(from);
    }
    if (pending.length > 0) {
      yield { points, set, ids: pending };
      unit++;
    }
  }
}

/** Where a scroll goes on, and the last id before that. */
export interface ScrollPosition {
  /** Undefined before the first page and after the last. */
  readonly offset: PointId | undefined;
  readonly last: PointId | undefined;
}

const FIRST: ScrollPosition = { offset: undefined, last: undefined };

/** Sets that are left to be read, each with its number and where it begins. */
export function setsFrom(
  sets: readonly PointSet[],
  from: Cursor | undefined,
): readonly { readonly points: PointSet; readonly set: number; readonly start: ScrollPosition }[] {
  return sets.flatMap((points, set) => {
    if (from === undefined || set > from.set) return [{ points, set, start: FIRST }];
    const offset = set < from.set ? undefined : idAfter(from.after);
    return offset === undefined ? [] : [{ points, set, start: { offset, last: from.after } }];
  });
}

/** Pages of a set's ids from `start` on, `most` ids in all. */
async function* readPages(
  { transport, pageSize, signal }: IdSource,
  points: PointSet,
  start: ScrollPosition,
  most: number,
): AsyncGenerator<readonly PointId[]> {
  let left = most;
  let { offset, last } = start;
  do {
    const { ids, next } = await pageSize.attempt(
      signal,
      (limit) => transport.scrollIds(points, { offset, limit }, signal),
      left,
    );
    last = checkedOrder(points, last, ids);
    checkNext(points, last, next);
    offset = next;
    if (ids.length > left) throw tooMany(points, ids.length, left);
    left -= ids.length;
    yield ids;
  } while (offset !== undefined && left > 0);
}

function tooMany(points: PointSet, found: number, most: number): ToolError {
  return new ToolError(
    'integrity',
    `Cannot export ${pointsName(points)}: Qdrant listed ${found} ids where at most ${most} were asked for.`,
  );
}

/** Ids must ascend, over pages too: a repeated or misplaced one would be a row twice, or lost. */
export function checkedOrder(
  points: PointSet,
  before: PointId | undefined,
  ids: readonly PointId[],
): PointId | undefined {
  let last = before;
  for (const id of ids) {
    if (last !== undefined && compareIds(last, id) >= 0) {
      throw new ToolError(
        'integrity',
        `Cannot export ${pointsName(points)}: Qdrant listed id ${id} after id ${last}, ${id === last ? 'twice' : 'out of order'}.`,
      );
    }
    last = id;
  }
  return last;
}

/** The next page must lie behind this one, or the run would go round in circles. */
export function checkNext(points: PointSet, last: PointId | undefined, next: PointId | undefined): void {
  if (next === undefined || last === undefined || compareIds(next, last) > 0) return;
  throw new ToolError(
    'integrity',
    `Cannot export ${pointsName(points)}: Qdrant's page after id ${last} would begin at id ${next}.`,
  );
}
