import { expect, test } from 'bun:test';
import type { PointBatch } from '../../../lib/batch.ts';
import { ToolError } from '../../../lib/errors.ts';
import { readScrolled } from '../../../lib/qdrant/rest-reader.ts';
import { seeded } from '../../support/batches.ts';
import { emptyBatch, rowsOf, rowsOfAnswer, specOf } from './batch-rows.ts';

/** Rows that were there before, then three of every kind of vector, with and without. */
const SPECS = [
  specOf('dense', '', 3),
  specOf('multi', 'colbert', 2),
  specOf('sparse', 'bm25', 0),
  specOf('dense', 'image', 2),
];
const BEFORE =
  '{"result":{"points":[{"id":3,"payload":{"key":"before"},"vector":{"":[1,2,3],"colbert":[[1,2]],"bm25":{"indices":[9],"values":[9]},"image":[4,5]}}],"next_page_offset":null}}';
const WHOLE = `{"result":{"points":[${[
  '{"id":7,"payload":{"b":"x\\u00e9\\n漢","key":[1.25,true,null,{"c":{},"d":12345678901234567890}]},"vector":{"colbert":[[0.12345678,-2.5e-3],[3.0,4.0]],"":[0.1,-0.2,0.3],"bm25":{"indices":[1,30,4294967295],"values":[1.5,0.5,-2.25]}}}',
  '{"id":"f47ac10b-58cc-4372-a567-0e02b2c3d479","payload":{"k":1e21},"vector":[1.0,2.0,0.33333334]}',
  '{"id":18446744073709551615,"vector":{"image":[0.5,65504.0],"bm25":{"values":[],"indices":[]},"colbert":[[5,6]]}}',
].join()}],"next_page_offset":"ffffffff-ffff-ffff-ffff-ffffffffffff"},"time":0.5}`;

/** What a hostile or broken server may put anywhere. */
const HOSTILE = [
  '['.repeat(200_000),
  '{"a":'.repeat(100_000),
  '[[],'.repeat(50_000),
  `[${'1,'.repeat(100_000)}`,
  ','.repeat(300_000),
  '9'.repeat(200_000),
  `1e${'9'.repeat(1000)}`,
  `0.${'3'.repeat(10_000)}`,
  `"${'\\u0000'.repeat(10_000)}`,
  '-',
  'null',
  '[]',
  '{}',
  '"',
  '4294967296',
  '1e39',
  '[null]',
  '{"indices":[1],"values":[1]}',
  '[[1,2],[3,4]]',
  '\u0000',
];

type Random = () => number;

/** One way of damaging bytes; `below` gives random whole numbers. */
type Damage = (bytes: Buffer, below: (limit: number) => number) => Buffer;

const flipBits: Damage = (bytes, below) => {
  for (let flips = 1 + below(3); flips > 0; flips--) {
    const at = below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << below(8));
  }
  return bytes;
};

const cutShort: Damage = (bytes, below) => bytes.subarray(0, below(bytes.length));

const removeSome: Damage = (bytes, below) => {
  const at = below(bytes.length);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(20))]);
};

const repeatSome: Damage = (bytes, below) => {
  const at = below(bytes.length);
  const end = at + 1 + below(40);
  return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end)]);
};

const swapCharacter: Damage = (bytes, below) => {
  bytes.write('[]{},:"0-9.en\\ '[below(15)] as string, below(bytes.length), 'latin1');
  return bytes;
};

/** In the place of a number, or anywhere. */
const insertHostile: Damage = (bytes, below) => {
  const numbers = [...bytes.toString('latin1').matchAll(/(?<=[[,:])-?\d[\d.e-]*(?=[\],}])/g)];
  const number = numbers[below(numbers.length)];
  const isInPlace = below(2) === 0 && number !== undefined;
  const at = isInPlace ? number.index : below(bytes.length);
  const rest = isInPlace ? at + number[0].length : at;
  const hostile = Buffer.from(HOSTILE[below(HOSTILE.length)] as string);
  return Buffer.concat([bytes.subarray(0, at), hostile, bytes.subarray(rest)]);
};

const DAMAGES = [flipBits, cutShort, removeSome, repeatSome, swapCharacter, insertHostile];

function damaged(random: Random): Buffer {
  const below = (limit: number) => Math.floor(random() * limit);
  return (DAMAGES[below(DAMAGES.length)] as Damage)(Buffer.from(WHOLE), below);
}

/** Everything a failed read could have left behind. */
function stateOf(batch: PointBatch) {
  return {
    rows: rowsOf(batch),
    payloadLength: batch.payload.length,
    fields: batch.fields.map(({ starts, ends }) => [[...starts], ends[0]]),
    vectors: batch.vectors.map((column) => [
      [...column.present],
      column.kind === 'dense' ? 0 : column.length,
    ]),
  };
}

function bytesHeld(batch: PointBatch): number {
  return batch.vectors.reduce(
    (sum, column) =>
      sum + column.values.byteLength + (column.kind === 'sparse' ? column.indices.byteLength : 0),
    batch.payload.bytes.length,
  );
}

test('5,000 damaged answers give a clear error and an untouched batch, or exactly what they say, at once', () => {
  const random = seeded(23);
  let batch = emptyBatch(SPECS, ['key'], 5);
  readScrolled(Buffer.from(BEFORE), batch, 1);
  const before = stateOf(batch);
  const held = bytesHeld(batch);
  const found = { read: 0, refused: 0, longestMs: 0 };
  for (let i = 0; i < 5_000; i++) {
    const answer = damaged(random);
    const started = performance.now();
    let error: unknown;
    try {
      readScrolled(answer, batch, 3);
    } catch (thrown) {
      error = thrown;
    }
    found.longestMs = Math.max(found.longestMs, performance.now() - started);
    if (error === undefined) {
      found.read++;
      expect(rowsOf(batch)).toEqual([...before.rows, ...rowsOfAnswer(answer.toString(), SPECS)]);
      batch.truncate(1);
    } else {
      found.refused++;
      if (!(error instanceof ToolError)) throw error;
      expect(['qdrant', 'integrity']).toContain(error.code);
      expect(error.message.length).toBeLessThan(300);
    }
    expect(stateOf(batch)).toEqual(before);
    // Reserving is bounded by what an answer holds: 8 bytes for an element's 2, in buffers that double.
    expect(bytesHeld(batch)).toBeLessThanOrEqual(held + 16 * answer.length);
    if (bytesHeld(batch) > held) {
      batch = emptyBatch(SPECS, ['key'], 5);
      readScrolled(Buffer.from(BEFORE), batch, 1);
    }
  }
  expect(found.read).toBeGreaterThan(400);
  expect(found.refused).toBeGreaterThan(3_000);
  expect(found.longestMs).toBeLessThan(5_000);
});
