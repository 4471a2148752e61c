import { ToolError } from '../errors.ts';
import { distinctShardKeys, type ShardKey } from '../model.ts';
import type { Whole } from './rest-answer.ts';

/** A shard key as REST spells it. */
type Spelled = string | Whole | null;

/** What is read of GET /collections/{name}/shards. */
export interface ShardKeysResult {
  readonly shard_keys?: readonly { readonly key: Spelled }[] | null;
}

/** What is read of GET /collections/{name}/cluster: a key occurs with each of its shards. */
export interface ClusterResult {
  readonly local_shards?: readonly { readonly shard_key?: Spelled }[] | null;
  readonly remote_shards?: readonly { readonly shard_key?: Spelled }[] | null;
}

export function listedShardKeys({ shard_keys: listed }: ShardKeysResult): readonly ShardKey[] {
  return distinctShardKeys((listed ?? []).map(({ key }) => shardKeyOf(key)));
}

export function shardKeysOfCluster(cluster: ClusterResult): readonly ShardKey[] {
  const shards = [...(cluster.local_shards ?? []), ...(cluster.remote_shards ?? [])];
  return distinctShardKeys(shards.flatMap(({ shard_key: key }) => (key == null ? [] : shardKeyOf(key))));
}

function shardKeyOf(spelled: Spelled): ShardKey {
  if (typeof spelled === 'string') return { kind: 'keyword', text: spelled };
  const isU64 = typeof spelled === 'bigint' || Number.isSafeInteger(spelled);
  if (isU64 && Number(spelled) >= 0) return { kind: 'number', text: String(spelled) };
  throw new ToolError(
    'qdrant',
    `the answer has ${String(spelled)} for a shard key, which is neither word nor u64`,
  );
}
