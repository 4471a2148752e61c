import { ExactNumber, isObject, type Json, type JsonObject } from './exact-json.ts';
import { type IdKey, parseU64, parseUuid } from './point-id.ts';

/** The part of Qdrant's filters that the double knows. */
export interface Filter {
  readonly must: readonly Condition[];
  readonly should: readonly Condition[];
  readonly mustNot: readonly Condition[];
}

/** Values are compared as text: `s:` before a string, `n:` before an integer, `b:` before a boolean. */
export type Condition =
  | { readonly kind: 'match'; readonly key: string; readonly values: readonly string[] }
  | { readonly kind: 'hasId'; readonly ids: readonly IdKey[] }
  | { readonly kind: 'filter'; readonly filter: Filter };

export function matchesFilter(filter: Filter, id: IdKey, payload: JsonObject): boolean {
  const holds = (condition: Condition): boolean => matchesCondition(condition, id, payload);
  return (
    filter.must.every(holds) &&
    !filter.mustNot.some(holds) &&
    (filter.should.length === 0 || filter.should.some(holds))
  );
}

function matchesCondition(condition: Condition, id: IdKey, payload: JsonObject): boolean {
  switch (condition.kind) {
    case 'match': {
      const found = payload[condition.key];
      const values = Array.isArray(found) ? found : found === undefined ? [] : [found];
      return values.some((value) => condition.values.includes(matchText(value) ?? ''));
    }
    case 'hasId':
      return condition.ids.includes(id);
    case 'filter':
      return matchesFilter(condition.filter, id, payload);
  }
}

/** Reads a filter of a REST body; undefined where a condition has no form that the double knows. */
export function parseJsonFilter(json: Json): Filter | undefined {
  if (!isObject(json)) return undefined;
  const must = conditions(json.must);
  const should = conditions(json.should);
  const mustNot = conditions(json.must_not);
  return must === undefined || should === undefined || mustNot === undefined
    ? undefined
    : { must, should, mustNot };
}

function conditions(json: Json | undefined): Condition[] | undefined {
  if (json === undefined || json === null) return [];
  const parsed = (Array.isArray(json) ? json : [json]).map(parseCondition);
  return parsed.every((condition) => condition !== undefined) ? parsed : undefined;
}

function parseCondition(json: Json): Condition | undefined {
  if (!isObject(json)) return undefined;
  const { key, match, has_id: ids } = json;
  if (Array.isArray(ids)) {
    const parsed = ids.map(parseJsonId);
    return parsed.every((id) => id !== undefined) ? { kind: 'hasId', ids: parsed } : undefined;
  }
  if (typeof key === 'string' && isObject(match)) {
    const { value, any } = match;
    const values = (Array.isArray(any) ? any : value === undefined ? [] : [value]).map(matchText);
    return values.length > 0 && values.every((text) => text !== undefined)
      ? { kind: 'match', key, values }
      : undefined;
  }
  if (!('must' in json || 'should' in json || 'must_not' in json)) return undefined;
  const filter = parseJsonFilter(json);
  return filter === undefined ? undefined : { kind: 'filter', filter };
}

export function matchText(value: Json): string | undefined {
  if (typeof value === 'string') return `s:${value}`;
  if (typeof value === 'boolean') return `b:${value}`;
  return value instanceof ExactNumber && value.isInteger ? `n:${BigInt(value.source)}` : undefined;
}

/** An id as REST bodies spell it: an unsigned integer or a UUID's text. */
export function parseJsonId(json: Json): IdKey | undefined {
  if (typeof json === 'string') return parseUuid(json);
  return json instanceof ExactNumber ? parseU64(json.source) : undefined;
}
