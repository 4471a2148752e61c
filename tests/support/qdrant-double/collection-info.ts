import type { Collection, QdrantVersion } from './collection.ts';
import { ExactNumber, isObject, type Json, type JsonObject, objectOf } from './exact-json.ts';
import { hasUnnamedVector } from './store-vectors.ts';

/** `result` of GET /collections/{name}, in the server's key order. */
export function collectionInfo(collection: Collection, version: QdrantVersion): JsonObject {
  const { create } = collection;
  const isOld = version === '1.16.3';
  return {
    status: 'green',
    optimizer_status: 'ok',
    indexed_vectors_count: integer(collection.indexedVectors),
    points_count: integer(collection.points(undefined).count),
    segments_count: integer(2 * shardCount(collection)),
    config: {
      params: collectionParams(create),
      hnsw_config: { ...objectOf(HNSW), ...(create.hnsw_config as JsonObject | undefined) },
      optimizer_config: objectOf(isOld ? OPTIMIZER : OPTIMIZER_1_18),
      wal_config: objectOf(WAL),
      quantization_config: create.quantization_config ?? null,
      ...strictModeConfig(create),
    },
    payload_schema: {},
    ...(isOld ? {} : { update_queue: { length: integer(collection.updateQueue) } }),
  };
}

/** Shards that the collection has in all: one a shard key, or shard_number of them. */
export function shardCount(collection: Collection): number {
  if (collection.shardKeys.length > 0) return collection.shardKeys.length;
  const { shard_number: shards } = collection.create;
  return shards instanceof ExactNumber ? shards.value : 1;
}

function collectionParams(create: JsonObject): JsonObject {
  const { vectors, sharding_method: sharding, shard_number: shards, sparse_vectors: sparse } = create;
  return {
    vectors: hasUnnamedVector(create) ? (vectors as Json) : sortedByName(vectors as JsonObject),
    shard_number: shards ?? integer(1),
    ...(sharding === undefined ? {} : { sharding_method: sharding }),
    replication_factor: integer(1),
    write_consistency_factor: integer(1),
    on_disk_payload: true,
    ...(isObject(sparse) ? { sparse_vectors: sortedByName(sparse) } : {}),
  };
}

function sortedByName(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Strict mode in the order of the server's own struct. */
function strictModeConfig(create: JsonObject): JsonObject {
  const { strict_mode_config: strict } = create;
  if (!isObject(strict)) return {};
  const entries = STRICT_MODE_ORDER.filter((key) => key in strict).map((key) => [key, strict[key] as Json]);
  return { strict_mode_config: Object.fromEntries(entries) };
}

const STRICT_MODE_ORDER = ['enabled', 'max_query_limit', 'max_timeout', 'read_rate_limit'];

const HNSW =
  '{"m":16,"ef_construct":100,"full_scan_threshold":10000,"max_indexing_threads":0,"on_disk":false}';
const OPTIMIZER =
  '{"deleted_threshold":0.2,"vacuum_min_vector_number":1000,"default_segment_number":0,"max_segment_size":null,"memmap_threshold":null,"indexing_threshold":10000,"flush_interval_sec":5,"max_optimization_threads":null}';
const OPTIMIZER_1_18 = OPTIMIZER.replace('}', ',"prevent_unoptimized":null}');
const WAL = '{"wal_capacity_mb":32,"wal_segments_ahead":0,"wal_retain_closed":1}';

function integer(value: number): ExactNumber {
  return new ExactNumber(String(value));
}
