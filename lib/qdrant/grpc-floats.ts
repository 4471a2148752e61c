import { FIXED32, LENGTH, malformed, type ProtoReader } from './proto-reader.ts';

/**
 * VectorOutput, DenseVector and SparseVector have their floats in field 1: packed, or a tag before every one. Both
 * are legal for either (protobuf.dev/programming-guides/encoding, "Packed Repeated Fields"), and in several pieces.
 */
export const FLOATS = (1 << 3) | LENGTH;
export const FLOAT = (1 << 3) | FIXED32;

/**
 * Copies the packed floats, or the run of single ones, whose first tag was read, to byte `start` of `target`
 * behind the `count` floats that came before; returns how many there are now. Floats are little-endian on the wire
 * as in memory. What goes beyond `room` floats is counted and not copied.
 */
export function readFloats(
  reader: ProtoReader,
  tag: typeof FLOATS | typeof FLOAT,
  end: number,
  target: Uint8Array,
  start: number,
  count: number,
  room: number,
): number {
  if (tag === FLOAT) return readSingleFloats(reader, end, target, start, count, room);
  const floatsEnd = reader.lengthEnd(end);
  const bytes = floatsEnd - reader.at;
  if (bytes % 4 !== 0) throw malformed();
  const after = count + bytes / 4;
  if (after <= room) reader.bytes.copy(target, start + count * 4, reader.at, floatsEnd);
  reader.at = floatsEnd;
  return after;
}

/** What servers up to 1.16 send. A float that runs over the end is noticed by whoever checks where the reader is. */
function readSingleFloats(
  reader: ProtoReader,
  end: number,
  target: Uint8Array,
  start: number,
  before: number,
  room: number,
): number {
  const { bytes } = reader;
  let { at } = reader;
  let to = start + before * 4;
  const last = start + room * 4;
  let count = before;
  for (;;) {
    if (to < last) {
      target[to] = bytes[at] as number;
      target[to + 1] = bytes[at + 1] as number;
      target[to + 2] = bytes[at + 2] as number;
      target[to + 3] = bytes[at + 3] as number;
    }
    to += 4;
    at += 4;
    count++;
    if (at >= end || bytes[at] !== FLOAT) break;
    at++;
  }
  reader.at = at;
  return count;
}

/** The floats of a DenseVector, which ends at `end`; how many it has. */
export function readDenseVector(
  reader: ProtoReader,
  end: number,
  target: Uint8Array,
  start: number,
  room: number,
): number {
  let count = 0;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === FLOATS || tag === FLOAT) count = readFloats(reader, tag, end, target, start, count, room);
    else reader.skip(tag, end);
  }
  reader.ended(end);
  return count;
}
