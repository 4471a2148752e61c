import { expect, test } from 'bun:test';
import type { PointBatch } from '../../../lib/batch.ts';
import { ToolError } from '../../../lib/errors.ts';
import { isUuid, type VectorSpec } from '../../../lib/model.ts';
import { readIdPage, readRetrieved, readScrolled } from '../../../lib/qdrant/grpc-reader.ts';
import { seeded } from '../../support/batches.ts';
import {
  bytesField,
  packedFloats,
  packedVarints,
  stringField,
  varintField,
} from '../../support/qdrant-double/protobuf.ts';
import { emptyBatch, payloadOf, rowsOf, specOf } from './batch-rows.ts';
import { entry, named, numbered, singleFloats, unnamed, vectorOf } from './grpc-fields.ts';
import { POINTS, recordedShape } from './grpc-recordings.ts';
import { plainRows } from './plain-proto.ts';

type Kind = 'get' | 'scroll';

interface Subject {
  readonly name: string;
  readonly kind: Kind;
  readonly specs: readonly VectorSpec[];
  readonly message: Buffer;
}

const floats = (...values: readonly number[]) => Float32Array.from(values);

/** One answer with every kind of vector in both generations of fields, with and without. */
const MADE: readonly Subject[] = [
  {
    name: 'every kind of vector in both generations',
    kind: 'get',
    specs: [
      specOf('dense', '', 3),
      specOf('multi', 'm', 2),
      specOf('sparse', 's', 0),
      specOf('dense', 'd', 2),
    ],
    message: Buffer.concat([
      numbered(
        1,
        named(
          vectorOf('s', bytesField(102, packedFloats(1, floats(1.5, -2)), packedVarints(2, [9, 4294967295]))),
          vectorOf('', bytesField(101, packedFloats(1, floats(1, 2, 3)))),
          vectorOf(
            'm',
            bytesField(
              103,
              ...[floats(1, 2), floats(3, 4)].map((row) => bytesField(1, packedFloats(1, row))),
            ),
          ),
        ),
        entry('key', stringField(4, 'one')),
      ),
      numbered(2, unnamed(singleFloats(1, floats(4, 5, 6)))),
      numbered(
        3,
        named(
          vectorOf('m', singleFloats(1, floats(1, 2, 3, 4)), varintField(3, 2)),
          vectorOf('s', singleFloats(1, floats(0.5)), bytesField(2, packedVarints(1, [300]))),
          vectorOf('d', singleFloats(1, floats(7, 8))),
        ),
      ),
      numbered(4, named()),
    ]),
  },
];

/** Every recorded answer with points, read with the vectors that its collection declares. */
const RECORDED: readonly Subject[] = POINTS.filter(({ collection }) => collection !== 'k').map(
  ({ version, name, kind, collection, message }) => ({
    name: `${version} ${name}`,
    kind,
    specs: recordedShape(version, collection).vectors,
    message,
  }),
);

const SUBJECTS = [...MADE, ...RECORDED];
const TIMES = 100;
const MAX_ROWS = 64;

type Random = () => number;

function mutated(message: Buffer, random: Random): Buffer {
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

/** A batch with a row that was there before, and must be there whatever happens. */
function startedBatch(specs: readonly VectorSpec[]): PointBatch {
  const batch = emptyBatch(specs, ['key'], MAX_ROWS + 1);
  readRetrieved(Buffer.from(numbered(1, entry('key', stringField(4, 'before')))), batch, 1);
  return batch;
}

function readInto(batch: PointBatch, kind: Kind, message: Buffer): ToolError | undefined {
  try {
    if (kind === 'get') readRetrieved(message, batch, MAX_ROWS);
    else readScrolled(message, batch, MAX_ROWS);
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
}

/** Everything that a read may change. */
function stateOf(batch: PointBatch) {
  return {
    rows: rowsOf(batch),
    fields: batch.fields.map(({ starts, ends }) => [[...starts], ends[0]]),
    payload: batch.payload.length,
    vectors: batch.vectors.map((column) => [[...column.present], column.kind === 'dense' || column.length]),
  };
}

function bytesHeld(batch: PointBatch): number {
  return batch.vectors.reduce(
    (sum, column) =>
      sum + column.values.byteLength + (column.kind === 'sparse' ? column.indices.byteLength : 0),
    batch.payload.bytes.length,
  );
}

function isId(id: string): boolean {
  if (isUuid(id)) return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
  return /^(0|[1-9]\d{0,19})$/.test(id) && BigInt(id) < 2n ** 64n;
}

/** Payloads and the places of fields in them are JSON, whatever they say. */
function expectReadable(batch: PointBatch): void {
  for (const [row, id] of batch.ids.entries()) {
    if (!isId(id)) throw new Error(`row ${row} has the id ${JSON.stringify(id)}`);
    const value: unknown = JSON.parse(payloadOf(batch, row));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no object');
    for (const { starts, ends } of batch.fields) {
      const start = starts[row] as number;
      if (start !== -1) JSON.parse(Buffer.from(batch.payload.bytes.subarray(start, ends[row])).toString());
    }
  }
}

test('there are 5,000 of them', () => {
  expect(SUBJECTS.length * TIMES).toBeGreaterThanOrEqual(5_000);
});

for (const [number, { name, kind, specs, message }] of SUBJECTS.entries()) {
  test(`${name}, damaged ${TIMES} times: what they say, or an error and an untouched batch`, () => {
    const random = seeded((number + 1) * 104_729);
    const batch = startedBatch(specs);
    const before = stateOf(batch);
    const held = bytesHeld(batch);
    for (let times = 0; times < TIMES; times++) {
      const bytes = mutated(message, random);
      try {
        const error = readInto(batch, kind, bytes);
        if (error === undefined) {
          expectReadable(batch);
          const [, ...rows] = rowsOf(batch).map(({ id, vectors }) => ({ id, vectors }));
          expect(rows).toEqual(plainRows(kind, bytes, specs) as typeof rows);
          batch.truncate(1);
        } else {
          expect(['qdrant', 'integrity', 'format']).toContain(error.code);
          expect(error.message.length).toBeLessThan(400);
        }
        expect(stateOf(batch)).toEqual(before);
        // Room is made for what an answer can hold, twice as much where a buffer grows.
        expect(bytesHeld(batch)).toBeLessThanOrEqual(2 * held + 8 * bytes.length);
        if (kind === 'scroll') for (const id of idsIn(bytes)) if (!isId(id)) throw new Error(`the id ${id}`);
      } catch (problem) {
        console.error(`${name}, mutation ${times}: ${bytes.toString('base64')}`);
        throw problem;
      }
    }
  });
}

function idsIn(message: Buffer): readonly string[] {
  try {
    const { ids, next } = readIdPage(message, MAX_ROWS);
    return next === undefined ? ids : [...ids, next];
  } catch (error) {
    if (error instanceof ToolError) return [];
    throw error;
  }
}

test('answers are refused in most places where they were cut off', () => {
  let refused = 0;
  let whole = 0;
  for (const { kind, message, specs } of SUBJECTS) {
    for (let length = 1; length < Math.min(message.length, 400); length++) {
      if (readInto(emptyBatch(specs), kind, message.subarray(0, length)) === undefined) whole++;
      else refused++;
    }
  }
  // A cut between two fields is a shorter message, and a valid one: gRPC's own length is there to notice it.
  expect(whole).toBeLessThan(refused * 0.2);
});
