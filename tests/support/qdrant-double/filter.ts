import { parseDateTime } from './date-time.ts';
import { ExactNumber, isObject, type Json, type JsonObject } from './exact-json.ts';
import { type GeoArea, geoPointOf, isInside } from './geo.ts';
import { arrayPath, type JsonPath, valuesAt } from './json-path.ts';
import type { IdKey } from './point-id.ts';

/** A filter of either protocol; what a point passes follows Qdrant's lib/segment/src/payload_storage. */
export interface Filter {
  readonly must: readonly Condition[];
  readonly should: readonly Condition[];
  readonly mustNot: readonly Condition[];
  readonly minShould?: { readonly conditions: readonly Condition[]; readonly minCount: number };
}

/** A payload key as it was written, and what it means. */
export interface Key {
  readonly text: string;
  readonly path: JsonPath;
}

export type Condition =
  | FieldCondition
  | { readonly kind: 'isEmpty' | 'isNull'; readonly key: Key }
  | { readonly kind: 'hasId'; readonly ids: ReadonlySet<IdKey> }
  | { readonly kind: 'hasVector'; readonly name: string }
  | { readonly kind: 'nested'; readonly key: Key; readonly filter: Filter }
  | { readonly kind: 'filter'; readonly filter: Filter };

export interface FieldCondition {
  readonly kind: 'field';
  readonly key: Key;
  readonly match?: Match | undefined;
  readonly range?: Bounds<number> | undefined;
  /** In nanoseconds since 1970. */
  readonly dateTimes?: Bounds<bigint> | undefined;
  readonly areas?: readonly GeoArea[];
  readonly valuesCount?: Bounds<number> | undefined;
  readonly isEmpty?: boolean | undefined;
  readonly isNull?: boolean | undefined;
}

export type Match =
  | { readonly kind: 'value'; readonly value: string | bigint | boolean }
  | { readonly kind: 'any' | 'except'; readonly values: readonly string[] | readonly bigint[] }
  | { readonly kind: 'text' | 'text_any' | 'phrase'; readonly text: string };

export interface Bounds<T> {
  readonly lt?: T | undefined;
  readonly gt?: T | undefined;
  readonly gte?: T | undefined;
  readonly lte?: T | undefined;
}

/** What a filter looks at. Inside a nested filter there is neither id nor vector. */
export interface FilterSubject {
  readonly id: IdKey | undefined;
  readonly payload: JsonObject;
  readonly hasVector: (name: string) => boolean;
}

export function matchesFilter(filter: Filter, subject: FilterSubject): boolean {
  const holds = (condition: Condition): boolean => matchesCondition(condition, subject);
  const { minShould, must, mustNot, should } = filter;
  // Lists without conditions do not count, whatever the rest says.
  return (
    must.every(holds) &&
    !mustNot.some(holds) &&
    (should.length === 0 || should.some(holds)) &&
    (minShould === undefined ||
      minShould.conditions.length === 0 ||
      minShould.conditions.filter(holds).length >= minShould.minCount)
  );
}

function matchesCondition(condition: Condition, subject: FilterSubject): boolean {
  const { id, payload } = subject;
  switch (condition.kind) {
    case 'field':
      return matchesField(condition, valuesAt(condition.key.path, payload));
    case 'isEmpty':
      return valuesAt(condition.key.path, payload).every(
        (value) => value === null || (Array.isArray(value) && value.length === 0),
      );
    case 'isNull':
      return valuesAt(condition.key.path, payload).includes(null);
    case 'hasId':
      return id !== undefined && condition.ids.has(id);
    case 'hasVector':
      return subject.hasVector(condition.name);
    case 'nested':
      return valuesAt(arrayPath(condition.key.path), payload)
        .filter(isObject)
        .some((item) =>
          matchesFilter(condition.filter, { id: undefined, payload: item, hasVector: () => false }),
        );
    case 'filter':
      return matchesFilter(condition.filter, subject);
  }
}

/** Whether any of a field's values passes; a field that is not there can only be empty, and not null. */
function matchesField(condition: FieldCondition, values: readonly Json[]): boolean {
  const { isEmpty, isNull } = condition;
  if (values.length === 0) return isEmpty ?? (isNull === undefined ? false : !isNull);
  return values.some((value) => matchesFieldValue(condition, value));
}

function matchesFieldValue(condition: FieldCondition, value: Json): boolean {
  const { isEmpty, isNull, valuesCount } = condition;
  if (valuesCount !== undefined) return isWithin(countOf(value), valuesCount);
  if (isEmpty !== undefined)
    return isEmpty === (value === null || (Array.isArray(value) && value.length === 0));
  if (isNull !== undefined)
    return isNull === (value === null || (Array.isArray(value) && value.includes(null)));
  return (Array.isArray(value) ? value : [value]).some((item) => matchesItem(condition, item));
}

function countOf(value: Json): number {
  if (value === null) return 0;
  return Array.isArray(value) ? value.length : 1;
}

/** Several kinds in one condition: one of them is enough. */
function matchesItem({ areas = [], dateTimes, match, range }: FieldCondition, item: Json): boolean {
  if (match !== undefined && matchesValue(match, item)) return true;
  if (range !== undefined && item instanceof ExactNumber && isWithin(item.value, range)) return true;
  if (dateTimes !== undefined && typeof item === 'string') {
    const moment = parseDateTime(item);
    if (moment !== undefined && isWithin(moment, dateTimes)) return true;
  }
  const place = geoPointOf(item);
  return place !== undefined && areas.some((area) => isInside(area, place));
}

function isWithin<T extends number | bigint>(value: T, { gt, gte, lt, lte }: Bounds<T>): boolean {
  return (
    (lt === undefined || value < lt) &&
    (gt === undefined || value > gt) &&
    (lte === undefined || value <= lte) &&
    (gte === undefined || value >= gte)
  );
}

function matchesValue(match: Match, item: Json): boolean {
  const integer = item instanceof ExactNumber ? asI64(item) : undefined;
  switch (match.kind) {
    case 'value':
      return match.value === (item instanceof ExactNumber ? integer : item);
    case 'any':
      return isAmong(match.values, item, integer);
    case 'except':
      return item !== null && !isAmong(match.values, item, integer);
    // Without a full-text index, which no collection here has, text is looked for as it is.
    case 'text':
    case 'phrase':
      return typeof item === 'string' && item.includes(match.text);
    case 'text_any':
      return typeof item === 'string' && wordsOf(match.text).some((word) => item.includes(word));
  }
}

function isAmong(values: readonly (string | bigint)[], item: Json, integer: bigint | undefined): boolean {
  if (typeof item === 'string') return values.includes(item);
  return integer !== undefined && values.includes(integer);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** A payload's number as an integer: 1.0 is none, and neither is one beyond i64. */
function asI64(number: ExactNumber): bigint | undefined {
  if (!number.isInteger) return undefined;
  const value = BigInt(number.source);
  return value === BigInt.asIntN(64, value) ? value : undefined;
}
