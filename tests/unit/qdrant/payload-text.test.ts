import { expect, test } from 'bun:test';
import type { PointBatch } from '../../../lib/batch.ts';
import { GrpcPayloadWriter } from '../../../lib/qdrant/grpc-payload.ts';
import { ProtoReader } from '../../../lib/qdrant/proto-reader.ts';
import { readRetrieved } from '../../../lib/qdrant/rest-reader.ts';
import { seeded } from '../../support/batches.ts';
import { bytesField, doubleField, stringField, varintField } from '../../support/qdrant-double/protobuf.ts';
import { emptyBatch, errorOf, payloadOf } from './batch-rows.ts';
import { canonicalOf } from './canonical-oracle.ts';
import { type Json, type JsonObject, randomPayload, spelled } from './random-payload.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A batch with one row that has this payload. */
function read(payload: string, fields: readonly string[] = []): PointBatch {
  const batch = emptyBatch([], fields);
  readRetrieved(bytesOf(`{"result":[{"id":1,"payload":${payload}}]}`), batch, 1);
  return batch;
}

/** The canonical text that a payload becomes. */
function canonical(payload: string): string {
  return payloadOf(read(payload), 0);
}

/** The texts of the wanted fields of a row, by name. */
function fieldsOf({ fields, payload }: PointBatch, row: number): ReadonlyMap<string, string | undefined> {
  return new Map(
    fields.map(({ name, starts, ends }) => [
      name,
      starts[row] === -1
        ? undefined
        : new TextDecoder().decode(payload.bytes.subarray(starts[row], ends[row])),
    ]),
  );
}

test('payloads become canonical: integers whole, doubles as ECMAScript, strings unescaped where JSON allows', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      '{"n":18446744073709551615,"i":-9223372036854775808,"z":0}',
      '{"i":-9223372036854775808,"n":18446744073709551615,"z":0}',
    ],
    [`{"n":${'7'.repeat(400)}}`, `{"n":${'7'.repeat(400)}}`],
    [
      '{"a":1.0,"b":-0.0,"c":1e21,"d":1e+21,"e":5e-324,"f":1.7976931348623157e308}',
      '{"a":1.0,"b":-0.0,"c":1e+21,"d":1e+21,"e":5e-324,"f":1.7976931348623157e+308}',
    ],
    [
      '{"a":1E2,"b":1.50,"c":0.000001,"d":0.0000001,"e":123456789012345678.5,"f":0.1000}',
      '{"a":100.0,"b":1.5,"c":0.000001,"d":1e-7,"e":123456789012345680.0,"f":0.1}',
    ],
    [
      '{"s":"\\u0041\\u00e9\\u6f22\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\\\u0000\\u001F\\u007f"}',
      '{"s":"Aé漢😀/\\b\\f\\n\\r\\t\\"\\\\\\u0000\\u001f\u007f"}',
    ],
    ['{ "a" : [ ] , "b" : { } , "c" : [ true , false , null ] }', '{"a":[],"b":{},"c":[true,false,null]}'],
    [
      '{"b":{"d":1,"c":{"z":1,"y":2}},"a":[{"f":1,"e":2}]}',
      '{"a":[{"e":2,"f":1}],"b":{"c":{"y":2,"z":1},"d":1}}',
    ],
    // By code point, not by UTF-16 unit: U+FF5E comes before U+1F600.
    [
      '{"😀":1,"～":2,"":3,"a!":4,"a":5,"a\\"":6,"\\n":7}',
      '{"":3,"\\n":7,"a":5,"a!":4,"a\\"":6,"～":2,"😀":1}',
    ],
    // Escaped characters sort by what they stand for, and not by their backslash.
    [
      '{"a\\\\":1,"a]":2,"a[":3,"a\\"":4,"a#":5,"a\\u0000":6,"a\\t":7,"a\\u0001b":8,"a":9}',
      '{"a":9,"a\\u0000":6,"a\\u0001b":8,"a\\t":7,"a\\"":4,"a#":5,"a[":3,"a\\\\":1,"a]":2}',
    ],
  ];
  for (const [source, wanted] of cases) {
    expect(canonical(source)).toBe(wanted);
    expect(canonicalOf(source)).toBe(wanted);
  }
  expect(canonical('null')).toBe('{}');
});

const FIELDS = ['key', '', 'a"', 'a\n', '漢', '😀', '__proto__', 'a\\', '\u0000'];

test('4,000 random payloads in any spelling become the same text over REST, over gRPC and by JSON.parse', () => {
  const random = seeded(11);
  const compared = { fields: 0, grpc: 0 };
  for (let i = 0; i < 4_000; i++) {
    const payload = randomPayload(random);
    const [one, other] = [spelled(random, payload), spelled(random, payload)];
    const wanted = canonicalOf(one);
    const batch = read(other, FIELDS);
    expect(payloadOf(batch, 0)).toBe(wanted);
    expect(canonical(wanted)).toBe(wanted);
    for (const [name, text] of fieldsOf(batch, 0)) {
      const value = payload.get(name);
      expect(text).toBe(value === undefined ? undefined : canonicalOf(spelled(random, value)));
      if (text !== undefined) compared.fields++;
    }
    if (!isCarriedByGrpc(payload)) continue;
    compared.grpc++;
    const overGrpc = readOverGrpc(payload);
    expect(payloadOf(overGrpc, 0)).toBe(wanted);
    expect(fieldsOf(overGrpc, 0)).toEqual(fieldsOf(batch, 0));
  }
  expect(compared.fields).toBeGreaterThan(2_000);
  expect(compared.grpc).toBeGreaterThan(1_500);
});

/** Integers above i64 arrive as doubles. */
function isCarriedByGrpc(value: Json): boolean {
  if (value === null || typeof value !== 'object') return true;
  if ('int' in value) return BigInt.asIntN(64, value.int) === value.int;
  if ('double' in value) return true;
  return [...(Array.isArray(value) ? value : (value as JsonObject).values())].every(isCarriedByGrpc);
}

function readOverGrpc(payload: JsonObject): PointBatch {
  const batch = emptyBatch([], FIELDS);
  const writer = new GrpcPayloadWriter(batch.fields);
  const entries = [...payload].map(([name, value]) => entryOf(name, value));
  const reader = new ProtoReader(Buffer.concat(entries));
  writer.begin();
  for (const { length } of entries) writer.note(reader, reader.at + length);
  writer.write(reader, batch.payload, 0);
  batch.endRow('1');
  return batch;
}

function entryOf(name: string, value: Json): Buffer {
  return Buffer.concat([stringField(1, name), bytesField(2, protoOf(value))]);
}

/** A qdrant.Value (json_with_int.proto). */
function protoOf(value: Json): Buffer {
  if (value === null) return varintField(1, 0);
  if (typeof value === 'boolean') return varintField(5, value ? 1 : 0);
  if (typeof value === 'string') return stringField(4, value);
  if ('int' in value) return varintField(3, value.int);
  if ('double' in value) return doubleField(2, value.double);
  if (Array.isArray(value)) return bytesField(7, ...value.map((item) => bytesField(1, protoOf(item))));
  const entries = [...(value as JsonObject)].map(([name, member]) => bytesField(1, entryOf(name, member)));
  return bytesField(6, ...entries);
}

test('wanted fields are found in the canonical text, sorted or not, and only at the top level', () => {
  const batch = emptyBatch([], ['key', 'metadata', 'we"ird']);
  const points = [
    '{"id":1,"payload":{"metadata":{"b":1,"a":[1,2]},"key":"x","we\\u0022ird":1.50}}',
    '{"id":2,"payload":{"key":"é","nested":{"key":1}}}',
    '{"id":3,"payload":{"keys":1,"ke":2,"nested":{"key":1,"metadata":2}}}',
    '{"id":4,"payload":{"metadata":null}}',
    '{"id":5}',
    '{"id":6,"payload":null}',
    '{"id":7,"payload":{"z":[{"key":2}],"k\\u0065y":{"key":"inner"}}}',
  ];
  readRetrieved(bytesOf(`{"result":[${points.join()}]}`), batch, points.length);
  const found = points.map((_, row) => [...fieldsOf(batch, row).values()]);
  const none = [undefined, undefined, undefined];
  expect(found).toEqual([
    ['"x"', '{"a":[1,2],"b":1}', '1.5'],
    ['"é"', undefined, undefined],
    none,
    [undefined, 'null', undefined],
    none,
    none,
    ['{"key":"inner"}', undefined, undefined],
  ]);
  batch.reset();
  readRetrieved(bytesOf('{"result":[{"id":1,"payload":{}}]}'), batch, 1);
  expect([...fieldsOf(batch, 0).values()]).toEqual(none);
});

test('60 levels of objects and lists, out of order at each, come out in order', () => {
  const nested = (level: number, names: readonly string[]): string =>
    level === 0
      ? '1'
      : `{${names.map((name, i) => `"${name}":${i === 1 ? `[${nested(level - 1, names)},2]` : 'null'}`).join()}}`;
  expect(canonical(nested(30, ['c', 'b', 'a']))).toBe(canonicalOf(nested(30, ['c', 'b', 'a'])));
  expect(canonical(nested(30, ['c', 'b', 'a']))).toStartWith('{"a":null,"b":[{"a":null,"b":[{');
});

test('payloads nested 512 levels are read and deeper ones refused', () => {
  const nested = (levels: number) => `${'{"d":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
  expect(canonical(nested(512))).toBe(nested(512));
  expect(errorOf(() => canonical(nested(513))).message).toContain('512 levels');
  expect(errorOf(() => canonical(`{"a":${'['.repeat(1_000_000)}`)).message).toContain('512 levels');
  const skipped = `{"x":${'['.repeat(1_000_000)}`;
  expect(errorOf(() => readRetrieved(bytesOf(skipped), emptyBatch([]), 1)).message).toContain('512 levels');
});

const MEGABYTE = 1024 * 1024;

test('10 MB in one point are read whole: one text, or hundreds of thousands of members out of order', () => {
  const text = 'x\\u00e9\\n漢\\"'.repeat(MEGABYTE);
  const members = Array.from(
    { length: 300_000 },
    (_, i) => [String((i * 7_919) % 300_000), `[${i},${i}.5,"value ${i}"]`] as const,
  );
  const objectOf = (list: readonly (readonly [string, string])[]) =>
    `{${list.map(([name, value]) => `"\\tname ${name}\\u0000":${value}`).join()},"z":1}`;
  const inOrder = members.toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [payload, wanted] of [
    [`{"z":1,"b":"${text}"}`, `{"b":"${text.replaceAll('\\u00e9', 'é')}","z":1}`],
    [objectOf(members), objectOf(inOrder)],
  ] as const) {
    expect(payload.length).toBeGreaterThan(10 * MEGABYTE);
    const batch = read(payload, ['z']);
    expect(payloadOf(batch, 0) === wanted).toBe(true);
    expect(fieldsOf(batch, 0).get('z')).toBe('1');
  }
});

test('text that is no text is refused: half a surrogate pair, as Qdrant itself does, and what is not UTF-8', () => {
  // serde_json: "lone leading surrogate in hex escape"; so none can have been stored.
  for (const bad of ['\\ud800', 'x\\udfff', '\\ud83d\\u0041', '\\ud83dx', '\\ude00\\ud83d']) {
    for (const payload of [`{"a":"${bad}"}`, `{"${bad}":1}`]) {
      expect(errorOf(() => read(payload)).code).toBe('qdrant');
    }
  }
  const invalid = bytesOf('{"result":[{"id":1,"payload":{"a":"?!"}}]}');
  const place = invalid.indexOf(0x3f);
  for (const byte of [0xc3, 0xff, 0x80, 0xed]) {
    invalid[place] = byte;
    expect(errorOf(() => readRetrieved(invalid, emptyBatch([]), 1)).message).toContain('UTF-8');
  }
});

test('a name that comes twice in one object is a damaged answer, however it is spelled', () => {
  for (const payload of [
    '{"a":1,"a":2}',
    '{"a":1,"b":3,"\\u0061":2}',
    '{"x":{"":1,"":1}}',
    '{"c":1,"b":2,"c":3,"a":4}',
  ]) {
    expect(errorOf(() => read(payload)).message).toContain('the same key twice');
  }
});

test('payloads lie one after the other in one column, and their fields in each', () => {
  const batch = emptyBatch([], ['key'], 3);
  readRetrieved(
    bytesOf(
      '{"result":[{"id":1,"payload":{"key":"a","b":1}},{"id":2},{"id":3,"payload":{"z":{},"key":"c"}}]}',
    ),
    batch,
    3,
  );
  expect([0, 1, 2].map((row) => payloadOf(batch, row))).toEqual([
    '{"b":1,"key":"a"}',
    '{}',
    '{"key":"c","z":{}}',
  ]);
  expect([0, 1, 2].map((row) => fieldsOf(batch, row).get('key'))).toEqual(['"a"', undefined, '"c"']);
});
