import { readFloats, type Spelling } from '../float-text.ts';
import type { DenseColumn, MultiColumn, SparseColumn, VectorColumn } from '../vector-columns.ts';
import { CLOSE_ARRAY, COMMA, OPEN_ARRAY, OPEN_OBJECT } from './json-bytes.ts';
import { damaged, endsTooEarly, type JsonCursor } from './json-scan.ts';

const ZERO = 0x30;
const MAX_U32 = 0xffff_ffff;
/** Digits of the greatest u32. */
const U32_DIGITS = 10;

/**
 * Reads the vector at the cursor into row `row` of its column, and keeps its text where the column wants texts and any
 * reader would read the same floats from it. False where it is not what the column holds; the
 * cursor is then anywhere, and the column has to be truncated (rest-vector-problem.ts says what is wrong).
 */
export function readVector(from: JsonCursor, column: VectorColumn, row: number): boolean {
  switch (column.kind) {
    case 'dense':
      return readDense(from, column, row);
    case 'multi':
      return readMulti(from, column, row);
    case 'sparse':
      return readSparse(from, column, row);
  }
}

/** `[0.5,…]` */
function readDense(from: JsonCursor, column: DenseColumn, row: number): boolean {
  const { size } = column.spec;
  from.peek();
  const start = from.at;
  const spelling: Spelling = { plain: true };
  if (!readFloatList(from, column.values, row * size, size, spelling)) return false;
  column.present[row] = 1;
  if (spelling.plain) column.texts?.append(from.bytes, start, from.at);
  return true;
}

/** `[[0.5,…],…]` */
function readMulti(from: JsonCursor, column: MultiColumn, row: number): boolean {
  const { size } = column.spec;
  from.peek();
  const start = from.at;
  const spelling: Spelling = { plain: true };
  if (!take(from, OPEN_ARRAY)) return false;
  if (!take(from, CLOSE_ARRAY, spelling)) {
    do {
      column.reserve(size);
      if (!readFloatList(from, column.values, column.length, size, spelling)) return false;
      column.length += size;
    } while (take(from, COMMA, spelling));
    if (!take(from, CLOSE_ARRAY, spelling)) return false;
  }
  column.present[row] = 1;
  if (spelling.plain) column.texts?.append(from.bytes, start, from.at);
  return true;
}

const INDICES = Buffer.from('"indices"');
const VALUES = Buffer.from('"values"');

/** `{"indices":[7,…],"values":[0.5,…]}`: both lists of the same length. */
function readSparse(from: JsonCursor, column: SparseColumn, row: number): boolean {
  if (from.peek() !== OPEN_OBJECT) return false;
  let count = -1;
  let hasIndices = false;
  let hasValues = false;
  for (let more = from.enterObject(); more; more = from.nextMember()) {
    const isIndices = from.takeName(INDICES);
    if (!isIndices && !from.takeName(VALUES)) {
      from.memberName();
      from.skipValue();
      continue;
    }
    if (isIndices ? hasIndices : hasValues) throw damaged('a sparse vector has the same member twice');
    if (count < 0) {
      count = elementCount(from);
      if (count < 0) return false;
      column.reserve(count);
    }
    const wasRead = isIndices
      ? readIndexList(from, column.indices, column.length, count)
      : readFloatList(from, column.values, column.length, count);
    if (!wasRead) return false;
    if (isIndices) hasIndices = true;
    else hasValues = true;
  }
  if (!hasIndices || !hasValues) return false;
  column.length += count;
  column.present[row] = 1;
  return true;
}

/**
 * Elements of the list of numbers at the cursor, which stays; -1 where there is none. Never more than half of the
 * bytes that the list has, so that a hostile one cannot make us reserve more than 4 bytes for each of its own.
 */
function elementCount(from: JsonCursor): number {
  if (from.peek() !== OPEN_ARRAY) return -1;
  const { bytes } = from;
  const end = bytes.indexOf(CLOSE_ARRAY, from.at);
  let commas = 0;
  let hasDigit = false;
  for (let at = from.at + 1; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === COMMA) commas++;
    else if (byte > COMMA) hasDigit = true;
  }
  if (end < 0 || 2 * commas > end - from.at) return -1;
  return commas > 0 || hasDigit ? commas + 1 : 0;
}

/** `[…]` of exactly `count` floats. */
function readFloatList(
  from: JsonCursor,
  out: Float32Array,
  index: number,
  count: number,
  spelling?: Spelling,
): boolean {
  if (!take(from, OPEN_ARRAY, spelling)) return false;
  if (count > 0) {
    const start = from.at;
    from.peek();
    if (from.at !== start && spelling !== undefined) spelling.plain = false;
    const end = floatsEnd(from, out, index, count, spelling);
    if (end < 0) return false;
    from.at = end;
  }
  return take(from, CLOSE_ARRAY, spelling);
}

/** readFloats, with the end of the bytes as a ToolError. */
function floatsEnd(
  from: JsonCursor,
  out: Float32Array,
  index: number,
  count: number,
  spelling: Spelling | undefined,
): number {
  try {
    return readFloats(from.bytes, from.view, from.at, out, index, count, spelling);
  } catch (error) {
    if (error instanceof RangeError) throw endsTooEarly(from.bytes.length);
    throw error;
  }
}

/** `[…]` of exactly `count` integers of 32 bits, as serde_json spells them: digits alone. */
function readIndexList(from: JsonCursor, out: Uint32Array, index: number, count: number): boolean {
  if (!take(from, OPEN_ARRAY)) return false;
  const { bytes } = from;
  for (let to = index; to < index + count; to++) {
    if (to > index && !take(from, COMMA)) return false;
    from.peek();
    const start = from.at;
    let at = start;
    let value = 0;
    for (;;) {
      const digit = (bytes[at] as number) - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
      at++;
    }
    const digits = at - start;
    if (digits === 0 || digits > U32_DIGITS || value > MAX_U32) return false;
    if (digits > 1 && bytes[start] === ZERO) return false;
    out[to] = value;
    from.at = at;
  }
  return take(from, CLOSE_ARRAY);
}

/**
 * Takes one character, with the white space before it, which is then noted; false, and the character stays, when it is
 * another one.
 */
function take(from: JsonCursor, byte: number, spelling?: Spelling): boolean {
  const start = from.at;
  const found = from.peek() === byte;
  if (from.at !== start && spelling !== undefined) spelling.plain = false;
  if (found) from.at++;
  return found;
}
