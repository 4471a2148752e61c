import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { ExactNumber, type Json, parseExactJson } from './exact-json.ts';
import { FieldReader } from './protobuf.ts';

/**
 * A REST body with what varies from run to run made equal: `time` always; the order of collections in their
 * list and of names in a map of vectors. Every other byte stays as it is.
 */
export function comparableBody(body: string): string {
  const timed = body
    .replace(/,"time":[0-9.e-]+\}$/, ',"time":0}')
    .replace(/timed out after [0-9.]+ms/, 'timed out');
  return timed.includes('"vector":{') || timed.includes('{"collections":[') ? reordered(timed) : timed;
}

function reordered(text: string): string {
  const json = parseExactJson(text);
  return exactText(json, '');
}

function exactText(value: Json, parent: string): string {
  if (value instanceof ExactNumber) return value.source;
  if (Array.isArray(value)) {
    const items = value.map((item) => exactText(item, ''));
    return `[${(parent === 'collections' ? items.toSorted() : items).join(',')}]`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}:${exactText(item, key)}`,
  );
  return `{${(parent === 'vector' ? members.toSorted() : members).join(',')}}`;
}

/**
 * A message's fields one after the other, every value as its own bytes in hex, in the order of the wire; only
 * what varies is made equal: `time`, the order of map entries, the order of collections in their list.
 */
export function comparableMessage(schema: DescMessage, bytes: Uint8Array): unknown[] {
  const fields = new Map(schema.fields.map((field) => [field.number, field]));
  const out: unknown[] = [];
  const unordered = new Map<number, [string, unknown][]>();
  const reader = new FieldReader(bytes);
  while (reader.next()) {
    const field = fields.get(reader.field);
    const value = comparableValue(field, reader);
    if (field?.fieldKind !== 'map' && field?.name !== 'collections') {
      out.push([field?.name ?? reader.field, value]);
      continue;
    }
    const entries = unordered.get(reader.field) ?? [];
    if (entries.length === 0) out.push([field.name, entries]);
    entries.push([field.fieldKind === 'map' ? String(value[0]) : JSON.stringify(value), value]);
    unordered.set(reader.field, entries);
  }
  for (const entries of unordered.values()) entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return out;
}

function comparableValue(field: DescField | undefined, reader: FieldReader): unknown[] | string {
  if (field?.name === 'time') return 'varies';
  if (field?.fieldKind === 'map') return comparableEntry(field, reader.inner());
  const message = field?.message;
  if (message !== undefined) return comparableMessage(message, reader.content());
  return Buffer.from(reader.content()).toString('hex');
}

function comparableEntry(field: DescField & { fieldKind: 'map' }, entry: FieldReader): unknown[] {
  const out: unknown[] = [];
  while (entry.next()) {
    const isMessage = entry.field === 2 && field.mapKind === 'message';
    out.push(
      isMessage
        ? comparableMessage(field.message, entry.content())
        : Buffer.from(entry.content()).toString('utf8'),
    );
  }
  return out;
}
