import { ExactNumber, isObject, type Json, type JsonObject } from './exact-json.ts';
import type { StoredPoint, StoredVector } from './stored-point.ts';

/** Whether a collection's only dense vector is the unnamed one; a map of names may hold it too, as ''. */
export function hasUnnamedVector(create: JsonObject): boolean {
  const { vectors } = create;
  return isObject(vectors) && vectors.size instanceof ExactNumber;
}

/** What the server keeps of the vectors of an upsert: normalised, rounded to the datatype, sparse in order. */
export function storeVectors(create: JsonObject, given: Json): StoredPoint['vectors'] {
  const { vectors } = create;
  if (!isObject(vectors)) throw new Error('a collection is created with vectors');
  const specs = hasUnnamedVector(create) ? { '': vectors } : vectors;
  const stored = new Map<string, StoredVector>();
  for (const [name, vector] of Object.entries(isObject(given) ? given : { '': given })) {
    const spec = specs[name];
    stored.set(name, isObject(spec) ? storeVector(spec, vector) : storeSparse(vector));
  }
  return stored;
}

function storeVector(spec: JsonObject, given: Json): StoredVector {
  if (!Array.isArray(given)) throw new Error('a dense vector is an array');
  if (!Array.isArray(given[0])) return { kind: 'dense', values: storeValues(spec, given) };
  return { kind: 'multi', rows: given.map((row) => storeValues(spec, row as Json[])) };
}

function storeValues(spec: JsonObject, given: readonly Json[]): Float32Array {
  const values = Float32Array.from(given, numberOf);
  if (spec.distance === 'Cosine') return normalised(values);
  // Math.f16round is newer than the ECMAScript library's types.
  return spec.datatype === 'float16' ? Float32Array.from(new Float16Array(values)) : values;
}

function normalised(values: Float32Array): Float32Array {
  const squares = values.reduce((sum, value) => Math.fround(sum + Math.fround(value * value)), 0);
  const length = Math.fround(Math.sqrt(squares));
  return values.map((value) => Math.fround(value / length));
}

function storeSparse(given: Json): StoredVector {
  if (!isObject(given)) throw new Error('a sparse vector is an object');
  const indices = (given.indices as Json[]).map(numberOf);
  const values = (given.values as Json[]).map(numberOf);
  const order = indices
    .map((_, at) => at)
    .toSorted((a, b) => (indices[a] as number) - (indices[b] as number));
  return {
    kind: 'sparse',
    indices: order.map((at) => indices[at] as number),
    values: Float32Array.from(order, (at) => values[at] as number),
  };
}

function numberOf(json: Json): number {
  if (!(json instanceof ExactNumber)) throw new Error('a vector holds numbers');
  return json.value;
}
