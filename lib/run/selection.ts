import { ToolError } from '../errors.ts';
import type { CollectionShape, ShardKey, VectorSpec } from '../model.ts';
import type { ExportPlan } from '../plan.ts';
import type { PointSet } from '../qdrant/transport.ts';

/** Names that an error shows at most. */
const SHOWN = 10;

/** The vectors that the plan asks for, in the collection's order; a ToolError for one that it does not have. */
export function chosenVectors(
  shape: CollectionShape,
  { vectors: wanted }: Pick<ExportPlan, 'vectors'>,
): readonly VectorSpec[] {
  if (wanted === undefined) return shape.vectors;
  for (const name of wanted) {
    if (shape.vectors.some((spec) => spec.name === name)) continue;
    throw new ToolError(
      'usage',
      `Collection \`${shape.name}\` has no ${vectorName(name)}; ${offered(
        'it has',
        shape.vectors.map(({ name: own }) => (own === '' ? 'an unnamed one' : `\`${own}\``)),
      )}.`,
    );
  }
  return shape.vectors.filter(({ name }) => wanted.includes(name));
}

/**
 * The sets of points that the plan asks for, in the order of the export. Under custom sharding every shard key
 * is one: the same id may lie under several, and a read without a key shows only one of them.
 */
export function chosenPoints(
  shape: CollectionShape,
  { shardKey, filter }: Pick<ExportPlan, 'shardKey' | 'filter'>,
): readonly PointSet[] {
  const { collection } = shape;
  if (shape.sharding === 'auto') {
    if (shardKey === undefined) return [{ collection, shardKey, filter }];
    throw new ToolError(
      'usage',
      `--shard-key is \`${shardKey}\`, but collection \`${shape.name}\` has no shard keys (its sharding is automatic); leave the flag out.`,
    );
  }
  const keys = shardKey === undefined ? shape.shardKeys : [chosenKey(shape, shardKey)];
  return keys.map((key) => ({ collection, shardKey: key, filter }));
}

/** `acme` is a keyword, `7` a number or, where there is no such number, a keyword; `"7"` is the keyword. */
function chosenKey(shape: CollectionShape, typed: string): ShardKey {
  const inQuotes = /^"(.*)"$/s.exec(typed)?.[1];
  const { shardKeys } = shape;
  const found =
    shardKeys.find(({ kind, text }) => kind === 'number' && text === typed) ??
    shardKeys.find(({ kind, text }) => kind === 'keyword' && (text === typed || text === inQuotes));
  if (found !== undefined) return found;
  throw new ToolError(
    'usage',
    `Collection \`${shape.name}\` has no shard key \`${typed}\`; ${offered('it has', shardKeys.map(keyName))}.`,
  );
}

/** The set of all that the plan asks for, for one count. */
export function allPoints(shape: CollectionShape, sets: readonly PointSet[], plan: ExportPlan): PointSet {
  const [only, ...others] = sets;
  if (only !== undefined && others.length === 0) return only;
  // Without a key a count counts an id once for each key that it lies under: just what is exported.
  return { collection: shape.collection, shardKey: undefined, filter: plan.filter };
}

function keyName({ kind, text }: ShardKey): string {
  return kind === 'number' ? text : `\`${text}\``;
}

/** For sentences. */
export function vectorName(name: string): string {
  return name === '' ? 'unnamed vector' : `vector \`${name}\``;
}

function offered(words: string, names: readonly string[]): string {
  if (names.length === 0) return `${words} none at all`;
  const more = names.length - SHOWN;
  return `${words} ${names.slice(0, SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
