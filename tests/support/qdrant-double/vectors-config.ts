import { isObject, type Json, type JsonObject, objectOf } from './exact-json.ts';
import type { GeneratedVector } from './generated-vector.ts';
import { hasUnnamedVector } from './store-vectors.ts';

/** `vectors` and `sparse_vectors` of PUT /collections/{name}. */
export function vectorsConfig(vectors: readonly GeneratedVector[]): JsonObject {
  const dense = byName(vectors.filter(({ kind }) => kind !== 'sparse'));
  const sparse = byName(vectors.filter(({ kind }) => kind === 'sparse'));
  const isUnnamedAlone = Object.keys(dense).join() === '' && '' in dense;
  return {
    // The unnamed vector beside named dense ones is one of the names.
    vectors: isUnnamedAlone ? (dense[''] as JsonObject) : dense,
    ...(Object.keys(sparse).length === 0 ? {} : { sparse_vectors: sparse }),
  };
}

function byName(vectors: readonly GeneratedVector[]): JsonObject {
  return objectOf(JSON.stringify(Object.fromEntries(vectors.map((vector) => [vector.name, params(vector)]))));
}

function params(vector: GeneratedVector): Record<string, unknown> {
  const { datatype, kind } = vector;
  if (kind === 'sparse') return datatype === undefined ? {} : { index: { datatype } };
  return {
    size: vector.size,
    distance: vector.distance ?? 'Dot',
    ...(datatype === undefined ? {} : { datatype }),
    ...(kind === 'multi' ? { multivector_config: { comparator: 'max_sim' } } : {}),
  };
}

/** What a collection was created with, had it had one vector more. */
export function withVector(create: JsonObject, vector: GeneratedVector): JsonObject {
  const { sparse_vectors: sparse, vectors } = create;
  if (vector.name === '') throw new Error('a vector without a name cannot be added');
  if (namesOf(create).includes(vector.name)) throw new Error(`it has a vector "${vector.name}" already`);
  if (vector.kind === 'sparse') {
    return { ...create, sparse_vectors: { ...(isObject(sparse) ? sparse : {}), ...byName([vector]) } };
  }
  const dense = hasUnnamedVector(create) ? { '': vectors as Json } : (vectors as JsonObject);
  return { ...create, vectors: { ...dense, ...byName([vector]) } };
}

export function withoutVector(create: JsonObject, name: string): JsonObject {
  if (!namesOf(create).includes(name)) throw new Error(`it has no vector "${name}" to drop`);
  if (hasUnnamedVector(create) && name === '') return { ...create, vectors: {} };
  const without = (member: 'vectors' | 'sparse_vectors'): JsonObject => {
    const { [member]: vectors } = create;
    if (!isObject(vectors) || (member === 'vectors' && hasUnnamedVector(create))) return {};
    const { [name]: _, ...rest } = vectors;
    return { [member]: rest };
  };
  return { ...create, ...without('vectors'), ...without('sparse_vectors') };
}

/** Names of a collection's vectors, the unnamed one being ''. */
export function namesOf(create: JsonObject): string[] {
  const { sparse_vectors: sparse, vectors } = create;
  const dense = hasUnnamedVector(create) ? [''] : Object.keys(isObject(vectors) ? vectors : {});
  return [...dense, ...Object.keys(isObject(sparse) ? sparse : {})];
}
