import type { PointId } from '../../../lib/model.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { Change } from './change.ts';
import type { Collection, PointSource, QdrantVersion, Selection, ShardKey } from './collection.ts';
import { ExactNumber, isObject, type JsonObject, objectOf } from './exact-json.ts';
import { type Filter, matchesFilter } from './filter.ts';
import { compareIdKeys, type IdKey, idKey } from './point-id.ts';
import { idJson, pointJson } from './point-json.ts';
import { pointId, retrievedPoint } from './point-proto.ts';
import { bytesField } from './protobuf.ts';
import { shardKeyOf } from './shard-key.ts';
import { storeVectors } from './store-vectors.ts';
import type { StoredPoint } from './stored-point.ts';
import { withoutVector, withVector } from './vectors-config.ts';

export interface StoredCollectionOptions {
  readonly name: string;
  readonly create: JsonObject;
  /** JSON texts of points, as an upsert or a retrieve spells them. */
  readonly points: readonly string[];
  readonly shardKeys?: readonly ShardKey[];
}

/** A small collection, kept point by point. */
export function storedCollection(options: StoredCollectionOptions, version: QdrantVersion): Collection {
  return new KeptCollection(options, version);
}

class KeptCollection implements Collection {
  readonly name: string;
  readonly shardKeys: readonly ShardKey[];
  readonly #version: QdrantVersion;
  #rows: readonly StoredPoint[];
  create: JsonObject;
  updateQueue = 0;
  readonly fetched = undefined;

  constructor({ create, name, points, shardKeys = [] }: StoredCollectionOptions, version: QdrantVersion) {
    this.name = name;
    this.create = create;
    this.shardKeys = shardKeys;
    this.#version = version;
    this.#rows = points.map((text) => storePoint(create, text));
  }

  get indexedVectors(): number {
    return this.#rows.reduce((sum, point) => sum + sparseVectors(point), 0);
  }

  points(wanted: readonly ShardKey[] | undefined): ReturnType<Collection['points']> {
    const keys = wanted ?? this.shardKeys;
    const chosen = this.#rows.filter((row) => row.shardKey === undefined || keys.includes(row.shardKey));
    // Where two shard keys hold an id, the one that is listed last is seen.
    const seen = new Map<IdKey, StoredPoint>();
    for (const key of this.shardKeys.length === 0 ? [undefined] : keys) {
      for (const row of chosen) if (row.shardKey === key) seen.set(idKey(row.id), row);
    }
    return { source: storedPoints([...seen.values()], this.#version), count: chosen.length };
  }

  change(change: Change): void {
    switch (change.kind) {
      case 'addVector':
        this.create = withVector(this.create, change.vector);
        return;
      case 'dropVector':
        this.create = withoutVector(this.create, change.name);
        this.#rows = this.#rows.map((row) => ({ ...row, vectors: without(row.vectors, change.name) }));
        return;
      case 'upsertPoints':
        for (const text of change.points) this.#upsert(storePoint(this.create, text));
        return;
      case 'deletePoints':
        for (const id of change.ids) this.#delete(id, change.shardKey);
        return;
      case 'updateQueue':
        this.updateQueue = change.length;
        return;
      case 'addPoints':
        throw new Error('it is stored: it takes upsertPoints, not addPoints');
    }
  }

  #upsert(point: StoredPoint): void {
    const others = this.#rows.filter(({ id, shardKey }) => id !== point.id || shardKey !== point.shardKey);
    this.#rows = [...others, point];
  }

  #delete(id: PointId, shardKey: ShardKey | undefined): void {
    const rest = this.#rows.filter((row) => row.id !== id || (shardKey ?? row.shardKey) !== row.shardKey);
    if (rest.length === this.#rows.length) throw new Error(`it has no point ${id} to delete`);
    this.#rows = rest;
  }
}

function without(vectors: StoredPoint['vectors'], name: string): StoredPoint['vectors'] {
  return new Map([...vectors].filter(([key]) => key !== name));
}

function storePoint(create: JsonObject, text: string): StoredPoint {
  const { id, payload, shard_key: key, vector } = objectOf(text);
  return {
    id: id instanceof ExactNumber ? id.source : (id as PointId),
    payload: isObject(payload) ? payload : {},
    vectors: storeVectors(create, vector ?? {}),
    ...(key === undefined ? {} : { shardKey: shardKeyOf(key) }),
  };
}

function sparseVectors({ vectors }: StoredPoint): number {
  return [...vectors.values()].filter((vector) => vector.kind === 'sparse' && vector.values.length > 0)
    .length;
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
    isPresent: () => true,
    isRetrievable: () => true,
    matches: (position: number, filter: Filter) =>
      matchesFilter(filter, {
        id: keys[position] as IdKey,
        payload: at(position).payload,
        hasVector: (name) => at(position).vectors.has(name),
      }),
    point: at,
    noteFetched: () => {},
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
