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
