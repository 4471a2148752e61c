import type * as schemas from '@qdrant/js-client-grpc';
import { ExactNumber, isObject, type Json } from './exact-json.ts';
import type { StoredVector } from './stored-point.ts';

/** Vectors as a test compares them, by name: floats as numbers, every one of them a float32. */
export type SeenVectors = Readonly<Record<string, SeenVector>>;

export type SeenVector =
  | { readonly dense: readonly number[] }
  | { readonly multi: readonly (readonly number[])[] }
  | { readonly indices: readonly number[]; readonly values: readonly number[] };

export function seenVectors(vectors: ReadonlyMap<string, StoredVector>): SeenVectors {
  return Object.fromEntries([...vectors].map(([name, vector]) => [name, seenVector(vector)]));
}

function seenVector(vector: StoredVector): SeenVector {
  switch (vector.kind) {
    case 'dense':
      return { dense: [...vector.values] };
    case 'multi':
      return { multi: vector.rows.map((row) => [...row]) };
    case 'sparse':
      return { indices: vector.indices, values: [...vector.values] };
  }
}

/** `vector` of a REST answer: a bare vector, or an object of names. */
export function seenJsonVectors(json: Json | undefined): SeenVectors {
  if (!isObject(json)) return json === undefined ? {} : { '': seenJsonVector(json) };
  return Object.fromEntries(Object.entries(json).map(([name, vector]) => [name, seenJsonVector(vector)]));
}

function seenJsonVector(json: Json): SeenVector {
  if (isObject(json)) return { indices: numbers(json.indices), values: floats(json.values) };
  if (!Array.isArray(json)) throw new Error('a vector is an array or an object');
  return Array.isArray(json[0]) ? { multi: json.map(floats) } : { dense: floats(json) };
}

function floats(json: Json | undefined): number[] {
  return numbers(json).map(Math.fround);
}

function numbers(json: Json | undefined): number[] {
  if (!Array.isArray(json)) throw new Error('a list of numbers is an array');
  return json.map((item) => {
    if (item instanceof ExactNumber) return item.value;
    throw new Error('a list of numbers holds numbers');
  });
}

/** VectorsOutput of either generation. */
export function seenProtoVectors(output: schemas.VectorsOutput | undefined): SeenVectors {
  const options = output?.vectorsOptions;
  switch (options?.case) {
    case 'vector':
      return { '': seenProtoVector(options.value) };
    case 'vectors':
      return Object.fromEntries(
        Object.entries(options.value.vectors).map(([name, vector]) => [name, seenProtoVector(vector)]),
      );
    case undefined:
      return {};
  }
}

/** By presence: the oneof of 1.17 and later, else the older fields. */
function seenProtoVector({ data, indices, vector, vectorsCount }: schemas.VectorOutput): SeenVector {
  switch (vector.case) {
    case 'dense':
      return { dense: vector.value.data };
    case 'sparse':
      return { indices: vector.value.indices, values: vector.value.values };
    case 'multiDense':
      return { multi: vector.value.vectors.map((row) => row.data) };
    case undefined: {
      if (indices !== undefined) return { indices: indices.data, values: data };
      if (vectorsCount === undefined) return { dense: data };
      const size = data.length / vectorsCount;
      const rows = Array.from({ length: vectorsCount }, (_, row) => data.slice(row * size, (row + 1) * size));
      return { multi: rows };
    }
  }
}
