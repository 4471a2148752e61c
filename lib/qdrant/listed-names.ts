import type { ToolError } from '../errors.ts';

/** Characters of a strange name that an error repeats at most. */
const QUOTED = 100;

/**
 * The names out of a server's list of its collections, by code point, as the list itself has no order. `fail` makes
 * the error for what is no such list of what was found in it.
 */
export function listedNames(
  names: readonly unknown[],
  fail: (found: string) => ToolError,
): readonly string[] {
  const listed = names.map((name) => {
    if (isCollectionName(name)) return { name, bytes: Buffer.from(name) };
    throw fail(`the answer has ${inShort(name)} for a collection's name`);
  });
  // The order of UTF-8 bytes is that of code points; that of JavaScript's strings is not.
  const sorted = listed.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ name }) => name);
  const repeated = sorted.find((name, i) => name === sorted[i + 1]);
  if (repeated !== undefined) throw fail(`the answer lists collection \`${repeated}\` twice`);
  return sorted;
}

/** Qdrant keeps a collection in a folder of its name: that may hold anything but these two characters. */
function isCollectionName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && !/[/\0]/.test(name) && name.isWellFormed();
}

function inShort(name: unknown): string {
  if (typeof name !== 'string') return name === null ? 'null' : `a value of type ${typeof name}`;
  return JSON.stringify(name.length > QUOTED ? `${name.slice(0, QUOTED)}…` : name);
}
