import { ToolError } from '../errors.ts';

/** Names an error shows at most. */
const SHOWN = 5;

/**
 * The error for a collection that the server does not have. It names those it has, where the key may list
 * them; a key that may not gets the plain sentence.
 */
export async function unknownCollection(
  collection: string,
  url: URL,
  cause: unknown,
  list: () => Promise<readonly string[]>,
): Promise<ToolError> {
  const names = await list().catch(() => undefined);
  return new ToolError('qdrant', `There is no collection \`${collection}\` on ${url.host}${others(names)}.`, {
    cause,
  });
}

function others(names: readonly string[] | undefined): string {
  if (names === undefined) return '';
  if (names.length === 0) return ', which has none at all';
  const shown = names.slice(0, SHOWN).map((name) => `\`${name}\``);
  const more = names.length - shown.length;
  return `; it has ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
