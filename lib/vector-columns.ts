import { ToolError } from './errors.ts';
import type { VectorSpec } from './model.ts';

/** What `ends` can say, here and in batch.ts. */
export const MOST_BYTES = 2 ** 31 - 1;

/** First guess of a float's text, with what is between two of them; buffers grow and are kept. */
const FLOAT_TEXT_GUESS = 13;

/**
 * The texts of some rows' vectors as the server sent them, end to end: JSON without white space whose numbers mean
 * the column's floats to any reader. Row i is bytes[ends[i-1] .. ends[i]), the first from 0; empty where there is none.
 */
export class VectorTexts {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /** Bytes in use, those of a row that is not ended included. */
  length = 0;
  readonly ends: Int32Array;
  readonly #firstBytes: number;

  constructor(rows: number, floatsPerRow: number) {
    this.ends = new Int32Array(rows);
    this.#firstBytes = Math.min(MOST_BYTES, rows * floatsPerRow * FLOAT_TEXT_GUESS);
  }

  /** Appends from[start .. end) to the row that is being filled. */
  append(from: Uint8Array, start: number, end: number): void {
    const needed = this.length + end - start;
    // Only where texts come, and then at once what all rows take.
    if (needed > this.bytes.length) this.bytes = grown(this.bytes, needed, this.length, this.#firstBytes);
    this.bytes.set(from.subarray(start, end), this.length);
    this.length = needed;
  }

  truncate(rowCount: number): void {
    this.length = rowCount === 0 ? 0 : (this.ends[rowCount - 1] as number);
  }
}

/** One dense vector of every row, flat: row i is values[i * size .. (i + 1) * size). */
export class DenseColumn {
  readonly kind = 'dense';
  readonly spec: VectorSpec;
  readonly values: Float32Array<ArrayBuffer>;
  /** The same memory as little-endian bytes, for copies straight from the wire. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 1 where the row has this vector, 0 where it lacks it. */
  readonly present: Uint8Array;
  /** Undefined where nobody wants them. */
  readonly texts: VectorTexts | undefined;

  constructor(spec: VectorSpec, rows: number, texts = false) {
    this.spec = spec;
    this.values = new Float32Array(rows * spec.size);
    this.bytes = new Uint8Array(this.values.buffer);
    this.present = new Uint8Array(rows);
    this.texts = texts ? new VectorTexts(rows, spec.size) : undefined;
  }

  truncate(rowCount: number): void {
    this.present.fill(0, rowCount);
    this.texts?.truncate(rowCount);
  }

  /** Bytes of the first `rows` rows, without their texts: the same whichever transport filled it. */
  byteLength(rows: number): number {
    return rows * this.spec.size * 4;
  }
}

/** A vector of every row whose rows differ in length: row i is elements [ends[i-1] .. ends[i]), the first from 0. */
export abstract class RaggedColumn {
  readonly spec: VectorSpec;
  /** Elements in use. Whoever writes them moves it on. */
  length = 0;
  readonly ends: Int32Array;
  readonly present: Uint8Array;
  protected readonly elementBytes: number;

  constructor(spec: VectorSpec, rows: number, elementBytes: number) {
    this.spec = spec;
    this.ends = new Int32Array(rows);
    this.present = new Uint8Array(rows);
    this.elementBytes = elementBytes;
  }

  truncate(rowCount: number): void {
    this.present.fill(0, rowCount);
    this.length = rowCount === 0 ? 0 : (this.ends[rowCount - 1] as number);
  }

  byteLength(rows: number): number {
    return rows === 0 ? 0 : (this.ends[rows - 1] as number) * this.elementBytes;
  }
}

/** First guess of the vectors in a multivector, and of the elements in a sparse one; buffers grow and are kept. */
const MULTI_VECTORS_GUESS = 4;
const SPARSE_ELEMENTS_GUESS = 64;

/**
 * One multivector of every row, flat: row i is floats values[ends[i-1] .. ends[i]), the first from 0: as many
 * vectors as `spec.size` goes into that. Rows without one have none.
 */
export class MultiColumn extends RaggedColumn {
  readonly kind = 'multi';
  values: Float32Array<ArrayBuffer>;
  /** The same memory as little-endian bytes, for copies straight from the wire. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Undefined where nobody wants them. */
  readonly texts: VectorTexts | undefined;

  constructor(spec: VectorSpec, rows: number, texts = false) {
    super(spec, rows, 4);
    this.values = new Float32Array(rows * spec.size * MULTI_VECTORS_GUESS);
    this.bytes = new Uint8Array(this.values.buffer);
    this.texts = texts ? new VectorTexts(rows, spec.size * MULTI_VECTORS_GUESS) : undefined;
  }

  override truncate(rowCount: number): void {
    super.truncate(rowCount);
    this.texts?.truncate(rowCount);
  }

  /** Makes room for `floats` more; `values` and `bytes` may be new afterwards. */
  reserve(floats: number): void {
    const needed = this.length + floats;
    if (needed <= this.values.length) return;
    this.values = grown(this.values, needed, this.length);
    this.bytes = new Uint8Array(this.values.buffer);
  }
}

/**
 * One sparse vector of every row, flat: row i is indices and values [ends[i-1] .. ends[i]), the first from 0, in
 * the order in which the server gives them. Rows without one have none; an empty one is present.
 */
export class SparseColumn extends RaggedColumn {
  readonly kind = 'sparse';
  indices: Uint32Array<ArrayBuffer>;
  values: Float32Array<ArrayBuffer>;

  constructor(spec: VectorSpec, rows: number) {
    super(spec, rows, 8);
    this.indices = new Uint32Array(rows * SPARSE_ELEMENTS_GUESS);
    this.values = new Float32Array(rows * SPARSE_ELEMENTS_GUESS);
  }

  /** Makes room for `elements` more; `indices` and `values` may be new afterwards. */
  reserve(elements: number): void {
    const needed = this.length + elements;
    if (needed <= this.indices.length) return;
    this.indices = grown(this.indices, needed, this.length);
    this.values = grown(this.values, needed, this.length);
  }
}

export type VectorColumn = DenseColumn | MultiColumn | SparseColumn;

/** With `texts`, dense vectors and multivectors have room for the server's text; it is only made where texts come. */
export function vectorColumn(spec: VectorSpec, rows: number, texts = false): VectorColumn {
  switch (spec.kind) {
    case 'dense':
      return new DenseColumn(spec, rows, texts);
    case 'multi':
      return new MultiColumn(spec, rows, texts);
    case 'sparse':
      return new SparseColumn(spec, rows);
  }
}

type Growing = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** A longer array with the first `used` elements of a shorter one, `least` elements long at least. */
function grown<T extends Growing>(array: T, needed: number, used: number, least = 0): T {
  const { BYTES_PER_ELEMENT: bytes } = array;
  if (needed * bytes > MOST_BYTES) {
    throw new ToolError('format', 'Cannot hold the vectors of one work unit: they have more than 2 GiB.');
  }
  const Longer = array.constructor as new (length: number) => T;
  const doubled = Math.min(Math.floor(MOST_BYTES / bytes), array.length * 2);
  const longer = new Longer(Math.max(needed, doubled, least));
  longer.set(array.subarray(0, used));
  return longer;
}
