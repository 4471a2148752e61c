import type { PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import type { PointId } from '../model.ts';
import { BatchPool } from '../pipeline/batch-pool.ts';
import { BatchSize } from '../pipeline/batch-size.ts';
import { type IdUnit, idUnits } from '../pipeline/id-units.ts';
import { unitRetriever } from '../pipeline/retrieved-units.ts';
import { type ScrolledBatch, scrolledBatches } from '../pipeline/scrolled-batches.ts';
import { results, type Started, startAhead } from '../pipeline/start-ahead.ts';
import { UnitGate } from '../pipeline/unit-gate.ts';
import type { ExportParts, ExportPlan } from '../plan.ts';
import type { RetryNotice } from '../retry.ts';
import type { Assembled, EncodedUnit, FileSummary, SafePoint } from '../writers/format.ts';
import { type ClosingLook, closingLook } from './closing-look.ts';
import type { Prepared } from './prepare.ts';

/** How far a file has come in the collection: all of it JSON. */
export interface Position {
  /** The set, and its last id, that were read. */
  readonly set: number;
  readonly after: PointId;
  readonly idsSeen: number;
  readonly missing: number;
}

/** Where an earlier run's bytes are safe. */
export interface Start {
  readonly assembled: Assembled;
  readonly position: Position;
}

/** What the whole file holds, and what the collection was like at its end. */
export interface Encoded {
  readonly idsSeen: number;
  readonly missing: number;
  readonly rows: number;
  readonly bytes: number;
  readonly look: ClosingLook;
  readonly file: FileSummary;
}

export interface EncodingOptions {
  /** Undefined = the file's start. */
  readonly from: Start | undefined;
  /** Called when all bytes before the point were taken. */
  readonly onSafe: ((point: SafePoint, position: Position) => void) | undefined;
}

/**
 * The stages from Qdrant to the file's bytes: ids, points, encoded units, one file, each made on demand. Chunks
 * follow the rules of storage.ts's ByteStream.
 */
export async function* encodedFile<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: Pick<ExportParts<Unit>, 'transport' | 'emit'>,
  prepared: Prepared<Unit>,
  run: AbortController,
  options: EncodingOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, Encoded> {
  const { from, onSafe } = options;
  const { emit, transport } = parts;
  const { format } = prepared;
  let rows = from?.assembled.rows ?? 0;
  let bytes = from?.assembled.bytes ?? 0;
  let { idsSeen, missing } = from?.position ?? { idsSeen: 0, missing: 0 };
  /** Of units that were given to the format and lie behind its last safe point, at most those of a row group. */
  const positions: Position[] = [];
  let unitsSafe = from?.assembled.units ?? 0;
  let look: ClosingLook | undefined;

  async function* counted(): AsyncGenerator<Unit> {
    for await (const { unit, set, ids, after } of readUnits(plan, parts, prepared, run, from)) {
      rows += unit.rowCount;
      idsSeen += ids;
      missing += ids - unit.rowCount;
      // Nobody would take them out again.
      if (onSafe !== undefined) positions.push({ set, after, idsSeen, missing });
      emit({ kind: 'progress', rows, bytes });
      yield unit;
    }
    // Before the file's end is made: one that is refused here never becomes whole.
    const found = { idsSeen, rows, missing };
    look = await closingLook(plan, prepared, prepared.summary.shape.vectors, found, transport, run.signal);
  }

  function safe(point: SafePoint): void {
    const passed = positions.splice(0, point.units - unitsSafe);
    unitsSafe = point.units;
    onSafe?.(point, passed.at(-1) as Position);
  }

  const chunks = format.assemble(counted(), {
    from: from?.assembled,
    onSafe: onSafe === undefined ? undefined : safe,
  });
  try {
    for (;;) {
      const step: IteratorResult<Uint8Array<ArrayBuffer>, FileSummary> = await chunks.next();
      if (step.done) {
        const file = step.value;
        if (file.rows !== rows || look === undefined) {
          throw new ToolError(
            'integrity',
            `Cannot finish the file: ${rows} rows were encoded, but ${file.rows} written.`,
          );
        }
        return { idsSeen, missing, rows, bytes, look, file };
      }
      bytes += step.value.length;
      yield step.value;
    }
  } finally {
    // A reader that gives up lets go of all stages, though the run goes on: a stream that starts over.
    await chunks.return(undefined as never);
  }
}

/** An encoded unit, and what of the collection it covers. */
interface ReadUnit<Unit> {
  readonly unit: Unit;
  readonly set: number;
  /** How many ids it was made for, and the last of them. */
  readonly ids: number;
  readonly after: PointId;
}

function readUnits<Unit extends EncodedUnit>(
  plan: ExportPlan,
  { transport, emit }: Pick<ExportParts<Unit>, 'transport' | 'emit'>,
  prepared: Prepared<Unit>,
  run: AbortController,
  start: Start | undefined,
): AsyncGenerator<ReadUnit<Unit>> {
  const { format, window, sets } = prepared;
  const { signal } = run;
  const gate = new UnitGate(window + 1, prepared.unitBytes, signal);
  const batches = new BatchPool(format.layout);
  const onRetry = (notice: RetryNotice) => emit({ kind: 'retry', notice });
  const source = {
    transport,
    sets,
    from: start && { ...start.position, units: start.assembled.units },
    limit: (plan.limit ?? Number.POSITIVE_INFINITY) - (start?.position.idsSeen ?? 0),
    pageSize: new BatchSize(prepared.pageSize, onRetry),
    unitRows: format.unitRows,
    signal,
  };

  async function encode(batch: PointBatch): Promise<Unit> {
    gate.observe(batch.byteLength);
    const unit = await format.encode(batch);
    batches.release(batch);
    return unit;
  }
  /**
   * Stops the other stages as soon as one fails, not when the reader comes to it. A point that the format cannot
   * hold is told of in its turn, so that it is the first such point.
   */
  function stopping<In, Out>(work: (item: In) => Promise<Out>): (item: In) => Promise<Out> {
    return async (item) => {
      try {
        return await work(item);
      } catch (error) {
        if (!(error instanceof ToolError && error.code === 'format')) run.abort(error);
        throw error;
      }
    };
  }

  function twoPasses(): ReadableStream<Started<ReadUnit<Unit>>> {
    const retrieveSize = new BatchSize(prepared.retrieveBatch, onRetry);
    const { parallel } = plan;
    const retrieve = unitRetriever({ transport, batches, retrieveSize, parallel, signal });
    const work = stopping(async (wanted: IdUnit) => {
      await gate.enter();
      const unit = await encode(await retrieve(wanted));
      return { unit, set: wanted.set, ids: wanted.ids.length, after: wanted.ids.at(-1) as PointId };
    });
    return startAhead(idUnits(source), window, work);
  }

  function onePass(): ReadableStream<Started<ReadUnit<Unit>>> {
    const scrolled = scrolledBatches({ ...source, batches, gate });
    const work = stopping(async ({ batch, set }: ScrolledBatch) => {
      const { rowCount: ids } = batch;
      const after = batch.ids.at(-1) as PointId;
      return { unit: await encode(batch), set, ids, after };
    });
    return startAhead(scrolled, window, work);
  }

  return results(prepared.summary.passes === 'two' ? twoPasses() : onePass(), gate);
}
