import { isObject, type Json, type JsonObject } from './exact-json.ts';

/** A payload key of a filter: `a.b[0].c[]."quoted.name"`; EACH is `[]`. */
export type JsonPath = readonly (string | number | typeof EACH)[];

/** Every item of an array. */
export const EACH = Symbol('each');

const FIRST = /^(?:([\p{Alphabetic}\p{N}_-]+)|"([^"\\]*)")/u;
const NEXT = /^(?:\.([\p{Alphabetic}\p{N}_-]+)|\."([^"\\]*)"|\[(\d+)\]|\[\])/u;

/** Qdrant's grammar of paths (lib/segment/src/json_path/parse.rs); undefined for anything else. */
export function parseJsonPath(text: string): JsonPath | undefined {
  const first = FIRST.exec(text);
  if (first === null) return undefined;
  const path: (string | number | typeof EACH)[] = [first[1] ?? first[2] ?? ''];
  for (let rest = text.slice(first[0].length); rest !== ''; ) {
    const next = NEXT.exec(rest);
    if (next === null) return undefined;
    const [whole, plain, quoted, index] = next;
    path.push(plain ?? quoted ?? (index === undefined ? EACH : Number(index)));
    rest = rest.slice(whole.length);
  }
  return path;
}

/** Values at a path: arrays on the way only where the path says so, an array at its end as one value (get.rs). */
export function valuesAt(path: JsonPath, object: JsonObject): Json[] {
  let found: Json[] = [object];
  for (const step of path) found = found.flatMap((value) => stepInto(value, step));
  return found;
}

function stepInto(value: Json, step: JsonPath[number]): Json[] {
  if (typeof step === 'string')
    return isObject(value) && Object.hasOwn(value, step) ? [value[step] as Json] : [];
  if (!Array.isArray(value)) return [];
  if (step === EACH) return value;
  return step < value.length ? [value[step] as Json] : [];
}

/** The path of a nested filter's array: with `[]` at its end, whether or not it was written. */
export function arrayPath(path: JsonPath): JsonPath {
  return path.at(-1) === EACH ? path : [...path, EACH];
}
