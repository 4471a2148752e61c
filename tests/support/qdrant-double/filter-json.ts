import { parseDateTime } from './date-time.ts';
import { ExactNumber, isObject, type Json, type JsonObject } from './exact-json.ts';
import type { Bounds, Condition, FieldCondition, Filter, Key, Match } from './filter.ts';
import { parseGeoAreas } from './geo-json.ts';
import { parseJsonPath } from './json-path.ts';
import { type IdKey, parseJsonId } from './point-id.ts';

/*
 * Filters of REST bodies, read as serde reads Qdrant's own types (lib/segment/src/types.rs): a condition is the
 * first of its kinds that it fits, unknown members are passed over everywhere but in a filter. Everything here
 * answers undefined for what has no form that the server knows.
 */

export const FILTER_MEMBERS = ['should', 'min_should', 'must', 'must_not'] as const;

/** Reads a filter of a REST body. */
export function parseJsonFilter(json: Json): Filter | undefined {
  if (!isObject(json)) return undefined;
  if (Object.keys(json).some((key) => !(FILTER_MEMBERS as readonly string[]).includes(key))) return undefined;
  const must = parseConditions(json.must);
  const should = parseConditions(json.should);
  const mustNot = parseConditions(json.must_not);
  if (must === undefined || should === undefined || mustNot === undefined) return undefined;
  const { min_should: least } = json;
  if (least === undefined || least === null) return { must, should, mustNot };
  const conditions = isObject(least) && Array.isArray(least.conditions) && parseConditions(least.conditions);
  const minCount = isObject(least) ? wholeNumber(least.min_count) : undefined;
  return conditions && minCount !== undefined
    ? { must, should, mustNot, minShould: { conditions, minCount } }
    : undefined;
}

/** A list, or a single condition in place of one. */
function parseConditions(json: Json | undefined): Condition[] | undefined {
  if (json === undefined || json === null) return [];
  return all((Array.isArray(json) ? json : [json]).map(parseCondition));
}

function parseCondition(json: Json): Condition | undefined {
  if (!isObject(json)) return undefined;
  return (
    parseField(json) ??
    parseKeyed('isEmpty', json.is_empty) ??
    parseKeyed('isNull', json.is_null) ??
    parseHasId(json.has_id) ??
    (typeof json.has_vector === 'string' ? { kind: 'hasVector', name: json.has_vector } : undefined) ??
    parseNested(json.nested) ??
    parseInnerFilter(json)
  );
}

function parseKeyed(kind: 'isEmpty' | 'isNull', json: Json | undefined): Condition | undefined {
  const key = isObject(json) ? parseKey(json.key) : undefined;
  return key && { kind, key };
}

function parseHasId(json: Json | undefined): Condition | undefined {
  const ids = Array.isArray(json) ? all<IdKey>(json.map(parseJsonId)) : undefined;
  return ids && { kind: 'hasId', ids: new Set(ids) };
}

function parseNested(json: Json | undefined): Condition | undefined {
  if (!isObject(json)) return undefined;
  const key = parseKey(json.key);
  const filter = parseJsonFilter(json.filter ?? null);
  return key && filter && { kind: 'nested', key, filter };
}

function parseInnerFilter(json: JsonObject): Condition | undefined {
  const filter = parseJsonFilter(json);
  return filter && { kind: 'filter', filter };
}

function parseKey(json: Json | undefined): Key | undefined {
  const path = typeof json === 'string' ? parseJsonPath(json) : undefined;
  return path && { text: json as string, path };
}

/** A member that is there has to have one of its forms, or the whole condition has none. */
function parseField(json: JsonObject): FieldCondition | undefined {
  const key = parseKey(json.key);
  if (key === undefined) return undefined;
  const match = optional(json.match, parseMatch);
  const range = optional(json.range, (bounds) => parseBounds(bounds, finiteNumber));
  const dateTimes = range.isGood ? GONE : optional(json.range, (bounds) => parseBounds(bounds, momentOf));
  const valuesCount = optional(json.values_count, (bounds) => parseBounds(bounds, wholeNumber));
  const isEmpty = optional(json.is_empty, booleanOf);
  const isNull = optional(json.is_null, booleanOf);
  const areas = parseGeoAreas(json);
  const parts = [match, dateTimes, valuesCount, isEmpty, isNull];
  if (areas === undefined || !parts.every(({ isGood }) => isGood)) return undefined;
  return {
    kind: 'field',
    key,
    match: match.value,
    range: range.value,
    dateTimes: dateTimes.value,
    areas,
    valuesCount: valuesCount.value,
    isEmpty: isEmpty.value,
    isNull: isNull.value,
  };
}

interface Optional<T> {
  readonly value: T | undefined;
  readonly isGood: boolean;
}

const GONE = { value: undefined, isGood: true } as const;

function optional<T>(json: Json | undefined, parse: (json: Json) => T | undefined): Optional<T> {
  if (json === undefined || json === null) return GONE;
  const value = parse(json);
  return { value, isGood: value !== undefined };
}

function parseMatch(json: Json): Match | undefined {
  if (!isObject(json)) return undefined;
  const { any, except, phrase, text, text_any: textAny, value } = json;
  const single = typeof value === 'string' || typeof value === 'boolean' ? value : i64Of(value);
  if (single !== undefined) return { kind: 'value', value: single };
  if (typeof text === 'string') return { kind: 'text', text };
  if (typeof textAny === 'string') return { kind: 'text_any', text: textAny };
  if (typeof phrase === 'string') return { kind: 'phrase', text: phrase };
  const anyValues = parseValues(any);
  if (anyValues !== undefined) return { kind: 'any', values: anyValues };
  const exceptValues = parseValues(except);
  return exceptValues && { kind: 'except', values: exceptValues };
}

/** Strings only or integers only. */
function parseValues(json: Json | undefined): string[] | bigint[] | undefined {
  if (!Array.isArray(json)) return undefined;
  return all(json.map((item) => (typeof item === 'string' ? item : undefined))) ?? all(json.map(i64Of));
}

function parseBounds<T>(json: Json, parse: (json: Json) => T | undefined): Bounds<T> | undefined {
  if (!isObject(json)) return undefined;
  const bounds = [json.lt, json.gt, json.gte, json.lte].map((bound) => optional(bound, parse));
  if (!bounds.every(({ isGood }) => isGood)) return undefined;
  const [lt, gt, gte, lte] = bounds.map(({ value }) => value);
  return { lt, gt, gte, lte };
}

function booleanOf(json: Json): boolean | undefined {
  return typeof json === 'boolean' ? json : undefined;
}

function finiteNumber(json: Json | undefined): number | undefined {
  return json instanceof ExactNumber ? json.value : undefined;
}

function wholeNumber(json: Json | undefined): number | undefined {
  return json instanceof ExactNumber && json.isInteger && json.value >= 0 ? json.value : undefined;
}

function momentOf(json: Json): bigint | undefined {
  return typeof json === 'string' ? parseDateTime(json) : undefined;
}

function i64Of(json: Json | undefined): bigint | undefined {
  if (!(json instanceof ExactNumber) || !json.isInteger) return undefined;
  const value = BigInt(json.source);
  return value === BigInt.asIntN(64, value) ? value : undefined;
}

function all<T>(items: readonly (T | undefined)[]): T[] | undefined {
  return items.every((item) => item !== undefined) ? (items as T[]) : undefined;
}
