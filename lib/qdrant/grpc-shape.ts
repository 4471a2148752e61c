import {
  type CollectionParams,
  Datatype,
  Distance,
  type GetCollectionInfoResponse,
  ShardingMethod,
  type StrictModeConfig,
  type VectorParams,
} from '@qdrant/js-client-grpc';
import { ToolError } from '../errors.ts';
import type { CollectionShape, StrictMode, VectorSpec } from '../model.ts';

/** What the answer of Collections/Get says of a collection's shape. */
export function shapeOf(
  name: string,
  serverVersion: string,
  answer: GetCollectionInfoResponse,
): CollectionShape {
  const config = answer.result?.config;
  const params = config?.params;
  if (params === undefined) {
    throw new ToolError(
      'qdrant',
      `Cannot look up collection \`${name}\`: Qdrant's answer has no parameters.`,
    );
  }
  return {
    name,
    serverVersion,
    vectors: vectorsOf(params),
    shardCount: params.shardNumber,
    sharding: params.shardingMethod === ShardingMethod.Custom ? 'custom' : 'auto',
    strictMode: strictModeOf(config?.strictModeConfig),
  };
}

/** In the order of their names, which the wire's maps do not have. */
function vectorsOf(params: CollectionParams): readonly VectorSpec[] {
  const config = params.vectorsConfig?.config;
  const vectors: VectorSpec[] = [];
  if (config?.case === 'params') vectors.push(vectorOf('', config.value));
  if (config?.case === 'paramsMap') {
    for (const [name, vector] of Object.entries(config.value.map)) vectors.push(vectorOf(name, vector));
  }
  for (const name of Object.keys(params.sparseVectorsConfig?.map ?? {})) {
    vectors.push({ kind: 'sparse', name, size: 0, distance: 'Dot', datatype: 'float32' });
  }
  return vectors.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function vectorOf(name: string, params: VectorParams): VectorSpec {
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
