import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type * as schemas from '@qdrant/js-client-grpc';
import { type Asker, askersOf } from '../support/qdrant-double/asker.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

/*
 * Expectations follow Qdrant's source: lib/segment/src/payload_storage/{query_checker,condition_checker}.rs,
 * types.rs, json_path; lib/api/src/grpc/conversions.rs.
 */

const PAYLOADS = [
  '{"city":"Berlin","n":5,"price":2.5,"tags":["a","b"],"at":"2024-01-01T00:00:00Z","flag":true,"nul":null}',
  '{"city":"London","n":7.0,"tags":[],"at":"2024-01-01 02:00:00.5+0100","flag":false,"nul":[null]}',
  '{"city":["Paris","Berlin"],"n":[5,9],"tags":"a","at":"2024-02-30","place":{"lon":2.35,"lat":48.85}}',
  '{}',
  '{"city":"New Berlin","n":9223372036854775807,"a":{"b":[{"c":1,"d":2},{"c":3,"d":4}]},"dotted.name":1}',
  '{"city":"Oslo town","n":18446744073709551615,"a":{"b":[{"c":1,"d":4}]},"at":"2024-01-01","nul":1}',
  '{"city":null,"n":-3,"a":{"b":{"c":1,"d":4}},"place":[{"lon":13.4,"lat":52.5},{"lon":0,"lat":0}]}',
] as const;

const THINGS: GeneratedCollection = {
  name: 'things',
  points: PAYLOADS.length,
  dimensions: 0,
  payload: (index) => PAYLOADS[index],
  vectors: [
    { kind: 'dense', name: '', size: 2, missing: 2 },
    { kind: 'sparse', name: 's', missing: 3 },
  ],
};

type Condition = NonNullable<MessageInitShape<typeof schemas.FilterSchema>['must']>[number];
type Field = MessageInitShape<typeof schemas.FieldConditionSchema>;
type Match = NonNullable<MessageInitShape<typeof schemas.MatchSchema>['matchValue']>;

function field(key: string, rest: Omit<Field, 'key' | '$typeName'>): Condition {
  return { conditionOneOf: { case: 'field', value: { key, ...rest } } };
}

function match(key: string, matchValue: Match): Condition {
  return field(key, { match: { matchValue } });
}

/** What is looked for, the condition as JSON and as a message, and the places of the points that pass. */
const conditions: readonly (readonly [string, string, Condition, readonly number[]])[] = [
  [
    'a keyword, in a list too',
    '{"key":"city","match":{"value":"Berlin"}}',
    match('city', { case: 'keyword', value: 'Berlin' }),
    [0, 2],
  ],
  [
    'an integer, which 7.0 is not and one beyond i64 neither',
    '{"key":"n","match":{"value":9223372036854775807}}',
    match('n', { case: 'integer', value: 9_223_372_036_854_775_807n }),
    [4],
  ],
  [
    'a boolean',
    '{"key":"flag","match":{"value":false}}',
    match('flag', { case: 'boolean', value: false }),
    [1],
  ],
  [
    'any of some keywords',
    '{"key":"city","match":{"any":["London","Paris"]}}',
    match('city', { case: 'keywords', value: { strings: ['London', 'Paris'] } }),
    [1, 2],
  ],
  [
    'any of some integers',
    '{"key":"n","match":{"any":[-3,9]}}',
    match('n', { case: 'integers', value: { integers: [-3n, 9n] } }),
    [2, 6],
  ],
  [
    'none of some keywords, but a value',
    '{"key":"city","match":{"except":["Berlin","London"]}}',
    match('city', { case: 'exceptKeywords', value: { strings: ['Berlin', 'London'] } }),
    [2, 4, 5],
  ],
  [
    'none of some integers, which other numbers are not',
    '{"key":"n","match":{"except":[5,9,-3]}}',
    match('n', { case: 'exceptIntegers', value: { integers: [5n, 9n, -3n] } }),
    [1, 4, 5],
  ],
  [
    'a text in a text',
    '{"key":"city","match":{"text":"Berlin"}}',
    match('city', { case: 'text', value: 'Berlin' }),
    [0, 2, 4],
  ],
  [
    'any word in a text',
    '{"key":"city","match":{"text_any":"town  New"}}',
    match('city', { case: 'textAny', value: 'town  New' }),
    [4, 5],
  ],
  [
    'a phrase',
    '{"key":"city","match":{"phrase":"New Ber"}}',
    match('city', { case: 'phrase', value: 'New Ber' }),
    [4],
  ],
  [
    'a range of numbers',
    '{"key":"n","range":{"gt":5,"lte":9}}',
    field('n', { range: { gt: 5, lte: 9 } }),
    [1, 2],
  ],
  [
    'a range of numbers with both its ends',
    '{"key":"n","range":{"lt":7,"gte":5}}',
    field('n', { range: { lt: 7, gte: 5 } }),
    [0, 2],
  ],
  [
    'a range of dates: a time zone, a fraction, a date alone, no date at all',
    '{"key":"at","range":{"gt":"2024-01-01T00:00:00Z","lte":"2024-01-01T01:00:00.500Z"}}',
    field('at', {
      datetimeRange: {
        gt: { seconds: 1_704_067_200n },
        lte: { seconds: 1_704_070_800n, nanos: 500_000_000 },
      },
    }),
    [1],
  ],
  [
    'a range of dates from a date on',
    '{"key":"at","range":{"gte":"2024-01-01","lt":"2024-01-01 00:00"}}',
    field('at', { datetimeRange: { gte: { seconds: 1_704_067_200n }, lt: { seconds: 1_704_067_200n } } }),
    [],
  ],
  [
    'a range of dates up to a date',
    '{"key":"at","range":{"lte":"2024-01-01T00:00:00+00:00"}}',
    field('at', { datetimeRange: { lte: { seconds: 1_704_067_200n } } }),
    [0, 5],
  ],
  [
    'no value',
    '{"is_empty":{"key":"tags"}}',
    { conditionOneOf: { case: 'isEmpty', value: { key: 'tags' } } },
    [1, 3, 4, 5, 6],
  ],
  [
    'null itself',
    '{"is_null":{"key":"nul"}}',
    { conditionOneOf: { case: 'isNull', value: { key: 'nul' } } },
    [0],
  ],
  [
    'no value, as a field condition',
    '{"key":"tags","is_empty":true}',
    field('tags', { isEmpty: true }),
    [1, 3, 4, 5, 6],
  ],
  [
    'a value, as a field condition',
    '{"key":"tags","is_empty":false}',
    field('tags', { isEmpty: false }),
    [0, 2],
  ],
  [
    'null, in a list too, as a field condition',
    '{"key":"nul","is_null":true}',
    field('nul', { isNull: true }),
    [0, 1],
  ],
  [
    'no null, as a field condition',
    '{"key":"nul","is_null":false}',
    field('nul', { isNull: false }),
    [2, 3, 4, 5, 6],
  ],
  [
    'a number of values',
    '{"key":"tags","values_count":{"gte":1}}',
    field('tags', { valuesCount: { gte: 1n } }),
    [0, 2],
  ],
  [
    'an exact number of values',
    '{"key":"tags","values_count":{"lte":0}}',
    field('tags', { valuesCount: { lte: 0n } }),
    [1],
  ],
  [
    'ids',
    '{"has_id":[4,19,5]}',
    {
      conditionOneOf: {
        case: 'hasId',
        value: { hasId: [4n, 19n, 5n].map((value) => ({ pointIdOptions: { case: 'num', value } })) },
      },
    },
    [1, 6],
  ],
  [
    'a named vector',
    '{"has_vector":"s"}',
    { conditionOneOf: { case: 'hasVector', value: { hasVector: 's' } } },
    [0, 1, 3, 4, 6],
  ],
  [
    'the unnamed vector',
    '{"has_vector":""}',
    { conditionOneOf: { case: 'hasVector', value: { hasVector: '' } } },
    [0, 2, 4, 6],
  ],
  [
    'a vector that there is not',
    '{"has_vector":"x"}',
    { conditionOneOf: { case: 'hasVector', value: { hasVector: 'x' } } },
    [],
  ],
  [
    'a path into lists: of any item each',
    String.raw`{"key":"a.\"b\"[].c","match":{"value":3}}`,
    match('a."b"[].c', { case: 'integer', value: 3n }),
    [4],
  ],
  [
    'a path to one item',
    '{"key":"a.b[1].d","match":{"value":4}}',
    match('a.b[1].d', { case: 'integer', value: 4n }),
    [4],
  ],
  [
    'a path without a list in it',
    '{"key":"a.b.c","match":{"value":1}}',
    match('a.b.c', { case: 'integer', value: 1n }),
    [6],
  ],
  [
    'a quoted name',
    String.raw`{"key":"\"dotted.name\"","match":{"value":1}}`,
    match('"dotted.name"', { case: 'integer', value: 1n }),
    [4],
  ],
  [
    'both in one item of a list, with or without brackets after its name',
    '{"nested":{"key":"a.b","filter":{"must":[{"key":"c","match":{"value":1}},{"key":"d","match":{"value":4}}]}}}',
    {
      conditionOneOf: {
        case: 'nested',
        value: {
          key: 'a.b',
          filter: {
            must: [match('c', { case: 'integer', value: 1n }), match('d', { case: 'integer', value: 4n })],
          },
        },
      },
    },
    [5],
  ],
  [
    'no id inside a list',
    '{"nested":{"key":"a.b[]","filter":{"must":[{"has_id":[13]}]}}}',
    {
      conditionOneOf: {
        case: 'nested',
        value: {
          key: 'a.b[]',
          filter: {
            must: [
              {
                conditionOneOf: {
                  case: 'hasId',
                  value: { hasId: [{ pointIdOptions: { case: 'num', value: 13n } }] },
                },
              },
            ],
          },
        },
      },
    },
    [],
  ],
  [
    'one of two in a filter of its own',
    '{"should":[{"key":"flag","match":{"value":true}},{"key":"n","match":{"value":-3}}]}',
    {
      conditionOneOf: {
        case: 'filter',
        value: {
          should: [
            match('flag', { case: 'boolean', value: true }),
            match('n', { case: 'integer', value: -3n }),
          ],
        },
      },
    },
    [0, 6],
  ],
  [
    'a box on the map',
    '{"key":"place","geo_bounding_box":{"top_left":{"lon":13,"lat":53},"bottom_right":{"lon":14,"lat":52}}}',
    field('place', { geoBoundingBox: { topLeft: { lon: 13, lat: 53 }, bottomRight: { lon: 14, lat: 52 } } }),
    [6],
  ],
  [
    'a circle on the map',
    '{"key":"place","geo_radius":{"center":{"lon":2.36,"lat":48.85},"radius":1000}}',
    field('place', { geoRadius: { center: { lon: 2.36, lat: 48.85 }, radius: 1000 } }),
    [2],
  ],
  [
    'a circle that does not reach',
    '{"key":"place","geo_radius":{"center":{"lon":2.36,"lat":48.85},"radius":700}}',
    field('place', { geoRadius: { center: { lon: 2.36, lat: 48.85 }, radius: 700 } }),
    [],
  ],
  [
    'a polygon on the map, with a hole',
    '{"key":"place","geo_polygon":{"exterior":{"points":[{"lon":0,"lat":40},{"lon":20,"lat":40},{"lon":20,"lat":60},{"lon":0,"lat":60},{"lon":0,"lat":40}]},"interiors":[{"points":[{"lon":12,"lat":52},{"lon":15,"lat":52},{"lon":13,"lat":53},{"lon":12,"lat":52}]}]}}',
    field('place', {
      geoPolygon: {
        exterior: {
          points: [
            { lon: 0, lat: 40 },
            { lon: 20, lat: 40 },
            { lon: 20, lat: 60 },
            { lon: 0, lat: 60 },
            { lon: 0, lat: 40 },
          ],
        },
        interiors: [
          {
            points: [
              { lon: 12, lat: 52 },
              { lon: 15, lat: 52 },
              { lon: 13, lat: 53 },
              { lon: 12, lat: 52 },
            ],
          },
        ],
      },
    }),
    [2],
  ],
];

const ALL = PAYLOADS.map((_, at) => at);
const BERLIN = match('city', { case: 'keyword', value: 'Berlin' });
const FIVE = match('n', { case: 'integer', value: 5n });
const FLAG = match('flag', { case: 'boolean', value: true });
const REST_BERLIN = '{"key":"city","match":{"value":"Berlin"}}';
const REST_FIVE = '{"key":"n","match":{"value":5}}';
const REST_FLAG = '{"key":"flag","match":{"value":true}}';
const REST_THREE = `[${REST_BERLIN},${REST_FIVE},${REST_FLAG}]`;

const filters: readonly (readonly [
  string,
  string,
  MessageInitShape<typeof schemas.FilterSchema>,
  readonly number[],
])[] = [
  ['all of some conditions', `{"must":${REST_THREE}}`, { must: [BERLIN, FIVE, FLAG] }, [0]],
  ['any of some conditions', `{"should":${REST_THREE}}`, { should: [BERLIN, FIVE, FLAG] }, [0, 2]],
  ['none of some conditions', `{"must_not":[${REST_BERLIN}]}`, { mustNot: [BERLIN] }, [1, 3, 4, 5, 6]],
  [
    'at least two of three conditions',
    `{"min_should":{"conditions":${REST_THREE},"min_count":2}}`,
    { minShould: { conditions: [BERLIN, FIVE, FLAG], minCount: 2n } },
    [0, 2],
  ],
  [
    'at least all three',
    `{"min_should":{"conditions":${REST_THREE},"min_count":3}}`,
    { minShould: { conditions: [BERLIN, FIVE, FLAG], minCount: 3n } },
    [0],
  ],
  [
    'everything together',
    `{"must":[${REST_BERLIN}],"should":[${REST_FIVE}],"must_not":[${REST_FLAG}]}`,
    { must: [BERLIN], should: [FIVE], mustNot: [FLAG] },
    [2],
  ],
  ['nothing at all', '{}', {}, ALL],
];

describe.each(['1.16.3', '1.18.3'] as const)('the double of %s filters', (version) => {
  let double: QdrantDouble;
  let askers: readonly Asker[];
  beforeAll(async () => {
    double = await startQdrantDouble({ version, generated: [THINGS], recorded: ['standalone'] });
    askers = askersOf(double);
  });
  afterAll(async () => {
    for (const asker of askers) asker.close();
    await double.stop();
  });

  async function expectMatches(
    filter: { readonly rest: string; readonly grpc: MessageInitShape<typeof schemas.FilterSchema> },
    places: readonly number[],
  ): Promise<void> {
    const texts: unknown[] = [];
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'things', filter });
      texts.push(double.requests.at(-1)?.filter);
      expect(points.map(({ id }) => id)).toEqual(places.map((at) => generatedPoint(THINGS, at).id));
      expect(await asker.count({ collection: 'things', filter })).toBe(places.length);
      texts.push(double.requests.at(-1)?.filter);
    }
    // A test that looks at what was asked for sees the same from both protocols.
    expect(texts).toEqual(Array(4).fill(texts[0]));
  }

  test.each(conditions)('by %s', async (_, rest, grpc, places) => {
    await expectMatches({ rest: `{"must":[${rest}]}`, grpc: { must: [grpc] } }, places);
    const others = ALL.filter((at) => !places.includes(at));
    await expectMatches({ rest: `{"must_not":[${rest}]}`, grpc: { mustNot: [grpc] } }, others);
  });

  test.each(filters)('by %s', async (_, rest, grpc, places) => {
    await expectMatches({ rest, grpc }, places);
    if (rest !== '{}') expect(double.requests.at(-1)?.filter).toBe(rest);
  });

  test('page by page', async () => {
    const hasVector: Condition = { conditionOneOf: { case: 'hasVector', value: { hasVector: 's' } } };
    const filter = { rest: '{"must":{"has_vector":"s"}}', grpc: { must: [hasVector] } };
    for (const asker of askers) {
      const first = await asker.scroll({ collection: 'things', filter, limit: 3 });
      expect([first.points.map(({ id }) => id), first.next]).toEqual([['1', '4', '10'], '13']);
      const second = await asker.scroll({ collection: 'things', filter, limit: 2, offset: '13' });
      expect([second.points.map(({ id }) => id), second.next]).toEqual([['13', '19'], undefined]);
    }
  });

  test('by u64 ids and UUIDs to the last digit', async () => {
    const ids = [
      '9007199254740993',
      '18446744073709551615',
      '18446744073709551613',
      'f47ac10b-58cc-4372-a567-0e02b2c3d479',
    ];
    const hasId = ids.map((id) => ({
      pointIdOptions:
        id.length === 36
          ? { case: 'uuid' as const, value: id.toUpperCase() }
          : { case: 'num' as const, value: BigInt(id) },
    }));
    const filter = {
      rest: `{"must":[{"has_id":[${ids.map((id) => (id.length === 36 ? `"${id}"` : id)).join(',')}]}]}`,
      grpc: { must: [{ conditionOneOf: { case: 'hasId' as const, value: { hasId } } }] },
    };
    for (const asker of askers) {
      const { points } = await asker.scroll({ collection: 'plain', filter });
      expect(points.map(({ id }) => id)).toEqual([ids[0], ids[1], ids[3]] as string[]);
      expect(double.requests.at(-1)?.filter).toBe(filter.rest);
    }
  });
});
