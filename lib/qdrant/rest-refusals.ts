import { ToolError } from '../errors.ts';
import type { PointSet } from './transport.ts';

/** Characters of Qdrant's words on a filter that an error repeats at most. */
const QUOTED = 240;

/**
 * The error for a read of `points` that Qdrant refuses for what was asked, and not for its own state: told by
 * its words (recorded of 1.16 and 1.18, and in its source), as it has one status for all of them. Undefined for
 * any other refusal. None of these is worth another try.
 */
export function refusal(
  purpose: string,
  points: PointSet,
  status: number,
  said: string,
  cause: unknown,
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
  if (points.filter === undefined || !isAboutFilter(status, said)) return undefined;
  return new ToolError(
    'usage',
    `${cannot} Qdrant does not take the filter given with --filter: ${inShort(said)}`,
    {
      cause,
    },
  );
}

/** Whatever else is in the body is ours and well-formed, so errors in the body are the filter's. */
function isAboutFilter(status: number, said: string): boolean {
  if (status !== 400 && status !== 422) return false;
  return (
    /^(format|deserialize|validation|content type) error in json body/i.test(said) ||
    /filter|condition|index required|wrong input/i.test(said)
  );
}

/** Without the place in our own body, which means nothing to whoever wrote the filter. */
function inShort(said: string): string {
  const words = said
    .replace(/\s+/g, ' ')
    .replace(/^(format|deserialize|validation) error in json body: /i, '')
    .replace(/^(bad request|wrong input): /i, '')
    .replace(/ at line \d+ column \d+$/i, '')
    .trim();
  const cut = words.length > QUOTED ? `${words.slice(0, QUOTED).replace(/ \S*$/, '')} …` : words;
  return /[.!?…]$/.test(cut) ? cut : `${cut}.`;
}
