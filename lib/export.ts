import type { PointBatch } from './batch.ts';
import { abortReason, ToolError } from './errors.ts';
import { BatchPool } from './pipeline/batch-pool.ts';
import { BatchSize } from './pipeline/batch-size.ts';
import { idUnits } from './pipeline/id-units.ts';
import { unitRetriever } from './pipeline/retrieved-units.ts';
import { scrolledBatches } from './pipeline/scrolled-batches.ts';
import { results, type Started, startAhead } from './pipeline/start-ahead.ts';
import { streamOf } from './pipeline/stream-of.ts';
import { UnitGate } from './pipeline/unit-gate.ts';
import type { ExportParts, ExportPlan, ExportReport } from './plan.ts';
import { type Prepared, prepare } from './prepare.ts';
import type { RetryNotice } from './retry.ts';
import type { ByteStream, Receipt, WorkFile } from './storage/storage.ts';
import type { EncodedUnit, FileSummary } from './writers/format.ts';

/**
 * Exports one collection: looks at it, decides, and then moves it from Qdrant to the destination in one
 * stream. Resolves when the file is there and was compared; whatever fails, nothing is published.
 */
export async function exportCollection<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  signal: AbortSignal,
): Promise<ExportReport> {
  const startedAt = new Date();
  // The first failure stops every stage with its reason.
  const run = new AbortController();
  const stop = () => run.abort(abortReason(signal));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const prepared = await prepare(plan, parts, run.signal);
    parts.emit({ kind: 'plan', plan: prepared.summary });
    const before = prepared.summary.points;
    if (plan.dryRun) {
      return {
        plan: prepared.summary,
        startedAt,
        finishedAt: new Date(),
        counts: { before, idsSeen: 0, rows: 0, missing: 0 },
        file: undefined,
        warnings: [],
        seconds: { export: 0, upload: 0, total: secondsSince(startedAt) },
      };
    }
    return await move(plan, parts, prepared, run, startedAt);
  } catch (error) {
    throw whatEnded(run.signal, error);
  } finally {
    signal.removeEventListener('abort', stop);
    run.abort(new ToolError('cancelled', 'The run is over.'));
  }
}

/** What was aborted first is what happened, and not the errors that follow from it. */
function whatEnded(signal: AbortSignal, error: unknown): unknown {
  if (!signal.aborted) return error;
  const reason: unknown = signal.reason;
  // Whoever stopped reading without a word has thrown what there is to say.
  if (reason instanceof DOMException) return error;
  // One that was made of it says more: what could not be cleaned up.
  if (error instanceof ToolError && reason instanceof ToolError && error.cause === reason) return error;
  return reason;
}

async function move<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  prepared: Prepared<Unit>,
  run: AbortController,
  startedAt: Date,
): Promise<ExportReport> {
  const { summary } = prepared;
  const { emit, destination } = parts;
  const { signal } = run;
  const { body, counts, state } = encodedFile(plan, parts, prepared, run);
  emit({ kind: 'phase', phase: 'export', total: summary.points });
  const exportStart = new Date();
  const { estimatedBytes } = summary;
  const workFile = plan.streaming ? undefined : parts.workFile;
  const receipt =
    workFile === undefined
      ? await destination.put({ key: plan.key, body, estimatedBytes, signal })
      : await putFromWorkFile(workFile, body, estimatedBytes, plan.key, parts, signal);
  if (receipt.bytes !== state.bytes) {
    throw new ToolError(
      'integrity',
      `The file was encoded with ${state.bytes} bytes, but ${receipt.location} has ${receipt.bytes}.`,
    );
  }
  const warnings = countWarnings(summary.points, counts);
  for (const text of warnings) emit({ kind: 'warning', text });
  const total = secondsSince(startedAt);
  const exportSeconds = (state.endedAt.getTime() - exportStart.getTime()) / 1000;
  return {
    plan: summary,
    startedAt,
    finishedAt: new Date(),
    counts: { before: summary.points, ...counts },
    file: {
      location: receipt.location,
      bytes: receipt.bytes,
      rowGroups: state.rowGroups,
      etag: receipt.etag,
    },
    warnings,
    seconds: {
      export: exportSeconds,
      upload: secondsSince(exportStart) - exportSeconds,
      total,
    },
  };
}

/** Writes the bytes to the work file, then uploads that; it is gone afterwards, whatever happened. */
async function putFromWorkFile(
  workFile: WorkFile,
  body: ByteStream,
  estimatedBytes: number,
  key: string,
  { destination, emit }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  signal: AbortSignal,
): Promise<Receipt> {
  try {
    const written = await workFile.destination.put({ key: workFile.path, body, estimatedBytes, signal });
    emit({ kind: 'phase', phase: 'upload', total: written.bytes });
    let uploaded = 0;
    return await destination.put({
      key,
      body: workFile.open(),
      estimatedBytes: written.bytes,
      signal,
      onProgress: (bytes) => {
        uploaded += bytes;
        emit({ kind: 'progress', rows: 0, bytes: uploaded });
      },
    });
  } finally {
    await workFile.remove();
  }
}

interface Encoding {
  /** The file's bytes, made as they are asked for. */
  readonly body: ByteStream;
  readonly counts: { idsSeen: number; rows: number; missing: number };
  readonly state: { bytes: number; rowGroups: number; endedAt: Date };
}

/** The stages from Qdrant to the file's bytes. */
function encodedFile<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  prepared: Prepared<Unit>,
  run: AbortController,
): Encoding {
  const { transport, emit } = parts;
  const { format, window } = prepared;
  const { collection } = plan;
  const { signal } = run;
  const gate = new UnitGate(window + 1, prepared.unitBytes, signal);
  const batches = new BatchPool(format.layout);
  const counts = { idsSeen: 0, rows: 0, missing: 0 };
  const state = { bytes: 0, rowGroups: 0, endedAt: new Date() };
  const onRetry = (notice: RetryNotice) => emit({ kind: 'retry', notice });
  const pageSize = new BatchSize(prepared.pageSize, onRetry);
  const { unitRows } = format;

  async function encode(batch: PointBatch): Promise<Unit> {
    gate.observe(bytesOf(batch));
    const unit = await format.encode(batch);
    batches.release(batch);
    return unit;
  }
  /** Stops the other stages as soon as one fails, not when the reader comes to it. */
  function stopping<In>(work: (item: In) => Promise<Unit>): (item: In) => Promise<Unit> {
    return async (item) => {
      try {
        return await work(item);
      } catch (error) {
        run.abort(error);
        throw error;
      }
    };
  }

  function twoPasses(): ReadableStream<Started<Unit>> {
    const ids = idUnits({ transport, collection, pageSize, unitRows, signal });
    const retrieveSize = new BatchSize(prepared.retrieveBatch, onRetry);
    const { parallel } = plan;
    const retrieve = unitRetriever({ transport, collection, batches, retrieveSize, parallel, signal });
    const work = stopping(async (unit: Parameters<typeof retrieve>[0]) => {
      await gate.enter();
      const batch = await retrieve(unit);
      counts.idsSeen += unit.ids.length;
      counts.missing += unit.ids.length - batch.rowCount;
      return encode(batch);
    });
    return startAhead(ids, window, work);
  }

  function onePass(): ReadableStream<Started<Unit>> {
    const scrolled = scrolledBatches({ transport, collection, batches, gate, pageSize, unitRows, signal });
    const work = stopping((batch: PointBatch) => {
      counts.idsSeen += batch.rowCount;
      return encode(batch);
    });
    return startAhead(scrolled, window, work);
  }

  async function* counted(): AsyncGenerator<Unit> {
    const units = prepared.summary.passes === 'two' ? twoPasses() : onePass();
    for await (const unit of results(units, gate)) {
      counts.rows += unit.rowCount;
      emit({ kind: 'progress', rows: counts.rows, bytes: state.bytes });
      yield unit;
    }
    // Before the footer is written: a file that lacks rows never becomes whole.
    if (counts.rows + counts.missing !== counts.idsSeen) {
      throw new ToolError(
        'integrity',
        `Cannot finish the file: ${counts.idsSeen} ids were read, but ${counts.rows} rows written and ${counts.missing} points missing.`,
      );
    }
  }

  async function* metered(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const chunks = format.assemble(counted());
    for (;;) {
      const step: IteratorResult<Uint8Array<ArrayBuffer>, FileSummary> = await chunks.next();
      if (step.done) {
        state.rowGroups = step.value.rowGroups;
        state.endedAt = new Date();
        return;
      }
      state.bytes += step.value.length;
      yield step.value;
    }
  }

  return { body: streamOf(metered(), 0, (reason) => run.abort(reason)), counts, state };
}

function bytesOf(batch: PointBatch): number {
  return batch.vectors.reduce((sum, { bytes }) => sum + bytes.length, 0) + batch.payload.length;
}

function countWarnings(before: number, counts: Encoding['counts']): readonly string[] {
  const warnings: string[] = [];
  if (counts.missing > 0) {
    warnings.push(`${counts.missing} points were deleted while the export ran and are not in the file.`);
  }
  if (counts.idsSeen !== before) {
    warnings.push(
      `The collection had ${before} points when the export began, and ${counts.idsSeen} were found: it changed meanwhile.`,
    );
  }
  return warnings;
}

function secondsSince(start: Date): number {
  return (Date.now() - start.getTime()) / 1000;
}
