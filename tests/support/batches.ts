import { PointBatch } from '../../lib/batch.ts';
import type { VectorSpec } from '../../lib/model.ts';

export interface TestPoint {
  readonly id: string;
  readonly payload: string;
  /** Where the payload's `key` value lies in the text, if it has one. */
  readonly key?: readonly [start: number, end: number];
  readonly vector: Float32Array | null;
}

export function denseSpec(size: number): VectorSpec {
  return { kind: 'dense', name: '', size, distance: 'Dot', datatype: 'float32' };
}

const encoder = new TextEncoder();

/** A batch as a transport would have filled it. */
export function batchOf(points: readonly TestPoint[], size: number, rows = points.length): PointBatch {
  const batch = new PointBatch({ rows, vectors: [denseSpec(size)], fields: ['key'] });
  for (const [row, point] of points.entries()) {
    const text = encoder.encode(point.payload);
    const start = batch.payload.length;
    batch.payload.reserve(text.length).set(text, start);
    batch.payload.length += text.length;
    const field = batch.fields[0];
    if (point.key !== undefined && field !== undefined) {
      field.starts[row] = start + point.key[0];
      field.ends[row] = start + point.key[1];
    }
    const column = batch.vectors[0];
    if (point.vector !== null && column !== undefined) {
      column.values.set(point.vector, row * size);
      column.present[row] = 1;
    }
    batch.endRow(point.id);
  }
  return batch;
}

/** A small deterministic source of randomness (mulberry32): numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A float32 of any bit pattern, NaN payloads, infinities and denormals included. */
export function anyFloats(random: () => number, count: number): Float32Array {
  const bits = new Uint32Array(count);
  for (let i = 0; i < count; i++) bits[i] = Math.floor(random() * 4294967296);
  return new Float32Array(bits.buffer);
}

export function bitsOf(vector: Float32Array | null): readonly number[] | null {
  return vector === null ? null : [...new Uint32Array(vector.buffer, vector.byteOffset, vector.length)];
}
