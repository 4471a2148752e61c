import {
  type CollectionInfo,
  type CollectionParams,
  Datatype,
  Distance,
  ShardingMethod,
  type StrictModeConfig,
  type VectorParams,
} from '@qdrant/js-client-grpc';
import { ToolError } from '../errors.ts';
import type { CollectionShape, StrictMode, VectorSpec } from '../model.ts';
import { canonicalConfig } from './collection-config.ts';
import { restConfigOf } from './grpc-config.ts';

/** Qdrant's own limit is 65,536; this leaves it room, and keeps a strange answer from being a memory's size. */
const MOST_DIMENSIONS = 2 ** 20;

/**
 * What the answer of Collections/Get says of a collection's shape. Its own name and its shard keys are told
 * elsewhere.
 */
export function shapeOf(
  name: string,
  serverVersion: string,
  info: CollectionInfo | undefined,
): CollectionShape {
  const config = info?.config;
  const params = config?.params;
  if (params === undefined) {
    throw new ToolError(
      'qdrant',
      `Cannot look up collection \`${name}\`: Qdrant's answer has no parameters.`,
    );
  }
  const queue = info?.updateQueue;
  return {
    name,
    collection: name,
    serverVersion,
    vectors: vectorsOf(name, params),
    shardCount: params.shardNumber,
    sharding: params.shardingMethod === ShardingMethod.Custom ? 'custom' : 'auto',
    shardKeys: [],
    config: canonicalConfig(restConfigOf(config as NonNullable<typeof config>)),
    updateQueue: queue === undefined ? undefined : Number(queue.length),
    strictMode: strictModeOf(config?.strictModeConfig),
  };
}

/** In the order of their names, which the wire's maps do not have. */
function vectorsOf(collection: string, params: CollectionParams): readonly VectorSpec[] {
  const config = params.vectorsConfig?.config;
  const vectors: VectorSpec[] = [];
  if (config?.case === 'params') vectors.push(vectorOf(collection, '', config.value));
  if (config?.case === 'paramsMap') {
    for (const [name, vector] of Object.entries(config.value.map)) {
      vectors.push(vectorOf(collection, name, vector));
    }
  }
  for (const [name, { index }] of Object.entries(params.sparseVectorsConfig?.map ?? {})) {
    const datatype = datatypeName(index?.datatype);
    vectors.push({ kind: 'sparse', name, size: 0, distance: 'Dot', datatype });
  }
  return vectors.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function vectorOf(collection: string, name: string, params: VectorParams): VectorSpec {
  if (params.size < 1n || params.size > MOST_DIMENSIONS) {
    throw new ToolError(
      'qdrant',
      `Cannot look up collection \`${collection}\`: Qdrant's answer declares a vector \`${name}\` of ${params.size} dimensions.`,
    );
  }
  return {
    kind: params.multivectorConfig === undefined ? 'dense' : 'multi',
    name,
    size: Number(params.size),
    distance: Distance[params.distance] ?? String(params.distance),
    datatype: datatypeName(params.datatype),
  };
}

function datatypeName(datatype: Datatype | undefined): string {
  if (datatype === undefined || datatype === Datatype.Default) return 'float32';
  return (Datatype[datatype] ?? String(datatype)).toLowerCase();
}

function strictModeOf(config: StrictModeConfig | undefined): StrictMode {
  if (config?.enabled !== true) return {};
  return {
    ...(config.maxQueryLimit === undefined ? {} : { maxQueryLimit: config.maxQueryLimit }),
    ...(config.readRateLimit === undefined ? {} : { readRateLimit: config.readRateLimit }),
    ...(config.maxTimeout === undefined ? {} : { maxTimeoutSeconds: config.maxTimeout }),
  };
}
