import { ToolError } from '../errors.ts';
import type { CollectionShape, StrictMode, VectorSpec } from '../model.ts';
import { canonicalConfig } from './collection-config.ts';
import type { Whole } from './rest-answer.ts';

/** Qdrant's own limit is 65,536; this leaves it room, and keeps a strange answer from being a memory's size. */
const MOST_DIMENSIONS = 2 ** 20;

/** What is read of a CollectionInfo; members that are not here are not looked at. */
export interface CollectionInfo {
  readonly config?: {
    readonly params?: CollectionParams | null;
    readonly strict_mode_config?: StrictModeConfig | null;
  };
  /** From 1.18. */
  readonly update_queue?: { readonly length?: Whole } | null;
}

interface CollectionParams {
  readonly vectors?: VectorParams | Readonly<Record<string, VectorParams>> | null;
  readonly sparse_vectors?: Readonly<Record<string, SparseParams | null>> | null;
  readonly shard_number?: Whole | null;
  readonly sharding_method?: string | null;
}

/** Newer servers have datatypes with parameters: {kind: {…}}. */
type Datatype = string | Readonly<Record<string, unknown>>;

interface VectorParams {
  readonly size?: Whole;
  readonly distance?: string;
  readonly multivector_config?: unknown;
  readonly datatype?: Datatype | null;
}

interface SparseParams {
  readonly index?: { readonly datatype?: Datatype | null } | null;
}

interface StrictModeConfig {
  readonly enabled?: boolean | null;
  readonly max_query_limit?: Whole | null;
  readonly read_rate_limit?: Whole | null;
  readonly max_timeout?: Whole | null;
}

/**
 * What GET /collections/{name} says of a collection's shape, by its `result`. Its own name and its shard keys
 * are told elsewhere.
 */
export function shapeOf(name: string, serverVersion: string, info: CollectionInfo): CollectionShape {
  const { config, update_queue: queue } = info;
  const params = config?.params;
  if (params == null) throw new ToolError('qdrant', "Qdrant's answer has no parameters");
  return {
    name,
    collection: name,
    serverVersion,
    vectors: vectorsOf(params),
    shardCount: Number(params.shard_number ?? 1),
    sharding: params.sharding_method === 'custom' ? 'custom' : 'auto',
    shardKeys: [],
    config: canonicalConfig(config),
    updateQueue: queue?.length === undefined ? undefined : Number(queue.length),
    strictMode: strictModeOf(config?.strict_mode_config),
  };
}

/** In the order of their names. */
function vectorsOf({ vectors, sparse_vectors: sparse }: CollectionParams): readonly VectorSpec[] {
  const specs: VectorSpec[] = [];
  if (isUnnamed(vectors)) specs.push(vectorOf('', vectors));
  else for (const [name, params] of Object.entries(vectors ?? {})) specs.push(vectorOf(name, params));
  for (const [name, params] of Object.entries(sparse ?? {})) {
    const datatype = datatypeName(params?.index?.datatype);
    specs.push({ kind: 'sparse', name, size: 0, distance: 'Dot', datatype });
  }
  return specs.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A vector may be called `size`: only the unnamed one has a number there. */
function isUnnamed(vectors: CollectionParams['vectors']): vectors is VectorParams {
  return typeof vectors?.size === 'number' || typeof vectors?.size === 'bigint';
}

function vectorOf(name: string, params: VectorParams | null): VectorSpec {
  const size = Number(params?.size);
  if (!Number.isInteger(size) || size < 1 || size > MOST_DIMENSIONS) {
    throw new ToolError(
      'qdrant',
      `Qdrant's answer declares a vector \`${name}\` of ${params?.size} dimensions`,
    );
  }
  return {
    kind: params?.multivector_config == null ? 'dense' : 'multi',
    name,
    size,
    distance: String(params?.distance),
    datatype: datatypeName(params?.datatype),
  };
}

function datatypeName(datatype: Datatype | null | undefined): string {
  if (datatype == null) return 'float32';
  return typeof datatype === 'string' ? datatype : Object.keys(datatype).join();
}

function strictModeOf(config: StrictModeConfig | null | undefined): StrictMode {
  if (config?.enabled !== true) return {};
  const { max_query_limit: limit, read_rate_limit: rate, max_timeout: timeout } = config;
  return {
    ...(limit == null ? {} : { maxQueryLimit: Number(limit) }),
    ...(rate == null ? {} : { readRateLimit: Number(rate) }),
    ...(timeout == null ? {} : { maxTimeoutSeconds: Number(timeout) }),
  };
}
