/*
 * float32 to decimal text, into bytes, without a string in between.
 *
 * A float x of [2^e, 2^(e+1)) has neighbours 2^(e-23) away (the lower one of 2^e itself: 2^(e-24)), so a decimal within
 * half of that has x as its nearest float. With d decimals, n = round(x * 10^d) gives one: it is off by at most 0.5 * 10^-d,
 * and by 2^-53 of x that the product was rounded by (10^d is exact up to 10^22, the product is the only rounding). The table
 * takes the least d for which this is at most 0.98 of what there is to the nearest midpoint. What is left keeps readers
 * right that go through a double, as DuckDB does: that rounds by another 2^-53 of x, which never reaches the midpoint.
 * (Shortest texts do not have this: 7.038531e-26 read as a double and then rounded is not the float it is the shortest of.)
 * Such an n is below 10 * 2^(e+1) * 2^(23-e) < 2^28: 8 or 9 digits, in the arithmetic of 32 bits.
 */

/** Most bytes of a float's text with the comma after it: `-0.0000010000007932831068,`. More is never written over either. */
export const MOST_FLOAT_BYTES = 26;

const BIAS = 127;
/** Exponents of the floats that are written here, the least one inclusive: 0.0000152… to 1,073,741,823. */
const LEAST = BIAS - 16;
const END = BIAS + 30;
/** Floats of this exponent on are integers. */
const INTEGERS = BIAS + 23;

const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
const COMMA = 0x2c;
/** `0.`, little-endian. */
const ZERO_POINT = 0x2e30;

/** By exponent: d of above, and powers of ten that follow from it. */
const DECIMALS = Uint8Array.from({ length: END }, (_, exponent) =>
  exponent < LEAST ? 0 : decimalsFor(exponent),
);
const powers = (power: (decimals: number) => number) =>
  Float64Array.from(DECIMALS, (decimals) => Number(`1e${power(decimals)}`));
/** 10^d */
const SCALE = powers((d) => d);
/** Of a float below 1, whose n has d digits with leading zeros: n / 10^(d-4) are its first four… */
const BEHIND_FIRST = powers((d) => d - 4);
const TO_FIRST = powers((d) => 4 - d);
/** …and what is left is moved up to eight. */
const TO_EIGHT = powers((d) => 12 - d);
/** Of a float from 1 on: n / 10^d is its integer, and what is left is moved up to eight digits. */
const TO_INTEGER = powers((d) => -d);
const FRACTION_TO_EIGHT = powers((d) => 8 - d);

/** Four digits, the first in the lowest byte, of each number below 10,000; how many zeros end them. */
const QUADS = new Uint32Array(10_000);
const ENDING_ZEROS = new Uint8Array(10_000);
for (let n = 0; n < 10_000; n++) {
  const text = String(n).padStart(4, '0');
  QUADS[n] = Buffer.from(text, 'latin1').readUInt32LE();
  ENDING_ZEROS[n] = 4 - text.replace(/0+$/, '').length;
}

function decimalsFor(exponent: number): number {
  if (exponent >= INTEGERS) return 0;
  const least = 2 ** (exponent - BIAS);
  for (let decimals = 0; ; decimals++) {
    const scale = Number(`1e${decimals}`);
    if (0.5 / scale > 0.98 * 2 ** -24 * least) continue;
    // 2^e itself has half the room below it.
    const error = Math.abs(Math.round(least * scale) / scale - least);
    if (error <= 0.98 * 2 ** -25 * least) return decimals;
  }
}

/**
 * Writes values[from .. to) into `bytes` at `start`, with commas between them, and returns where the last one ends. Any
 * reader that rounds to the nearest float, or to the nearest double and then to float, gets every finite value back bit for
 * bit; the others are the strings "NaN", "Infinity" and "-Infinity", as JSON has no numbers for them.
 *
 * `bits` are the same values as integers, `view` is a view of `bytes`, which have room for MOST_FLOAT_BYTES a float.
 */
export function spellFloats(
  values: Float32Array,
  bits: Int32Array,
  from: number,
  to: number,
  bytes: Uint8Array,
  view: DataView,
  start: number,
): number {
  let at = start;
  for (let i = from; i < to; i++) {
    const word = bits[i] as number;
    const exponent = (word >>> 23) & 0xff;
    if (exponent >= LEAST && exponent < BIAS) {
      bytes[at] = MINUS;
      at += word >>> 31;
      const n = (Math.abs(values[i] as number) * (SCALE[exponent] as number) + 0.5) | 0;
      // Half a unit more than n keeps the quotient off the integers, so that it need not be exact to be cut off.
      const first = ((n + 0.5) * (TO_FIRST[exponent] as number)) | 0;
      const rest = (n - first * (BEHIND_FIRST[exponent] as number)) * (TO_EIGHT[exponent] as number);
      const second = ((rest + 0.5) * 1e-4) | 0;
      const third = (rest - second * 10_000) | 0;
      view.setUint16(at, ZERO_POINT, true);
      view.setUint32(at + 2, QUADS[first] as number, true);
      view.setUint32(at + 6, QUADS[second] as number, true);
      view.setUint32(at + 10, QUADS[third] as number, true);
      if (third !== 0) at += 14 - (ENDING_ZEROS[third] as number);
      else if (second !== 0) at += 10 - (ENDING_ZEROS[second] as number);
      else at += 6 - (ENDING_ZEROS[first] as number);
    } else if (exponent >= BIAS && exponent < END) {
      bytes[at] = MINUS;
      at = spellFromOne(Math.abs(values[i] as number), exponent, bytes, view, at + (word >>> 31));
    } else {
      at = spellRare(values[i] as number, word, bytes, at);
    }
    bytes[at++] = COMMA;
  }
  return to > from ? at - 1 : at;
}

/** A float of [1, 2^30). */
function spellFromOne(
  value: number,
  exponent: number,
  bytes: Uint8Array,
  view: DataView,
  start: number,
): number {
  const n = (value * (SCALE[exponent] as number) + 0.5) | 0;
  const integer = ((n + 0.5) * (TO_INTEGER[exponent] as number)) | 0;
  const at = spellInteger(integer, bytes, view, start);
  const rest = (n - integer * (SCALE[exponent] as number)) * (FRACTION_TO_EIGHT[exponent] as number);
  if (rest === 0) return at;
  const first = ((rest + 0.5) * 1e-4) | 0;
  const second = (rest - first * 10_000) | 0;
  bytes[at] = POINT;
  view.setUint32(at + 1, QUADS[first] as number, true);
  view.setUint32(at + 5, QUADS[second] as number, true);
  return at + (second !== 0 ? 9 - (ENDING_ZEROS[second] as number) : 5 - (ENDING_ZEROS[first] as number));
}

/** Writes an integer of 0 … 2^32 - 1 at `start`, where 12 bytes may be written over, and returns where it ends. */
export function spellInteger(value: number, bytes: Uint8Array, view: DataView, start: number): number {
  if (value < 10_000) {
    const digits = value < 10 ? 1 : value < 100 ? 2 : value < 1000 ? 3 : 4;
    view.setUint32(start, (QUADS[value] as number) >>> (32 - 8 * digits), true);
    return start + digits;
  }
  const high = Math.floor(value / 10_000);
  const at = spellInteger(high, bytes, view, start);
  view.setUint32(at, QUADS[value - high * 10_000] as number, true);
  return at + 4;
}

/** Zeros, what is very small or large, and what is no number. */
function spellRare(value: number, word: number, bytes: Uint8Array, start: number): number {
  if (word === 0) {
    bytes[start] = ZERO;
    return start + 1;
  }
  // A double's own shortest text, which is exact; a float is a double.
  const text = Number.isFinite(value) ? (value === 0 ? '-0.0' : String(value)) : `"${value}"`;
  for (let i = 0; i < text.length; i++) bytes[start + i] = text.charCodeAt(i);
  return start + text.length;
}
