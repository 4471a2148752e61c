import { isUtf8 } from 'node:buffer';
import type { DenseColumn, PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { isUuid, type PointId } from '../model.ts';
import { GrpcPayloadWriter } from './grpc-payload.ts';
import { ENTRY_KEY, ENTRY_VALUE, FIXED32, LENGTH, malformed, ProtoReader } from './proto-reader.ts';
import type { IdPage } from './transport.ts';

/*
 * Field numbers from Qdrant's points.proto and qdrant_common.proto. Vectors are read by presence: servers up
 * to 1.16 fill VectorOutput.data (1), from 1.17 on only the oneof dense (101), sparse (102), multi_dense (103).
 */
const GET_RESULT = (1 << 3) | LENGTH;
const SCROLL_NEXT = (1 << 3) | LENGTH;
const SCROLL_RESULT = (2 << 3) | LENGTH;
const ID_NUM = 1 << 3;
const ID_UUID = (2 << 3) | LENGTH;
const POINT_ID = (1 << 3) | LENGTH;
const POINT_PAYLOAD = (2 << 3) | LENGTH;
const POINT_VECTORS = (4 << 3) | LENGTH;
const VECTORS_VECTOR = (1 << 3) | LENGTH;
const VECTORS_NAMED = (2 << 3) | LENGTH;
const NAMED_ENTRY = (1 << 3) | LENGTH;
/** Servers up to 1.16 do not pack this one: a tag before every float. */
const VECTOR_DATA = (1 << 3) | FIXED32;
const VECTOR_DATA_PACKED = (1 << 3) | LENGTH;
const VECTOR_DENSE = (101 << 3) | LENGTH;
const DENSE_DATA = (1 << 3) | LENGTH;

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Reads a ScrollResponse that was asked for neither payloads nor vectors. */
export function readIdPage(message: Buffer): IdPage {
  const reader = new ProtoReader(message);
  const ids: PointId[] = [];
  let next: PointId | undefined;
  while (reader.at < message.length) {
    const tag = reader.tag();
    if (tag === SCROLL_RESULT) {
      const end = reader.lengthEnd(message.length);
      let id: PointId | undefined;
      while (reader.at < end) {
        const field = reader.tag();
        if (field === POINT_ID) id = readId(reader, reader.lengthEnd(end));
        else reader.skip(field, end);
      }
      reader.ended(end);
      if (id === undefined) throw malformed();
      ids.push(id);
    } else if (tag === SCROLL_NEXT) next = readId(reader, reader.lengthEnd(message.length));
    else reader.skip(tag, message.length);
  }
  reader.ended(message.length);
  return { ids, next };
}

/** Appends the points of a GetResponse to the batch, wholly or not at all. */
export function readRetrieved(message: Buffer, into: PointBatch): void {
  readPoints(message, into, GET_RESULT);
}

/** Appends the points of a ScrollResponse and returns the next page's offset, undefined after the last. */
export function readScrolled(message: Buffer, into: PointBatch): PointId | undefined {
  return readPoints(message, into, SCROLL_RESULT);
}

function readPoints(message: Buffer, into: PointBatch, resultTag: number): PointId | undefined {
  const rowsBefore = into.rowCount;
  const textBefore = into.payload.length;
  const reader = new ProtoReader(message);
  const payloads = new GrpcPayloadWriter(into.fields);
  const points = new PointReader(reader, into, payloads);
  let next: PointId | undefined;
  try {
    while (reader.at < message.length) {
      const tag = reader.tag();
      if (tag === resultTag) points.read(reader.lengthEnd(message.length));
      else if (tag === SCROLL_NEXT) next = readId(reader, reader.lengthEnd(message.length));
      else reader.skip(tag, message.length);
    }
    reader.ended(message.length);
    // Parquet readers take text for UTF-8 without looking.
    if (!isUtf8(into.payload.bytes.subarray(textBefore, into.payload.length))) throw malformed();
    return next;
  } catch (error) {
    into.truncate(rowsBefore);
    throw error;
  }
}

/** Reads single points into the rows of one batch. */
class PointReader {
  readonly #reader: ProtoReader;
  readonly #into: PointBatch;
  readonly #payloads: GrpcPayloadWriter;
  readonly #unnamed: DenseColumn | undefined;
  readonly #named: readonly { readonly name: Buffer; readonly column: DenseColumn }[];

  constructor(reader: ProtoReader, into: PointBatch, payloads: GrpcPayloadWriter) {
    this.#reader = reader;
    this.#into = into;
    this.#payloads = payloads;
    this.#unnamed = into.vectors.find((column) => column.spec.name === '');
    this.#named = into.vectors
      .filter((column) => column.spec.name !== '')
      .map((column) => ({ name: Buffer.from(column.spec.name), column }));
  }

  read(end: number): void {
    const reader = this.#reader;
    const row = this.#into.rowCount;
    if (row >= this.#into.layout.rows) {
      throw new ToolError('integrity', 'Qdrant answered more points than it was asked for.');
    }
    this.#payloads.begin();
    let id: PointId | undefined;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === POINT_PAYLOAD) this.#payloads.note(reader, reader.lengthEnd(end));
      else if (tag === POINT_VECTORS) this.#vectors(reader.lengthEnd(end), row);
      else if (tag === POINT_ID) id = readId(reader, reader.lengthEnd(end));
      else reader.skip(tag, end);
    }
    reader.ended(end);
    if (id === undefined) throw malformed();
    this.#payloads.write(reader, this.#into.payload, row);
    reader.at = end;
    this.#into.endRow(id);
  }

  #vectors(end: number, row: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === VECTORS_VECTOR) {
        const vectorEnd = reader.lengthEnd(end);
        if (this.#unnamed === undefined) reader.at = vectorEnd;
        else this.#vector(this.#unnamed, vectorEnd, row);
      } else if (tag === VECTORS_NAMED) this.#namedVectors(reader.lengthEnd(end), row);
      else reader.skip(tag, end);
    }
    reader.ended(end);
  }

  #namedVectors(end: number, row: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === NAMED_ENTRY) this.#namedVector(reader.lengthEnd(end), row);
      else reader.skip(tag, end);
    }
    reader.ended(end);
  }

  /** A map's entry, whose key and value may come in any order. */
  #namedVector(end: number, row: number): void {
    const reader = this.#reader;
    let column: DenseColumn | undefined;
    let valueStart = end;
    let valueEnd = end;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === ENTRY_KEY) {
        const keyEnd = reader.lengthEnd(end);
        const key = reader.bytes.subarray(reader.at, keyEnd);
        column = this.#named.find(({ name }) => name.equals(key))?.column;
        reader.at = keyEnd;
      } else if (tag === ENTRY_VALUE) {
        valueEnd = reader.lengthEnd(end);
        valueStart = reader.at;
        reader.at = valueEnd;
      } else reader.skip(tag, end);
    }
    reader.ended(end);
    if (column === undefined) return;
    reader.at = valueStart;
    this.#vector(column, valueEnd, row);
    reader.at = end;
  }

  #vector(column: DenseColumn, end: number, row: number): void {
    const reader = this.#reader;
    const from = reader.at;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === VECTOR_DENSE) {
        const denseEnd = reader.lengthEnd(end);
        while (reader.at < denseEnd) {
          const field = reader.tag();
          if (field === DENSE_DATA) this.#packedFloats(column, reader.lengthEnd(denseEnd), row);
          else reader.skip(field, denseEnd);
        }
        reader.ended(denseEnd);
      } else if (tag === VECTOR_DATA) this.#singleFloats(column, end, row);
      else if (tag === VECTOR_DATA_PACKED) this.#packedFloats(column, reader.lengthEnd(end), row);
      else reader.skip(tag, end);
    }
    reader.ended(end);
    // A vector in fields that are not known here must not become a NULL.
    if (end > from && column.present[row] === 0) {
      throw new ToolError(
        'integrity',
        `Qdrant answered ${vectorName(column)} in a form that this version cannot read.`,
      );
    }
  }

  /** Packed floats are little-endian on the wire as in memory: one copy. */
  #packedFloats(column: DenseColumn, end: number, row: number): void {
    const reader = this.#reader;
    const wanted = column.spec.size * 4;
    if (end - reader.at !== wanted) throw wrongSize(column, (end - reader.at) / 4);
    reader.bytes.copy(column.bytes, row * wanted, reader.at, end);
    column.present[row] = 1;
    reader.at = end;
  }

  /** Floats one by one, each behind its tag, the first of which was read: what servers up to 1.16 send. */
  #singleFloats(column: DenseColumn, end: number, row: number): void {
    const reader = this.#reader;
    const { bytes } = reader;
    const target = column.bytes;
    const { size } = column.spec;
    let { at } = reader;
    let to = row * size * 4;
    const last = to + size * 4;
    let count = 0;
    for (;;) {
      if (at + 4 > end) throw malformed();
      if (to < last) {
        target[to] = bytes[at] as number;
        target[to + 1] = bytes[at + 1] as number;
        target[to + 2] = bytes[at + 2] as number;
        target[to + 3] = bytes[at + 3] as number;
      }
      to += 4;
      at += 4;
      count++;
      if (at >= end || bytes[at] !== VECTOR_DATA) break;
      at++;
    }
    if (count !== size) throw wrongSize(column, count);
    column.present[row] = 1;
    reader.at = at;
  }
}

function wrongSize(column: DenseColumn, found: number): ToolError {
  return new ToolError(
    'integrity',
    `Qdrant answered ${vectorName(column)} of ${found} dimensions where the collection has ${column.spec.size}.`,
  );
}

function vectorName({ spec }: DenseColumn): string {
  return spec.name === '' ? 'a vector' : `a vector \`${spec.name}\``;
}

function readId(reader: ProtoReader, end: number): PointId {
  let id: PointId | undefined;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === ID_NUM) id = reader.uint64Text();
    else if (tag === ID_UUID) {
      const textEnd = reader.lengthEnd(end);
      id = reader.bytes.toString('latin1', reader.at, textEnd);
      if (!isUuid(id) || !UUID_PATTERN.test(id)) throw malformed();
      reader.at = textEnd;
    } else reader.skip(tag, end);
  }
  reader.ended(end);
  // A number that is 0 may be left out of the oneof only by encoders that drop its presence; Qdrant's does not.
  if (id === undefined) throw malformed();
  return id;
}
