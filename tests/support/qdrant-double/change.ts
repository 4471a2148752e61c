import type { PointId } from '../../../lib/model.ts';
import type { ShardKey } from './collection.ts';
import type { GeneratedVector } from './generated-vector.ts';

/** What happens to a collection while it is read. */
export type Change =
  /** A new vector name (servers from 1.18 on). Generated points have it by its own rule, stored ones lack it. */
  | { readonly kind: 'addVector'; readonly vector: GeneratedVector }
  | { readonly kind: 'dropVector'; readonly name: string }
  /** Generated collections: points that were declared `absent`, or deleted, appear; under all shard keys unless told. */
  | { readonly kind: 'addPoints'; readonly ids: readonly PointId[]; readonly shardKey?: ShardKey }
  /** Stored collections: JSON texts of points, as an upsert spells them; equal ids are replaced. */
  | { readonly kind: 'upsertPoints'; readonly points: readonly string[] }
  | { readonly kind: 'deletePoints'; readonly ids: readonly PointId[]; readonly shardKey?: ShardKey }
  | { readonly kind: 'updateQueue'; readonly length: number };
