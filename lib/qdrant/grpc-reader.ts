import { isUtf8 } from 'node:buffer';
import type { PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { isUuid, type PointId } from '../model.ts';
import { VectorMisfit } from './grpc-misfit.ts';
import { GrpcPayloadWriter } from './grpc-payload.ts';
import { VectorReader } from './grpc-vectors.ts';
import { LENGTH, malformed, ProtoReader } from './proto-reader.ts';
import type { IdPage } from './transport.ts';

/* Field numbers from Qdrant's points.proto and qdrant_common.proto. */
const GET_RESULT = (1 << 3) | LENGTH;
const SCROLL_NEXT = (1 << 3) | LENGTH;
const SCROLL_RESULT = (2 << 3) | LENGTH;
const ID_NUM = 1 << 3;
const ID_UUID = (2 << 3) | LENGTH;
const POINT_ID = (1 << 3) | LENGTH;
const POINT_PAYLOAD = (2 << 3) | LENGTH;
const POINT_VECTORS = (4 << 3) | LENGTH;

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Reads a ScrollResponse that was asked for at most `limit` points, with neither payloads nor vectors. */
export function readIdPage(message: Buffer, limit: number): IdPage {
  const reader = new ProtoReader(message);
  const ids: PointId[] = [];
  let next: PointId | undefined;
  while (reader.at < message.length) {
    const tag = reader.tag();
    if (tag === SCROLL_RESULT) {
      if (ids.length === limit) throw tooMany(limit);
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

/** Appends the points of a GetResponse, at most as many as were `asked` for, wholly or not at all. */
export function readRetrieved(message: Buffer, into: PointBatch, asked: number): void {
  readPoints(message, into, GET_RESULT, asked);
}

/**
 * Appends the points of a ScrollResponse, at most `limit`, wholly or not at all; returns the next page's offset,
 * undefined after the last.
 */
export function readScrolled(message: Buffer, into: PointBatch, limit: number): PointId | undefined {
  return readPoints(message, into, SCROLL_RESULT, limit);
}

function readPoints(
  message: Buffer,
  into: PointBatch,
  resultTag: number,
  limit: number,
): PointId | undefined {
  const rowsBefore = into.rowCount;
  const textBefore = into.payload.length;
  const reader = new ProtoReader(message);
  const points = new PointReader(reader, into, limit);
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
    if (!(error instanceof VectorMisfit)) throw error;
    throw new ToolError('integrity', `Cannot read ${points.name}: ${error.message}.`, { cause: error });
  }
}

/** Reads single points into the rows of one batch. */
class PointReader {
  readonly #reader: ProtoReader;
  readonly #into: PointBatch;
  readonly #payloads: GrpcPayloadWriter;
  readonly #vectors: VectorReader;
  readonly #limit: number;
  /** Rows that the batch may have then. */
  readonly #last: number;
  /** Of the point that is being read, once it is known. */
  #id: PointId | undefined;

  constructor(reader: ProtoReader, into: PointBatch, limit: number) {
    this.#reader = reader;
    this.#into = into;
    this.#limit = limit;
    this.#last = Math.min(into.rowCount + limit, into.layout.rows);
    this.#payloads = new GrpcPayloadWriter(into.fields);
    this.#vectors = new VectorReader(reader, into);
  }

  /** What errors call the point that is being read. */
  get name(): string {
    return this.#id === undefined ? 'a point' : `point ${this.#id}`;
  }

  read(end: number): void {
    const reader = this.#reader;
    const row = this.#into.rowCount;
    if (row >= this.#last) throw tooMany(this.#limit);
    this.#payloads.begin();
    this.#id = undefined;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === POINT_PAYLOAD) this.#payloads.note(reader, reader.lengthEnd(end));
      else if (tag === POINT_VECTORS) this.#vectors.read(reader.lengthEnd(end), row);
      else if (tag === POINT_ID) this.#id = readId(reader, reader.lengthEnd(end));
      else reader.skip(tag, end);
    }
    reader.ended(end);
    if (this.#id === undefined) throw malformed();
    this.#payloads.write(reader, this.#into.payload, row);
    reader.at = end;
    this.#into.endRow(this.#id);
  }
}

function tooMany(limit: number): ToolError {
  return new ToolError('integrity', `Qdrant answered more points than the ${limit} that it was asked for.`);
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
