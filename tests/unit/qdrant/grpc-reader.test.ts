import { describe, expect, test } from 'bun:test';
import { PointBatch } from '../../../lib/batch.ts';
import { ToolError } from '../../../lib/errors.ts';
import { isUuid, type VectorSpec } from '../../../lib/model.ts';
import { readIdPage, readRetrieved, readScrolled } from '../../../lib/qdrant/grpc-reader.ts';
import { seeded } from '../../support/batches.ts';
import {
  bytesField,
  doubleField,
  packedFloats,
  stringField,
  unpackedFloats,
  varintField,
} from '../../support/qdrant-double/protobuf.ts';
import { type GrpcExchangeRecording, readRecording } from '../../support/qdrant-double/recorded-exchanges.ts';

const VERSIONS = ['1.16.3', '1.18.3'] as const;

function dense(size: number, name = ''): VectorSpec {
  return { kind: 'dense', name, size, distance: 'Dot', datatype: 'float32' };
}

function batchOf(vectors: readonly VectorSpec[] = [], rows = 100): PointBatch {
  return new PointBatch({ rows, vectors, fields: ['key'] });
}

function payloadOf(batch: PointBatch, row: number): string {
  const { payload } = batch;
  return new TextDecoder('utf-8', { fatal: true }).decode(
    payload.bytes.subarray(payload.start(row), payload.end(row)),
  );
}

function errorOf(action: () => unknown): ToolError {
  try {
    action();
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Fields of a RetrievedPoint with number 7. */
const ID = bytesField(1, varintField(1, 7));
const point = (...fields: readonly Uint8Array[]) => bytesField(1, ID, ...fields);
const unnamed = (...fields: readonly Uint8Array[]) => bytesField(4, bytesField(1, ...fields));
const entry = (key: string, value: Uint8Array) => bytesField(2, stringField(1, key), bytesField(2, value));
const child = (key: string, value: Uint8Array) => bytesField(1, stringField(1, key), bytesField(2, value));
const struct = (...children: readonly Uint8Array[]) => bytesField(6, ...children);
const list = (...values: readonly Uint8Array[]) =>
  bytesField(7, ...values.map((value) => bytesField(1, value)));

function read(message: Uint8Array, batch = batchOf()): PointBatch {
  readRetrieved(Buffer.from(message), batch);
  return batch;
}

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

  test('refuses a value of a kind that it does not know', () => {
    expect(errorOf(() => value(stringField(9, 'x'))).message).toContain('(9)');
  });
});

describe('readRetrieved() and vectors', () => {
  const floats = Float32Array.of(1.5, -0, Number.NaN, 1e-45);

  test.each([
    ['unpacked `data`, as 1.16 writes it', unpackedFloats(1, floats)],
    ['packed `data`', packedFloats(1, floats)],
    ['`dense`, as 1.17 and later write it', bytesField(101, packedFloats(1, floats))],
  ])('reads %s, bit for bit', (_, vector) => {
    const batch = read(point(unnamed(vector)), batchOf([dense(4)]));
    expect(batch.vectors[0]?.present[0]).toBe(1);
    expect(batch.vectors[0]?.bytes.subarray(0, 16)).toEqual(new Uint8Array(floats.buffer));
  });

  test('leaves a vector that a point lacks out, also where an earlier batch had one', () => {
    const batch = read(point(unnamed(packedFloats(1, floats))), batchOf([dense(4)]));
    batch.reset();
    expect(read(point(), batch).vectors[0]?.present[0]).toBe(0);
  });

  for (const [what, make] of [
    ['unpacked', (values: Float32Array) => unpackedFloats(1, values)],
    ['packed', (values: Float32Array) => packedFloats(1, values)],
    ['dense', (values: Float32Array) => bytesField(101, packedFloats(1, values))],
  ] as const) {
    test.each([1, 3, 5, 9])(`refuses a ${what} vector of %d dimensions where 4 are declared`, (size) => {
      const batch = batchOf([dense(4)], 2);
      const guard = batch.vectors[0]?.values.fill(9);
      const error = errorOf(() => read(point(unnamed(make(new Float32Array(size).fill(1)))), batch));
      expect(error.code).toBe('integrity');
      expect(error.message).toMatch(new RegExp(`of ${size} dimensions .* has 4`));
      expect(batch.rowCount).toBe(0);
      // Nothing is written beyond the row.
      expect([...(guard?.subarray(4) ?? [])]).toEqual([9, 9, 9, 9]);
    });
  }

  test('refuses a vector in a field that it does not know, rather than taking it for missing', () => {
    for (const field of [102, 103, 104]) {
      const vector = bytesField(field, packedFloats(1, floats));
      const error = errorOf(() => read(point(unnamed(vector)), batchOf([dense(4)])));
      expect(error.code).toBe('integrity');
    }
  });

  test('reads named vectors, whichever of name and value comes first', () => {
    const name = stringField(1, 'a');
    const vector = bytesField(2, packedFloats(1, floats));
    const other = bytesField(1, stringField(1, 'other'), bytesField(2, packedFloats(1, Float32Array.of(1))));
    for (const fields of [
      [name, vector],
      [vector, name],
    ]) {
      const named = bytesField(4, bytesField(2, other, bytesField(1, ...fields)));
      const batch = read(point(named), batchOf([dense(4, 'a')]));
      expect(batch.vectors[0]?.present[0]).toBe(1);
      expect(batch.vectors[0]?.bytes.subarray(0, 16)).toEqual(new Uint8Array(floats.buffer));
    }
  });

  test('refuses more points than the batch has room for', () => {
    const batch = batchOf([], 2);
    const error = errorOf(() => read(Buffer.concat([point(), point(), point()]), batch));
    expect(error.code).toBe('integrity');
    expect(batch.rowCount).toBe(0);
  });
});

describe('readRetrieved() and lengths', () => {
  /** A field that says to be as long as a u32 can say. */
  const endless = (field: number) => Buffer.from([field * 8 + 2, 0xff, 0xff, 0xff, 0xff, 0x0f]);

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
  ])('refuses at once %s that claims to go on for 4 GiB', (_, message) => {
    const batch = batchOf([dense(4)]);
    const error = errorOf(() => read(message, batch));
    expect(error.code).toBe('qdrant');
    expect(batch.rowCount).toBe(0);
    // Nothing was copied of what is not there.
    expect(batch.payload.bytes.length).toBeLessThan(1_000_000);
  });
});

describe('ids', () => {
  const page = (...ids: readonly Uint8Array[]) =>
    readIdPage(Buffer.concat(ids.map((id) => bytesField(2, bytesField(1, id)))));

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

/** Every recorded answer that holds points, as the messages came over the wire. */
const RECORDED = VERSIONS.flatMap((version) =>
  readRecording<GrpcExchangeRecording[]>(version, 'grpc.json').flatMap(({ name, method, response }) =>
    /Points\/(Scroll|Get)$/.test(method)
      ? (response.messages ?? []).map(({ data }) => ({
          name: `${version} ${name}`,
          kind: method.endsWith('Get') ? ('get' as const) : ('scroll' as const),
          message: Buffer.from(data, 'base64'),
        }))
      : [],
  ),
);

/** Vectors that any recorded collection has. */
const LAYOUTS: readonly (readonly VectorSpec[])[] = [
  [dense(4)],
  [dense(3)],
  [dense(4, 'a'), dense(8, 'b')],
  [],
];

describe('answers that were mutated on the way', () => {
  const MUTATIONS = 40;
  const MAX_ROWS = 64;

  /** Right-shaped, whatever it says. */
  function expectConsistent(batch: PointBatch): void {
    const { rowCount, payload } = batch;
    if (rowCount > MAX_ROWS) throw new Error(`${rowCount} rows in a batch of ${MAX_ROWS}`);
    let end = 0;
    for (const [row, id] of batch.ids.entries()) {
      if (!isId(id)) throw new Error(`row ${row} has the id ${JSON.stringify(id)}`);
      if (payload.end(row) < end) throw new Error(`payload ${row} ends before it begins`);
      end = payload.end(row);
      const value: unknown = JSON.parse(payloadOf(batch, row));
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no object');
      for (const { starts, ends } of batch.fields) {
        const start = starts[row] as number;
        if (start === -1) continue;
        JSON.parse(new TextDecoder().decode(payload.bytes.subarray(start, ends[row])));
      }
    }
    if (end !== payload.length) throw new Error('bytes behind the last payload');
    for (const { present } of batch.vectors) {
      if (present.some((flag, row) => flag > 1 || (flag === 1 && row >= rowCount)))
        throw new Error('presence');
    }
  }

  function isId(id: string): boolean {
    if (isUuid(id)) return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
    return /^(0|[1-9]\d{0,19})$/.test(id) && BigInt(id) < 2n ** 64n;
  }

  function mutated(message: Buffer, random: () => number): Buffer {
    const bytes = Buffer.from(message);
    const anywhere = () => Math.floor(random() * bytes.length);
    switch (Math.floor(random() * 6)) {
      case 0:
        return bytes.subarray(0, anywhere());
      case 1:
        for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--) {
          const at = anywhere();
          bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random() * 8));
        }
        return bytes;
      case 2:
        bytes[anywhere()] = Math.floor(random() * 256);
        return bytes;
      case 3: {
        // A length, most likely, that is nearly right.
        const at = anywhere();
        bytes[at] = ((bytes[at] as number) + (random() < 0.5 ? 1 : 255)) & 255;
        return bytes;
      }
      case 4: {
        const at = anywhere();
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(random() * 8))]);
      }
      default: {
        const at = anywhere();
        const length = Math.floor(random() * 32);
        return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
      }
    }
  }

  /** What came of it: rows, or the error; anything else is thrown. */
  function outcome(
    kind: 'get' | 'scroll',
    message: Buffer,
    vectors: readonly VectorSpec[],
  ): ToolError | undefined {
    const batch = batchOf(vectors, MAX_ROWS);
    // Rows that were there before stay whatever happens.
    const prelude = bytesField(1, bytesField(1, varintField(1, 1)), entry('key', stringField(4, 'before')));
    readRetrieved(prelude, batch);
    try {
      if (kind === 'get') readRetrieved(message, batch);
      else {
        const next = readScrolled(message, batch);
        if (next !== undefined && !isId(next)) throw new Error(`next is ${next}`);
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      expect(['qdrant', 'integrity', 'format']).toContain(error.code);
      expect(batch.rowCount).toBe(1);
      return error;
    } finally {
      expectConsistent(batch);
      expect(payloadOf(batch, 0)).toBe('{"key":"before"}');
    }
  }

  test('are all there to be mutated', () => {
    expect(RECORDED.length * MUTATIONS).toBeGreaterThanOrEqual(3_000);
  });

  for (const [number, { name, kind, message }] of RECORDED.entries()) {
    const seed = number + 1;
    test(`${name}, ${MUTATIONS} times (seed ${seed}): an error or right-shaped rows`, () => {
      const random = seeded(seed * 104_729);
      for (let times = 0; times < MUTATIONS; times++) {
        const bytes = mutated(message, random);
        try {
          for (const vectors of LAYOUTS) outcome(kind, bytes, vectors);
          if (kind === 'scroll') {
            const page = outcomeOfIds(bytes);
            for (const id of page) if (!isId(id)) throw new Error(`the id ${id}`);
          }
        } catch (error) {
          console.error(`${name}, seed ${seed}, mutation ${times}: ${bytes.toString('base64')}`);
          throw error;
        }
      }
    });
  }

  function outcomeOfIds(message: Buffer): readonly string[] {
    try {
      const { ids, next } = readIdPage(message);
      return next === undefined ? ids : [...ids, next];
    } catch (error) {
      if (error instanceof ToolError) return [];
      throw error;
    }
  }

  test('are refused in most places where they were cut off', () => {
    let refused = 0;
    let whole = 0;
    for (const { kind, message } of RECORDED) {
      for (let length = 1; length < Math.min(message.length, 400); length++) {
        if (outcome(kind, message.subarray(0, length), []) === undefined) whole++;
        else refused++;
      }
    }
    // A cut between two fields is a shorter message, and a valid one: gRPC's own length is there to notice it.
    expect(whole).toBeLessThan(refused * 0.2);
  });
});
