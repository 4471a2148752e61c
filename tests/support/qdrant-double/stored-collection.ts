import type { PointId } from '../../../lib/model.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { Collection, PointSource, QdrantVersion, Selection, ShardKey } from './collection.ts';
import { ExactNumber, isObject, type Json, type JsonObject, parseExactJson } from './exact-json.ts';
import { type Filter, matchesFilter } from './filter.ts';
import { compareIdKeys, type IdKey, idKey } from './point-id.ts';
import { idJson, pointJson } from './point-json.ts';
import { pointId, retrievedPoint } from './point-proto.ts';
import { bytesField } from './protobuf.ts';
import { storeVectors } from './store-vectors.ts';
import { isNamed, type StoredPoint } from './stored-point.ts';

export interface StoredCollectionOptions {
  readonly name: string;
  readonly create: JsonObject;
  /** JSON texts of points, as an upsert or a retrieve spells them. */
  readonly points: readonly string[];
  readonly shardKeys?: readonly ShardKey[];
}

/** A small collection, kept point by point. */
export function storedCollection(options: StoredCollectionOptions, version: QdrantVersion): Collection {
  const { name, create, shardKeys = [] } = options;
  const rows = options.points.map((text) => storePoint(create, text));
  return {
    name,
    create,
    shardKeys,
    indexedVectors: rows.reduce((sum, point) => sum + sparseVectors(point), 0),
    points(wanted) {
      const keys = wanted ?? shardKeys;
      const chosen = rows.filter((row) => row.shardKey === undefined || keys.includes(row.shardKey));
      // Where two shard keys hold an id, the one that is listed last is seen.
      const seen = new Map<IdKey, StoredPoint>();
      for (const key of shardKeys.length === 0 ? [undefined] : keys) {
        for (const row of chosen) if (row.shardKey === key) seen.set(idKey(row.id), row);
      }
      return { source: storedPoints([...seen.values()], version), count: chosen.length };
    },
  };
}

function storePoint(create: JsonObject, text: string): StoredPoint {
  const json = parseExactJson(text);
  if (!isObject(json)) throw new Error(`not a point: ${text}`);
  const { id, payload, vector, shard_key: key } = json;
  return {
    id: id instanceof ExactNumber ? id.source : (id as PointId),
    payload: isObject(payload) ? payload : {},
    vectors: storeVectors(create, vector ?? {}),
    ...(key === undefined ? {} : { shardKey: shardKeyOf(key) }),
  };
}

export function shardKeyOf(json: Json): ShardKey {
  return json instanceof ExactNumber ? json.value : String(json);
}

function sparseVectors(point: StoredPoint): number {
  if (!isNamed(point.vectors)) return 0;
  const sparse = [...point.vectors.values()].filter((vector) => vector.kind === 'sparse');
  return sparse.filter((vector) => vector.values.length > 0).length;
}

function storedPoints(unordered: StoredPoint[], version: QdrantVersion): PointSource {
  const points = unordered.toSorted((a, b) => compareIdKeys(idKey(a.id), idKey(b.id)));
  const keys = points.map((point) => idKey(point.id));
  const at = (position: number): StoredPoint => points[position] as StoredPoint;
  return {
    length: points.length,
    positionAtOrAfter(id: IdKey): number {
      const found = keys.findIndex((key) => compareIdKeys(key, id) >= 0);
      return found < 0 ? points.length : found;
    },
    positionOf: (id: IdKey) => keys.indexOf(id),
    isRetrievable: () => true,
    matches: (position: number, filter: Filter) =>
      matchesFilter(filter, keys[position] as IdKey, at(position).payload),
    jsonBytes: () => 256,
    protoBytes: () => 256,
    writeJsonId: (out: ByteWriter, position: number) => out.ascii(idJson(at(position).id)),
    writeJsonPoint: (out: ByteWriter, position: number, selection: Selection) =>
      out.utf8(pointJson(at(position), selection, version)),
    writeProtoId: (out: ByteWriter, position: number, field: number) =>
      out.append(bytesField(field, pointId(at(position).id))),
    writeProtoPoint: (out: ByteWriter, position: number, selection: Selection, field: number) =>
      out.append(bytesField(field, retrievedPoint(at(position), selection, version))),
  };
}
