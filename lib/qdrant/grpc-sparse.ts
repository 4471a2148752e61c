import type { SparseColumn } from '../vector-columns.ts';
import { FLOAT, FLOATS, readFloats } from './grpc-floats.ts';
import { misfit, wrongKind } from './grpc-misfit.ts';
import { OLD_INDICES, SPARSE, skipOther } from './grpc-vector-output.ts';
import { LENGTH, malformed, type ProtoReader, VARINT } from './proto-reader.ts';

/** The field with the indices: of SparseVector, and of the SparseIndices of servers up to 1.16. */
const INDICES_FIELD = 2;
const OLD_INDICES_FIELD = 1;
/** An element takes 5 bytes at least: its value, and an index. */
const ELEMENT_BYTES = 5;

/** Reads sparse vectors into one column, in the order in which the server gives their elements. */
export class SparseReader {
  readonly column: SparseColumn;
  readonly #reader: ProtoReader;
  /** The column's values as bytes; renewed when the column grew. */
  #valueBytes = new Uint8Array();
  /** Of the vector that is being read. */
  #values = 0;
  #indices = 0;
  /** As many elements as its bytes can hold. A part that has more is only counted: then the other one has fewer. */
  #room = 0;

  constructor(reader: ProtoReader, column: SparseColumn) {
    this.#reader = reader;
    this.column = column;
  }

  /** Reads a VectorOutput that ends at `end`. */
  read(end: number): void {
    const { column } = this;
    const reader = this.#reader;
    this.#begin(end);
    let sparse = false;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === SPARSE) {
        sparse = true;
        this.#values = 0;
        this.#indices = 0;
        this.#elements(reader.lengthEnd(end), INDICES_FIELD);
      } else if (tag === OLD_INDICES) {
        sparse = true;
        this.#elements(reader.lengthEnd(end), OLD_INDICES_FIELD);
      } else if (tag === FLOATS || tag === FLOAT) this.#readValues(tag, end);
      else skipOther(reader, tag, end, column.spec);
    }
    reader.ended(end);
    if (!sparse) throw wrongKind(column.spec, 'dense');
    if (this.#values !== this.#indices) {
      throw misfit(column.spec, `has ${this.#indices} indices and ${this.#values} values`);
    }
    column.length += this.#values;
  }

  #begin(end: number): void {
    const { column } = this;
    this.#room = Math.floor((end - this.#reader.at) / ELEMENT_BYTES);
    column.reserve(this.#room);
    if (this.#valueBytes.buffer !== column.values.buffer) {
      this.#valueBytes = new Uint8Array(column.values.buffer);
    }
    this.#values = 0;
    this.#indices = 0;
  }

  /** A SparseVector or SparseIndices: the former has values too, in a field that is not the indices'. */
  #elements(end: number, indicesField: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag >>> 3 === indicesField) this.#readIndices(tag, end);
      else if (tag === FLOATS || tag === FLOAT) this.#readValues(tag, end);
      else reader.skip(tag, end);
    }
    reader.ended(end);
  }

  #readValues(tag: typeof FLOATS | typeof FLOAT, end: number): void {
    const start = this.column.length * 4;
    this.#values = readFloats(this.#reader, tag, end, this.#valueBytes, start, this.#values, this.#room);
  }

  /** Packed indices, or a single one. */
  #readIndices(tag: number, end: number): void {
    const reader = this.#reader;
    const { indices, length } = this.column;
    const packed = (tag & 7) === LENGTH;
    if (!packed && (tag & 7) !== VARINT) throw malformed();
    const indicesEnd = packed ? reader.lengthEnd(end) : reader.at + 1;
    while (reader.at < indicesEnd) {
      const index = reader.varint32();
      if (this.#indices < this.#room) indices[length + this.#indices] = index;
      this.#indices++;
    }
    if (packed) reader.ended(indicesEnd);
  }
}
