import { describe, expect, test } from 'bun:test';
import { readIdPage } from '../../../lib/qdrant/grpc-reader.ts';
import { bytesField, doubleField, stringField, varintField } from '../../support/qdrant-double/protobuf.ts';
import { errorOf, payloadOf, specOf } from './batch-rows.ts';
import { batchOf, child, entry, list, named, point, read, struct, unnamed, vectorOf } from './grpc-fields.ts';

/** The canonical text of a payload of these entries. */
function canonical(...entries: readonly Uint8Array[]): string {
  return payloadOf(read(point(...entries)), 0);
}

const value = (content: Uint8Array) => canonical(entry('v', content)).slice('{"v":'.length, -1);

describe('readRetrieved() and payloads', () => {
  test.each([
    ['the least i64', varintField(3, -(2n ** 63n)), '-9223372036854775808'],
    ['the greatest i64', varintField(3, 2n ** 63n - 1n), '9223372036854775807'],
    ['an integer beyond 2^53', varintField(3, 2n ** 53n + 1n), '9007199254740993'],
    ['-1', varintField(3, -1n), '-1'],
    ['a double zero below zero', doubleField(2, -0), '-0.0'],
    ['a whole double', doubleField(2, 3), '3.0'],
    ['1e21', doubleField(2, 1e21), '1e+21'],
    ['the least denormal', doubleField(2, 5e-324), '5e-324'],
    ['an empty struct', struct(), '{}'],
    ['an empty list', list(), '[]'],
    ['a list of nothing of any kind', list(new Uint8Array()), '[null]'],
    ['no kind at all', new Uint8Array(), 'null'],
    ['null', varintField(1, 0), 'null'],
    ['true', varintField(5, 1), 'true'],
    ['false', varintField(5, 0), 'false'],
    ['text of all kinds', stringField(4, 'q" b\\ n\n z\u0000 é漢😀'), '"q\\" b\\\\ n\\n z\\u0000 é漢😀"'],
    ['a oneof that occurs twice', Buffer.concat([stringField(4, 'a'), varintField(3, 5)]), '5'],
  ])('writes %s', (_, content, text) => {
    expect(value(content)).toBe(text);
  });

  test('writes a point without a payload as an empty object', () => {
    expect(canonical()).toBe('{}');
  });

  test('sorts keys by UTF-8 bytes on every level, few or many', () => {
    // By UTF-16 units the emoji, a surrogate pair, would come before U+FF5A.
    const keys = ['ｚ', '😀', 'b', 'B', '', 'aa', 'a'];
    const sorted = ['', 'B', 'a', 'aa', 'b', 'ｚ', '😀'];
    const one = varintField(3, 1);
    const wanted = `{${sorted.map((key) => `"${key}":1`).join(',')}}`;
    expect(canonical(...keys.map((key) => entry(key, one)))).toBe(wanted);
    expect(value(struct(...keys.map((key) => child(key, one))))).toBe(wanted);
    const many = Array.from({ length: 200 }, (_, index) => `k${(index * 77) % 200}`);
    const text = canonical(...many.map((key) => entry(key, one)));
    expect(Object.keys(JSON.parse(text))).toEqual(many.toSorted());
  });

  test('counts the last of equal keys, few or many', () => {
    const number = (of: number) => varintField(3, of);
    expect(canonical(entry('a', number(1)), entry('b', number(2)), entry('a', number(3)))).toBe(
      '{"a":3,"b":2}',
    );
    const many = Array.from({ length: 300 }, (_, index) => entry(`k${index % 100}`, number(index)));
    const read = JSON.parse(canonical(...many));
    expect(Object.keys(read)).toHaveLength(100);
    for (let key = 0; key < 100; key++) expect(read[`k${key}`]).toBe(200 + key);
  });

  test('finds the key field, the last one where it comes twice, and no nested one', () => {
    const batch = read(
      Buffer.concat([
        point(entry('a', struct(child('key', stringField(4, 'inner')))), entry('key', stringField(4, 'x'))),
        point(entry('key', stringField(4, 'first')), entry('key', stringField(4, 'second'))),
        point(entry('a', struct(child('key', stringField(4, 'inner'))))),
      ]),
    );
    const [field] = batch.fields;
    const texts = [0, 1, 2].map((row) =>
      field?.starts[row] === -1
        ? undefined
        : new TextDecoder().decode(batch.payload.bytes.subarray(field?.starts[row], field?.ends[row])),
    );
    expect(texts).toEqual(['"x"', '"second"', undefined]);
  });

  test('goes 60 levels deep and refuses what is deeper than the limit', () => {
    const nested = (levels: number) => {
      let content: Uint8Array = varintField(3, 1);
      for (let level = 0; level < levels; level++)
        content = level % 2 ? list(content) : struct(child('a', content));
      return content;
    };
    expect(value(nested(60))).toBe(`${'[{"a":'.repeat(30)}1${'}]'.repeat(30)}`);
    expect(value(nested(500))).toContain('1');
    const error = errorOf(() => value(nested(600)));
    expect(error.message).toContain('512 levels');
    expect(errorOf(() => value(nested(2_000))).message).toContain('512 levels');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %p, which JSON cannot spell, and takes nothing of the answer',
    (number) => {
      const batch = batchOf();
      const good = point(entry('a', varintField(3, 1)));
      const error = errorOf(() =>
        read(Buffer.concat([good, point(entry('v', doubleField(2, number)))]), batch),
      );
      expect(error.code).toBe('format');
      expect(error.message).toContain(String(number));
      expect(batch.rowCount).toBe(0);
      expect(batch.payload.length).toBe(0);
    },
  );

  test.each([
    ['a value', entry('v', bytesField(4, new Uint8Array([0x61, 0xff, 0x62])))],
    ['a key', bytesField(2, bytesField(1, new Uint8Array([0xc3])), bytesField(2, varintField(1, 0)))],
    ['a surrogate half', entry('v', bytesField(4, new Uint8Array([0xed, 0xa0, 0x80])))],
  ])('refuses invalid UTF-8 in %s and takes nothing of the answer', (_, broken) => {
    const batch = batchOf();
    const error = errorOf(() => read(Buffer.concat([point(), point(broken)]), batch));
    expect(error.code).toBe('qdrant');
    expect(batch.rowCount).toBe(0);
  });

  test('keeps 10 MB in one point, and the point after it, whole', () => {
    const long = 'ü'.repeat(5_000_000);
    const batch = read(
      Buffer.concat([
        point(entry('long', stringField(4, long)), entry('a', varintField(3, 1))),
        point(entry('b', varintField(5, 1))),
      ]),
    );
    expect(payloadOf(batch, 0)).toBe(`{"a":1,"long":"${long}"}`);
    expect(payloadOf(batch, 1)).toBe('{"b":true}');
  });

  test('tells the empty name and NUL in names apart from all others', () => {
    const nameless = bytesField(2, bytesField(2, varintField(3, 1)));
    expect(
      canonical(nameless, entry('\u0000', varintField(3, 2)), entry('a\u0000b', varintField(3, 3))),
    ).toBe('{"":1,"\\u0000":2,"a\\u0000b":3}');
  });

  test('refuses a value of a kind that it does not know', () => {
    expect(errorOf(() => value(stringField(9, 'x'))).message).toContain('(9)');
  });
});

describe('readRetrieved() and lengths', () => {
  /** A field that says to be as long as a u32 can say. */
  const endless = (field: number) =>
    Buffer.concat([bytesField(field).subarray(0, -1), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f])]);

  test.each([
    ['a point', endless(1)],
    ['an id', bytesField(1, endless(1))],
    ['a payload entry', point(endless(2))],
    ['a key', point(bytesField(2, endless(1)))],
    ['a value', point(bytesField(2, stringField(1, 'a'), endless(2)))],
    ['a text', point(entry('a', endless(4)))],
    ['a struct', point(entry('a', endless(6)))],
    ['a list', point(entry('a', endless(7)))],
    ['a vector', point(bytesField(4, endless(1)))],
    ['its floats', point(unnamed(endless(1)))],
    ['its dense form', point(unnamed(endless(101)))],
    ['the floats in that', point(unnamed(bytesField(101, endless(1))))],
    ['a name', point(named(bytesField(1, endless(1))))],
    ['a named vector', point(named(bytesField(1, stringField(1, 'm'), endless(2))))],
    ['a multivector', point(named(vectorOf('m', endless(103))))],
    ['a vector of it', point(named(vectorOf('m', bytesField(103, endless(1)))))],
    ['a sparse vector', point(named(vectorOf('s', endless(102))))],
    ['its values', point(named(vectorOf('s', bytesField(102, endless(1)))))],
    ['its indices', point(named(vectorOf('s', bytesField(102, endless(2)))))],
    ['its old indices', point(named(vectorOf('s', endless(2))))],
    ['its indices in those', point(named(vectorOf('s', bytesField(2, endless(1)))))],
  ])('refuses at once %s that claims to go on for 4 GiB', (_, message) => {
    const batch = batchOf([specOf('dense', '', 4), specOf('multi', 'm', 2), specOf('sparse', 's', 0)]);
    const error = errorOf(() => read(message, batch));
    expect(error.message).toContain('its bytes are malformed');
    expect(batch.rowCount).toBe(0);
    // No room was made for what is not there.
    expect(batch.payload.bytes.length).toBeLessThan(1_000_000);
    for (const { values } of batch.vectors) expect(values.length).toBeLessThan(10_000);
  });
});

describe('answers of more points than were asked for', () => {
  test('leave the batch as it was, whether it had room for them or not', () => {
    for (const [rows, asked] of [
      [2, 100],
      [100, 2],
    ] as const) {
      const batch = batchOf([], rows);
      const error = errorOf(() => read(Buffer.concat([point(), point(), point()]), batch, asked));
      expect(error.code).toBe('integrity');
      expect(batch.rowCount).toBe(0);
    }
    const ids = Buffer.concat([1, 2, 3].map((id) => bytesField(2, bytesField(1, varintField(1, id)))));
    expect(errorOf(() => readIdPage(ids, 2)).message).toContain('more points than the 2');
  });
});

describe('ids', () => {
  const page = (...ids: readonly Uint8Array[]) =>
    readIdPage(Buffer.concat(ids.map((id) => bytesField(2, bytesField(1, id)))), 4);

  test('reads numbers up to 2^64-1 and UUIDs exactly', () => {
    const uuid = 'f47ac10b-58cc-4372-a567-0e02b2c3d479';
    expect(
      page(
        varintField(1, 0),
        varintField(1, 2n ** 53n + 1n),
        varintField(1, 2n ** 64n - 1n),
        stringField(2, uuid),
      ).ids,
    ).toEqual(['0', '9007199254740993', '18446744073709551615', uuid]);
  });

  test.each([
    ['no id', Buffer.alloc(0)],
    ['a UUID in capitals', stringField(2, 'F47AC10B-58CC-4372-A567-0E02B2C3D479')],
    ['a text that is no UUID', stringField(2, '17')],
    ['a number above 64 bits', Buffer.from([8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2])],
    ['a number without an end', Buffer.from([8, 255])],
  ])('refuses %s', (_, id) => {
    expect(errorOf(() => page(id)).code).toBe('qdrant');
  });
});
