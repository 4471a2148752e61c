import { TextColumn } from '../../batch.ts';
import { readFloats } from '../../float-text.ts';
import { type DenseColumn, type MultiColumn, type SparseColumn, vectorColumn } from '../../vector-columns.ts';
import type { TextCells } from '../parquet/parquet-columns.ts';
import type { Cells, SchemaColumn } from '../schema/schema.ts';
import { escapedByte, stringEnd } from './ndjson-string.ts';

/*
 * One cell after the other from the bytes of a line, as ndjson-lines.ts writes them: without white space. Each reader
 * returns where its cell ends, or the complement (~position, negative) of a place that is not as it should be. Bytes
 * behind the line have to be there, of any value: floats are read four at a time.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const BACKSLASH = 0x5c;
const LETTER_N = 0x6e;

const bytesOf = (text: string) => new TextEncoder().encode(text);
const NULL = bytesOf('null');
const INDICES = bytesOf('{"indices":[');
const VALUES = bytesOf('],"values":[');
const SPARSE_END = bytesOf(']}');
/** Floats that JSON has no numbers for. */
const NOT_FINITE: readonly (readonly [text: Uint8Array, value: number])[] = [
  [bytesOf('"NaN"'), Number.NaN],
  [bytesOf('"Infinity"'), Number.POSITIVE_INFINITY],
  [bytesOf('"-Infinity"'), Number.NEGATIVE_INFINITY],
];

/** First guess of a text's bytes; buffers grow and are kept. */
const TEXT_BYTES_GUESS = 64;

/** The bytes that lines are read from. */
export interface LineBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Empty cells of a column, for up to so many rows. */
export function emptyCells(column: SchemaColumn, rows: number): Cells {
  if (column.kind === 'vector') return vectorColumn(column.spec, rows);
  return { kind: 'text', column: new TextColumn(rows, TEXT_BYTES_GUESS), present: new Uint8Array(rows) };
}

export function resetCells(cells: Cells): void {
  if (cells.kind !== 'text') {
    cells.truncate(0);
    return;
  }
  cells.column.length = 0;
  cells.present?.fill(0);
}

/** Reads the cell that starts at `at` into row `row`, the first one that the cells do not have yet. */
export function readCell(text: LineBytes, at: number, cells: Cells, row: number): number {
  const isNull = text.bytes[at] === LETTER_N;
  const end = isNull ? expect(text.bytes, at, NULL) : readPresent(text, at, cells, row);
  if (cells.kind === 'text') {
    cells.column.ends[row] = cells.column.length;
    if (!isNull) cells.present?.fill(1, row, row + 1);
    return end;
  }
  if (cells.kind !== 'dense') cells.ends[row] = cells.length;
  cells.present[row] = isNull ? 0 : 1;
  return end;
}

function readPresent(text: LineBytes, at: number, cells: Cells, row: number): number {
  switch (cells.kind) {
    case 'text':
      return readText(text.bytes, at, cells);
    case 'dense':
      return readDense(text, at, cells, row);
    case 'multi':
      return readMulti(text, at, cells);
    case 'sparse':
      return readSparse(text, at, cells);
  }
}

function readText(bytes: Uint8Array, start: number, { column }: TextCells): number {
  if (bytes[start] !== QUOTE) return ~start;
  const end = stringEnd(bytes, start + 1);
  if (end < 0) return end;
  // A text is never longer than its JSON.
  const out = column.reserve(end - start);
  let { length } = column;
  for (let at = start + 1; at < end; at++) {
    let byte = bytes[at] as number;
    if (byte === BACKSLASH) {
      byte = escapedByte(bytes, at + 1);
      if (byte < 0) return ~at;
      at += bytes[at + 1] === 0x75 ? 5 : 1;
    }
    out[length++] = byte;
  }
  column.length = length;
  return end + 1;
}

/** `[f,f,…]`, as many as the vector has dimensions. */
function readDense(text: LineBytes, at: number, { values, spec }: DenseColumn, row: number): number {
  return readVector(text, at, values, row * spec.size, spec.size);
}

/** `[[f,…],…]` or `[]` */
function readMulti(text: LineBytes, start: number, column: MultiColumn): number {
  const { bytes } = text;
  const { size } = column.spec;
  if (bytes[start] !== OPEN) return ~start;
  if (bytes[start + 1] === CLOSE) return start + 2;
  for (let at = start + 1; ; at++) {
    column.reserve(size);
    at = readVector(text, at, column.values, column.length, size);
    if (at < 0) return at;
    column.length += size;
    if (bytes[at] === CLOSE) return at + 1;
    if (bytes[at] !== COMMA) return ~at;
  }
}

function readVector(text: LineBytes, at: number, out: Float32Array, index: number, size: number): number {
  if (text.bytes[at] !== OPEN) return ~at;
  const end = readAnyFloats(text, at + 1, out, index, size);
  if (end < 0) return end;
  return text.bytes[end] === CLOSE ? end + 1 : ~end;
}

/** `{"indices":[…],"values":[…]}` with equally many of both. */
function readSparse(text: LineBytes, start: number, column: SparseColumn): number {
  const { bytes } = text;
  let at = expect(bytes, start, INDICES);
  if (at < 0) return at;
  const count = elementsUntilClose(bytes, at);
  column.reserve(count);
  at = readIndices(bytes, at, column.indices, column.length, count);
  if (at < 0) return at;
  at = expect(bytes, at, VALUES);
  if (at < 0) return at;
  if (count > 0) at = readAnyFloats(text, at, column.values, column.length, count);
  if (at < 0) return at;
  column.length += count;
  return expect(bytes, at, SPARSE_END);
}

function elementsUntilClose(bytes: Uint8Array, start: number): number {
  const end = bytes.indexOf(CLOSE, start);
  if (end <= start) return 0;
  let count = 1;
  for (let at = start; at < end; at++) if (bytes[at] === COMMA) count++;
  return count;
}

function readIndices(
  bytes: Uint8Array,
  start: number,
  out: Uint32Array,
  index: number,
  count: number,
): number {
  let at = start;
  for (let i = 0; i < count; i++) {
    if (i > 0 && bytes[at++] !== COMMA) return ~(at - 1);
    const first = at;
    let value = 0;
    while ((bytes[at] as number) >= ZERO && (bytes[at] as number) <= 0x39) {
      value = value * 10 + ((bytes[at++] as number) - ZERO);
    }
    const isPadded = bytes[first] === ZERO && at > first + 1;
    if (at === first || isPadded || value > 0xffffffff) return ~first;
    out[index + i] = value;
  }
  return at;
}

/** Numbers the fast way, and one by one where some of them are none. */
function readAnyFloats(
  { bytes, view }: LineBytes,
  start: number,
  out: Float32Array,
  index: number,
  count: number,
): number {
  const fast = readFloats(bytes, view, start, out, index, count);
  if (fast >= 0) return fast;
  let at = start;
  for (let i = 0; i < count; i++) {
    if (i > 0 && bytes[at++] !== COMMA) return ~(at - 1);
    const found = bytes[at] === QUOTE ? notFinite(bytes, at) : undefined;
    if (found === undefined) {
      at = readFloats(bytes, view, at, out, index + i, 1);
      if (at < 0) return at;
    } else {
      out[index + i] = found.value;
      at = found.end;
    }
  }
  return at;
}

function notFinite(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  for (const [text, value] of NOT_FINITE) {
    const end = expect(bytes, at, text);
    if (end >= 0) return { value, end };
  }
  return undefined;
}

/** Where `wanted` ends when it starts at `at`. */
export function expect(bytes: Uint8Array, at: number, wanted: Uint8Array): number {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return ~(at + i);
  return at + wanted.length;
}
