import type { VectorSpec } from '../model.ts';
import type { PointSample } from './format.ts';

/** A work unit holds about this many bytes of vectors… */
const UNIT_VECTOR_BYTES = 4 * 1024 * 1024;
/** …at most this many points… */
const UNIT_ROWS = 1024;
/** …and about this many bytes of payloads, judged by the collection's first ones. */
const UNIT_PAYLOAD_BYTES = 8 * 1024 * 1024;

/**
 * …and where files may have only so many bytes, no more than an eighth of these: what does not fit one file is left to the
 * next, so that files would else be far from full, or hold no unit at all.
 */
export const SPLIT_SHARE = 8;

/** Bytes of a unit that may have so many, in files of at most `splitBytes`. */
export function unitBytes(most: number, splitBytes: number | undefined): number {
  return splitBytes === undefined ? most : Math.min(most, Math.floor(splitBytes / SPLIT_SHARE));
}

/** How the ids of an export are cut into work units. */
export interface UnitRows {
  /** Most rows a unit. */
  readonly most: number;
  /** Rows of the unit with this number, from 0. */
  readonly of: (unit: number) => number;
}

/** Cuts row groups into whole units of about equally many rows. */
export function unitRows(
  vectors: readonly VectorSpec[],
  sample: PointSample,
  rowGroupRows: number,
  splitBytes: number | undefined,
): UnitRows {
  const unitsPerGroup = Math.ceil(rowGroupRows / mostUnitRows(vectors, sample, splitBytes));
  const smallest = Math.floor(rowGroupRows / unitsPerGroup);
  const longer = rowGroupRows % unitsPerGroup;
  return {
    most: smallest + (longer > 0 ? 1 : 0),
    of: (unit) => smallest + (unit % unitsPerGroup < longer ? 1 : 0),
  };
}

function mostUnitRows(
  vectors: readonly VectorSpec[],
  sample: PointSample,
  splitBytes: number | undefined,
): number {
  const vectorBytes = unitBytes(UNIT_VECTOR_BYTES, splitBytes);
  const payloadBytes = unitBytes(UNIT_PAYLOAD_BYTES, splitBytes);
  // What was sampled counts by powers of two: a payload or a vector that grew by a little must not cut the file in
  // other places.
  const ragged = sample.raggedVectorBytes === 0 ? 0 : 2 ** Math.ceil(Math.log2(sample.raggedVectorBytes));
  const rowBytes = denseBytes(vectors) + (vectors.some(({ kind }) => kind !== 'dense') ? ragged : 0);
  const byVectors = Math.min(UNIT_ROWS, Math.floor(vectorBytes / Math.max(1, rowBytes)));
  const byPayloads = 2 ** Math.floor(Math.log2(payloadBytes / Math.max(1, sample.payloadBytes)));
  return Math.max(1, Math.min(byVectors, byPayloads));
}

function denseBytes(vectors: readonly VectorSpec[]): number {
  return vectors.reduce((sum, { kind, size }) => sum + (kind === 'dense' ? size * 4 : 0), 0);
}
