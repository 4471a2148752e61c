import { describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFloats } from '../../../../lib/float-text.ts';
import {
  MOST_FLOAT_BYTES,
  spellFloats,
  spellInteger,
} from '../../../../lib/writers/ndjson/float-spelling.ts';
import { anyFloats, bitsOf, seeded } from '../../../support/batches.ts';
import { DUCKDB_MISSING } from '../../../support/foreign-readers.ts';

const GUARD = 0xab;

/** The texts of some floats with commas between them; nothing is written beyond the room that is promised. */
function spelled(values: Float32Array): string {
  const room = values.length * MOST_FLOAT_BYTES;
  const bytes = new Uint8Array(3 + room + 16).fill(GUARD);
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const end = spellFloats(values, bits, 0, values.length, bytes, new DataView(bytes.buffer), 3);
  expect(bytes.subarray(0, 3)).toEqual(new Uint8Array(3).fill(GUARD));
  expect(bytes.subarray(3 + room)).toEqual(new Uint8Array(16).fill(GUARD));
  return Buffer.from(bytes.subarray(3, end)).toString('latin1');
}

const textsOf = (values: Float32Array) => spelled(values).split(',');

/** Floats of every exponent, of both signs: the edges of their mantissas and `random` ones. */
function everyExponent(random: number): Float32Array {
  const next = seeded(random);
  const edges = [0, 1, 2, 3, 0x3fffff, 0x400000, 0x400001, 0x7ffffd, 0x7ffffe, 0x7fffff];
  const bits: number[] = [];
  for (let exponent = 0; exponent < 255; exponent++) {
    for (const sign of [0, 0x80000000]) {
      for (const edge of edges) bits.push(sign + exponent * 2 ** 23 + edge);
      for (let i = 0; i < random; i++) bits.push(sign + exponent * 2 ** 23 + Math.floor(next() * 2 ** 23));
    }
  }
  return new Float32Array(Uint32Array.from(bits).buffer);
}

/** The floats at and around every power of ten and a few digits of it. */
function powersOfTen(): Float32Array {
  const values: number[] = [];
  for (let power = -46; power <= 38; power++) {
    for (const digits of ['1', '1.00000005', '1.2', '2.5', '5', '9.9999995', '9.99999949']) {
      const near = new Float32Array([Number(`${digits}e${power}`)]);
      const [bits = 0] = new Uint32Array(near.buffer);
      const around = Uint32Array.of(Math.max(0, bits - 1), bits, Math.min(0x7f7fffff, bits + 1));
      values.push(...new Float32Array(around.buffer));
    }
  }
  return Float32Array.from(values).filter(Number.isFinite);
}

/** What `values` are to a reader: a NaN is one of many. */
function expectSameFloats(read: Float32Array, values: Float32Array): void {
  const readBits = new Uint32Array(read.buffer);
  const bits = new Uint32Array(values.buffer);
  const wrong = values.findIndex((_, i) => readBits[i] !== bits[i]);
  expect({ wrong: wrong === -1 ? undefined : [values[wrong], read[wrong]], count: read.length }).toEqual({
    wrong: undefined,
    count: values.length,
  });
}

describe('spellFloats()', () => {
  test('spells floats of every exponent so that their nearest double, rounded to float, has the same bits', () => {
    const values = everyExponent(4000);
    expect(values.length).toBeGreaterThan(2_000_000);
    const doubles = JSON.parse(`[${spelled(values)}]`) as number[];
    expectSameFloats(Float32Array.from(doubles), values);
  });

  test('keeps clear of the middle between two floats, so that readers who round twice get the same', () => {
    const values = new Float32Array([...everyExponent(200), ...powersOfTen()]);
    const bits = new Uint32Array(values.buffer);
    const doubles = JSON.parse(`[${spelled(values)}]`) as number[];
    const float = (word: number) => new Float32Array(Uint32Array.of(word).buffer)[0] as number;
    const beyond: unknown[] = [];
    for (const [i, value] of values.entries()) {
      const magnitude = (bits[i] as number) % 2 ** 31;
      const off = Math.abs((doubles[i] as number) - value);
      const below = magnitude === 0 ? 0 : float(magnitude) - float(magnitude - 1);
      if (off > 0.49 * below) beyond.push([value, doubles[i]]);
    }
    expect(beyond).toEqual([]);
  });

  test('is read back by the library itself, sign of zero included', () => {
    const values = new Float32Array([...everyExponent(50), ...powersOfTen()]);
    const bytes = new TextEncoder().encode(`${spelled(values)}]      `);
    const read = new Float32Array(values.length);
    readFloats(bytes, new DataView(bytes.buffer), 0, read, 0, values.length);
    expectSameFloats(read, values);
  });

  for (const [value, text] of [
    [0, '0'],
    [-0, '-0.0'],
    [1, '1'],
    [-12, '-12'],
    [255, '255'],
    [10_000, '10000'],
    [16_777_215, '16777215'],
    [1_073_741_760, '1073741760'],
    [1_073_741_824, '1073741824'],
    [3.4028234663852886e38, '3.4028234663852886e+38'],
    [0.5, '0.5'],
    [-0.0625, '-0.0625'],
    [0.1, '0.100000001'],
    [1.5, '1.5'],
    [-123.456, '-123.456001'],
    [0.99999994, '0.99999994'],
    [0.001, '0.001'],
    [2 ** -16, '0.000015258789'],
    [2 ** -17, '0.00000762939453125'],
    [2 ** -149, '1.401298464324817e-45'],
    [Number.NaN, '"NaN"'],
    [Number.POSITIVE_INFINITY, '"Infinity"'],
    [Number.NEGATIVE_INFINITY, '"-Infinity"'],
  ] as const) {
    test(`spells ${Object.is(value, -0) ? '-0' : value} as ${text}`, () => {
      expect(spelled(Float32Array.of(value))).toBe(text);
    });
  }

  test('spells a NaN with a sign bit like any other', () => {
    const values = new Float32Array(Uint32Array.of(0xffc00000, 0x7f800001, 0xffffffff).buffer);
    expect(textsOf(values)).toEqual(['"NaN"', '"NaN"', '"NaN"']);
  });

  test('spells nothing for no floats', () => {
    expect(spelled(new Float32Array(0))).toBe('');
  });

  test('never takes more room than MOST_FLOAT_BYTES a float with its comma', () => {
    const longest = Math.max(
      ...textsOf(new Float32Array([...everyExponent(20), ...powersOfTen()])).map((text) => text.length),
    );
    expect(longest).toBe(MOST_FLOAT_BYTES - 1);
  });

  test.skipIf(DUCKDB_MISSING !== undefined)('gives DuckDB the same bits', async () => {
    const some = anyFloats(seeded(9), 20_000).filter(Number.isFinite);
    const values = new Float32Array([...everyExponent(30), ...powersOfTen(), ...some]);
    const folder = await mkdtemp(join(tmpdir(), 'float-spelling-'));
    const path = join(folder, 'floats.json');
    await Bun.write(
      path,
      textsOf(values)
        .map((text) => `{"f":${text}}\n`)
        .join(''),
    );
    const query = `SELECT f::BIT::VARCHAR AS f FROM read_json('${path}', format = 'newline_delimited', columns = {f: 'FLOAT'})`;
    const child = Bun.spawn(['duckdb', '-csv', '-noheader', '-c', query], {
      stdout: 'pipe',
      stderr: 'inherit',
    });
    const lines = (await new Response(child.stdout).text()).trimEnd().split('\n');
    await rm(folder, { recursive: true });
    const read = Uint32Array.from(lines, (bits) => Number.parseInt(bits, 2));
    expect(read.length).toBeGreaterThan(40_000);
    expect(read).toEqual(new Uint32Array(bitsOf(values) ?? []));
  });
});

describe('spellInteger()', () => {
  test('spells every power of ten up to 2^32, and what is next to it', () => {
    const around = Array.from({ length: 10 }, (_, power) => [10 ** power - 1, 10 ** power, 10 ** power + 1]);
    for (const value of [...around.flat(), 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      const bytes = new Uint8Array(20);
      const end = spellInteger(value, bytes, new DataView(bytes.buffer), 2);
      expect(Buffer.from(bytes.subarray(2, end)).toString('latin1')).toBe(String(value));
    }
  });
});
