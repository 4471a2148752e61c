import type { PointBatch } from './batch.ts';
import { type ClosingLook, closingLook } from './closing-look.ts';
import { ToolError } from './errors.ts';
import { BatchPool } from './pipeline/batch-pool.ts';
import { BatchSize } from './pipeline/batch-size.ts';
import { idUnits } from './pipeline/id-units.ts';
import { unitRetriever } from './pipeline/retrieved-units.ts';
import { scrolledBatches } from './pipeline/scrolled-batches.ts';
import { results, type Started, startAhead } from './pipeline/start-ahead.ts';
import { streamOf } from './pipeline/stream-of.ts';
import { UnitGate } from './pipeline/unit-gate.ts';
import type { ExportParts, ExportPlan } from './plan.ts';
import type { Prepared } from './prepare.ts';
import type { RetryNotice } from './retry.ts';
import type { Sha256 } from './sha256.ts';
import type { ByteStream } from './storage/storage.ts';
import type { EncodedUnit, FileSummary } from './writers/format.ts';

export interface Encoding {
  /** The file's bytes, made as they are asked for. */
  readonly body: ByteStream;
  /** What there is so far; `sha256`, `look` and `file` once the last byte was taken. */
  readonly encoded: {
    idsSeen: number;
    rows: number;
    missing: number;
    bytes: number;
    /** In hex. */
    sha256: string | undefined;
    endedAt: Date;
    look: ClosingLook | undefined;
    file: FileSummary | undefined;
  };
}

/** The stages from Qdrant to the file's bytes: ids, points, encoded units, one file, each made on demand. */
export function encodedFile<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  prepared: Prepared<Unit>,
  run: AbortController,
  sha256: Sha256,
): Encoding {
  const { transport, emit } = parts;
  const { format, window, sets } = prepared;
  const { signal } = run;
  const limit = plan.limit ?? Number.POSITIVE_INFINITY;
  const gate = new UnitGate(window + 1, prepared.unitBytes, signal);
  const batches = new BatchPool(format.layout);
  const encoded: Encoding['encoded'] = {
    idsSeen: 0,
    rows: 0,
    missing: 0,
    bytes: 0,
    sha256: undefined,
    endedAt: new Date(),
    look: undefined,
    file: undefined,
  };
  const onRetry = (notice: RetryNotice) => emit({ kind: 'retry', notice });
  const pageSize = new BatchSize(prepared.pageSize, onRetry);
  const { unitRows } = format;

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
  function stopping<In>(work: (item: In) => Promise<Unit>): (item: In) => Promise<Unit> {
    return async (item) => {
      try {
        return await work(item);
      } catch (error) {
        if (!(error instanceof ToolError && error.code === 'format')) run.abort(error);
        throw error;
      }
    };
  }

  function twoPasses(): ReadableStream<Started<Unit>> {
    const ids = idUnits({ transport, sets, limit, pageSize, unitRows, signal });
    const retrieveSize = new BatchSize(prepared.retrieveBatch, onRetry);
    const { parallel } = plan;
    const retrieve = unitRetriever({ transport, batches, retrieveSize, parallel, signal });
    const work = stopping(async (unit: Parameters<typeof retrieve>[0]) => {
      await gate.enter();
      const batch = await retrieve(unit);
      encoded.idsSeen += unit.ids.length;
      encoded.missing += unit.ids.length - batch.rowCount;
      return encode(batch);
    });
    return startAhead(ids, window, work);
  }

  function onePass(): ReadableStream<Started<Unit>> {
    const scrolled = scrolledBatches({ transport, sets, limit, batches, gate, pageSize, unitRows, signal });
    const work = stopping((batch: PointBatch) => {
      encoded.idsSeen += batch.rowCount;
      return encode(batch);
    });
    return startAhead(scrolled, window, work);
  }

  async function* counted(): AsyncGenerator<Unit> {
    const units = prepared.summary.passes === 'two' ? twoPasses() : onePass();
    for await (const unit of results(units, gate)) {
      encoded.rows += unit.rowCount;
      emit({ kind: 'progress', rows: encoded.rows, bytes: encoded.bytes });
      yield unit;
    }
    // Before the footer is written: a file that lacks rows never becomes whole.
    if (encoded.rows + encoded.missing !== encoded.idsSeen) {
      throw new ToolError(
        'integrity',
        `Cannot finish the file: ${encoded.idsSeen} ids were read, but ${encoded.rows} rows written and ${encoded.missing} points missing.`,
      );
    }
    encoded.look = await closingLook(
      plan,
      prepared,
      prepared.summary.shape.vectors,
      encoded,
      transport,
      signal,
    );
  }

  async function* metered(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const chunks = format.assemble(counted());
    for (;;) {
      const step: IteratorResult<Uint8Array<ArrayBuffer>, FileSummary> = await chunks.next();
      if (step.done) {
        // Before the stream ends: a file without its hash is not published.
        encoded.sha256 = await sha256.digest();
        encoded.file = step.value;
        encoded.endedAt = new Date();
        return;
      }
      encoded.bytes += step.value.length;
      // Copied: the chunk is the reader's from here on.
      const room = sha256.update(step.value);
      if (room !== undefined) await room;
      yield step.value;
    }
  }

  return { body: streamOf(metered(), 0, (reason) => run.abort(reason)), encoded };
}
