import type { PointId } from '../../../lib/model.ts';
import { ExactNumber, type Json } from './exact-json.ts';

/** A point id the double computes with: a number where a double is exact, the canonical text otherwise. */
export type IdKey = number | string;

const HEX_32 = /^[0-9a-f]{32}$/;
const MAX_U64 = 2n ** 64n - 1n;

export function idKey(id: PointId): IdKey {
  if (id.length > 16) return id;
  const value = Number(id);
  return Number.isSafeInteger(value) ? value : id;
}

/** The u64 that a text spells, or undefined. */
export function parseU64(text: string): IdKey | undefined {
  if (!/^\d+$/.test(text) || BigInt(text) > MAX_U64) return undefined;
  return idKey(BigInt(text).toString());
}

/** Canonical text of a UUID in any spelling that Qdrant takes: simple, hyphenated, braced, urn. */
export function parseUuid(text: string): string | undefined {
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)) return text;
  const bare = text
    .toLowerCase()
    .replace(/^urn:uuid:/, '')
    .replace(/^\{(.*)\}$/, '$1');
  const hex = bare.length === 36 ? bare.replaceAll('-', '') : bare;
  if (!HEX_32.test(hex)) return undefined;
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** An id as REST bodies spell it: an unsigned integer or a UUID's text. */
export function parseJsonId(json: Json): IdKey | undefined {
  if (typeof json === 'string') return parseUuid(json);
  return json instanceof ExactNumber ? parseU64(json.source) : undefined;
}

/** Negative when a comes before b: all numbers, then all UUIDs. */
export function compareIdKeys(a: IdKey, b: IdKey): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [String(a), String(b)];
  // A longer decimal is the greater number, and a UUID is longer than any u64.
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
