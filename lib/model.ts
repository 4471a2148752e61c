/**
 * A point id in its canonical text: a u64 in decimal, or a UUID in lower case with hyphens. Text, because a
 * u64 does not fit a JavaScript number.
 */
export type PointId = string;

/** Length of a UUID's text; every u64 is shorter (20 digits at most). */
const UUID_LENGTH = 36;

export function isUuid(id: PointId): boolean {
  return id.length === UUID_LENGTH;
}

/**
 * Qdrant's own order: all numbers as u64 first, then all UUIDs by their 16 bytes, which is the order of their
 * canonical text. Negative when a comes before b.
 */
export function compareIds(a: PointId, b: PointId): number {
  // Decimal numbers without leading zeros: the longer is the greater; UUIDs are longer than any u64.
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

const MOST_NUMBER = 2n ** 64n - 1n;
const MOST_UUID = 2n ** 128n - 1n;

/** The id that comes next in Qdrant's order, whether a point has it or not; undefined after the last there can be. */
export function idAfter(id: PointId): PointId | undefined {
  if (id.length < UUID_LENGTH) {
    const number = BigInt(id);
    return number === MOST_NUMBER ? uuidOf(0n) : String(number + 1n);
  }
  const value = BigInt(`0x${id.replaceAll('-', '')}`);
  return value === MOST_UUID ? undefined : uuidOf(value + 1n);
}

function uuidOf(value: bigint): PointId {
  const hex = value.toString(16).padStart(32, '0');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** How one vector of a collection is declared. */
export interface VectorSpec {
  readonly kind: 'dense' | 'multi' | 'sparse';
  /** Empty for the unnamed vector. */
  readonly name: string;
  /** Dimensions of one vector; 0 for a sparse one. */
  readonly size: number;
  readonly distance: string;
  /** How the server stores it: float32, float16, uint8… It is answered as float32 whatever this says. */
  readonly datatype: string;
}

/**
 * A shard key of a collection with custom sharding, in text. The number 7 and the keyword `7` are different
 * keys.
 */
export interface ShardKey {
  readonly kind: 'number' | 'keyword';
  readonly text: string;
}

/** Numbers by value, then keywords by code point: an order of our own, as Qdrant lists keys in none. */
export function compareShardKeys(a: ShardKey, b: ShardKey): number {
  if (a.kind !== b.kind) return a.kind === 'number' ? -1 : 1;
  // Decimal numbers without leading zeros: the longer is the greater.
  if (a.kind === 'number') return compareIds(a.text, b.text);
  return Buffer.compare(Buffer.from(a.text), Buffer.from(b.text));
}

/** Each key once, in compareShardKeys' order. */
export function distinctShardKeys(keys: readonly ShardKey[]): readonly ShardKey[] {
  const sorted = keys.toSorted(compareShardKeys);
  return sorted.filter((key, i) => i === 0 || compareShardKeys(sorted[i - 1] as ShardKey, key) !== 0);
}

/** Limits that a collection's strict mode sets for its clients; absent where it sets none. */
export interface StrictMode {
  /** Most points a scroll may ask for. */
  readonly maxQueryLimit?: number;
  /** Reads a minute; a scroll counts 1, a retrieve its number of ids. */
  readonly readRateLimit?: number;
  readonly maxTimeoutSeconds?: number;
}

/** A collection as it was when the run began. The run keeps to it. */
export interface CollectionShape {
  /** The name or alias that was asked for. */
  readonly name: string;
  /** The collection's own name: another one than `name` when that is an alias, and the key may list aliases. */
  readonly collection: string;
  readonly serverVersion: string;
  readonly vectors: readonly VectorSpec[];
  readonly shardCount: number;
  readonly sharding: 'auto' | 'custom';
  /** In compareShardKeys' order; empty without custom sharding. */
  readonly shardKeys: readonly ShardKey[];
  readonly strictMode: StrictMode;
  /**
   * Qdrant's `config` of the collection as JSON, the same from both transports: REST's names, compact, keys
   * sorted, nulls left out.
   */
  readonly config: string;
  /** Updates that wait to be applied; undefined where the server does not tell (before 1.18). */
  readonly updateQueue: number | undefined;
}

/** Column name of a vector: `vector`, or `vector_<name>`. */
export function vectorColumnName(spec: VectorSpec): string {
  return spec.name === '' ? 'vector' : `vector_${spec.name}`;
}
