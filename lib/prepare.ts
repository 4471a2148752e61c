import { PointBatch } from './batch.ts';
import { BatchSize } from './pipeline/batch-size.ts';
import { choosePasses } from './pipeline/passes.ts';
import { fillBatch } from './pipeline/scrolled-batches.ts';
import { unitsAtOnce } from './pipeline/unit-gate.ts';
import type { ExportParts, ExportPlan, PlanSummary } from './plan.ts';
import type { Transport } from './qdrant/transport.ts';
import type { EncodedUnit, Format } from './writers/format.ts';

/** Bytes of an answer that retrieves are sized for, unless told otherwise. */
const ANSWER_BYTES = 4 * 1024 * 1024;
/** A float takes 4 bytes, and about three times as many as JSON text: `-0.009975586,`. */
const REST_TEXT_FACTOR = 3;
/** Points that are looked at to learn how large payloads are. */
const SAMPLE_POINTS = 16;
/** Units that may be encoded, or wait to be written, beside those that are being fetched. */
const UNITS_BEYOND_PARALLEL = 2;

export interface Prepared<Unit extends EncodedUnit> {
  readonly summary: PlanSummary;
  readonly format: Format<Unit>;
  /** Points a retrieve. */
  readonly retrieveBatch: number;
  /** Ids, or whole points, a scroll page. */
  readonly pageSize: number;
  /** Work units begun ahead of the one that is written. */
  readonly window: number;
  /** About how many bytes of points a unit holds. */
  readonly unitBytes: number;
}

/** Everything that can be known, and refused, before the first point is read. */
export async function prepare<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  signal: AbortSignal,
): Promise<Prepared<Unit>> {
  const { transport, destination } = parts;
  const shape = await transport.describe(plan.collection, signal);
  const unsized = parts.format(shape, 0);
  const points = await transport.count(plan.collection, signal);
  await destination.check(plan.key, signal);
  if (parts.workFile !== undefined) await parts.workFile.destination.check(parts.workFile.path, signal);
  const most = shape.strictMode.maxQueryLimit ?? Number.POSITIVE_INFINITY;
  const payloadBytes = await averagePayloadBytes(plan.collection, unsized, transport, most, signal);
  const format = parts.format(shape, payloadBytes);
  const { rows, vectors } = format.layout;
  const pointBytes = Math.max(1, payloadBytes + vectors.reduce((sum, { size }) => sum + size * 4, 0));
  const answerBytes = rows * (transport.protocol === 'rest' ? pointBytes * REST_TEXT_FACTOR : pointBytes);
  // As many requests a unit as bring an answer nearest to the size wanted, all about equally large.
  const automatic = Math.ceil(rows / Math.max(1, Math.round(answerBytes / ANSWER_BYTES)));
  const window = plan.parallel + UNITS_BEYOND_PARALLEL;
  const { passes, reason } = choosePasses(plan.passes, shape);
  return {
    format,
    retrieveBatch: Math.min(
      plan.retrieveBatch ?? Math.max(1, Math.min(automatic, Math.floor(plan.batchSize / 2))),
      most,
    ),
    pageSize: Math.min(plan.batchSize, most),
    window,
    unitBytes: rows * pointBytes,
    summary: {
      shape,
      protocol: transport.protocol,
      points,
      passes,
      passesReason: reason,
      format: format.description,
      location: destination.locate(plan.key),
      workFile: plan.streaming ? undefined : parts.workFile?.path,
      estimatedBytes: format.estimateBytes(points, pointBytes),
      // Being filled, encoded or waiting to be written, and the one that is being written.
      pointsInMemory: unitsAtOnce(window + 1, rows * pointBytes) * rows,
    },
  };
}

/**
 * Bytes of a payload's text on average of the first few points, in as many pages as a limit or a failure cuts
 * them into: it decides where the file is cut, and must be the same in every run. 0 in an empty collection.
 */
async function averagePayloadBytes(
  collection: string,
  format: Format,
  transport: Transport,
  most: number,
  signal: AbortSignal,
): Promise<number> {
  const sample = new PointBatch({ ...format.layout, rows: SAMPLE_POINTS });
  const pageSize = new BatchSize(Math.min(SAMPLE_POINTS, most));
  const source = { transport, collection, pageSize, signal };
  await fillBatch(source, sample, SAMPLE_POINTS, { offset: undefined, last: undefined });
  return Math.ceil(sample.payload.length / Math.max(1, sample.rowCount));
}
