import type { PointId } from '../../../lib/model.ts';
import type { QdrantVersion, Selection, ShardKey } from './collection.ts';
import { ExactNumber, type Json, type JsonObject } from './exact-json.ts';
import {
  bytesField,
  doubleField,
  packedFloats,
  packedVarints,
  stringField,
  unpackedFloats,
  varintField,
} from './protobuf.ts';
import {
  bareVector,
  type StoredPoint,
  type StoredVector,
  selectPayload,
  selectVectors,
} from './stored-point.ts';

/** Content of a RetrievedPoint message: id 1, payload 2, vectors 4, shard_key 5 (points.proto). */
export function retrievedPoint(point: StoredPoint, selection: Selection, version: QdrantVersion): Buffer {
  const payload = selectPayload(point.payload, selection.payload);
  const vectors = selectVectors(point, selection.vectors);
  return Buffer.concat([
    bytesField(1, pointId(point.id)),
    payload === undefined ? NOTHING : mapFields(2, payload),
    vectors === undefined ? NOTHING : bytesField(4, vectorsOutput(vectors, version)),
    point.shardKey === undefined ? NOTHING : bytesField(5, shardKey(point.shardKey)),
  ]);
}

const NOTHING = Buffer.alloc(0);

/** Content of a PointId message: num 1 or uuid 2. */
export function pointId(id: PointId): Buffer {
  return id.length === 36 ? stringField(2, id) : varintField(1, BigInt(id));
}

/** Content of a ShardKey message: keyword 1 or number 2. */
export function shardKey(key: ShardKey): Buffer {
  return typeof key === 'string' ? stringField(1, key) : varintField(2, key);
}

/** A `map<string, Value>`: an entry a key; an empty key is left out, as prost does. */
export function mapFields(field: number, object: JsonObject): Buffer {
  return Buffer.concat(
    Object.entries(object).map(([key, value]) =>
      bytesField(field, key === '' ? NOTHING : stringField(1, key), bytesField(2, valueMessage(value))),
    ),
  );
}

/** Content of a Value message (json_with_int.proto). Integers above i64 become doubles. */
function valueMessage(value: Json): Buffer {
  if (value === null) return varintField(1, 0);
  if (typeof value === 'string') return stringField(4, value);
  if (typeof value === 'boolean') return varintField(5, value ? 1 : 0);
  if (value instanceof ExactNumber) return numberMessage(value);
  if (!Array.isArray(value)) return bytesField(6, mapFields(1, value));
  return bytesField(7, ...value.map((item) => bytesField(1, valueMessage(item))));
}

function numberMessage(number: ExactNumber): Buffer {
  if (!number.isInteger) return doubleField(2, number.value);
  const integer = BigInt(number.source);
  return integer === BigInt.asIntN(64, integer) ? varintField(3, integer) : doubleField(2, number.value);
}

/** Content of a VectorsOutput message: vector 1 or vectors 2, a map of names. */
function vectorsOutput(vectors: StoredPoint['vectors'], version: QdrantVersion): Buffer {
  const bare = bareVector(vectors);
  if (bare !== undefined) return bytesField(1, vectorOutput(bare, version));
  return bytesField(2, ...[...vectors].map(([name, vector]) => vectorEntry(name, vector, version)));
}

/** One entry of the map of names: key 1, which prost leaves out where it is empty, and value 2. */
export function vectorEntry(name: string, vector: StoredVector, version: QdrantVersion): Buffer {
  const key = name === '' ? NOTHING : stringField(1, name);
  return bytesField(1, key, bytesField(2, vectorOutput(vector, version)));
}

/** Content of a VectorOutput message. */
export function vectorOutput(vector: StoredVector, version: QdrantVersion): Buffer {
  return version === '1.16.3' ? oldVectorOutput(vector) : newVectorOutput(vector);
}

/** Up to 1.16: data 1 (not packed), indices 2, vectors_count 3; the rows of a multivector flat. */
function oldVectorOutput(vector: StoredVector): Buffer {
  switch (vector.kind) {
    case 'dense':
      return unpackedFloats(1, vector.values);
    case 'multi': {
      const flat = new Float32Array(vector.rows.flatMap((row) => [...row]));
      return Buffer.concat([unpackedFloats(1, flat), varintField(3, vector.rows.length)]);
    }
    case 'sparse':
      return Buffer.concat([
        unpackedFloats(1, vector.values),
        bytesField(2, packedVarints(1, vector.indices)),
      ]);
  }
}

/** From 1.17: one of dense 101, sparse 102, multi_dense 103. */
function newVectorOutput(vector: StoredVector): Buffer {
  switch (vector.kind) {
    case 'dense':
      return bytesField(101, packedFloats(1, vector.values));
    case 'sparse':
      return bytesField(102, packedFloats(1, vector.values), packedVarints(2, vector.indices));
    case 'multi':
      return bytesField(103, ...vector.rows.map((row) => bytesField(1, packedFloats(1, row))));
  }
}
