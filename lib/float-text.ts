/*
 * Decimal texts to the nearest float32, from bytes, without a string or a boxed number in between.
 *
 * A double holds every integer below 2^53 and every power of ten up to 10^22, so one division of the two is the
 * correctly rounded double of the decimal (Clinger, "How to Read Floating Point Numbers Accurately", 1990).
 * Rounding that once more to float32 is right unless the double lies exactly between two floats, for then the
 * decimal may lie on either side of it. That case, long texts and exponents take the exact way.
 */

const COMMA = 0x2c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const LETTER_E = 0x65;

/** Digits whose integer is below 2^53 whatever they are. */
const EXACT_DIGITS = 15;

const POWERS_OF_TEN = new Float64Array(23);
for (let i = 0; i < POWERS_OF_TEN.length; i++) POWERS_OF_TEN[i] = Number(`1e${i}`);

/** What a list of numbers is spelled like; readers make it worse only. */
export interface Spelling {
  /**
   * Nothing stands between the numbers but a comma, none is the integer -0 (which many readers take for 0), and each is
   * so short that its nearest double, rounded once more, is the float that was read: any reader gets the same floats.
   */
  plain: boolean;
}

/**
 * Reads `count` JSON numbers with commas between them into out[index …]. `at` is where the first one starts;
 * `view` is a view of `bytes`.
 *
 * Returns where the last number ends, or, where a number or comma is missing or a number is beyond float32,
 * the complement (~position, negative) of the place that is not as it should be. Throws a RangeError where the
 * bytes end within or right after a fraction: words are read whole, and an answer never ends there.
 */
export function readFloats(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  out: Float32Array,
  index: number,
  count: number,
  spelling?: Spelling,
): number {
  const stop = index + count;
  let at = start;
  for (;;) {
    const first = at;
    let c = bytes[at] as number;
    // 1 for a minus, else 0; arithmetic, because a branch on random signs is mispredicted half of the time.
    const negative = ((c ^ MINUS) - 1) >>> 31;
    at += negative;
    const lead = (bytes[at] as number) - ZERO;
    let mantissa = lead;
    let digits = 1;
    c = bytes[++at] as number;
    while (c >= ZERO && c <= 0x39) {
      mantissa = mantissa * 10 + (c - ZERO);
      digits++;
      c = bytes[++at] as number;
    }
    let scale = 0;
    if (c === POINT) {
      at++;
      const fraction = at;
      // Four characters at a time, the first in the lowest byte: xor leaves 0–9 of a digit, and adding 0x76
      // carries into bit 7 for anything above.
      let word = view.getInt32(at, true) ^ 0x30303030;
      let others = ((word + 0x76767676) | word) & 0x80808080;
      while (others === 0) {
        const pairs = (Math.imul(word, 2561) >>> 8) & 0x00ff00ff;
        mantissa = mantissa * 10_000 + (Math.imul(pairs, 6553601) >>> 16);
        at += 4;
        word = view.getInt32(at, true) ^ 0x30303030;
        others = ((word + 0x76767676) | word) & 0x80808080;
      }
      // The 0 to 3 digits that are left, moved up so that what follows them falls out and zeros lead them.
      const rest = (31 - Math.clz32(others & -others)) >> 3;
      word = (word << (24 - 8 * rest)) << 8;
      const pairs = (Math.imul(word, 2561) >>> 8) & 0x00ff00ff;
      mantissa = mantissa * (POWERS_OF_TEN[rest] as number) + (Math.imul(pairs, 6553601) >>> 16);
      at += rest;
      scale = at - fraction;
      c = bytes[at] as number;
    }
    const wide = mantissa / (POWERS_OF_TEN[scale] as number);
    const near = Math.fround(wide);
    // The double mirrored at its float: a float again only if both are equal or the double is a midpoint.
    const mirrored = 2 * wide - near;
    if (
      digits + scale > EXACT_DIGITS ||
      (mirrored !== near && Math.fround(mirrored) === mirrored) ||
      // Also where the bytes have ended, for then it is not a number at all.
      !(lead >= 0 && lead <= 9) ||
      (digits > 1 && lead === 0) ||
      (c | 0x20) === LETTER_E ||
      (scale === 0 && (bytes[at - 1] === POINT || (mantissa === 0 && negative === 1)))
    ) {
      const end = numberEnd(bytes, first);
      if (end < 0) return end;
      const exact = floatOf(bytes, first, end, spelling);
      if (!Number.isFinite(exact)) return ~first;
      out[index] = exact;
      at = end;
      c = bytes[at] as number;
    } else {
      out[index] = near * (1 - 2 * negative);
    }
    index++;
    if (c !== COMMA || index === stop) {
      if (index === stop) return at;
      at = skipSpace(bytes, at);
      if (bytes[at] !== COMMA) return ~at;
      worsen(spelling);
    }
    at++;
    if ((bytes[at] as number) <= 0x20) {
      at = skipSpace(bytes, at);
      worsen(spelling);
    }
  }
}

/**
 * The number bytes[start .. end) as the loop above would read it if it knew exponents (servers write 1e-6 and
 * below with one), and exactly where that does not do.
 */
function floatOf(bytes: Uint8Array, start: number, end: number, spelling: Spelling | undefined): number {
  const negative = bytes[start] === MINUS;
  let mantissa = 0;
  let digits = 0;
  let power = 0;
  let inFraction = false;
  let at = negative ? start + 1 : start;
  for (; at < end; at++) {
    const c = bytes[at] as number;
    if (c === POINT) inFraction = true;
    else if ((c | 0x20) === LETTER_E) break;
    else {
      mantissa = mantissa * 10 + (c - ZERO);
      digits++;
      if (inFraction) power--;
    }
  }
  if (at < end) power += exponentOf(bytes, at + 1, end);
  if (digits > EXACT_DIGITS || power > 22 || power < -22 || (negative && mantissa === 0)) {
    worsen(spelling);
    return exactFloat32(bytes, start, end);
  }
  const factor = POWERS_OF_TEN[Math.abs(power)] as number;
  const wide = power < 0 ? mantissa / factor : mantissa * factor;
  const near = Math.fround(wide);
  const mirrored = 2 * wide - near;
  if (mirrored !== near && Math.fround(mirrored) === mirrored) {
    worsen(spelling);
    return exactFloat32(bytes, start, end);
  }
  return negative ? -near : near;
}

function worsen(spelling: Spelling | undefined): void {
  if (spelling !== undefined) spelling.plain = false;
}

/** Where the JSON number that starts here ends (RFC 8259, section 6), or ~position of what is no part of one. */
export function numberEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  if (bytes[at] === MINUS) at++;
  const integer = at;
  at = skipDigits(bytes, at);
  if (at === integer) return ~at;
  if (bytes[integer] === ZERO && at > integer + 1) return ~(integer + 1);
  if (bytes[at] === POINT) {
    const fraction = at + 1;
    at = skipDigits(bytes, fraction);
    if (at === fraction) return ~at;
  }
  if (((bytes[at] as number) | 0x20) === LETTER_E) {
    at++;
    if (bytes[at] === PLUS || bytes[at] === MINUS) at++;
    const exponent = at;
    at = skipDigits(bytes, at);
    if (at === exponent) return ~at;
  }
  return at;
}

/**
 * Digits of the decimal that take part in the exact comparison. A float32 midpoint has at most 112 significant
 * digits (24 + 1 bits at 2^-150), so what comes after these can only say "a little more".
 */
const DECISIVE_DIGITS = 120;

/** The float32 nearest to the JSON number bytes[start .. end), ties to even; ±Infinity beyond the greatest. */
export function exactFloat32(bytes: Uint8Array, start: number, end: number): number {
  const sign = bytes[start] === MINUS ? -1 : 1;
  let digits = '';
  let power = 0;
  let more = false;
  let inFraction = false;
  let at = sign < 0 ? start + 1 : start;
  for (; at < end; at++) {
    const c = bytes[at] as number;
    if (c === POINT) {
      inFraction = true;
      continue;
    }
    if ((c | 0x20) === LETTER_E) break;
    if (c === ZERO && digits === '') {
      if (inFraction) power--;
    } else if (digits.length < DECISIVE_DIGITS) {
      digits += String.fromCharCode(c);
      if (inFraction) power--;
    } else {
      if (c !== ZERO) more = true;
      if (!inFraction) power++;
    }
  }
  if (digits === '') return sign * 0;
  if (at < end) power += exponentOf(bytes, at + 1, end);
  if (more) {
    digits += '1';
    power--;
  }
  return sign * nearestFloat32(digits, power);
}

/** The float32 nearest to digits × 10^power, for digits without a leading zero. */
function nearestFloat32(digits: string, power: number): number {
  // Far outside of 2^-150 ≈ 7e-46 and 2^128 ≈ 3.4e38 the integers below would only grow.
  if (digits.length + power > 40) return Infinity;
  if (digits.length + power < -46) return 0;
  let numerator = BigInt(digits);
  let denominator = 1n;
  if (power > 0) numerator *= 10n ** BigInt(power);
  else denominator = 10n ** BigInt(-power);
  // value / 2^exponent is to lie in [2^23, 2^24), or below it for denormals, whose exponent is fixed.
  let exponent = Math.max(bitLength(numerator) - bitLength(denominator) - 24, -149);
  if (scaled(numerator, denominator, exponent) >= 0x1000000n) exponent++;
  if (exponent < 0) numerator <<= BigInt(-exponent);
  else denominator <<= BigInt(exponent);
  let mantissa = numerator / denominator;
  const twiceRest = (numerator % denominator) * 2n;
  if (twiceRest > denominator || (twiceRest === denominator && (mantissa & 1n) === 1n)) mantissa++;
  return Math.fround(Number(mantissa) * 2 ** exponent);
}

function scaled(numerator: bigint, denominator: bigint, exponent: number): bigint {
  if (exponent < 0) return (numerator << BigInt(-exponent)) / denominator;
  return numerator / (denominator << BigInt(exponent));
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}

/** The exponent's value, held within ±10^6 so that no hostile one becomes a huge loop or an inexact sum. */
function exponentOf(bytes: Uint8Array, start: number, end: number): number {
  const negative = bytes[start] === MINUS;
  let value = 0;
  for (let at = negative || bytes[start] === PLUS ? start + 1 : start; at < end; at++) {
    value = Math.min(value * 10 + ((bytes[at] as number) - ZERO), 1_000_000);
  }
  return negative ? -value : value;
}

function skipDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  while ((bytes[at] as number) >= ZERO && (bytes[at] as number) <= 0x39) at++;
  return at;
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  let c = bytes[at];
  while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = bytes[++at];
  return at;
}
