import { PointBatch } from '../../../lib/batch.ts';
import type { VectorSpec } from '../../../lib/model.ts';
import { readRetrieved } from '../../../lib/qdrant/grpc-reader.ts';
import { bytesField, stringField, varintField } from '../../support/qdrant-double/protobuf.ts';

/** Fields of an answer to GetPoints, by the numbers of points.proto. */
const ID = bytesField(1, varintField(1, 7));

/** A RetrievedPoint with number 7. */
export const point = (...fields: readonly Uint8Array[]) => bytesField(1, ID, ...fields);
/** One with other fields than its id first, or none. */
export const bare = (...fields: readonly Uint8Array[]) => bytesField(1, ...fields);
export const numbered = (id: number, ...fields: readonly Uint8Array[]) =>
  bytesField(1, bytesField(1, varintField(1, id)), ...fields);

/** Its vector, of the fields of a VectorOutput. */
export const unnamed = (...fields: readonly Uint8Array[]) => bytesField(4, bytesField(1, ...fields));
/** Its vectors by name, as a map's entries. */
export const named = (...entries: readonly Uint8Array[]) => bytesField(4, bytesField(2, ...entries));
/** An entry; the empty name is left out, as encoders do. */
export const vectorOf = (name: string, ...fields: readonly Uint8Array[]) =>
  bytesField(1, ...(name === '' ? [] : [stringField(1, name)]), bytesField(2, ...fields));

/** An entry of its payload. */
export const entry = (key: string, value: Uint8Array) =>
  bytesField(2, stringField(1, key), bytesField(2, value));
export const child = (key: string, value: Uint8Array) =>
  bytesField(1, stringField(1, key), bytesField(2, value));
export const struct = (...children: readonly Uint8Array[]) => bytesField(6, ...children);
export const list = (...values: readonly Uint8Array[]) =>
  bytesField(7, ...values.map((value) => bytesField(1, value)));

export function batchOf(vectors: readonly VectorSpec[] = [], rows = 100): PointBatch {
  return new PointBatch({ rows, vectors, fields: ['key'] });
}

export function read(message: Uint8Array, batch = batchOf(), asked = 100): PointBatch {
  readRetrieved(Buffer.from(message), batch, asked);
  return batch;
}

/** Every float a field of its own, as 1.16 writes them, with the bits that NaNs have. */
export function singleFloats(field: number, values: Float32Array): Buffer {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const tag = Uint8Array.of(field * 8 + 5);
  return Buffer.concat(Array.from(values, (_, at) => [tag, bytes.subarray(at * 4, at * 4 + 4)]).flat());
}
