import type { PointId, StrictMode } from '../../../lib/model.ts';
import type { ShardKey } from './collection.ts';
import type { GeneratedVector } from './generated-vector.ts';
import type { IdKey } from './point-id.ts';

/** A collection of any size that is made up while it is read; equal settings give equal points. */
export interface GeneratedCollection {
  readonly name: string;
  /** Places for points in id order, numbered from 0: one point each, but for those that are absent. */
  readonly points: number;
  /** Of the unnamed dense vector; 0 where `vectors` says what there is. */
  readonly dimensions: number;
  /** `Cosine` unless told; of the unnamed dense vector. */
  readonly distance?: string;
  /** Up to 30, or none at all, in place of the one of `dimensions`. */
  readonly vectors?: readonly GeneratedVector[];
  /** About how long a payload's JSON text is: 350 unless told; from 230 up it has all kinds of values. 0: `{}`. */
  readonly payloadBytes?: number;
  /** JSON text of an object that is a point's payload instead (richPayload() makes some), or undefined. */
  readonly payload?: (index: number) => string | undefined;
  /** Numbers 1, 4, 7 …, UUIDs spread over their whole range, or the first half numbers and the rest UUIDs. */
  readonly ids?: 'u64' | 'uuid' | 'mixed';
  readonly shardCount?: number;
  /** Custom sharding. Unless told otherwise every key holds the same ids, with contents of its own. */
  readonly shardKeys?: readonly GeneratedShard[];
  readonly strictMode?: StrictMode;
  /** Updates that wait to be applied: 0 unless told. */
  readonly updateQueue?: number;
  /** Further members of what the collection was created with, such as `quantization_config`. */
  readonly create?: Readonly<Record<string, unknown>>;
  /** Adds a top-level string `key` to every payload. */
  readonly keys?: boolean;
  /** Points that a scroll shows and count counts, but a retrieve no longer finds. */
  readonly deleted?: (index: number) => boolean;
  /** Points that are not there until a change adds them. */
  readonly absent?: (index: number) => boolean;
}

/** A shard key and which of the collection's places it has: all, or `points` of them from `first` on. */
export interface GeneratedShard {
  readonly key: ShardKey;
  readonly first?: number;
  readonly points?: number;
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
