import type { TextColumn } from '../batch.ts';
import { copyBytes, doubleText, writeAscii } from './canonical-json.ts';
import type { JsonCursor } from './json-scan.ts';

const POINT = 0x2e;
const MINUS = 0x2d;
const ZERO = 0x30;

/** Copies the number at the cursor in its canonical spelling. */
export function copyNumber(from: JsonCursor, out: TextColumn): void {
  const start = from.at;
  from.skipNumber();
  const { bytes } = from;
  if (isCanonicalNumber(bytes, start, from.at)) {
    copyBytes(bytes, start, from.at, out.reserve(from.at - start), out.length);
    out.length += from.at - start;
    return;
  }
  const value = Number(asciiText(bytes, start, from.at));
  if (!Number.isFinite(value)) {
    from.at = start;
    throw from.malformed();
  }
  writeAscii(out, doubleText(value));
}

/**
 * Whether a number's text is its canonical one for sure: an integer, or a decimal fraction that no shorter
 * text equals. Up to 15 significant digits different decimals are different doubles, so without trailing
 * zeros the text is the shortest; ECMAScript's Number::toString writes it without an exponent from 1e-6 on.
 */
function isCanonicalNumber(bytes: Uint8Array, start: number, end: number): boolean {
  let point = -1;
  let firstDigit = -1;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === POINT) point = at;
    else if ((byte | 0x20) === 0x65) return false;
    else if (firstDigit < 0 && byte !== ZERO && byte !== MINUS) firstDigit = at;
  }
  if (point < 0) return true;
  if (bytes[end - 1] === ZERO && end - point > 2) return false;
  if (firstDigit < 0) return true;
  const isTiny = firstDigit > point + 6;
  return !isTiny && end - firstDigit <= 15;
}

function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}
