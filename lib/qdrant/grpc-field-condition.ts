import type { FieldParts } from './grpc-filter-message.ts';
import type { FilterObject, FilterValue } from './grpc-filter-value.ts';
import { timestampOf } from './grpc-timestamp.ts';

const KINDS = [
  'match',
  'range',
  'geo_bounding_box',
  'geo_radius',
  'geo_polygon',
  'values_count',
  'is_empty',
  'is_null',
] as const;
const MATCHES = ['value', 'text', 'text_any', 'phrase', 'prefix', 'any', 'except'] as const;
const BOUNDS = ['lt', 'gt', 'gte', 'lte'] as const;
/** The greatest float32: what gRPC carries a radius in. */
const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** A condition on a payload field: `{key, match}` and its like. */
export function fieldCondition(value: FilterValue): FieldParts {
  const field = value.object(['key', ...KINDS], 'is not a condition on a field that Qdrant knows');
  const [match, range, box, radius, polygon, count, empty, nothing] = KINDS.map((kind) =>
    field.optional(kind),
  );
  if (KINDS.every((kind) => field.optional(kind) === undefined)) {
    throw value.problem(`has a key and nothing to compare it with (${KINDS.join(', ')})`);
  }
  return {
    key: field.required('key').text(),
    ...(match && { match: { matchValue: matchValue(match) } }),
    ...(range && rangeOf(range)),
    ...(box && { geoBoundingBox: boundingBox(box) }),
    ...(radius && { geoRadius: geoRadius(radius) }),
    ...(polygon && { geoPolygon: geoPolygon(polygon) }),
    ...(count && { valuesCount: bounds(count, (bound) => bound.u64()) }),
    ...(empty && { isEmpty: empty.flag() }),
    ...(nothing && { isNull: nothing.flag() }),
  };
}

function matchValue(value: FilterValue) {
  const match = value.object(MATCHES, 'is not a match that Qdrant knows');
  const [kind, ...others] = MATCHES.filter((name) => match.optional(name) !== undefined);
  if (kind === undefined || others.length > 0) {
    throw value.problem(`has to have exactly one of ${MATCHES.join(', ')}`);
  }
  const wanted = match.required(kind);
  switch (kind) {
    case 'value':
      return scalarMatch(wanted);
    case 'text':
    case 'phrase':
    case 'prefix':
      return { case: kind, value: wanted.text() } as const;
    case 'text_any':
      return { case: 'textAny', value: wanted.text() } as const;
    case 'any': {
      const values = textsOrIntegers(wanted);
      return 'strings' in values
        ? ({ case: 'keywords', value: values } as const)
        : ({ case: 'integers', value: values } as const);
    }
    case 'except': {
      const values = textsOrIntegers(wanted);
      return 'strings' in values
        ? ({ case: 'exceptKeywords', value: values } as const)
        : ({ case: 'exceptIntegers', value: values } as const);
    }
  }
}

function scalarMatch(value: FilterValue) {
  if (typeof value.json === 'string') return { case: 'keyword', value: value.json } as const;
  if (typeof value.json === 'boolean') return { case: 'boolean', value: value.json } as const;
  return { case: 'integer', value: value.i64('a text, a whole number of 64 bits, true or false') } as const;
}

/** The first one says which; an empty list is one of texts, as to Qdrant. */
function textsOrIntegers(value: FilterValue) {
  const items = value.list('a list of texts or of whole numbers');
  const first = items[0]?.json;
  return first === undefined || typeof first === 'string'
    ? { strings: items.map((item) => item.text()) }
    : { integers: items.map((item) => item.i64()) };
}

/** REST has one `range` for numbers and dates; the first bound says which it is. */
function rangeOf(value: FilterValue) {
  const range = value.object(BOUNDS, 'is not a bound that Qdrant knows');
  const first = BOUNDS.map((name) => range.optional(name)).find((bound) => bound !== undefined);
  return typeof first?.json === 'string'
    ? { datetimeRange: boundsOf(range, timestamp) }
    : { range: boundsOf(range, (bound) => bound.number('a number, or a date in a text,')) };
}

function timestamp(value: FilterValue) {
  const moment = timestampOf(value.text());
  if (moment === undefined) throw value.wrong('a date that Qdrant reads, as 2024-05-01T12:00:00Z,');
  return moment;
}

function bounds<T>(value: FilterValue, read: (bound: FilterValue) => T) {
  return boundsOf(value.object(BOUNDS, 'is not a bound that Qdrant knows'), read);
}

function boundsOf<T>(object: FilterObject, read: (bound: FilterValue) => T) {
  const present = BOUNDS.flatMap((name) => {
    const bound = object.optional(name);
    return bound === undefined ? [] : [[name, read(bound)] as const];
  });
  return Object.fromEntries(present) as { readonly [Name in (typeof BOUNDS)[number]]?: T };
}

function boundingBox(value: FilterValue) {
  const box = value.object(['top_left', 'bottom_right'], 'is not a corner that Qdrant knows');
  return { topLeft: geoPoint(box.required('top_left')), bottomRight: geoPoint(box.required('bottom_right')) };
}

function geoRadius(value: FilterValue) {
  const circle = value.object(['center', 'radius'], 'is not a part of a circle that Qdrant knows');
  const radius = circle.required('radius');
  const metres = radius.number('a number of metres');
  if (Math.abs(metres) > MAX_FLOAT32) throw radius.wrong('a number of metres that fits a float32');
  return { center: geoPoint(circle.required('center')), radius: metres };
}

function geoPolygon(value: FilterValue) {
  const polygon = value.object(['exterior', 'interiors'], 'is not a part of a polygon that Qdrant knows');
  const interiors = polygon.optional('interiors')?.list('a list of lines') ?? [];
  return { exterior: geoLine(polygon.required('exterior')), interiors: interiors.map(geoLine) };
}

function geoLine(value: FilterValue) {
  const line = value.object(['points'], 'is not a part of a line that Qdrant knows');
  return { points: line.required('points').list('a list of points').map(geoPoint) };
}

function geoPoint(value: FilterValue) {
  const point = value.object(['lon', 'lat'], 'is not a coordinate that Qdrant knows');
  return { lon: degrees(point.required('lon'), 180), lat: degrees(point.required('lat'), 90) };
}

/** Over REST Qdrant refuses what is no place on earth, over gRPC not in all versions. */
function degrees(value: FilterValue, most: number): number {
  const wanted = `a number from -${most} to ${most}`;
  const number = value.number(wanted);
  if (Math.abs(number) > most) throw value.wrong(wanted);
  return number;
}
