import type { ByteWriter } from './byte-writer.ts';
import type { Change } from './change.ts';
import type { JsonObject } from './exact-json.ts';
import type { Fetched } from './fetch-counter.ts';
import type { Filter } from './filter.ts';
import type { IdKey } from './point-id.ts';
import type { StoredPoint } from './stored-point.ts';

export type QdrantVersion = '1.16.3' | '1.18.3';

/** A keyword, or a u64: a bigint where a double would not be exact. */
export type ShardKey = string | number | bigint;

export type PayloadSelection =
  | boolean
  | { readonly kind: 'include' | 'exclude'; readonly keys: readonly string[] };

/** What of a point an answer shows. */
export interface Selection {
  readonly payload: PayloadSelection;
  /** Yes, no, or the names of the wanted vectors. */
  readonly vectors: boolean | readonly string[];
}

/** Points in id order, each known by its position. */
export interface PointSource {
  readonly length: number;
  /** Position of the first point whose id is not below `id`; `length` when there is none. */
  positionAtOrAfter(id: IdKey): number;
  /** Position of the point, or -1. */
  positionOf(id: IdKey): number;
  /** False where no point stands at a position: not yet, or not any more. */
  isPresent(position: number): boolean;
  /** False for a point that a scroll still shows but a retrieve no longer finds. */
  isRetrievable(position: number): boolean;
  matches(position: number, filter: Filter): boolean;
  /** The point as such, where bytes that come prepared do not serve. */
  point(position: number): StoredPoint;
  /** Counts points that are put into an answer with more than their ids, where anybody counts them. */
  noteFetched(positions: readonly number[]): void;
  /** About how many bytes a point takes in an answer of either protocol, so that its buffer need not grow. */
  jsonBytes(selection: Selection): number;
  protoBytes(selection: Selection): number;
  /** The id as JSON. */
  writeJsonId(out: ByteWriter, position: number): void;
  /** The whole point as a JSON object. */
  writeJsonPoint(out: ByteWriter, position: number, selection: Selection): void;
  /** The id as field `field` holding a PointId message. */
  writeProtoId(out: ByteWriter, position: number, field: number): void;
  /** The point as field `field` holding a RetrievedPoint message. */
  writeProtoPoint(out: ByteWriter, position: number, selection: Selection, field: number): void;
}

export interface Collection {
  readonly name: string;
  /** What PUT /collections/{name} was given. */
  readonly create: JsonObject;
  /** In the order in which the server lists them; empty without custom sharding. */
  readonly shardKeys: readonly ShardKey[];
  /** Vectors that info counts as indexed: those of sparse vectors that are not empty. */
  readonly indexedVectors: number;
  /** Updates that wait to be applied, which servers tell from 1.18 on. */
  readonly updateQueue: number;
  /** Undefined where nobody counts. */
  readonly fetched: Fetched | undefined;
  /** Points of some shard keys, or of all: equal ids under two keys then show once, but count twice. */
  points(shardKeys: readonly ShardKey[] | undefined): {
    readonly source: PointSource;
    readonly count: number;
  };
  /** Happens at once. Throws where this collection cannot change so. */
  change(change: Change): void;
}
