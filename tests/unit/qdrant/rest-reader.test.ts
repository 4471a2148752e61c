import { expect, test } from 'bun:test';
import { readIdPage, readRetrieved, readScrolled } from '../../../lib/qdrant/rest-reader.ts';
import { emptyBatch, errorOf, payloadOf, rowsOf, specOf } from './batch-rows.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const dense = (name: string, size: number) => specOf('dense', name, size);

test('readScrolled() reads points and the next offset, whatever the order of members and the white space', () => {
  const text = `
  { "time" : 0.1 , "status":"ok", "usage":{"hardware":{"cpu":[1,2,{"x":"]}"}]}}, "result" : { "next_page_offset" :
    18446744073709551615 , "points":[ { "vector" : [ 1.5 , -2 , 3e-1 ] , "payload":{"b":1, "a" : 2} , "id" : 7 } ,
    {"shard_key":"k","order_value":3,"id":"F47AC10B-58CC-4372-A567-0E02B2C3D479","vector":[0.1,0.2,0.3],"payload":null}
  ] } } `;
  const batch = emptyBatch([dense('', 3)]);
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
  expect(readScrolled(bytesOf(end), emptyBatch([]), 10)).toBeUndefined();
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

test('members are known by name however it is spelled, and strange ones are skipped', () => {
  const text =
    '{"result":[{"\\u0069d":7,"pa\\u0079load":{"a":1},"vect\\u006fr":[5],"idx":8,"shard_key":"k","":[{}]},{"i":1,"id":8}]}';
  const batch = emptyBatch([dense('', 1)]);
  readRetrieved(bytesOf(text), batch, 2);
  expect(rowsOf(batch)).toEqual([
    { id: '7', payload: '{"a":1}', vectors: { '': [5] } },
    { id: '8', payload: '{}', vectors: { '': null } },
  ]);
});

test('more points than were asked for, or than the batch holds, are an integrity error and leave it as it was', () => {
  const two = bytesOf('{"result":[{"id":1,"payload":{"a":1}},{"id":2}]}');
  const batch = emptyBatch([], [], 3);
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
    `{"result":[{"id":${'9'.repeat(37)}}]}`,
    `{"result":[{"id":"${'f'.repeat(37)}"}]}`,
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
    const batch = emptyBatch([]);
    const error = errorOf(() => readRetrieved(bytesOf(text), batch, 5));
    expect(error.code).toBe('qdrant');
    expect([text, error.remedy]).toEqual([text, 'none']);
    expect(batch.rowCount + batch.payload.length).toBe(0);
  }
  const invalid = bytesOf('{"result":[{"id":1,"payload":{"a":"xy"}}]}');
  invalid[invalid.indexOf(0x78)] = 0xc3;
  expect(errorOf(() => readRetrieved(invalid, emptyBatch([]), 1)).message).toContain('UTF-8');
});

test('an answer cut anywhere is an error worth another try, and leaves no rows', () => {
  const whole = bytesOf(
    '{"result":{"points":[{"id":1,"payload":{"b":"x\\u00e9\\n","a":[1.25,true,null,{"c":{}}]},"vector":[0.12345678,-2.5e-3]},{"id":"f47ac10b-58cc-4372-a567-0e02b2c3d479","payload":{},"vector":[1.0,2.0]}],"next_page_offset":3},"status":"ok","time":0.5}',
  );
  const batch = emptyBatch([dense('', 2)]);
  for (let length = 0; length < whole.length; length++) {
    const error = errorOf(() => readScrolled(whole.slice(0, length), batch, 2));
    expect([length, error.code, error.remedy]).toEqual([length, 'qdrant', 'again']);
    expect(batch.rowCount + batch.payload.length).toBe(0);
    // A view into a larger buffer, as answers of unknown length are read.
    expect(errorOf(() => readScrolled(whole.subarray(0, length), batch, 2)).code).toBe('qdrant');
  }
  expect(readScrolled(whole, batch, 2)).toBe('3');
});
