import { ToolError } from './errors.ts';
import type { PointId, ShardKey, VectorSpec } from './model.ts';
import {
  MOST_BYTES,
  type RaggedColumn,
  type VectorColumn,
  type VectorTexts,
  vectorColumn,
} from './vector-columns.ts';

/** Texts laid end to end: row i is bytes[ends[i-1] .. ends[i]), the first one from 0. */
export class TextColumn {
  bytes: Uint8Array<ArrayBuffer>;
  /** Bytes in use. Whoever writes into `bytes` moves it on. */
  length = 0;
  readonly ends: Int32Array;

  constructor(rows: number, bytesPerRow: number) {
    this.bytes = new Uint8Array(rows * bytesPerRow);
    this.ends = new Int32Array(rows);
  }

  start(row: number): number {
    return row === 0 ? 0 : (this.ends[row - 1] as number);
  }

  end(row: number): number {
    return this.ends[row] as number;
  }

  /** Makes room for `extra` more bytes and returns the (perhaps new) buffer. */
  reserve(extra: number): Uint8Array<ArrayBuffer> {
    const needed = this.length + extra;
    if (needed > MOST_BYTES) {
      throw new ToolError('format', 'Cannot hold the payloads of one work unit: they have more than 2 GiB.');
    }
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(MOST_BYTES, this.bytes.length * 2)));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    return this.bytes;
  }
}

/** Where a wanted top-level payload field's value lies in the payload text; start is -1 in rows without it. */
export class FieldColumn {
  readonly name: string;
  readonly starts: Int32Array;
  readonly ends: Int32Array;

  constructor(name: string, rows: number) {
    this.name = name;
    this.starts = new Int32Array(rows).fill(-1);
    this.ends = new Int32Array(rows);
  }
}

export interface BatchLayout {
  /** Most rows a batch holds: the ids of one work unit. */
  readonly rows: number;
  readonly vectors: readonly VectorSpec[];
  /** Top-level payload fields whose values the writer wants to find. */
  readonly fields: readonly string[];
  /** Whether the writer wants vectors' texts as the server sent them, where it sent texts; else false. */
  readonly vectorTexts?: boolean;
}

/** First guess of a payload's size in bytes; the buffer grows to what the collection has and is kept. */
const PAYLOAD_BYTES_GUESS = 512;

/**
 * The columns of up to one work unit of points: what readers fill and encoders copy from. Batches are pooled:
 * `reset` makes one ready to be filled again without new memory.
 *
 * A reader fills a row's columns at index `rowCount` and then calls `endRow`; a reader that fails half-way
 * calls `truncate`, so that a row is in a batch wholly or not at all.
 */
export class PointBatch {
  readonly layout: BatchLayout;
  readonly ids: PointId[] = [];
  /** Canonical JSON of each row's payload, always an object. */
  readonly payload: TextColumn;
  readonly fields: readonly FieldColumn[];
  readonly vectors: readonly VectorColumn[];
  /** The shard key that all of these points lie under; undefined without custom sharding. */
  shardKey: ShardKey | undefined;
  /** Those of `vectors` whose rows differ in length. */
  readonly #ragged: readonly RaggedColumn[];
  /** Of those of `vectors` that have room for texts. */
  readonly #texts: readonly VectorTexts[];

  constructor(layout: BatchLayout) {
    this.layout = layout;
    this.payload = new TextColumn(layout.rows, PAYLOAD_BYTES_GUESS);
    this.fields = layout.fields.map((name) => new FieldColumn(name, layout.rows));
    this.vectors = layout.vectors.map((spec) => vectorColumn(spec, layout.rows, layout.vectorTexts));
    this.#ragged = this.vectors.filter((column) => column.kind !== 'dense');
    this.#texts = this.vectors.flatMap((column) =>
      column.kind === 'sparse' || column.texts === undefined ? [] : [column.texts],
    );
  }

  get rowCount(): number {
    return this.ids.length;
  }

  endRow(id: PointId): void {
    const row = this.ids.length;
    this.payload.ends[row] = this.payload.length;
    for (const column of this.#ragged) column.ends[row] = column.length;
    for (const texts of this.#texts) texts.ends[row] = texts.length;
    this.ids.push(id);
  }

  /** Forgets the rows from `rowCount` on, and whatever was written of one that was not ended. */
  truncate(rowCount: number): void {
    this.ids.length = rowCount;
    this.payload.length = rowCount === 0 ? 0 : (this.payload.ends[rowCount - 1] as number);
    for (const field of this.fields) field.starts.fill(-1, rowCount);
    for (const vector of this.vectors) vector.truncate(rowCount);
  }

  reset(): void {
    this.truncate(0);
    this.shardKey = undefined;
  }

  /** Bytes of points that it holds: vectors, their texts where they are kept, and payload text. */
  get byteLength(): number {
    let sum = this.payload.length;
    for (const texts of this.#texts) sum += texts.length;
    for (const vector of this.vectors) sum += vector.byteLength(this.ids.length);
    return sum;
  }
}
