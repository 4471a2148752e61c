import type { VectorSpec } from '../../model.ts';
import type { PointSample } from '../format.ts';
import type { UnitRows } from '../unit-rows.ts';

/** A work unit's vectors take about this many bytes of text, its payloads as many, judged by the first points… */
const UNIT_TEXT_BYTES = 8 * 1024 * 1024;
/** …and it has at most this many points. */
const UNIT_ROWS = 1024;

/** A float32 of a few digits before and eight behind the point, its sign now and then and a comma. */
export const FLOAT_TEXT_BYTES = 12;
/** Text bytes for one byte of a vector in memory; a sparse one's indices rather take less. */
export const TEXT_FACTOR = FLOAT_TEXT_BYTES / 4;

/** Units of equally many rows: a file of lines has no row groups to fill. */
export function textUnitRows(vectors: readonly VectorSpec[], sample: PointSample): UnitRows {
  // What was sampled counts by powers of two: a payload or a vector that grew by a little must not cut the file in
  // other places.
  const hasRagged = vectors.some(({ kind }) => kind !== 'dense') && sample.raggedVectorBytes > 0;
  const ragged = hasRagged ? 2 ** Math.ceil(Math.log2(sample.raggedVectorBytes * TEXT_FACTOR)) : 0;
  const byVectors = Math.floor(
    UNIT_TEXT_BYTES / Math.max(1, denseFloats(vectors) * FLOAT_TEXT_BYTES + ragged),
  );
  const byPayloads = 2 ** Math.floor(Math.log2(UNIT_TEXT_BYTES / Math.max(1, sample.payloadBytes)));
  const most = Math.max(1, Math.min(UNIT_ROWS, byVectors, byPayloads));
  return { most, of: () => most };
}

/** Floats of a point's dense vectors. */
export function denseFloats(vectors: readonly VectorSpec[]): number {
  return vectors.reduce((sum, { kind, size }) => sum + (kind === 'dense' ? size : 0), 0);
}
