import type { GeneratedCollection } from './generated-id.ts';
import { randomNumbers } from './random-numbers.ts';
import type { StoredVector } from './stored-point.ts';
import { POOL_SIZE, valuePool } from './value-pool.ts';

/** How a server stores values; what it answers is float32 whatever this says. */
export type Datatype = 'float32' | 'float16' | 'uint8' | 'turbo4';

export type GeneratedVector = GeneratedVectorName &
  (
    | { readonly kind: 'dense'; readonly size: number; readonly distance?: string }
    /** From 1 to `rows` rows, 4 unless told. */
    | { readonly kind: 'multi'; readonly size: number; readonly distance?: string; readonly rows?: number }
    /** From 0 to `entries` entries, 16 unless told; indices anywhere in u32. */
    | { readonly kind: 'sparse'; readonly entries?: number }
  );

interface GeneratedVectorName {
  /** Empty for the unnamed vector, which cannot be sparse. */
  readonly name: string;
  /** float32 unless told. */
  readonly datatype?: Datatype;
  /** Points that lack it: every n-th (n = 2: those at 1, 3, 5 …), or those for which it says so. */
  readonly missing?: number | ((index: number) => boolean);
}

/** The vectors of a collection, the unnamed one of `dimensions` included. */
export function generatedVectors(collection: GeneratedCollection): readonly GeneratedVector[] {
  const { dimensions: size, distance = 'Cosine', vectors } = collection;
  if (vectors === undefined) return [{ kind: 'dense', name: '', size, distance }];
  if (size !== 0) throw new Error(`"${collection.name}" has \`vectors\`: its \`dimensions\` are to be 0`);
  return vectors;
}

export function hasVector({ missing }: GeneratedVector, index: number): boolean {
  if (missing === undefined) return true;
  return typeof missing === 'number' ? index % missing !== missing - 1 : !missing(index);
}

/** A vector as places in the pool of its values: row after row, or entry after entry. */
export interface PickedVector {
  readonly picks: Uint16Array;
  /** Of a sparse vector, in ascending order; empty otherwise. */
  readonly indices: readonly number[];
}

/** Values that sparse vectors are drawn from, as those of a vector of so many dimensions. */
const SPARSE_SIZE = 16;

export function poolSizeOf(vector: GeneratedVector): number {
  return vector.kind === 'sparse' ? SPARSE_SIZE : vector.size;
}

/** The vector that a body has. */
export function pickVector(collection: string, vector: GeneratedVector, template: number): PickedVector {
  // The unnamed vector's seed is the older one: what was measured with it stays what it was.
  const seed = vector.name === '' ? `${template}` : `${vector.name}: ${template}`;
  const random = randomNumbers(`${collection} vector ${seed}`);
  const pick = (length: number): Uint16Array =>
    Uint16Array.from({ length }, () => Math.floor(random() * POOL_SIZE));
  switch (vector.kind) {
    case 'dense':
      return { picks: pick(vector.size), indices: [] };
    case 'multi':
      return { picks: pick(vector.size * (1 + (template % (vector.rows ?? 4)))), indices: [] };
    case 'sparse': {
      const picks = pick(template % ((vector.entries ?? 16) + 1));
      return { picks, indices: sparseIndices(random, picks.length) };
    }
  }
}

/** Different indices in ascending order, now and then the first and the last that there are. */
function sparseIndices(random: () => number, count: number): number[] {
  const indices = new Set<number>();
  if (count > 0 && random() < 0.25) indices.add(0);
  if (count > 1 && random() < 0.25) indices.add(4_294_967_295);
  while (indices.size < count) indices.add(Math.floor(random() * 4_294_967_296));
  return [...indices].sort((a, b) => a - b);
}

/** The same as its values. */
export function templateVector(collection: string, vector: GeneratedVector, template: number): StoredVector {
  const { indices, picks } = pickVector(collection, vector, template);
  const pool = valuePool(poolSizeOf(vector), vector.datatype ?? 'float32');
  const values = Float32Array.from(picks, (at) => pool[at] as number);
  switch (vector.kind) {
    case 'dense':
      return { kind: 'dense', values };
    case 'multi': {
      const { size } = vector;
      const rows = Array.from({ length: values.length / size }, (_, row) =>
        values.slice(row * size, (row + 1) * size),
      );
      return { kind: 'multi', rows };
    }
    case 'sparse':
      return { kind: 'sparse', indices, values };
  }
}
