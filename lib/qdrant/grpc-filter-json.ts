import { messageOf, ToolError } from '../errors.ts';
import { OPEN_ARRAY, OPEN_OBJECT, QUOTE } from './json-bytes.ts';
import { JsonCursor } from './json-scan.ts';

/** A JSON value as the filter has it: numbers by their digits, since integers may not fit a JavaScript number. */
export type Json = null | boolean | string | JsonNumber | readonly Json[] | ReadonlyMap<string, Json>;

export class JsonNumber {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** Qdrant itself reads JSON of 128 levels at most (serde_json's limit). */
const MAX_DEPTH = 128;

/**
 * Reads a filter's text; a ToolError 'usage' when it is not JSON, or has a member twice: of those, JSON.parse
 * would drop the first without a word.
 */
export function readFilterJson(text: string): Json {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new ToolError('usage', `--filter: it is not JSON (${messageOf(error)}).`, { cause: error });
  }
  return readValue(new JsonCursor(new TextEncoder().encode(text)), '', 0);
}

/** Characters of a member's name that an error repeats at most. */
const QUOTED = 40;

/** Where a member is, for errors: `must[0].match`. */
export function memberPath(path: string, name: string): string {
  if (!/^[A-Za-z_]\w{0,39}$/.test(name)) return `${path}[${JSON.stringify(name.slice(0, QUOTED))}]`;
  return path === '' ? name : `${path}.${name}`;
}

function readValue(from: JsonCursor, path: string, depth: number): Json {
  if (depth > MAX_DEPTH) {
    throw new ToolError('usage', `--filter: it is nested deeper than ${MAX_DEPTH} levels.`);
  }
  const first = from.peek();
  if (first === OPEN_OBJECT) return readObject(from, path, depth);
  if (first === OPEN_ARRAY) return readArray(from, path, depth);
  if (first === QUOTE) return wellFormed(from.string(), path);
  const start = from.at;
  from.skipValue();
  const word = Buffer.from(from.bytes.subarray(start, from.at)).toString('latin1');
  if (word === 'null') return null;
  if (word === 'true' || word === 'false') return word === 'true';
  return new JsonNumber(word);
}

function readObject(from: JsonCursor, path: string, depth: number): ReadonlyMap<string, Json> {
  const members = new Map<string, Json>();
  for (let more = from.enterObject(); more; more = from.nextMember()) {
    const name = from.memberName();
    const where = memberPath(path, name);
    if (members.has(name)) throw new ToolError('usage', `--filter: ${where} is there twice.`);
    members.set(wellFormed(name, path), readValue(from, where, depth + 1));
  }
  return members;
}

function readArray(from: JsonCursor, path: string, depth: number): readonly Json[] {
  const items: Json[] = [];
  for (let more = from.enterArray(); more; more = from.nextElement()) {
    items.push(readValue(from, `${path}[${items.length}]`, depth + 1));
  }
  return items;
}

/** Half a surrogate pair has no UTF-8, and would go out as another character. */
function wellFormed(text: string, path: string): string {
  if (text.isWellFormed()) return text;
  throw new ToolError('usage', `--filter: ${path} has half a surrogate pair, which is no character.`);
}
