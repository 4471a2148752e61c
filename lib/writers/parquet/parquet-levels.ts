/*
 * Repetition and definition levels as runs of the RLE/bit-packing hybrid (parquet-format, Encodings.md, "Run
 * Length Encoding / Bit-Packing Hybrid (RLE = 3)"), each behind its length as data pages of version 1 want it.
 * A run is varint(length << 1) and then the value in ceil(bit width / 8) bytes: one, as our levels are below 8.
 */

/** A varint of 32 bits at most takes this many bytes. */
const MAX_VARINT_BYTES = 5;
const RUN_BYTES = MAX_VARINT_BYTES + 1;
/** Bytes of a run of one. */
const SINGLE_RUN_BYTES = 2;
const LENGTH_BYTES = 4;

/** A range of rows: [from, to). */
export interface RowRange {
  readonly from: number;
  readonly to: number;
}

export interface WrittenLevels {
  /** The offset behind the levels. */
  readonly end: number;
  /** Entries of the leaf column: a NULL row and an empty list count as one. */
  readonly entries: number;
}

/** Most bytes that flat levels of so many rows take: each row may be a run of its own. */
export function flatLevelsBound(rows: number): number {
  return LENGTH_BYTES + rows * RUN_BYTES;
}

/**
 * Levels of an optional flat column: 1 where a row has its value, 0 where it is NULL; no row is without
 * `present`. Returns the offset behind them.
 */
export function writeFlatLevels(
  out: Uint8Array,
  start: number,
  present: Uint8Array | undefined,
  { from, to }: RowRange,
): number {
  let at = start + LENGTH_BYTES;
  if (present === undefined) at = writeRun(out, at, to - from, 1);
  else {
    for (let row = from; row < to; ) {
      const level = present[row] === 0 ? 0 : 1;
      let end = row + 1;
      while (end < to && (present[end] === 0 ? 0 : 1) === level) end++;
      at = writeRun(out, at, end - row, level);
      row = end;
    }
  }
  writeLength(out, start, at);
  return at;
}

/** What the levels of a list column say: which rows have a list, how long it is and how deep its values lie. */
export interface ListRows {
  /** 1 where the row has a list, 0 where it is NULL. */
  readonly present: Uint8Array;
  /** Values in the list of a row that has one, those of its inner lists together. */
  readonly valuesIn: (row: number) => number;
  /** Values in each inner list of a list of lists; 1 where values are not nested further. */
  readonly innerSize: number;
  /** Definition levels of an empty list and of a value; that of a NULL row is 0. */
  readonly emptyLevel: number;
  readonly valueLevel: number;
}

/** Most bytes that the levels of these rows take, when they have so many values. */
export function listLevelsBound({ from, to }: RowRange, values: number, innerSize: number): number {
  const rows = to - from;
  // A row begins with a run, and its values are a run each of repetition and definition levels.
  const lists = 2 * LENGTH_BYTES + rows * (SINGLE_RUN_BYTES + 2 * RUN_BYTES);
  return innerSize === 1
    ? lists
    : lists + (values / innerSize) * (SINGLE_RUN_BYTES + runBytes(innerSize - 1));
}

/** Levels of lists, or lists of lists, whose inner elements are optional and never NULL. */
export function writeListLevels(
  out: Uint8Array,
  start: number,
  rows: ListRows,
  range: RowRange,
): WrittenLevels {
  return writeDefinitions(out, writeRepetitions(out, start, rows, range), rows, range);
}

/** 0 where a row begins, 1 where an inner list or a value of a plain list does, 2 for the rest of an inner list. */
function writeRepetitions(out: Uint8Array, start: number, rows: ListRows, { from, to }: RowRange): number {
  const { present, valuesIn, innerSize } = rows;
  let at = start + LENGTH_BYTES;
  let zeros = 0;
  for (let row = from; row < to; row++) {
    const values = present[row] === 1 ? valuesIn(row) : 0;
    zeros++;
    if (values < 2) continue;
    at = writeRun(out, at, zeros, 0);
    zeros = 0;
    if (innerSize === 1) at = writeRun(out, at, values - 1, 1);
    else {
      at = writeRun(out, at, innerSize - 1, 2);
      for (let value = innerSize; value < values; value += innerSize) {
        at = writeRun(out, at, 1, 1);
        at = writeRun(out, at, innerSize - 1, 2);
      }
    }
  }
  if (zeros > 0) at = writeRun(out, at, zeros, 0);
  writeLength(out, start, at);
  return at;
}

/** A level for each value, and one for each NULL row and empty list. */
function writeDefinitions(
  out: Uint8Array,
  start: number,
  { present, valuesIn, emptyLevel, valueLevel }: ListRows,
  { from, to }: RowRange,
): WrittenLevels {
  let at = start + LENGTH_BYTES;
  let entries = 0;
  let level = 0;
  let run = 0;
  for (let row = from; row < to; row++) {
    const values = present[row] === 1 ? valuesIn(row) : 0;
    const rowLevel = present[row] !== 1 ? 0 : values === 0 ? emptyLevel : valueLevel;
    if (rowLevel !== level && run > 0) {
      at = writeRun(out, at, run, level);
      run = 0;
    }
    level = rowLevel;
    run += Math.max(1, values);
    entries += Math.max(1, values);
  }
  if (run > 0) at = writeRun(out, at, run, level);
  writeLength(out, start, at);
  return { end: at, entries };
}

function runBytes(length: number): number {
  let bytes = SINGLE_RUN_BYTES;
  for (let header = length << 1; header >= 0x80; header >>>= 7) bytes++;
  return bytes;
}

function writeRun(out: Uint8Array, start: number, length: number, value: number): number {
  let at = start;
  // A page has less than 2^29 values of four bytes, so the shift stays within 32 bits.
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
