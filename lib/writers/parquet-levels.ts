/*
 * Repetition and definition levels as runs of the RLE/bit-packing hybrid (parquet-format, Encodings.md, "Run
 * Length Encoding / Bit-Packing Hybrid (RLE = 3)"), each behind its length as data pages of version 1 want it.
 * A run is varint(length << 1) and then the value in one byte: our levels are below 256.
 */

/** A varint of 32 bits at most takes this many bytes. */
const MAX_VARINT_BYTES = 5;
const RUN_BYTES = MAX_VARINT_BYTES + 1;
const LENGTH_BYTES = 4;

/** Most bytes that the levels of `rows` rows take: one length a kind of level, up to two runs a row each. */
export function levelsBound(rows: number): number {
  return 2 * LENGTH_BYTES + rows * 3 * RUN_BYTES;
}

/** Levels of `rows` values that are all there, in an optional flat column; returns the offset behind them. */
export function writeFlatLevels(out: Uint8Array, start: number, rows: number): number {
  const at = writeRun(out, start + LENGTH_BYTES, rows, 1);
  writeLength(out, start, at);
  return at;
}

export interface ListLevels {
  /** The offset behind the levels. */
  readonly end: number;
  /** Entries of the leaf column, a missing list counting as one. */
  readonly values: number;
}

/**
 * Levels of lists of `size` elements each, for the rows [from, to) of `present`, in the standard three-level
 * list with optional list and optional element: a row without a list has definition level 0, an element 3.
 */
export function writeListLevels(
  out: Uint8Array,
  start: number,
  present: Uint8Array,
  from: number,
  to: number,
  size: number,
): ListLevels {
  let at = start + LENGTH_BYTES;
  for (let row = from; row < to; row++) {
    at = writeRun(out, at, 1, 0);
    if (present[row] === 1 && size > 1) at = writeRun(out, at, size - 1, 1);
  }
  writeLength(out, start, at);

  const definitionsAt = at;
  let values = 0;
  at += LENGTH_BYTES;
  for (let row = from; row < to; ) {
    const same = present[row];
    let end = row + 1;
    while (end < to && present[end] === same) end++;
    const run = same === 1 ? (end - row) * size : end - row;
    at = writeRun(out, at, run, same === 1 ? 3 : 0);
    values += run;
    row = end;
  }
  writeLength(out, definitionsAt, at);
  return { end: at, values };
}

function writeRun(out: Uint8Array, start: number, length: number, value: number): number {
  let at = start;
  // Runs are shorter than 2^28, so the shift stays within 32 bits.
  let header = length << 1;
  while (header >= 0x80) {
    out[at++] = (header & 0x7f) | 0x80;
    header >>>= 7;
  }
  out[at++] = header;
  out[at++] = value;
  return at;
}

/** Fills in the little-endian length of what lies between the four bytes at `lengthAt` and `end`. */
function writeLength(out: Uint8Array, lengthAt: number, end: number): void {
  const length = end - lengthAt - LENGTH_BYTES;
  out[lengthAt] = length;
  out[lengthAt + 1] = length >>> 8;
  out[lengthAt + 2] = length >>> 16;
  out[lengthAt + 3] = length >>> 24;
}
