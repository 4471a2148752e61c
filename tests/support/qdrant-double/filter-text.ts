import { dateTimeText } from './date-time.ts';
import type { Bounds, Condition, FieldCondition, Filter, Match } from './filter.ts';
import type { GeoArea, GeoPoint } from './geo.ts';
import { idJson } from './point-json.ts';

/** A filter as the JSON text of REST's form: the same for the same filter, whichever protocol it came by. */
export function filterText({ minShould, must, mustNot, should }: Filter): string {
  const members: string[] = [];
  if (must.length > 0) members.push(`"must":${conditionsText(must)}`);
  if (should.length > 0) members.push(`"should":${conditionsText(should)}`);
  if (mustNot.length > 0) members.push(`"must_not":${conditionsText(mustNot)}`);
  if (minShould !== undefined) {
    const { conditions, minCount } = minShould;
    members.push(`"min_should":{"conditions":${conditionsText(conditions)},"min_count":${minCount}}`);
  }
  return `{${members.join(',')}}`;
}

function conditionsText(conditions: readonly Condition[]): string {
  return `[${conditions.map(conditionText).join(',')}]`;
}

function conditionText(condition: Condition): string {
  switch (condition.kind) {
    case 'field':
      return fieldText(condition);
    case 'isEmpty':
      return `{"is_empty":{"key":${JSON.stringify(condition.key.text)}}}`;
    case 'isNull':
      return `{"is_null":{"key":${JSON.stringify(condition.key.text)}}}`;
    case 'hasId':
      return `{"has_id":[${[...condition.ids].map((id) => idJson(String(id))).join(',')}]}`;
    case 'hasVector':
      return `{"has_vector":${JSON.stringify(condition.name)}}`;
    case 'nested':
      return `{"nested":{"key":${JSON.stringify(condition.key.text)},"filter":${filterText(condition.filter)}}}`;
    case 'filter':
      return filterText(condition.filter);
  }
}

function fieldText(condition: FieldCondition): string {
  const { areas = [], dateTimes, isEmpty, isNull, key, match, range, valuesCount } = condition;
  const members = [`"key":${JSON.stringify(key.text)}`];
  if (match !== undefined) members.push(`"match":${matchText(match)}`);
  if (range !== undefined) members.push(`"range":${boundsText(range, String)}`);
  if (dateTimes !== undefined) {
    members.push(`"range":${boundsText(dateTimes, (moment) => `"${dateTimeText(moment)}"`)}`);
  }
  if (valuesCount !== undefined) members.push(`"values_count":${boundsText(valuesCount, String)}`);
  if (isEmpty !== undefined) members.push(`"is_empty":${isEmpty}`);
  if (isNull !== undefined) members.push(`"is_null":${isNull}`);
  return `{${[...members, ...areas.map(areaText)].join(',')}}`;
}

function matchText(match: Match): string {
  switch (match.kind) {
    case 'value':
      return `{"value":${scalarText(match.value)}}`;
    case 'any':
    case 'except':
      return `{"${match.kind}":[${match.values.map(scalarText).join(',')}]}`;
    case 'text':
    case 'text_any':
    case 'phrase':
      return `{"${match.kind}":${JSON.stringify(match.text)}}`;
  }
}

function scalarText(value: string | bigint | boolean): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function boundsText<T>({ gt, gte, lt, lte }: Bounds<T>, text: (bound: T) => string): string {
  const members = Object.entries({ lt, gt, gte, lte }).flatMap(([name, bound]) =>
    bound === undefined ? [] : [`"${name}":${text(bound)}`],
  );
  return `{${members.join(',')}}`;
}

function areaText(area: GeoArea): string {
  switch (area.kind) {
    case 'box':
      return `"geo_bounding_box":{"top_left":${placeText(area.topLeft)},"bottom_right":${placeText(area.bottomRight)}}`;
    case 'circle':
      return `"geo_radius":{"center":${placeText(area.center)},"radius":${area.radius}}`;
    case 'polygon': {
      const interiors = area.interiors.map(ringText).join(',');
      return `"geo_polygon":{"exterior":${ringText(area.exterior)},"interiors":[${interiors}]}`;
    }
  }
}

function ringText(points: readonly GeoPoint[]): string {
  return `{"points":[${points.map(placeText).join(',')}]}`;
}

function placeText({ lat, lon }: GeoPoint): string {
  return `{"lon":${lon},"lat":${lat}}`;
}
