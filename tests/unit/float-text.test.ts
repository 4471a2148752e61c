import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exactFloat32, numberEnd, readFloats, type Spelling } from '../../lib/float-text.ts';

const RECORDINGS = join(import.meta.dir, '../recordings/qdrant');

/** The one number of `text`, read as the only element of an array; NaN when it is refused. */
function read(text: string): number {
  const bytes = new TextEncoder().encode(`${text}]        `);
  const out = new Float32Array(1).fill(Number.NaN);
  const end = readFloats(bytes, new DataView(bytes.buffer), 0, out, 0, 1);
  if (end !== text.length) return Number.NaN;
  return out[0] as number;
}

const scratch = new DataView(new ArrayBuffer(4));

function floatOfBits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

function bitsOf(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** Seeded (mulberry32), so that a failure can be repeated. */
function randomBits(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** A positive float32 as a fraction of whole numbers: mantissa × 2^exponent, exactly. */
function fractionOf(bits: number): { numerator: bigint; denominator: bigint } {
  const field = bits >>> 23;
  const mantissa = BigInt(field === 0 ? bits : (bits & 0x7fffff) | 0x800000);
  const exponent = BigInt(Math.max(field, 1) - 150);
  return exponent < 0n
    ? { numerator: mantissa, denominator: 1n << -exponent }
    : { numerator: mantissa << exponent, denominator: 1n };
}

/** The decimal text of numerator / denominator, whole, for denominators that are powers of two. */
function decimalText(numerator: bigint, denominator: bigint): string {
  const places = denominator.toString(2).length - 1;
  const digits = ((numerator * 10n ** BigInt(places)) / denominator).toString().padStart(places + 1, '0');
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** Exact texts around the middle between a float and the next greater one, with what each is to become. */
function hardTexts(bits: number): readonly (readonly [text: string, bits: number])[] {
  const low = fractionOf(bits);
  const high = fractionOf(bits + 1);
  const numerator = low.numerator * high.denominator + high.numerator * low.denominator;
  const middle = decimalText(numerator, 2n * low.denominator * high.denominator);
  const even = (bits & 1) === 0 ? bits : bits + 1;
  const dotted = middle.includes('.') ? middle : `${middle}.0`;
  const below = decimalBelow(dotted);
  return [
    [middle, even],
    [`${dotted}000`, even],
    [`${dotted}${'0'.repeat(200)}1`, bits + 1],
    [`${dotted}1`, bits + 1],
    [below, bits],
  ];
}

/** A text a little less: the last digit that is not zero one down, and nines behind it. */
function decimalBelow(text: string): string {
  const trimmed = text.replace(/0+$/, '');
  const [whole, fraction = ''] = trimmed.split('.') as [string, string?];
  const lowered = (BigInt(whole + fraction) - 1n).toString().padStart(whole.length + fraction.length, '0');
  const at = lowered.length - fraction.length;
  return `${lowered.slice(0, at)}.${lowered.slice(at)}999`;
}

test('readFloats() reads every float of the recordings as JSON.parse and fround do', () => {
  let checked = 0;
  for (const version of readdirSync(RECORDINGS).filter((name) => /^\d/.test(name))) {
    const text = readFileSync(join(RECORDINGS, version, 'rest.json'), 'utf8');
    for (const [number] of text.matchAll(/-?\d+\.\d+(e[+-]?\d+)?/gi)) {
      const expected = Math.fround(Number(number));
      if (!Number.isFinite(expected)) continue;
      expect(Object.is(read(number), expected)).toBe(true);
      checked++;
    }
  }
  expect(checked).toBeGreaterThan(1000);
});

test('readFloats() gives back 200,000 random float32 patterns from nine digits', () => {
  const next = randomBits(7);
  let wrong = 0;
  for (let i = 0; i < 200_000; i++) {
    const value = floatOfBits(next());
    if (!Number.isFinite(value)) continue;
    const text = value.toPrecision(9);
    if (!Object.is(read(text), value)) wrong++;
  }
  expect(wrong).toBe(0);
});

test('readFloats() gives back embeddings from their shortest texts', () => {
  const next = randomBits(11);
  let wrong = 0;
  for (let i = 0; i < 100_000; i++) {
    const value = Math.fround((next() / 2 ** 31 - 1) * 10 ** -(i % 8));
    let text = '';
    for (let digits = 1; digits <= 9 && Math.fround(Number(text)) !== value; digits++)
      text = String(Number(value.toPrecision(digits)));
    if (read(text) !== value) wrong++;
  }
  expect(wrong).toBe(0);
});

test('readFloats() rounds the middle between two floats to even and its neighbours to their sides', () => {
  const next = randomBits(13);
  const patterns = [0, 1, 2, 0x7ffffe, 0x7fffff, 0x800000, 0x3f800000, 0x3f7fffff, 0x4b7fffff, 0x7f7ffffe];
  for (let i = 0; i < 3_000; i++) patterns.push(next() % 0x7f7fffff);
  const wrong: string[] = [];
  for (const bits of patterns) {
    for (const [text, expected] of hardTexts(bits)) {
      if (bitsOf(read(text)) !== expected) wrong.push(text);
    }
  }
  expect(wrong).toEqual([]);
});

test('readFloats() rounds middles that fit a double, where rounding twice would go wrong', () => {
  // 1 + 2^-24 is a middle and a double; a little more in the 20th digit is lost in the double.
  expect(read('1.000000059604644775390625')).toBe(1);
  expect(read('1.00000005960464477540')).toBe(1.0000001192092896);
  expect(read('1.00000005960464477539')).toBe(1);
  // 16777217 is exact in a double and lies between two floats.
  expect(read('16777217')).toBe(16777216);
  expect(read('16777217.0')).toBe(16777216);
  expect(read('16777219')).toBe(16777220);
});

test('readFloats() reads exponents, both zeros, denormals and the greatest float', () => {
  expect(read('1e-6')).toBe(Math.fround(1e-6));
  expect(read('1.5E+3')).toBe(1500);
  expect(read('1e-45')).toBe(1.401298464324817e-45);
  expect(read('7e-46')).toBe(0);
  expect(read('8e-46')).toBe(1.401298464324817e-45);
  expect(Object.is(read('-0.0'), -0)).toBe(true);
  expect(Object.is(read('-0'), -0)).toBe(true);
  expect(Object.is(read('0'), 0)).toBe(true);
  expect(read('3.4028235e38')).toBe(3.4028234663852886e38);
  expect(read('-340282350000000000000000000000000000000.0')).toBe(-3.4028234663852886e38);
  expect(read(`0.${'0'.repeat(300)}1`)).toBe(0);
  expect(read(`${'0.5'}${'0'.repeat(5000)}1`)).toBe(0.5);
  expect(read('1e-999999999999999999999')).toBe(0);
});

test('readFloats() refuses what is no JSON number and what is beyond float32', () => {
  for (const text of [
    '3.4028236e38',
    '1e39',
    '1e999999999999',
    '-1e400',
    '',
    '-',
    '+1',
    '.5',
    '1.',
    '01',
    '-01',
  ])
    expect(read(text)).toBeNaN();
  for (const text of ['1e', '1e+', '1.e5', 'NaN', 'Infinity', 'null', '0x10', '"1"', '--1', '1.2.3', '00'])
    expect(read(text)).toBeNaN();
});

test('readFloats() tolerates white space and says where a list is not as it should be', () => {
  const out = new Float32Array(4);
  const from = (text: string, count: number) => {
    const bytes = new TextEncoder().encode(`${text}        `);
    return readFloats(bytes, new DataView(bytes.buffer), 0, out, 0, count);
  };
  expect(from('1.5 ,\n -2.25,\t3e0 , 0.125 ]', 4)).toBe(25);
  expect([...out]).toEqual([1.5, -2.25, 3, 0.125]);
  expect(from('1.5,2.5]', 3)).toBe(~7);
  expect(from('1.5;2.5]', 2)).toBe(~3);
  expect(from('1.5,,2.5]', 2)).toBe(~4);
  expect(from('1.5,2.5,3.5]', 2)).toBe(7);
});

test('exactFloat32() alone agrees with the quick way', () => {
  const next = randomBits(17);
  for (let i = 0; i < 5_000; i++) {
    const value = floatOfBits(next());
    if (!Number.isFinite(value)) continue;
    const bytes = new TextEncoder().encode(value.toPrecision(9));
    expect(numberEnd(bytes, 0)).toBe(bytes.length);
    expect(Object.is(exactFloat32(bytes, 0, bytes.length), value)).toBe(true);
  }
});

function spellingOf(text: string): boolean {
  const bytes = new TextEncoder().encode(`${text}]        `);
  const count = text.split(',').length;
  const spelling: Spelling = { plain: true };
  const end = readFloats(bytes, new DataView(bytes.buffer), 0, new Float32Array(count), 0, count, spelling);
  expect(end).toBe(text.length);
  return spelling.plain;
}

test.each(['0.5,-0.25', '0.1,16777216,1e-6,-1.5E-3', '0,-0.0,0.0', '1.4012985e-5'])(
  'numbers that every reader takes for the same floats are spelled plainly: %s',
  (text) => {
    expect(spellingOf(text)).toBe(true);
  },
);

test.each([
  ['white space after a comma', '0.5, 0.25'],
  ['white space before a comma', '0.5\n,0.25'],
  ['the integer -0, which is 0 to many', '0.5,-0'],
  ['-0 with an exponent', '-0e1'],
  // 2^-24 above 1 lies between two floats, this a little above that: as a double it is that.
  ['a decimal whose double lies between two floats', '1.000000059604644775390625000001'],
  ['the shortest text of a float that is another one by way of its double', '7.038531e-26'],
  ['more digits than a double always holds', '0.1234567890123456'],
])('others are not: %s', (_, text) => {
  expect(spellingOf(text)).toBe(false);
});
