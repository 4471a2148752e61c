import { expect, test } from 'bun:test';
import { TextColumn } from '../../../lib/batch.ts';
import {
  compareBytes,
  compareEscaped,
  doubleText,
  writeAscii,
  writeEscape,
  writeString,
} from '../../../lib/qdrant/canonical-json.ts';

function written(write: (out: TextColumn) => void): string {
  const out = new TextColumn(1, 1);
  write(out);
  return new TextDecoder('utf-8', { fatal: true }).decode(out.bytes.subarray(0, out.length));
}

function stringText(text: string): string {
  const bytes = new TextEncoder().encode(`<${text}>`);
  return written((out) => writeString(out, bytes, 1, bytes.length - 1));
}

test('doubleText() spells doubles as ECMAScript does, with .0 where neither point nor exponent says it is one', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [-42, '-42.0'],
    [0.1, '0.1'],
    [1e20, '100000000000000000000.0'],
    [1e21, '1e+21'],
    [1e-6, '0.000001'],
    [1e-7, '1e-7'],
    [5e-324, '5e-324'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [2 ** 53, '9007199254740992.0'],
  ];
  for (const [value, text] of cases) expect(doubleText(value)).toBe(text);
});

test('doubleText() gives back every double and never the text of an integer', () => {
  const bits = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < 20_000; i++) {
    bits.setUint32(0, Math.imul(i + 1, 2654435761) >>> 0);
    bits.setUint32(4, Math.imul(i + 7, 2246822519) >>> 0);
    const value = i % 4 === 0 ? Math.round(bits.getFloat64(0) % 1e9) : bits.getFloat64(0);
    if (!Number.isFinite(value)) continue;
    const text = doubleText(value);
    expect(Object.is(Number(text), value)).toBe(true);
    expect(text).toMatch(/[.e]/);
  }
});

test('writeString() escapes exactly what RFC 8259 requires, as JSON.stringify does', () => {
  for (let code = 0; code < 0x100; code++) {
    const char = String.fromCharCode(code);
    expect(stringText(char)).toBe(JSON.stringify(char));
  }
  for (const text of [
    '',
    '</script>&<',
    '😀 é 漢字',
    '\u2028\ufeff',
    'a"b\\c\nd\u0000e',
    '\u0001'.repeat(1000),
  ])
    expect(stringText(text)).toBe(JSON.stringify(text));
});

test('writeString() and writeAscii() append and make room', () => {
  const text = written((out) => {
    for (let i = 0; i < 100; i++) writeAscii(out, 'null,');
    writeString(out, new TextEncoder().encode('end'), 0, 3);
  });
  expect(text).toBe(`${'null,'.repeat(100)}"end"`);
});

test('writeEscape() takes six bytes at most and returns where it ends', () => {
  const bytes = new Uint8Array(8).fill(0x78);
  expect(writeEscape(bytes, 1, 0x1f)).toBe(7);
  expect(new TextDecoder().decode(bytes)).toBe('x\\u001fx');
  expect(writeEscape(bytes, 0, 0x22)).toBe(2);
});

test('compareBytes() is the order of code points, which is not that of UTF-16', () => {
  const names = ['', '!', '"', 'B', 'a', 'a!', 'ab', 'é', '～', '😀'];
  const encoded = names.map((name) => new TextEncoder().encode(`_${name}_`));
  for (const [i, a] of encoded.entries()) {
    for (const [j, b] of encoded.entries()) {
      const order = compareBytes(a, 1, a.length - 1, b, 1, b.length - 1);
      expect(Math.sign(order)).toBe(Math.sign(i - j));
    }
  }
});

test('compareEscaped() orders canonical strings by what they stand for', () => {
  const units = ['\u0000', '\u0001', '\b', '\t', '\n', '\u000b', '\f', '\r', '\u001f', ' ', '"', '#', '/'];
  units.push('0', '[', '\\', ']', 'a', 'n', 'u', '\u007f', 'é', '～', '😀');
  const names = ['', ...units, ...units.flatMap((unit) => units.map((other) => unit + other))];
  const places: (readonly [start: number, end: number])[] = [];
  const out = new TextColumn(1, 1);
  for (const name of names) {
    const start = out.length;
    const bytes = new TextEncoder().encode(name);
    writeString(out, bytes, 0, bytes.length);
    places.push([start + 1, out.length - 1]);
  }
  for (const [i, [aStart, aEnd]] of places.entries()) {
    for (const [j, [bStart, bEnd]] of places.entries()) {
      const order = compareEscaped(out.bytes, aStart, aEnd, bStart, bEnd);
      const wanted = Buffer.compare(Buffer.from(names[i] as string), Buffer.from(names[j] as string));
      if (Math.sign(order) !== wanted) throw new Error(`${JSON.stringify([names[i], names[j]])}: ${order}`);
    }
  }
  expect(places).toHaveLength(1 + 24 + 24 * 24);
});
