import type { ShardKey } from '../../lib/model.ts';
import type { PointSet } from '../../lib/qdrant/transport.ts';

/** All points of a collection, or those under a shard key, or those that match a filter. */
export function pointsOf(
  collection: string,
  only: { readonly shardKey?: ShardKey; readonly filter?: string } = {},
): PointSet {
  return { collection, shardKey: only.shardKey, filter: only.filter };
}
