import { fromBinary } from '@bufbuild/protobuf';
import {
  type Condition as ConditionMessage,
  type Filter as FilterMessage,
  FilterSchema,
} from '@qdrant/js-client-grpc';
import { timestampNanos } from './date-time.ts';
import type { Bounds, Condition, FieldCondition, Filter, Key, Match } from './filter.ts';
import { type GeoArea, type GeoPoint, isOnGlobe, isRing } from './geo.ts';
import { parseJsonPath } from './json-path.ts';
import { type IdKey, idKey, parseUuid } from './point-id.ts';
import { ServiceError } from './service-error.ts';

/** Reads a Filter message, with the refusals of Qdrant's lib/api/src/grpc/conversions.rs. */
export function parseProtoFilter(message: Uint8Array): Filter {
  return filterOf(fromBinary(FilterSchema, message));
}

function filterOf({ minShould, must, mustNot, should }: FilterMessage): Filter {
  const filter = { must: conditionsOf(must), should: conditionsOf(should), mustNot: conditionsOf(mustNot) };
  if (minShould === undefined) return filter;
  const { conditions, minCount } = minShould;
  return { ...filter, minShould: { conditions: conditionsOf(conditions), minCount: Number(minCount) } };
}

/**
 * A condition of no kind that the server knows is none at all: Qdrant passes it over (its pull request 5690), and
 * to a server of before 1.19 a slice, which is newer, is exactly that.
 */
function conditionsOf(messages: readonly ConditionMessage[]): Condition[] {
  return messages.flatMap((message) => conditionOf(message) ?? []);
}

function conditionOf({ conditionOneOf: condition }: ConditionMessage): Condition | undefined {
  switch (condition.case) {
    case 'field':
      return fieldOf(condition.value);
    case 'isEmpty':
    case 'isNull':
      return { kind: condition.case, key: keyOf(condition.value.key) };
    case 'hasId':
      return { kind: 'hasId', ids: new Set(condition.value.hasId.map(idOf)) };
    case 'hasVector':
      return { kind: 'hasVector', name: condition.value.hasVector };
    case 'nested': {
      const { filter, key } = condition.value;
      if (filter === undefined) throw refusal('Nested condition must have a filter');
      return { kind: 'nested', key: keyOf(key), filter: filterOf(filter) };
    }
    case 'filter':
      return { kind: 'filter', filter: filterOf(condition.value) };
    case undefined:
      return undefined;
  }
}

function idOf({ pointIdOptions: id }: MessageOf<'hasId'>['hasId'][number]): IdKey {
  if (id.case === 'num') return idKey(String(id.value));
  const uuid = parseUuid(id.value ?? '');
  if (uuid === undefined) throw refusal(`Unable to parse UUID: ${id.value}`);
  return uuid;
}

function keyOf(text: string): Key {
  const path = parseJsonPath(text);
  if (path === undefined) throw refusal(`Invalid json path: '${text}'`);
  return { text, path };
}

type MessageOf<Case extends string> = Extract<
  ConditionMessage['conditionOneOf'],
  { readonly case: Case }
>['value'];

function fieldOf(message: MessageOf<'field'>): FieldCondition {
  const { datetimeRange, isEmpty, isNull, key, match, range, valuesCount } = message;
  return {
    kind: 'field',
    key: keyOf(key),
    match: match && matchOf(match.matchValue),
    range: range && boundsOf(range, (bound) => bound),
    // A range of numbers hides one of dates.
    dateTimes: range === undefined && datetimeRange ? boundsOf(datetimeRange, timestampNanos) : undefined,
    areas: areasOf(message),
    valuesCount: valuesCount && boundsOf(valuesCount, Number),
    isEmpty,
    isNull,
  };
}

type MatchMessage = NonNullable<MessageOf<'field'>['match']>['matchValue'];

function matchOf(match: MatchMessage): Match {
  switch (match.case) {
    case 'keyword':
    case 'integer':
    case 'boolean':
      return { kind: 'value', value: match.value };
    case 'text':
    case 'phrase':
      return { kind: match.case, text: match.value };
    case 'textAny':
      return { kind: 'text_any', text: match.value };
    case 'keywords':
      return { kind: 'any', values: match.value.strings };
    case 'integers':
      return { kind: 'any', values: match.value.integers };
    case 'exceptKeywords':
      return { kind: 'except', values: match.value.strings };
    case 'exceptIntegers':
      return { kind: 'except', values: match.value.integers };
    // Or of a kind that is newer than the servers that are imitated here.
    case undefined:
      throw refusal('Malformed Match condition');
  }
}

function boundsOf<T, U>({ gt, gte, lt, lte }: Bounds<T>, convert: (bound: T) => U): Bounds<U> {
  const each = (bound: T | undefined): U | undefined => (bound === undefined ? undefined : convert(bound));
  return { lt: each(lt), gt: each(gt), gte: each(gte), lte: each(lte) };
}

function areasOf({
  geoBoundingBox: box,
  geoPolygon: polygon,
  geoRadius: circle,
}: MessageOf<'field'>): GeoArea[] {
  const areas: GeoArea[] = [];
  if (box !== undefined) {
    const { bottomRight, topLeft } = box;
    if (!topLeft || !bottomRight) throw refusal('Malformed GeoBoundingBox type');
    areas.push({ kind: 'box', topLeft: placeOf(topLeft), bottomRight: placeOf(bottomRight) });
  }
  if (circle !== undefined) {
    const { center, radius } = circle;
    if (center === undefined) throw refusal('Malformed GeoRadius type');
    areas.push({ kind: 'circle', center: placeOf(center), radius });
  }
  if (polygon !== undefined) {
    const { exterior, interiors } = polygon;
    if (!exterior) throw refusal('Malformed GeoPolygon type - field `exterior` is required');
    areas.push({
      kind: 'polygon',
      exterior: ringOf(exterior.points),
      interiors: interiors.map(({ points }) => ringOf(points)),
    });
  }
  return areas;
}

function ringOf(points: readonly GeoPoint[]): GeoPoint[] {
  if (isRing(points)) return points.map(placeOf);
  throw refusal('Validation error in body: [filter: a polygon is a closed line of 4 points at least]');
}

function placeOf({ lat, lon }: GeoPoint): GeoPoint {
  if (isOnGlobe({ lat, lon })) return { lat, lon };
  throw refusal(
    `Validation error in body: [filter: no place on earth has longitude ${lon}, latitude ${lat}]`,
  );
}

function refusal(text: string): ServiceError {
  return new ServiceError('badRequest', text);
}
