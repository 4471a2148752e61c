import { ToolError } from './errors.ts';
import type { PointId, VectorSpec } from './model.ts';

/** What `ends` can say. */
const MOST_BYTES = 2 ** 31 - 1;

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

/** One dense vector of every row, flat: row i is values[i * size .. (i + 1) * size). */
export class DenseColumn {
  readonly spec: VectorSpec;
  readonly values: Float32Array<ArrayBuffer>;
  /** The same memory as little-endian bytes, for copies straight from the wire. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 1 where the row has this vector, 0 where it lacks it. */
  readonly present: Uint8Array;

  constructor(spec: VectorSpec, rows: number) {
    this.spec = spec;
    this.values = new Float32Array(rows * spec.size);
    this.bytes = new Uint8Array(this.values.buffer);
    this.present = new Uint8Array(rows);
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
  readonly vectors: readonly DenseColumn[];

  constructor(layout: BatchLayout) {
    this.layout = layout;
    this.payload = new TextColumn(layout.rows, PAYLOAD_BYTES_GUESS);
    this.fields = layout.fields.map((name) => new FieldColumn(name, layout.rows));
    this.vectors = layout.vectors.map((spec) => new DenseColumn(spec, layout.rows));
  }

  get rowCount(): number {
    return this.ids.length;
  }

  endRow(id: PointId): void {
    this.payload.ends[this.ids.length] = this.payload.length;
    this.ids.push(id);
  }

  /** Forgets the rows from `rowCount` on, and whatever was written of one that was not ended. */
  truncate(rowCount: number): void {
    this.ids.length = rowCount;
    this.payload.length = rowCount === 0 ? 0 : (this.payload.ends[rowCount - 1] as number);
    for (const field of this.fields) field.starts.fill(-1, rowCount);
    for (const vector of this.vectors) vector.present.fill(0, rowCount);
  }

  reset(): void {
    this.truncate(0);
  }
}
