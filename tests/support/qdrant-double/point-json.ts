import type { QdrantVersion, Selection, ShardKey } from './collection.ts';
import { ExactNumber, type Json, type JsonObject } from './exact-json.ts';
import { type ExponentStyle, float32Text, float64Text } from './float-text.ts';
import {
  bareVector,
  type StoredPoint,
  type StoredVector,
  selectPayload,
  selectVectors,
} from './stored-point.ts';

/** A point's JSON text as a server of that version writes it: `id`, `payload`, `vector`, `shard_key`. */
export function pointJson(point: StoredPoint, selection: Selection, version: QdrantVersion): string {
  const payload = selectPayload(point.payload, selection.payload);
  const vectors = selectVectors(point, selection.vectors);
  let text = `{"id":${idJson(point.id)}`;
  if (payload !== undefined) text += `,"payload":${payloadJson(payload, version)}`;
  if (vectors !== undefined) text += `,"vector":${vectorsJson(vectors, version)}`;
  if (point.shardKey !== undefined) text += `,"shard_key":${shardKeyJson(point.shardKey)}`;
  return `${text}}`;
}

export function idJson(id: string): string {
  return id.length === 36 ? `"${id}"` : id;
}

export function shardKeyJson(key: ShardKey): string {
  return typeof key === 'string' ? JSON.stringify(key) : String(key);
}

export function payloadJson(payload: JsonObject, version: QdrantVersion): string {
  return valueJson(payload, exponentStyle(version));
}

/** JSON text in the given key order. JSON.stringify escapes strings exactly as serde_json does. */
function valueJson(value: Json, style: ExponentStyle): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (value instanceof ExactNumber) return numberJson(value, style);
  if (Array.isArray(value)) return `[${value.map((item) => valueJson(item, style)).join(',')}]`;
  const members = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}:${valueJson(item, style)}`,
  );
  return `{${members.join(',')}}`;
}

function numberJson(number: ExactNumber, style: ExponentStyle): string {
  return isStoredInteger(number) ? number.source : float64Text(number.value, style);
}

/** Whether Qdrant keeps a number as an integer: i64 and u64; anything beyond becomes a double. */
export function isStoredInteger(number: ExactNumber): boolean {
  if (!number.isInteger) return false;
  const value = BigInt(number.source);
  return value >= -(2n ** 63n) && value < 2n ** 64n;
}

function vectorsJson(vectors: StoredPoint['vectors'], version: QdrantVersion): string {
  const style = exponentStyle(version);
  const bare = bareVector(vectors);
  if (bare !== undefined) return vectorJson(bare, style);
  const members = [...vectors].map(
    ([name, vector]) => `${JSON.stringify(name)}:${vectorJson(vector, style)}`,
  );
  return `{${members.join(',')}}`;
}

function vectorJson(vector: StoredVector, style: ExponentStyle): string {
  switch (vector.kind) {
    case 'dense':
      return floatsJson(vector.values, style);
    case 'multi':
      return `[${vector.rows.map((row) => floatsJson(row, style)).join(',')}]`;
    case 'sparse':
      return `{"indices":[${vector.indices.join(',')}],"values":${floatsJson(vector.values, style)}}`;
  }
}

function floatsJson(values: Float32Array, style: ExponentStyle): string {
  return `[${Array.from(values, (value) => float32Text(value, style)).join(',')}]`;
}

export function exponentStyle(version: QdrantVersion): ExponentStyle {
  return version === '1.16.3' ? 'bare' : 'signed';
}
