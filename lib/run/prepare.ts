import { PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import type { VectorSpec } from '../model.ts';
import { BatchSize } from '../pipeline/batch-size.ts';
import { choosePasses } from '../pipeline/passes.ts';
import { fillBatch } from '../pipeline/scrolled-batches.ts';
import { unitsAtOnce } from '../pipeline/unit-gate.ts';
import type { ExportParts, ExportPlan, PlanSummary } from '../plan.ts';
import type { PointSet, Transport } from '../qdrant/transport.ts';
import { partsPattern } from '../split-keys.ts';
import type { Destination } from '../storage/storage.ts';
import type { Converter } from '../writers/converter.ts';
import type { EncodedUnit, Format, PointSample } from '../writers/format.ts';
import type { FirstLook } from './closing-look.ts';
import { allPoints, chosenPoints, chosenVectors } from './selection.ts';

/** Bytes of an answer that retrieves are sized for, unless told otherwise. */
const ANSWER_BYTES = 4 * 1024 * 1024;
/** A float takes 4 bytes, and about three times as many as JSON text: `-0.009975586,`. */
const REST_TEXT_FACTOR = 3;
/** Points that are looked at to learn how large payloads and ragged vectors are. */
const SAMPLE_POINTS = 16;
/** Units that may be encoded, or wait to be written, beside those that are being fetched. */
const UNITS_BEYOND_PARALLEL = 2;

/** Files that an export may be split into, about: a manifest names all, in some 300 bytes each, and is read whole. */
const MOST_FILES = 10_000;
const MEGABYTE = 1_000_000;

export interface Prepared<Unit extends EncodedUnit> extends FirstLook {
  readonly summary: PlanSummary;
  readonly format: Format<Unit>;
  /** What is exported, set by set. */
  readonly sets: readonly PointSet[];
  /** Points a retrieve. */
  readonly retrieveBatch: number;
  /** Ids, or whole points, a scroll page. */
  readonly pageSize: number;
  /** Work units begun ahead of the one that is written. */
  readonly window: number;
  /** About how many bytes of points a unit holds. */
  readonly unitBytes: number;
  /** What the collection's first points are like. */
  readonly sample: PointSample;
  readonly converter: Converter | undefined;
  /** About how large the data file will be, which is the Parquet file itself where nothing is converted. */
  readonly dataBytes: number;
  /** What the store says of an export of that size, a sentence each. */
  readonly warnings: readonly string[];
}

/** What an interrupted run had found, which the one that goes on with it keeps to. */
export interface FoundBefore {
  /** Exact count before the first point was read. */
  readonly before: number;
  /** Decides where the file is cut into units. */
  readonly sample: PointSample;
  /** ISO 8601, UTC. */
  readonly exportedAt: string;
  /** Of the run, whose files it is part of the names of. */
  readonly id: string;
}

/** Everything that can be known, and refused, before the first point is read. */
export async function prepare<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  signal: AbortSignal,
  found?: FoundBefore,
): Promise<Prepared<Unit>> {
  const { transport, destination } = parts;
  const exportedAt = found === undefined ? plan.exportedAt : new Date(found.exportedAt);
  const described = await transport.describe(plan.collection, signal);
  const shape = { ...described, vectors: chosenVectors(described, plan) };
  const sets = chosenPoints(described, plan);
  const all = allPoints(described, sets, plan);
  const unsized = parts.format(shape, { payloadBytes: 0, raggedVectorBytes: 0 }, exportedAt);
  // Counted by what was asked for: a filter that Qdrant refuses is refused here.
  const before = found?.before ?? (await transport.count(all, signal));
  const points = Math.min(before, plan.limit ?? before);
  await destination.check(plan.key, signal);
  await destination.check(plan.manifestKey, signal);
  const most = shape.strictMode.maxQueryLimit ?? Number.POSITIVE_INFINITY;
  const sample = found?.sample ?? (await sampled(sets, unsized, transport, most, signal));
  const format = parts.format(shape, sample, exportedAt);
  const converter = parts.converter?.(shape, sample, exportedAt);
  const { rows, vectors } = format.layout;
  const pointBytes = Math.max(1, sample.payloadBytes + sample.raggedVectorBytes + denseBytes(vectors));
  const answerBytes = rows * (transport.protocol === 'rest' ? pointBytes * REST_TEXT_FACTOR : pointBytes);
  // As many requests a unit as bring an answer nearest to the size wanted, all about equally large.
  const automatic = Math.ceil(rows / Math.max(1, Math.round(answerBytes / ANSWER_BYTES)));
  const window = plan.parallel + UNITS_BEYOND_PARALLEL;
  const { passes, reason } = choosePasses(plan.passes, shape);
  const dataBytes = format.estimateBytes(points, pointBytes);
  const estimatedBytes = converter?.estimateBytes(points, pointBytes) ?? dataBytes;
  const warnings = await fitting(plan, destination, estimatedBytes, signal);
  return {
    format,
    sample,
    converter,
    dataBytes,
    warnings,
    described,
    sets,
    all,
    before,
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
      location: destination.locate(
        plan.splitBytes === undefined ? plan.key : partsPattern(plan.key, exportedAt, found?.id),
      ),
      door: destination.door?.(fileBytes(plan, estimatedBytes)),
      converter: converter?.description,
      workFolder: parts.work?.path,
      estimatedBytes,
      // In units that are being filled or encoded or were not taken yet, and in what the format collects.
      pointsInMemory: unitsAtOnce(window + 1, rows * pointBytes) * rows + format.rowsHeld(pointBytes),
    },
  };
}

/** About how large the largest file will be. */
function fileBytes({ splitBytes }: ExportPlan, estimatedBytes: number): number {
  return Math.min(estimatedBytes, splitBytes ?? estimatedBytes);
}

/** What is worth a warning of so large an export; rejects where the store would not take it, or nobody its manifest. */
async function fitting(
  plan: ExportPlan,
  destination: Destination,
  estimatedBytes: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { splitBytes = estimatedBytes } = plan;
  if (estimatedBytes > splitBytes * MOST_FILES) {
    const least = Math.ceil(estimatedBytes / MOST_FILES / MEGABYTE);
    throw new ToolError(
      'usage',
      `--split-size would make about ${Math.ceil(estimatedBytes / splitBytes)} files of an export of about ${Math.ceil(estimatedBytes / MEGABYTE)} MB; at most ${MOST_FILES} are made, so at least --split-size ${least}MB is wanted.`,
    );
  }
  return (await destination.fits?.(plan.key, fileBytes(plan, estimatedBytes), signal)) ?? [];
}

function denseBytes(vectors: readonly VectorSpec[]): number {
  return vectors.reduce((sum, { kind, size }) => sum + (kind === 'dense' ? size * 4 : 0), 0);
}

/**
 * How large the first few points are on average, in as many pages as a limit or a failure cuts them into: it
 * decides where the file is cut, and must be the same in every run. All 0 in an empty collection.
 */
async function sampled(
  sets: readonly PointSet[],
  format: Format,
  transport: Transport,
  most: number,
  signal: AbortSignal,
): Promise<PointSample> {
  const sample = new PointBatch({ ...format.layout, rows: SAMPLE_POINTS });
  const pageSize = new BatchSize(Math.min(SAMPLE_POINTS, most));
  const source = { transport, pageSize, signal };
  for (const points of sets) {
    const left = SAMPLE_POINTS - sample.rowCount;
    if (left === 0) break;
    await fillBatch(source, points, sample, left, { offset: undefined, last: undefined });
  }
  const rows = Math.max(1, sample.rowCount);
  let ragged = 0;
  for (const column of sample.vectors) {
    if (column.kind !== 'dense') ragged += column.byteLength(sample.rowCount);
  }
  return {
    payloadBytes: Math.ceil(sample.payload.length / rows),
    raggedVectorBytes: Math.ceil(ragged / rows),
  };
}
