import type { PointId, StrictMode } from '../../../lib/model.ts';
import type { IdKey } from './point-id.ts';

/** A collection of any size that is made up while it is read; equal settings give equal points. */
export interface GeneratedCollection {
  readonly name: string;
  readonly points: number;
  readonly dimensions: number;
  /** About how long a payload's JSON text is: 350 unless told; from 230 up it has all kinds of values. 0: `{}`. */
  readonly payloadBytes?: number;
  /** Numbers 1, 4, 7 …, UUIDs spread over their whole range, or the first half numbers and the rest UUIDs. */
  readonly ids?: 'u64' | 'uuid' | 'mixed';
  readonly distance?: string;
  readonly shardCount?: number;
  readonly strictMode?: StrictMode;
  /** Adds a top-level string `key` to every payload. */
  readonly keys?: boolean;
  /** Points that a scroll shows and count counts, but a retrieve no longer finds. */
  readonly deleted?: (index: number) => boolean;
}

const STRIDE = 3;
const TWO_48 = 2 ** 48;

/** How many of the points have numbers; they come first. */
export function numberCount(collection: GeneratedCollection): number {
  switch (collection.ids ?? 'u64') {
    case 'u64':
      return collection.points;
    case 'uuid':
      return 0;
    case 'mixed':
      return Math.ceil(collection.points / 2);
  }
}

export function generatedId(collection: GeneratedCollection, index: number): PointId {
  const numbers = numberCount(collection);
  return index < numbers ? String(numberAt(index)) : uuidAt(index - numbers, collection.points - numbers);
}

export function numberAt(index: number): number {
  return 1 + index * STRIDE;
}

/** Position of the first number that is not below `id`, unlimited. */
export function numberRank(id: number): number {
  return Math.max(0, Math.ceil((id - 1) / STRIDE));
}

/** UUID number `index` of `count`: 48 bits that say which, evenly spread, then 62 that only look random. */
export function uuidAt(index: number, count: number): string {
  const head = (index * uuidStep(count)).toString(16).padStart(12, '0');
  const noise = (Math.imul(index + 1, 0x85ebca6b) >>> 0).toString(16).padStart(8, '0');
  return `${head.slice(0, 8)}-${head.slice(8)}-4${noise.slice(0, 3)}-8${noise.slice(3, 6)}-${noise}${noise.slice(4)}`;
}

/** Rank of the first UUID that is not below `id`, and whether it is that id itself. */
export function uuidRank(id: string, count: number): { rank: number; isFound: boolean } {
  if (count === 0) return { rank: 0, isFound: false };
  const head = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  const rank = Math.floor(head / uuidStep(count));
  if (rank >= count) return { rank: count, isFound: false };
  const candidate = uuidAt(rank, count);
  return { rank: candidate >= id ? rank : rank + 1, isFound: candidate === id };
}

function uuidStep(count: number): number {
  return Math.floor(TWO_48 / count);
}

/** A u64 above 2^53 has no generated point at or after it among the numbers. */
export function isNumber(id: IdKey): boolean {
  return typeof id === 'number' || id.length !== 36;
}
