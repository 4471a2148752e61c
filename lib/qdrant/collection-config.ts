import { ToolError } from '../errors.ts';

/** Deepest nesting that is written; Qdrant itself reads JSON of 128 levels at most. */
const MAX_DEPTH = 512;

/**
 * The member that holds what users keep beside a collection (from 1.16), where null is a value like others. An
 * empty one is left out: over gRPC it cannot be told from none.
 */
const USERS_OWN = 'metadata';

/**
 * A collection's `config` as REST spells it, as canonical JSON: compact, keys sorted by code point, members that
 * are null left out, so that neither transport nor server version shows (newer servers name settings as null
 * that older ones do not know). Integers may be bigints and keep every digit; what is undefined is not there.
 */
export function canonicalConfig(config: unknown): string {
  return textOf(withoutEmptyMetadata(config ?? {}), 0, false);
}

function withoutEmptyMetadata(config: object): object {
  const { [USERS_OWN]: own, ...others } = config as { readonly [USERS_OWN]?: unknown };
  const isEmpty = typeof own === 'object' && own !== null && Object.keys(own).length === 0;
  return isEmpty ? others : config;
}

function textOf(value: unknown, depth: number, keepsNulls: boolean): string {
  if (depth > MAX_DEPTH) {
    throw new ToolError('qdrant', `the collection's config is nested deeper than ${MAX_DEPTH} levels`);
  }
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => textOf(item, depth + 1, keepsNulls)).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).filter(
    ([, member]) => member !== undefined && (member !== null || keepsNulls),
  );
  members.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const texts = members.map(([name, member]) => {
    const isUsersOwn = keepsNulls || (depth === 0 && name === USERS_OWN);
    return `${JSON.stringify(name)}:${textOf(member, depth + 1, isUsersOwn)}`;
  });
  return `{${texts.join()}}`;
}
