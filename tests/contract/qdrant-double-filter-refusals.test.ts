import { afterAll, beforeAll, expect, test } from 'bun:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type * as schemas from '@qdrant/js-client-grpc';
import { type Asker, askersOf } from '../support/qdrant-double/asker.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';

/* The first text was recorded; the others follow Qdrant's lib/segment/src/types.rs and lib/api/src/grpc. */

let double: QdrantDouble;
let askers: readonly Asker[];

beforeAll(async () => {
  const payload = (index: number): string => `{"city":"${index === 0 ? 'Berlin' : 'Oslo'}"}`;
  double = await startQdrantDouble({ generated: [{ name: 'c', points: 2, dimensions: 2, payload }] });
  askers = askersOf(double);
});

afterAll(async () => {
  for (const asker of askers) asker.close();
  await double.stop();
});

type Condition = NonNullable<MessageInitShape<typeof schemas.FilterSchema>['must']>[number];
type Field = MessageInitShape<typeof schemas.FieldConditionSchema>;

function field(key: string, rest: Omit<Field, 'key' | '$typeName'>): Condition {
  return { conditionOneOf: { case: 'field', value: { key, ...rest } } };
}

function match(
  key: string,
  matchValue: NonNullable<MessageInitShape<typeof schemas.MatchSchema>['matchValue']>,
): Condition {
  return field(key, { match: { matchValue } });
}

const BAD_CONDITION = 'Expected some form of condition, which can be a field condition';
const EMPTY_CONDITION = 'At least one field condition must be specified';

test.each([
  ['a condition that there is not', '{"must":[{"nope":1}]}', BAD_CONDITION],
  ['a slice, which is newer', '{"must":[{"slice":{"total":2,"index":0}}]}', BAD_CONDITION],
  ['one deep inside', '{"must":[{"should":[{"must_not":[{"nope":1}]}]}]}', BAD_CONDITION],
  [
    'one among those of which some should hold',
    '{"min_should":{"conditions":[{"nope":1}],"min_count":1}}',
    BAD_CONDITION,
  ],
  ['a match that there is not', '{"must":[{"key":"city","match":{"nope":1}}]}', BAD_CONDITION],
  ['a match of a double', '{"must":[{"key":"n","match":{"value":1.5}}]}', BAD_CONDITION],
  ['a match of strings and integers', '{"must":[{"key":"n","match":{"any":[1,"a"]}}]}', BAD_CONDITION],
  ['a range of words', '{"must":[{"key":"n","range":{"gt":"five"}}]}', BAD_CONDITION],
  ['a range of an impossible date', '{"must":[{"key":"n","range":{"gt":"2024-02-30"}}]}', BAD_CONDITION],
  ['a path that is none', '{"must":[{"key":"a..b","match":{"value":1}}]}', BAD_CONDITION],
  ['an id that is none', '{"must":[{"has_id":["x"]}]}', BAD_CONDITION],
  [
    'an open polygon',
    '{"must":[{"key":"p","geo_polygon":{"exterior":{"points":[{"lon":0,"lat":1}]}}}]}',
    BAD_CONDITION,
  ],
  [
    'a place off the globe',
    '{"must":[{"key":"p","geo_radius":{"center":{"lon":181,"lat":1},"radius":1}}]}',
    BAD_CONDITION,
  ],
  [
    'a member of a filter that there is not',
    '{"might":[]}',
    'unknown field `might`, expected one of `should`',
  ],
  ['a field without a condition', '{"must":[{"key":"city"}]}', EMPTY_CONDITION],
  [
    'one of them deep inside',
    '{"must":[{"nested":{"key":"a","filter":{"must":[{"key":"b"}]}}}]}',
    EMPTY_CONDITION,
  ],
])('the double refuses over REST %s', async (_, rest, message) => {
  const [asker] = askers as [Asker];
  const read = { collection: 'c', filter: { rest, grpc: {} } };
  for (const ask of [asker.scroll, asker.count]) {
    const refusal = await refusalOf(ask(read));
    expect(refusal.message).toContain(message);
    expect(refusal.status).toBe(message === EMPTY_CONDITION ? 422 : 400);
  }
});

const nested: Condition = { conditionOneOf: { case: 'nested', value: { key: 'a' } } };
const place = { lon: 181, lat: 0 };
const line = { points: [{ lon: 0, lat: 0 }] };

test.each<[string, Condition, string]>([
  ['a field without a condition', field('city', {}), EMPTY_CONDITION],
  ['a match of nothing', field('city', { match: {} }), 'Malformed Match condition'],
  ['a path that is none', match('a..b', { case: 'integer', value: 1n }), "Invalid json path: 'a..b'"],
  ['a nested condition without a filter', nested, 'Nested condition must have a filter'],
  ['a box without corners', field('p', { geoBoundingBox: {} }), 'Malformed GeoBoundingBox type'],
  ['a circle without a center', field('p', { geoRadius: {} }), 'Malformed GeoRadius type'],
  ['a polygon without an edge', field('p', { geoPolygon: {} }), 'Malformed GeoPolygon type'],
  ['an open polygon', field('p', { geoPolygon: { exterior: line } }), 'a closed line of 4 points at least'],
  [
    'a place off the globe',
    field('p', { geoRadius: { center: place } }),
    'no place on earth has longitude 181',
  ],
  [
    'an id that is none',
    {
      conditionOneOf: {
        case: 'hasId',
        value: { hasId: [{ pointIdOptions: { case: 'uuid', value: 'x' } }] },
      },
    },
    'Unable to parse UUID: x',
  ],
])('the double refuses over gRPC %s', async (_, condition, message) => {
  const [, asker] = askers as [Asker, Asker];
  const read = { collection: 'c', filter: { rest: '', grpc: { must: [condition] } } };
  for (const ask of [asker.scroll, asker.count]) {
    const refusal = await refusalOf(ask(read));
    expect(refusal.message).toContain(message);
    expect(refusal.status).toBe(3);
  }
});

test('the double passes over a gRPC condition of no kind that it knows, as Qdrant does', async () => {
  const [, asker] = askers as [Asker, Asker];
  const berlin = match('city', { case: 'keyword', value: 'Berlin' });
  const filter = { rest: '', grpc: { must: [{}, berlin] } };
  const { points } = await asker.scroll({ collection: 'c', filter });
  expect(points.map(({ id }) => id)).toEqual(['1']);
});
