import type { TextColumn } from '../batch.ts';
import { copyBytes, writeByte, writeEscape } from './canonical-json.ts';
import { BACKSLASH, QUOTE } from './json-bytes.ts';
import type { JsonCursor } from './json-scan.ts';

const ZERO = 0x30;

/** Copies the string at the cursor, quotes included: what has no escape as it is, escapes spelled canonically. */
export function copyString(from: JsonCursor, out: TextColumn): void {
  const bytes = from.bytes;
  if (bytes[from.at] !== QUOTE) throw from.malformed();
  writeByte(out, QUOTE);
  let at = from.at + 1;
  for (;;) {
    const start = at;
    let byte = bytes[at] as number;
    while (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) byte = bytes[++at] as number;
    if (at > start) {
      copyBytes(bytes, start, at, out.reserve(at - start), out.length);
      out.length += at - start;
    }
    if (byte === QUOTE) break;
    from.at = at;
    if (byte !== BACKSLASH) throw from.malformed();
    copyEscaped(from, out);
    at = from.at;
  }
  writeByte(out, QUOTE);
  from.at = at + 1;
}

/** One escape sequence (RFC 8259, section 7), or two that make a surrogate pair. */
function copyEscaped(from: JsonCursor, out: TextColumn): void {
  const letter = from.bytes[from.at + 1] as number;
  const place = SIMPLE_ESCAPES.indexOf(letter);
  if (letter !== 0x75 && place < 0) {
    from.at++;
    throw from.malformed();
  }
  let point = letter === 0x75 ? hexUnit(from, from.at + 2) : (SIMPLE_VALUES[place] as number);
  let length = letter === 0x75 ? 6 : 2;
  if (point >= 0xd800 && point <= 0xdfff) {
    const isPair =
      point < 0xdc00 && from.bytes[from.at + 6] === BACKSLASH && from.bytes[from.at + 7] === 0x75;
    const low = isPair ? hexUnit(from, from.at + 8) : 0;
    // Half a pair is no character, and UTF-8 has no spelling for it (RFC 8259, section 8.2).
    if (low < 0xdc00 || low > 0xdfff) throw from.malformed();
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    length = 12;
  }
  const bytes = out.reserve(6);
  out.length = writeCodePoint(bytes, out.length, point);
  from.at += length;
}

/** The letters after a backslash, and what they stand for. */
const SIMPLE_ESCAPES = [QUOTE, BACKSLASH, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74];
const SIMPLE_VALUES = [QUOTE, BACKSLASH, 0x2f, 0x08, 0x0c, 0x0a, 0x0d, 0x09];

function hexUnit(from: JsonCursor, start: number): number {
  let value = 0;
  for (let at = start; at < start + 4; at++) {
    const byte = from.bytes[at] as number;
    const lower = byte | 0x20;
    if (byte >= ZERO && byte <= 0x39) value = value * 16 + byte - ZERO;
    else if (lower >= 0x61 && lower <= 0x66) value = value * 16 + lower - 0x57;
    else {
      from.at = at;
      throw from.malformed();
    }
  }
  return value;
}

function writeCodePoint(bytes: Uint8Array, start: number, point: number): number {
  let at = start;
  if (point < 0x80) {
    if (point < 0x20 || point === QUOTE || point === BACKSLASH) return writeEscape(bytes, at, point);
    bytes[at++] = point;
  } else if (point < 0x800) {
    bytes[at++] = 0xc0 | (point >> 6);
    bytes[at++] = 0x80 | (point & 63);
  } else if (point < 0x10000) {
    bytes[at++] = 0xe0 | (point >> 12);
    bytes[at++] = 0x80 | ((point >> 6) & 63);
    bytes[at++] = 0x80 | (point & 63);
  } else {
    bytes[at++] = 0xf0 | (point >> 18);
    bytes[at++] = 0x80 | ((point >> 12) & 63);
    bytes[at++] = 0x80 | ((point >> 6) & 63);
    bytes[at++] = 0x80 | (point & 63);
  }
  return at;
}
