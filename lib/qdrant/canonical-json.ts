import type { TextColumn } from '../batch.ts';
import { BACKSLASH, QUOTE } from './json-bytes.ts';

/*
 * Payload text is canonical, so that neither transport nor server version shows: compact; keys sorted by code
 * point (which is the order of their UTF-8 bytes); integers with every digit; doubles as ECMAScript spells
 * them, with `.0` added where that has neither point nor exponent; strings escaped only where RFC 8259,
 * section 7, requires it.
 */

const HEX = '0123456789abcdef';

/** The two-character escapes of RFC 8259 for control characters; the others are written as \u00xx. */
const SHORT_ESCAPES = new Map([
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
]);

/** Text of a finite double. */
export function doubleText(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  // Anything but digits and a sign is a point or an exponent.
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** Appends one byte. */
export function writeByte(out: TextColumn, byte: number): void {
  // First the room: it may be in new memory.
  const bytes = out.reserve(1);
  bytes[out.length++] = byte;
}

/** Appends ASCII text. */
export function writeAscii(out: TextColumn, text: string): void {
  const bytes = out.reserve(text.length);
  let at = out.length;
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  out.length = at;
}

/** Appends raw UTF-8 bytes as a JSON string, quotes included. */
export function writeString(out: TextColumn, source: Uint8Array, start: number, end: number): void {
  // Every byte may become \u00xx: six for one.
  const bytes = out.reserve((end - start) * 6 + 2);
  let at = out.length;
  bytes[at++] = QUOTE;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) bytes[at++] = byte;
    else at = writeEscape(bytes, at, byte);
  }
  bytes[at++] = QUOTE;
  out.length = at;
}

/**
 * Writes the escape of a control character, quote or backslash at `start`, where six bytes are free, and
 * returns where it ends.
 */
export function writeEscape(bytes: Uint8Array, start: number, byte: number): number {
  let at = start;
  bytes[at++] = BACKSLASH;
  if (byte === QUOTE || byte === BACKSLASH) {
    bytes[at++] = byte;
    return at;
  }
  const short = SHORT_ESCAPES.get(byte);
  if (short !== undefined) {
    bytes[at++] = short.charCodeAt(0);
    return at;
  }
  for (const char of `u00${HEX[byte >> 4]}${HEX[byte & 15]}`) bytes[at++] = char.charCodeAt(0);
  return at;
}

/** Order of two byte ranges, byte by byte, the shorter first when one begins with the other. */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = (a[aStart + i] as number) - (b[bStart + i] as number);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

/**
 * Order of two canonical strings without their quotes, both in `bytes`, by what they stand for: by code point,
 * the shorter first when one begins with the other.
 */
export function compareEscaped(
  bytes: Uint8Array,
  aStart: number,
  aEnd: number,
  bStart: number,
  bEnd: number,
): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  let i = 0;
  while (i < shared) {
    const a = bytes[aStart + i] as number;
    const b = bytes[bStart + i] as number;
    if (a !== BACKSLASH && b !== BACKSLASH) {
      if (a !== b) return a - b;
      i++;
      continue;
    }
    // A character has one canonical spelling, so two that are equal are also equally long.
    const difference = escapedByte(bytes, aStart + i) - escapedByte(bytes, bStart + i);
    if (difference !== 0) return difference;
    i += bytes[aStart + i + 1] === LETTER_U ? 6 : 2;
  }
  return aEnd - aStart - (bEnd - bStart);
}

const LETTER_U = 0x75;

/** What the letters of the two-character escapes stand for. */
const ESCAPED = new Uint8Array(128);
for (const code of [QUOTE, BACKSLASH]) ESCAPED[code] = code;
for (const [code, letter] of SHORT_ESCAPES) ESCAPED[letter.charCodeAt(0)] = code;

/** The byte that the canonical spelling at `at` stands for: itself, or what writeEscape() wrote. */
function escapedByte(bytes: Uint8Array, at: number): number {
  const byte = bytes[at] as number;
  if (byte !== BACKSLASH) return byte;
  const letter = bytes[at + 1] as number;
  if (letter !== LETTER_U) return ESCAPED[letter] as number;
  return 16 * hexValue(bytes[at + 4] as number) + hexValue(bytes[at + 5] as number);
}

/** Of a digit or a letter in lower case. */
function hexValue(byte: number): number {
  return byte > 0x39 ? byte - 0x57 : byte - 0x30;
}

/** Runs longer than this are copied by the runtime, shorter ones byte by byte, which is the faster there. */
const LONG_RUN = 48;

/** Copies from[start .. end) to to[target …]. */
export function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  target: number,
): void {
  if (end - start > LONG_RUN) {
    to.set(from.subarray(start, end), target);
    return;
  }
  for (let i = start, at = target; i < end; i++, at++) to[at] = from[i] as number;
}
