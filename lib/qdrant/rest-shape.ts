import type { Schemas } from '@qdrant/js-client-rest';
import { ToolError } from '../errors.ts';
import type { CollectionShape, StrictMode, VectorSpec } from '../model.ts';

/** What GET /collections/{name} says of a collection's shape. `answer` is its `result`. */
export function shapeOf(
  name: string,
  serverVersion: string,
  answer: Schemas['CollectionInfo'] | undefined,
): CollectionShape {
  const config = answer?.config;
  const params = config?.params;
  if (params === undefined) throw new ToolError('qdrant', "Qdrant's answer has no parameters");
  return {
    name,
    serverVersion,
    vectors: vectorsOf(params),
    shardCount: params.shard_number ?? 1,
    sharding: params.sharding_method === 'custom' ? 'custom' : 'auto',
    strictMode: strictModeOf(config?.strict_mode_config),
  };
}

/** In the order of their names. */
function vectorsOf(params: Schemas['CollectionParams']): readonly VectorSpec[] {
  const config = params.vectors;
  const vectors: VectorSpec[] = [];
  if (isUnnamed(config)) vectors.push(vectorOf('', config));
  else
    for (const [name, vector] of Object.entries(config ?? {})) {
      if (vector !== undefined) vectors.push(vectorOf(name, vector));
    }
  for (const name of Object.keys(params.sparse_vectors ?? {})) {
    vectors.push({ kind: 'sparse', name, size: 0, distance: 'Dot', datatype: 'float32' });
  }
  return vectors.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A vector may be called `size`: only the unnamed one has a number there. */
function isUnnamed(config: Schemas['VectorsConfig'] | undefined): config is Schemas['VectorParams'] {
  return typeof config?.size === 'number';
}

function vectorOf(name: string, params: Schemas['VectorParams']): VectorSpec {
  return {
    kind: params.multivector_config == null ? 'dense' : 'multi',
    name,
    size: params.size,
    distance: params.distance,
    datatype: datatypeName(params.datatype),
  };
}

function datatypeName(datatype: Schemas['VectorParams']['datatype']): string {
  if (datatype == null) return 'float32';
  // Newer servers have kinds with parameters: {kind: {…}}.
  return typeof datatype === 'string' ? datatype : Object.keys(datatype).join();
}

function strictModeOf(config: Schemas['StrictModeConfigOutput'] | null | undefined): StrictMode {
  if (config?.enabled !== true) return {};
  return {
    ...(config.max_query_limit == null ? {} : { maxQueryLimit: config.max_query_limit }),
    ...(config.read_rate_limit == null ? {} : { readRateLimit: config.read_rate_limit }),
    ...(config.max_timeout == null ? {} : { maxTimeoutSeconds: config.max_timeout }),
  };
}
