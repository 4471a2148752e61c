import type { ShardKey } from './collection.ts';
import { ExactNumber, type Json } from './exact-json.ts';

/** A shard key as REST bodies spell it: a keyword, or an unsigned integer. */
export function shardKeyOf(json: Json): ShardKey {
  return json instanceof ExactNumber ? numericShardKey(BigInt(json.source)) : String(json);
}

/** A double where that is exact, so that equal keys are equal values. */
export function numericShardKey(value: bigint): ShardKey {
  const double = Number(value);
  return Number.isSafeInteger(double) ? double : value;
}
