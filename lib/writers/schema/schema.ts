import type { PointBatch, TextColumn } from '../../batch.ts';
import { type CollectionShape, type ShardKey, type VectorSpec, vectorColumnName } from '../../model.ts';
import type { VectorColumn } from '../../vector-columns.ts';
import type { TextCells } from '../parquet/parquet-columns.ts';

export type SchemaName = 'keyed' | 'points' | 'pinecone' | 'milvus';

/** A column of the file: a text, or one of the vectors that were asked for. */
export type SchemaColumn =
  | { readonly kind: 'text'; readonly name: string; readonly bounds: boolean }
  | { readonly kind: 'vector'; readonly name: string; readonly spec: VectorSpec };

/** The cells of a column for the rows of one batch, in which they may lie. */
export type Cells = (TextCells & { readonly kind: 'text' }) | VectorColumn;

/** Which columns a file has, and what is in them. */
export interface Schema {
  readonly name: SchemaName;
  /** In the file's order. */
  readonly columns: readonly SchemaColumn[];
  /** Top-level payload fields that batches must point out. */
  readonly fields: readonly string[];
  /** Whether rows have keys that may not tell them apart. */
  readonly hasKeys: boolean;
  /** Throws a ToolError 'format' that names the batch's first id which the schema cannot hold. */
  fill(batch: PointBatch): Filled;
  /** Sentences for readers of the finished file. */
  notes(totals: Totals): readonly string[];
}

/** The rows of one batch as the schema has them. */
export interface Filled {
  /** As many and in the same order as the schema's columns. */
  readonly columns: readonly Cells[];
  /** Undefined where the schema has no keys. */
  readonly keys: Keys | undefined;
  readonly tally: Tally;
}

export interface Keys {
  readonly texts: TextColumn;
  /** Rows whose key came from the payload. */
  readonly fromPayload: number;
}

/** What happened to rows that their readers should know of; left out where it does not apply. */
export interface Tally {
  /** Null members of payloads that were left out. */
  readonly nulls?: number;
  /** Integers that a 64-bit float does not hold. */
  readonly inexactIntegers?: number;
  /** Empty sparse vectors that became NULL. */
  readonly emptySparse?: number;
  /** The shard key of the rows where the collection has another one of the same text. */
  readonly ambiguousKey?: ShardKey | undefined;
}

/** Tallies of all rows of a file. */
export interface Totals {
  readonly nulls: number;
  readonly inexactIntegers: number;
  readonly emptySparse: number;
  /** Each once; at most as many as the collection has. */
  readonly ambiguousKeys: readonly ShardKey[];
  /** Size of the file but for its footer. */
  readonly bytes: number;
}

export function textCells(column: TextColumn, present?: Uint8Array): Cells {
  return { kind: 'text', column, present };
}

/** A column a vector: `vector`, or `vector_<name>`. */
export function vectorColumns(vectors: readonly VectorSpec[]): readonly SchemaColumn[] {
  return vectors.map((spec) => ({ kind: 'vector', name: vectorColumnName(spec), spec }));
}

/** What schemas without a column for shard keys leave out. */
export function shardKeyNotes({ sharding }: CollectionShape, schema: SchemaName): readonly string[] {
  if (sharding === 'auto') return [];
  return [
    `Schema ${schema} has no column for shard keys: the file does not tell which one a row lies under.`,
  ];
}
