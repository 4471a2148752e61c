import type { PointId } from '../../../lib/model.ts';
import type { PayloadSelection, Selection, ShardKey } from './collection.ts';
import { isObject, type Json, type JsonObject } from './exact-json.ts';

export type StoredVector =
  | { readonly kind: 'dense'; readonly values: Float32Array }
  | { readonly kind: 'multi'; readonly rows: readonly Float32Array[] }
  | { readonly kind: 'sparse'; readonly indices: readonly number[]; readonly values: Float32Array };

/** A point as the server keeps it: normalised, rounded to its datatype, sparse indices in order. */
export interface StoredPoint {
  readonly id: PointId;
  readonly payload: JsonObject;
  /** By name, the unnamed one being ''. */
  readonly vectors: ReadonlyMap<string, StoredVector>;
  readonly shardKey?: ShardKey;
}

/**
 * The vector that an answer shows bare instead of in a map of names: the unnamed one of a point that shows no
 * other (`From<NamedVectors> for VectorStructInternal` of Qdrant's lib/segment/src/data_types/vectors.rs).
 */
export function bareVector(vectors: StoredPoint['vectors']): StoredVector | undefined {
  return vectors.size === 1 ? vectors.get('') : undefined;
}

/** The vectors that a selection shows; undefined for none. */
export function selectVectors(
  { vectors }: StoredPoint,
  wanted: Selection['vectors'],
): StoredPoint['vectors'] | undefined {
  if (wanted === false) return undefined;
  if (wanted === true) return vectors;
  return new Map([...vectors].filter(([name]) => wanted.includes(name)));
}

/** The payload that a selection shows; undefined for none. */
export function selectPayload(payload: JsonObject, wanted: PayloadSelection): JsonObject | undefined {
  if (wanted === false) return undefined;
  if (wanted === true) return payload;
  const { kind, keys } = wanted;
  return filterPaths(payload, '', (path, isLeaf) => {
    const selected = keys.some((key) => path === key || path.startsWith(`${key}.`));
    if (kind === 'exclude') return !selected;
    // On the way to an included path, objects are kept.
    return selected || (!isLeaf && keys.some((key) => key.startsWith(`${path}.`)));
  });
}

function filterPaths(
  object: JsonObject,
  prefix: string,
  keep: (path: string, isLeaf: boolean) => boolean,
): JsonObject {
  const out: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    const path = prefix + key;
    if (keep(path, !isObject(value))) out[key] = filterValue(value, path, keep);
  }
  return out;
}

function filterValue(value: Json, path: string, keep: (path: string, isLeaf: boolean) => boolean): Json {
  return isObject(value) ? filterPaths(value, `${path}.`, keep) : value;
}
