import type { CollectionShape } from '../model.ts';

export interface Passes {
  readonly passes: 'one' | 'two';
  /** Why, in a few words for people. */
  readonly reason: string;
}

/**
 * Two passes read ids by scroll and points by retrieve; one pass scrolls with vectors. A scroll makes every
 * shard read a full page of points and drops the rest, so that with several shards two passes cost the server
 * a fraction; a read limit counts a retrieve as its number of ids, but a scroll as one.
 */
export function choosePasses(wanted: 'auto' | 'one' | 'two', shape: CollectionShape): Passes {
  if (wanted !== 'auto') return { passes: wanted, reason: 'as asked' };
  if (shape.strictMode.readRateLimit !== undefined) {
    return { passes: 'one', reason: 'strict mode counts every retrieved point as a read' };
  }
  if (shape.shardCount > 1) return { passes: 'two', reason: `${shape.shardCount} shards` };
  return { passes: 'two', reason: 'points are retrieved in parallel' };
}
