import { ToolError } from '../errors.ts';
import type { PointSet } from './transport.ts';

/** Characters of Qdrant's words on a filter that an error repeats at most. */
const QUOTED = 240;

/** A read of points that was refused. */
export interface Refused {
  readonly purpose: string;
  readonly points: PointSet;
  /** Qdrant's words. */
  readonly said: string;
  readonly cause: unknown;
}

/**
 * The error for a read of points that Qdrant refuses for what was asked, and not for its own state: told by its
 * words (recorded of 1.16 and 1.18, and in its source), as it has one status for all of them. Undefined for any
 * other refusal. None of these is worth another try.
 */
export function refusal(
  { purpose, points, said, cause }: Refused,
  isAboutFilter: (said: string) => boolean,
): ToolError | undefined {
  const cannot = `Cannot ${purpose}:`;
  const vector = /not existing vector name error: ?(.*)/is.exec(said)?.[1];
  if (vector !== undefined) {
    const which = vector === '' ? 'its unnamed vector' : `its vector \`${vector}\``;
    return new ToolError(
      'integrity',
      `${cannot} ${which} is gone; the collection's vectors changed while it was being exported. Export it again.`,
      { cause },
    );
  }
  if (points.shardKey !== undefined && /shard key .*not found/i.test(said)) {
    return new ToolError(
      'integrity',
      `${cannot} its shard key \`${points.shardKey.text}\` is gone; the collection's shard keys changed while it was being exported. Export it again.`,
      { cause },
    );
  }
  if (points.filter === undefined || !isAboutFilter(said)) return undefined;
  return new ToolError(
    'usage',
    `${cannot} Qdrant does not take the filter given with --filter: ${inShort(said)}`,
    { cause },
  );
}

/** Without the place in our own body, which means nothing to whoever wrote the filter. */
function inShort(said: string): string {
  const words = said
    .replace(/\s+/g, ' ')
    .replace(/^(format|deserialize|validation) error in (json )?body: /i, '')
    .replace(/^(bad request|wrong input): /i, '')
    .replace(/ at line \d+ column \d+$/i, '')
    .trim();
  const cut = words.length > QUOTED ? `${words.slice(0, QUOTED).replace(/ \S*$/, '')} …` : words;
  return /[.!?…]$/.test(cut) ? cut : `${cut}.`;
}
