import type { DenseColumn, MultiColumn, SparseColumn, VectorTexts } from '../../vector-columns.ts';
import type { TextCells } from '../parquet/parquet-columns.ts';
import type { Cells, SchemaColumn } from '../schema/schema.ts';
import { MOST_FLOAT_BYTES, spellFloats, spellInteger } from './float-spelling.ts';
import { appendString } from './json-string-text.ts';
import type { LineBuffer } from './line-buffer.ts';

const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;
const LINE_FEED = 0x0a;

/** Most bytes of a u32's text with the comma after it, and what spellInteger may write over. */
const MOST_INDEX_BYTES = 12;
/** Room for brackets and commas that stand around a cell's numbers. */
const AROUND_BYTES = 16;

const encoder = new TextEncoder();
const NULL = encoder.encode('null');
const INDICES = encoder.encode('{"indices":[');
const VALUES = encoder.encode('],"values":[');

/** What stands before each cell of a row: the brace or comma, the column's name and the colon. */
export function cellPrefixes(columns: readonly SchemaColumn[]): readonly Uint8Array[] {
  return columns.map(({ name }, index) =>
    encoder.encode(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
  );
}

/** Appends a line for each of the first `rows` rows; returns the bytes of the longest one, its line feed included. */
export function appendLines(
  prefixes: readonly Uint8Array[],
  columns: readonly Cells[],
  rows: number,
  into: LineBuffer,
): number {
  const cells = columns.map(cellWriter);
  let longest = 0;
  for (let row = 0; row < rows; row++) {
    const start = into.length;
    for (const [index, append] of cells.entries()) {
      appendBytes(into, prefixes[index] as Uint8Array);
      append(row, into);
    }
    into.reserve(2);
    into.bytes[into.length++] = CLOSE_OBJECT;
    into.bytes[into.length++] = LINE_FEED;
    longest = Math.max(longest, into.length - start);
  }
  return longest;
}

/** Appends the cell of one row. */
type CellWriter = (row: number, into: LineBuffer) => void;

function cellWriter(cells: Cells): CellWriter {
  switch (cells.kind) {
    case 'text':
      return orNull(cells.present, textWriter(cells));
    case 'dense':
      return orNull(cells.present, denseWriter(cells));
    case 'multi':
      return orNull(cells.present, multiWriter(cells));
    case 'sparse':
      return orNull(cells.present, sparseWriter(cells));
  }
}

function orNull(present: Uint8Array | undefined, append: CellWriter): CellWriter {
  if (present === undefined) return append;
  return (row, into) => {
    if (present[row] === 0) appendBytes(into, NULL);
    else append(row, into);
  };
}

function textWriter({ column }: TextCells): CellWriter {
  return (row, into) => appendString(into, column.bytes, column.start(row), column.end(row));
}

/** `[f,f,…]` */
function denseWriter({ spec: { size }, values, texts }: DenseColumn): CellWriter {
  const bits = bitsOf(values);
  return (row, into) => {
    if (appendTextOf(texts, row, into)) return;
    into.reserve(size * MOST_FLOAT_BYTES + AROUND_BYTES);
    appendFloats(values, bits, row * size, (row + 1) * size, into);
  };
}

/** `[[f,…],…]` */
function multiWriter({ spec: { size }, values, ends, texts }: MultiColumn): CellWriter {
  const bits = bitsOf(values);
  return (row, into) => {
    if (appendTextOf(texts, row, into)) return;
    const end = ends[row] as number;
    into.reserve(AROUND_BYTES);
    into.bytes[into.length++] = OPEN_ARRAY;
    for (let at = startOf(ends, row); at < end; at += size) {
      into.reserve(size * MOST_FLOAT_BYTES + AROUND_BYTES);
      appendFloats(values, bits, at, at + size, into);
      if (at + size < end) into.bytes[into.length++] = COMMA;
    }
    into.bytes[into.length++] = CLOSE_ARRAY;
  };
}

/** `{"indices":[…],"values":[…]}` */
function sparseWriter({ indices, values, ends }: SparseColumn): CellWriter {
  const bits = bitsOf(values);
  return (row, into) => {
    const start = startOf(ends, row);
    const end = ends[row] as number;
    appendBytes(into, INDICES);
    into.reserve((end - start) * MOST_INDEX_BYTES + AROUND_BYTES);
    let { length } = into;
    for (let i = start; i < end; i++) {
      if (i > start) into.bytes[length++] = COMMA;
      length = spellInteger(indices[i] as number, into.bytes, into.view, length);
    }
    into.length = length;
    appendBytes(into, VALUES);
    into.reserve((end - start) * MOST_FLOAT_BYTES + AROUND_BYTES);
    into.length = spellFloats(values, bits, start, end, into.bytes, into.view, into.length);
    into.bytes[into.length++] = CLOSE_ARRAY;
    into.bytes[into.length++] = CLOSE_OBJECT;
  };
}

/** The vector as the server sent it; false where there is no such text. */
function appendTextOf(texts: VectorTexts | undefined, row: number, into: LineBuffer): boolean {
  if (texts === undefined) return false;
  const start = startOf(texts.ends, row);
  const end = texts.ends[row] as number;
  if (end === start) return false;
  appendBytes(into, texts.bytes.subarray(start, end));
  return true;
}

/** Room for the floats has been made. */
function appendFloats(
  values: Float32Array,
  bits: Int32Array,
  from: number,
  to: number,
  into: LineBuffer,
): void {
  into.bytes[into.length++] = OPEN_ARRAY;
  into.length = spellFloats(values, bits, from, to, into.bytes, into.view, into.length);
  into.bytes[into.length++] = CLOSE_ARRAY;
}

function appendBytes(into: LineBuffer, bytes: Uint8Array): void {
  into.reserve(bytes.length);
  into.bytes.set(bytes, into.length);
  into.length += bytes.length;
}

function bitsOf({ buffer, byteOffset, length }: Float32Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length);
}

function startOf(ends: Int32Array, row: number): number {
  return row === 0 ? 0 : (ends[row - 1] as number);
}
