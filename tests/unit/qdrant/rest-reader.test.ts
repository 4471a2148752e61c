import { expect, test } from 'bun:test';
import { PointBatch } from '../../../lib/batch.ts';
import { ToolError } from '../../../lib/errors.ts';
import type { VectorSpec } from '../../../lib/model.ts';
import { readIdPage, readRetrieved, readScrolled } from '../../../lib/qdrant/rest-reader.ts';
import { canonicalOf } from './canonical-oracle.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

function dense(name: string, size: number): VectorSpec {
  return { kind: 'dense', name, size, distance: 'Dot', datatype: 'float32' };
}

function batchOf(vectors: readonly VectorSpec[], fields: readonly string[] = [], rows = 100): PointBatch {
  return new PointBatch({ rows, vectors, fields });
}

function payloadOf(batch: PointBatch, row: number): string {
  const { payload } = batch;
  return new TextDecoder().decode(payload.bytes.subarray(payload.start(row), payload.end(row)));
}

function fieldOf(batch: PointBatch, index: number, row: number): string | undefined {
  const field = batch.fields[index];
  if (field === undefined || field.starts[row] === -1) return undefined;
  return new TextDecoder().decode(batch.payload.bytes.subarray(field.starts[row], field.ends[row]));
}

/** The canonical text that a payload becomes. */
function canonical(payload: string): string {
  const batch = batchOf([]);
  readRetrieved(bytesOf(`{"result":[{"id":1,"payload":${payload}}]}`), batch, 1);
  return payloadOf(batch, 0);
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

test('readScrolled() reads points and the next offset, whatever the order of members and the white space', () => {
  const text = `
  { "time" : 0.1 , "status":"ok", "usage":{"hardware":{"cpu":[1,2,{"x":"]}"}]}}, "result" : { "next_page_offset" :
    18446744073709551615 , "points":[ { "vector" : [ 1.5 , -2 , 3e-1 ] , "payload":{"b":1, "a" : 2} , "id" : 7 } ,
    {"shard_key":"k","order_value":3,"id":"F47AC10B-58CC-4372-A567-0E02B2C3D479","vector":[0.1,0.2,0.3],"payload":null}
  ] } } `;
  const batch = batchOf([dense('', 3)]);
  expect(readScrolled(bytesOf(text), batch, 10)).toBe('18446744073709551615');
  expect(batch.ids).toEqual(['7', 'f47ac10b-58cc-4372-a567-0e02b2c3d479']);
  expect([payloadOf(batch, 0), payloadOf(batch, 1)]).toEqual(['{"a":2,"b":1}', '{}']);
  expect([...(batch.vectors[0]?.values.subarray(0, 6) ?? [])]).toEqual(
    [1.5, -2, 0.3, 0.1, 0.2, 0.3].map(Math.fround),
  );
  expect([...(batch.vectors[0]?.present.subarray(0, 3) ?? [])]).toEqual([1, 1, 0]);
});

test('readScrolled() takes null for the end', () => {
  const end = '{"result":{"points":[],"next_page_offset":null},"status":"ok","time":0}';
  expect(readScrolled(bytesOf(end), batchOf([]), 10)).toBeUndefined();
  expect(readIdPage(bytesOf(end), 10)).toEqual({ ids: [], next: undefined });
});

test('readIdPage() reads ids exactly and skips what else comes', () => {
  const text =
    '{"result":{"points":[{"id":0},{"id":18446744073709551615,"payload":null,"vector":[[1,2]]},{"id":"00000000-0000-0000-0000-000000000000"}],"next_page_offset":"ffffffff-ffff-ffff-ffff-ffffffffffff"}}';
  expect(readIdPage(bytesOf(text), 3)).toEqual({
    ids: ['0', '18446744073709551615', '00000000-0000-0000-0000-000000000000'],
    next: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  });
  expect(errorOf(() => readIdPage(bytesOf(text), 2)).code).toBe('integrity');
});

test('readRetrieved() reads named vectors by name, NULL where a point lacks one, and skips those not wanted', () => {
  const points = [
    '{"id":1,"payload":{},"vector":{"colbert":[[1.0,2.0],[3.0]],"text":[0.5,0.25],"bm25":{"indices":[1],"values":[1.5]},"image":[1.0]}}',
    '{"id":2,"payload":{},"vector":{"text":null,"image":[2.0]}}',
    '{"id":3,"payload":{},"vector":{}}',
    '{"id":4,"payload":{},"vector":null}',
    '{"id":5}',
  ];
  const batch = batchOf([dense('image', 1), dense('text', 2)]);
  readRetrieved(bytesOf(`{"result":[${points.join()}],"status":"ok","time":0}`), batch, 5);
  const [image, text] = batch.vectors;
  expect([...(image?.present.subarray(0, 5) ?? [])]).toEqual([1, 1, 0, 0, 0]);
  expect([...(text?.present.subarray(0, 5) ?? [])]).toEqual([1, 0, 0, 0, 0]);
  expect([...(text?.values.subarray(0, 2) ?? [])]).toEqual([0.5, 0.25]);
  expect([...(image?.values.subarray(0, 2) ?? [])]).toEqual([1, 2]);
});

test('readRetrieved() appends after what a batch already holds, and takes an unnamed vector beside named ones', () => {
  const batch = batchOf([dense('', 2)]);
  readRetrieved(bytesOf('{"result":[{"id":1,"vector":[1,2],"payload":{"a":1}}]}'), batch, 1);
  readRetrieved(bytesOf('{"result":[{"id":2,"vector":{"":[3,4],"s":{}},"payload":{"b":2}}]}'), batch, 1);
  expect(batch.ids).toEqual(['1', '2']);
  expect([...(batch.vectors[0]?.values.subarray(0, 4) ?? [])]).toEqual([1, 2, 3, 4]);
  expect([payloadOf(batch, 0), payloadOf(batch, 1)]).toEqual(['{"a":1}', '{"b":2}']);
});

test('readRetrieved() finds the wanted fields in the canonical text, sorted or not', () => {
  const batch = batchOf([], ['key', 'metadata', 'we"ird']);
  const points = [
    '{"id":1,"payload":{"metadata":{"b":1,"a":[1,2]},"key":"x","we\\u0022ird":1.50}}',
    '{"id":2,"payload":{"key":"é","nested":{"key":1}}}',
    '{"id":3,"payload":{"keys":1,"ke":2}}',
    '{"id":4,"payload":{"metadata":null}}',
  ];
  readRetrieved(bytesOf(`{"result":[${points.join()}]}`), batch, 4);
  expect([0, 1, 2].map((i) => fieldOf(batch, i, 0))).toEqual(['"x"', '{"a":[1,2],"b":1}', '1.5']);
  expect([0, 1, 2].map((i) => fieldOf(batch, i, 1))).toEqual(['"é"', undefined, undefined]);
  expect([0, 1, 2].map((i) => fieldOf(batch, i, 2))).toEqual([undefined, undefined, undefined]);
  expect(fieldOf(batch, 1, 3)).toBe('null');
});

test('payloads become canonical: integers whole, doubles as ECMAScript, strings unescaped where JSON allows', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      '{"n":18446744073709551615,"i":-9223372036854775808,"z":0}',
      '{"i":-9223372036854775808,"n":18446744073709551615,"z":0}',
    ],
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
  ];
  for (const [source, wanted] of cases) {
    expect(canonical(source)).toBe(wanted);
    expect(canonicalOf(source)).toBe(wanted);
  }
});

test('payloads of any shape come out as an independent writer spells them, and again unchanged', () => {
  const random = seeded(5);
  for (let i = 0; i < 2_000; i++) {
    const source = randomObject(random, 0);
    const text = canonical(source);
    expect(text).toBe(canonicalOf(source));
    expect(canonical(text)).toBe(text);
  }
});

test('payloads nested 512 levels are read and deeper ones refused', () => {
  const nested = (levels: number) => `${'{"d":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
  expect(canonical(nested(512))).toBe(nested(512));
  expect(errorOf(() => canonical(nested(513))).message).toContain('512 levels');
  expect(errorOf(() => canonical(`{"a":${'['.repeat(1_000_000)}`)).message).toContain('512 levels');
  const skipped = `{"x":${'['.repeat(1_000_000)}`;
  expect(errorOf(() => readRetrieved(bytesOf(skipped), batchOf([]), 1)).message).toContain('512 levels');
});

test('a vector of another length is an integrity error that names the point, wherever its id stands', () => {
  const batch = batchOf([dense('', 3)]);
  for (const vector of ['[1.0,2.0]', '[1,2,3,4]', '[]']) {
    for (const point of [`{"id":17,"vector":${vector}}`, `{"vector":${vector},"id":17}`]) {
      const error = errorOf(() => readRetrieved(bytesOf(`{"result":[${point}]}`), batch, 1));
      expect(error.code).toBe('integrity');
      expect(error.message).toMatch(
        /^point 17 has a vector of \d dimensions where the collection declares 3$/,
      );
      expect(batch.rowCount).toBe(0);
    }
  }
});

test('vectors that are no floats are integrity errors with the reason', () => {
  const batch = batchOf([dense('', 2)]);
  const told = (vector: string) =>
    errorOf(() => readRetrieved(bytesOf(`{"result":[{"id":9,"vector":${vector}}]}`), batch, 1)).message;
  expect(told('[1.0,null]')).toContain('REST cannot carry');
  expect(told('[1.0,1e39]')).toContain('beyond float32');
  expect(told('[1.0,"2"]')).toContain('not a list of numbers');
  expect(told('[[1.0,2.0]]')).toContain('not a list of numbers');
  expect(told('7')).toContain('not');
  const named = batchOf([dense('a', 2)]);
  const error = errorOf(() => readRetrieved(bytesOf('{"result":[{"id":9,"vector":[1,2]}]}'), named, 1));
  expect(error.message).toContain('point 9 has an unnamed vector');
});

test('more points than were asked for, or than the batch holds, are an integrity error and leave it as it was', () => {
  const two = bytesOf('{"result":[{"id":1,"payload":{"a":1}},{"id":2}]}');
  const batch = batchOf([], [], 3);
  expect(errorOf(() => readRetrieved(two, batch, 1)).code).toBe('integrity');
  expect(batch.rowCount).toBe(0);
  readRetrieved(two, batch, 2);
  expect(errorOf(() => readRetrieved(two, batch, 2)).code).toBe('integrity');
  expect(batch.ids).toEqual(['1', '2']);
  expect(batch.payload.length).toBe('{"a":1}{}'.length);
});

test('damaged answers are refused', () => {
  const bad = [
    '{"result":[{"id":-1}]}',
    '{"result":[{"id":1.0}]}',
    '{"result":[{"id":18446744073709551616}]}',
    '{"result":[{"id":"f47ac10b-58cc-4372-a567-0e02b2c3d47"}]}',
    '{"result":[{"id":"f47ac10b-58cc-4372-a567-0e02b2c3d47g"}]}',
    '{"result":[{"id":true}]}',
    '{"result":[{"payload":{}}]}',
    '{"result":[{"id":1,"id":2}]}',
    '{"result":[{"id":1,"payload":[]}]}',
    '{"result":[{"id":1,"payload":{"a":1,"a":2}}]}',
    '{"result":[{"id":1,"payload":{"a":1,"b":3,"a":2}}]}',
    '{"result":[{"id":1,"payload":{"a":"\\ud83d"}}]}',
    '{"result":[{"id":1,"payload":{"a":"\\ude00\\ud83d"}}]}',
    '{"result":[{"id":1,"payload":{"a":"\\ud83d\\u0041"}}]}',
    '{"result":[{"id":1,"payload":{"a":"\\x"}}]}',
    '{"result":[{"id":1,"payload":{"a":"\n"}}]}',
    '{"result":[{"id":1,"payload":{"a":1e999}}]}',
    '{"result":[{"id":1,"payload":{"a":01}}]}',
    '{"result":[{"id":1,"payload":{"a":tru}}]}',
    '{"result":[{"id":1,"payload":{"a":1,}}]}',
    '{"result":[{"id":1},]}',
    '{"result":[{"id":1}]} x',
    '{"result":[],"result":[]}',
    '{"status":"ok"}',
    '{"result":null}',
    '[]',
    'x',
  ];
  for (const text of bad) {
    const batch = batchOf([]);
    const error = errorOf(() => readRetrieved(bytesOf(text), batch, 5));
    expect(error.code).toBe('qdrant');
    expect([text, error.remedy]).toEqual([text, 'none']);
    expect(batch.rowCount + batch.payload.length).toBe(0);
  }
  const invalid = bytesOf('{"result":[{"id":1,"payload":{"a":"xy"}}]}');
  invalid[invalid.indexOf(0x78)] = 0xc3;
  expect(errorOf(() => readRetrieved(invalid, batchOf([]), 1)).message).toContain('UTF-8');
});

test('an answer cut anywhere is an error worth another try, and leaves no rows', () => {
  const whole = bytesOf(
    '{"result":{"points":[{"id":1,"payload":{"b":"x\\u00e9\\n","a":[1.25,true,null,{"c":{}}]},"vector":[0.12345678,-2.5e-3]},{"id":"f47ac10b-58cc-4372-a567-0e02b2c3d479","payload":{},"vector":[1.0,2.0]}],"next_page_offset":3},"status":"ok","time":0.5}',
  );
  const batch = batchOf([dense('', 2)]);
  for (let length = 0; length < whole.length; length++) {
    const error = errorOf(() => readScrolled(whole.slice(0, length), batch, 2));
    expect([length, error.code, error.remedy]).toEqual([length, 'qdrant', 'again']);
    expect(batch.rowCount + batch.payload.length).toBe(0);
    // A view into a larger buffer, as answers of unknown length are read.
    expect(errorOf(() => readScrolled(whole.subarray(0, length), batch, 2)).code).toBe('qdrant');
  }
  expect(readScrolled(whole, batch, 2)).toBe('3');
});

test('20,000 answers with flipped bits give a clear error or valid JSON, never a hang', () => {
  const whole = bytesOf(
    '{"result":[{"id":1,"payload":{"b":"x\\u00e9\\n漢","a":[1.25,true,null,{"c":{},"d":12345678901234567890}]},"vector":{"t":[0.12345678,-2.5e-3],"u":[[1,2],[3]]}},{"id":"f47ac10b-58cc-4372-a567-0e02b2c3d479","payload":{"k":1e21},"vector":{"t":[1.0,2.0]}}],"status":"ok","time":0.5}',
  );
  const random = seeded(23);
  const batch = batchOf([dense('t', 2)], ['a']);
  let read = 0;
  for (let i = 0; i < 20_000; i++) {
    const mutated = whole.slice();
    for (let flips = 1 + random(3); flips > 0; flips--) {
      const at = random(mutated.length);
      mutated[at] = (mutated[at] as number) ^ (1 << random(8));
    }
    batch.reset();
    try {
      readRetrieved(mutated, batch, 2);
    } catch (error) {
      expect(error).toBeInstanceOf(ToolError);
      expect(batch.rowCount + batch.payload.length).toBe(0);
      continue;
    }
    read++;
    for (let row = 0; row < batch.rowCount; row++) {
      const text = payloadOf(batch, row);
      expect(canonicalOf(text)).toBe(text);
    }
  }
  expect(read).toBeGreaterThan(1000);
});

/** Random whole numbers below `below`, the same for the same seed (mulberry32). */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NAMES = ['a', 'b', 'ab', '', 'é', '漢', '😀', 'a"', 'a\\', '\n', 'key', 'Key', '\u0000', '～'];
const NUMBERS = [
  '0',
  '-1',
  '1.0',
  '1e5',
  '1E-9',
  '0.1',
  '123.456000',
  '-0.0',
  '18446744073709551616',
  '2.5e+20',
];

function randomObject(random: (below: number) => number, depth: number): string {
  const names = NAMES.filter(() => random(3) === 0).sort(() => random(3) - 1);
  return `{${names.map((name) => `${JSON.stringify(name)}:${randomValue(random, depth + 1)}`).join()}}`;
}

function randomValue(random: (below: number) => number, depth: number): string {
  switch (random(depth > 4 ? 4 : 6)) {
    case 0:
      return NUMBERS[random(NUMBERS.length)] as string;
    case 1:
      return ['true', 'false', 'null'][random(3)] as string;
    case 2:
      return JSON.stringify(NAMES[random(NAMES.length)]?.repeat(random(40)));
    case 3:
      return String((random(2 ** 31) - 2 ** 30) / 10 ** random(12));
    case 4:
      return `[${Array.from({ length: random(4) }, () => randomValue(random, depth + 1)).join(' , ')}]`;
    default:
      return randomObject(random, depth);
  }
}
