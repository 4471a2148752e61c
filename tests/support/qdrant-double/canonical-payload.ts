import { ExactNumber, type Json } from './exact-json.ts';

/** Canonical text, written apart from the program's own so that one checks the other. */
export function canonicalJson(value: Json): string {
  if (value instanceof ExactNumber) return value.isInteger ? value.source : doubleText(value.value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const keys = Object.keys(value).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] as Json)}`).join(',')}}`;
}

function doubleText(value: number): string {
  const text = Object.is(value, -0) ? '-0' : JSON.stringify(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
