import { create, toBinary } from '@bufbuild/protobuf';
import {
  CollectionInfoSchema,
  CollectionStatus,
  Datatype,
  Distance,
  Modifier,
  MultiVectorComparator,
  QuantizationType,
  ShardingMethod,
} from '@qdrant/js-client-grpc';
import type { Collection, QdrantVersion } from './collection.ts';
import { collectionInfo } from './collection-info.ts';
import { ExactNumber, isObject, type JsonObject } from './exact-json.ts';
import { bytesField, stringField, varintField } from './protobuf.ts';
import { hasUnnamedVector } from './store-vectors.ts';

/** Content of the CollectionInfo message, from the same facts as the REST answer. */
export function collectionInfoProto(collection: Collection, version: QdrantVersion): Uint8Array {
  const info = collectionInfo(collection, version);
  const config = info.config as JsonObject;
  const params = config.params as JsonObject;
  const strict = config.strict_mode_config;
  const message = create(CollectionInfoSchema, {
    status: CollectionStatus.Green,
    optimizerStatus: { ok: true },
    segmentsCount: big(info.segments_count),
    pointsCount: big(info.points_count),
    indexedVectorsCount: big(info.indexed_vectors_count),
    config: {
      params: {
        shardNumber: number(params.shard_number),
        onDiskPayload: true,
        vectorsConfig: vectorsConfig(collection.create, params.vectors as JsonObject),
        replicationFactor: 1,
        writeConsistencyFactor: 1,
        ...(params.sharding_method === 'custom' ? { shardingMethod: ShardingMethod.Custom } : {}),
      },
      hnswConfig: hnswConfig(config.hnsw_config as JsonObject),
      optimizerConfig: OPTIMIZER,
      walConfig: { walCapacityMb: 32n, walSegmentsAhead: 0n, walRetainClosed: 1n },
      ...quantizationConfig(config.quantization_config),
      ...(isObject(strict) ? { strictModeConfig: strictModeConfig(strict) } : {}),
    },
    ...(version === '1.16.3' ? {} : { updateQueue: { length: BigInt(collection.updateQueue) } }),
  });
  const sparse = params.sparse_vectors;
  const paramsMessage = message.config?.params;
  if (paramsMessage !== undefined && isObject(sparse)) paramsMessage.$unknown = [sparseVectorsConfig(sparse)];
  return toBinary(CollectionInfoSchema, message);
}

const OPTIMIZER = {
  deletedThreshold: 0.2,
  vacuumMinVectorNumber: 1000n,
  defaultSegmentNumber: 0n,
  indexingThreshold: 10000n,
  flushIntervalSec: 5n,
  maxOptimizationThreads: { variant: { case: 'setting' as const, value: 0 } },
};

function vectorsConfig(createJson: JsonObject, vectors: JsonObject) {
  if (hasUnnamedVector(createJson)) {
    return { config: { case: 'params' as const, value: vectorParams(vectors) } };
  }
  const map = Object.fromEntries(
    Object.entries(vectors).map(([name, spec]) => [name, vectorParams(spec as JsonObject)]),
  );
  return { config: { case: 'paramsMap' as const, value: { map } } };
}

function vectorParams(spec: JsonObject) {
  const { distance, datatype, multivector_config: multi, on_disk: onDisk } = spec;
  return {
    size: big(spec.size),
    distance: Distance[distance as keyof typeof Distance],
    ...(typeof onDisk === 'boolean' ? { onDisk } : {}),
    ...(typeof datatype === 'string' ? { datatype: DATATYPES[datatype as keyof typeof DATATYPES] } : {}),
    ...(isObject(multi) ? { multivectorConfig: { comparator: MultiVectorComparator.MaxSim } } : {}),
  };
}

const DATATYPES = {
  float32: Datatype.Float32,
  float16: Datatype.Float16,
  uint8: Datatype.Uint8,
  turbo4: Datatype.Turbo4,
};

/**
 * Field 10 of CollectionParams, its last, by hand: prost leaves an empty value out of a map's entry, the
 * library writes it.
 */
function sparseVectorsConfig(sparse: JsonObject) {
  const entries = Object.entries(sparse).map(([name, spec]) => {
    const params = Buffer.concat([sparseIndex(spec as JsonObject), modifier(spec as JsonObject)]);
    return bytesField(1, stringField(1, name), params.length === 0 ? params : bytesField(2, params));
  });
  // An unknown field's data includes its length.
  const data = bytesField(10, ...entries).subarray(1);
  return { no: 10, wireType: 2, data };
}

/** SparseVectorParams: index 1 (SparseIndexConfig: datatype 3), modifier 2. */
function sparseIndex({ index }: JsonObject): Buffer {
  if (!isObject(index)) return Buffer.alloc(0);
  const { datatype } = index;
  const known = typeof datatype === 'string' ? DATATYPES[datatype as keyof typeof DATATYPES] : undefined;
  return bytesField(1, known === undefined ? Buffer.alloc(0) : varintField(3, known));
}

function modifier(spec: JsonObject): Buffer {
  return spec.modifier === 'idf' ? varintField(2, Modifier.Idf) : Buffer.alloc(0);
}

function hnswConfig(config: JsonObject) {
  return {
    m: big(config.m),
    efConstruct: big(config.ef_construct),
    fullScanThreshold: big(config.full_scan_threshold),
    maxIndexingThreads: big(config.max_indexing_threads),
    onDisk: config.on_disk === true,
  };
}

function quantizationConfig(config: unknown) {
  if (!isObject(config as JsonObject | undefined)) return {};
  const { scalar } = config as JsonObject;
  if (!isObject(scalar)) return {};
  const value = { type: QuantizationType.Int8, alwaysRam: scalar.always_ram === true };
  return { quantizationConfig: { quantization: { case: 'scalar' as const, value } } };
}

function strictModeConfig(strict: JsonObject) {
  const optional = (key: string, name: string) =>
    strict[key] instanceof ExactNumber ? { [name]: number(strict[key]) } : {};
  return {
    enabled: strict.enabled === true,
    ...optional('max_query_limit', 'maxQueryLimit'),
    ...optional('max_timeout', 'maxTimeout'),
    ...optional('read_rate_limit', 'readRateLimit'),
  };
}

function number(json: unknown): number {
  return json instanceof ExactNumber ? json.value : 0;
}

function big(json: unknown): bigint {
  return BigInt(number(json));
}
