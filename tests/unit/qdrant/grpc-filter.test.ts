import { describe, expect, test } from 'bun:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { ScrollPointsSchema } from '@qdrant/js-client-grpc';
import { filterOf } from '../../../lib/qdrant/grpc-filter.ts';
import { errorOf } from './batch-rows.ts';

type FilterShape = NonNullable<MessageInitShape<typeof ScrollPointsSchema>['filter']>;

/** The message of these parts, as the official schema makes it. */
function message(filter: FilterShape) {
  return create(ScrollPointsSchema, { filter }).filter;
}

/** A filter of one condition, as JSON and as a message. */
const must = (condition: string) => `{"must":[${condition}]}`;
const field = (value: object) => ({ conditionOneOf: { case: 'field', value: { key: 'a.b[]', ...value } } });
const on = (check: string) => `{"key":"a.b[]",${check}}`;
const matching = (matchValue: object) => field({ match: { matchValue } });

const BERLIN = '{"lon":13.4,"lat":52.5}';
const PLACE = { lon: 13.4, lat: 52.5 };
const LINE = `{"points":[${BERLIN},{"lon":-180,"lat":90},{"lon":180,"lat":-90},${BERLIN}]}`;
const POINTS = { points: [PLACE, { lon: -180, lat: 90 }, { lon: 180, lat: -90 }, PLACE] };
const NOON = { seconds: 1_714_564_800n, nanos: 0 };

/** Every condition that Qdrant's REST API knows, and the message of its gRPC API that says the same. */
const CONDITIONS: readonly (readonly [string, object])[] = [
  [on('"match":{"value":"red"}'), matching({ case: 'keyword', value: 'red' })],
  [on('"match":{"value":""}'), matching({ case: 'keyword', value: '' })],
  [on('"match":{"value":0}'), matching({ case: 'integer', value: 0n })],
  [
    on('"match":{"value":-9223372036854775808}'),
    matching({ case: 'integer', value: -9_223_372_036_854_775_808n }),
  ],
  [on('"match":{"value":9007199254740993}'), matching({ case: 'integer', value: 9_007_199_254_740_993n })],
  [on('"match":{"value":false}'), matching({ case: 'boolean', value: false })],
  [on('"match":{"text":"good cheap"}'), matching({ case: 'text', value: 'good cheap' })],
  [on('"match":{"text_any":"good cheap"}'), matching({ case: 'textAny', value: 'good cheap' })],
  [on('"match":{"phrase":"brown fox"}'), matching({ case: 'phrase', value: 'brown fox' })],
  [on('"match":{"prefix":"br"}'), matching({ case: 'prefix', value: 'br' })],
  [
    on('"match":{"any":["a","\\u00e9\\ud83d\\ude00"]}'),
    matching({ case: 'keywords', value: { strings: ['a', 'é😀'] } }),
  ],
  [
    on('"match":{"any":[1,-2,9223372036854775807]}'),
    matching({ case: 'integers', value: { integers: [1n, -2n, 9_223_372_036_854_775_807n] } }),
  ],
  [on('"match":{"any":[]}'), matching({ case: 'keywords', value: { strings: [] } })],
  [on('"match":{"except":["a"]}'), matching({ case: 'exceptKeywords', value: { strings: ['a'] } })],
  [on('"match":{"except":[7]}'), matching({ case: 'exceptIntegers', value: { integers: [7n] } })],
  [
    on('"range":{"lt":1e3,"gt":-0.5,"gte":9007199254740993,"lte":null}'),
    field({ range: { lt: 1000, gt: -0.5, gte: 9_007_199_254_740_992 } }),
  ],
  [on('"range":{"lte":0}'), field({ range: { lte: 0 } })],
  [
    on('"range":{"gte":"2024-05-01T12:00:00Z","lt":"2024-05-01T14:00:00.5+02:00"}'),
    field({ datetimeRange: { gte: NOON, lt: { ...NOON, nanos: 500_000_000 } } }),
  ],
  [on('"range":{"gt":"1969-12-31"}'), field({ datetimeRange: { gt: { seconds: -86_400n, nanos: 0 } } })],
  [
    on(`"geo_bounding_box":{"top_left":${BERLIN},"bottom_right":{"lon":14,"lat":-0.5}}`),
    field({ geoBoundingBox: { topLeft: PLACE, bottomRight: { lon: 14, lat: -0.5 } } }),
  ],
  [
    on(`"geo_radius":{"center":${BERLIN},"radius":1000.5}`),
    field({ geoRadius: { center: PLACE, radius: 1000.5 } }),
  ],
  [
    on(`"geo_polygon":{"exterior":${LINE},"interiors":[${LINE}]}`),
    field({ geoPolygon: { exterior: POINTS, interiors: [POINTS] } }),
  ],
  [
    on(`"geo_polygon":{"exterior":${LINE},"interiors":null}`),
    field({ geoPolygon: { exterior: POINTS, interiors: [] } }),
  ],
  [
    on('"values_count":{"lt":9,"gt":0,"gte":1,"lte":18446744073709551615}'),
    field({ valuesCount: { lt: 9n, gt: 0n, gte: 1n, lte: 18_446_744_073_709_551_615n } }),
  ],
  [on('"is_empty":false'), field({ isEmpty: false })],
  [on('"is_null":true'), field({ isNull: true })],
  [
    on('"match":{"value":1},"range":{"gt":2},"is_null":null'),
    field({ match: { matchValue: { case: 'integer', value: 1n } }, range: { gt: 2 } }),
  ],
  ['{"is_empty":{"key":"x"}}', { conditionOneOf: { case: 'isEmpty', value: { key: 'x' } } }],
  ['{"is_null":{"key":"x"}}', { conditionOneOf: { case: 'isNull', value: { key: 'x' } } }],
  [
    '{"has_id":[0,18446744073709551615,"f47ac10b-58cc-4372-a567-0e02b2c3d479"]}',
    {
      conditionOneOf: {
        case: 'hasId',
        value: {
          hasId: [
            { pointIdOptions: { case: 'num', value: 0n } },
            { pointIdOptions: { case: 'num', value: 18_446_744_073_709_551_615n } },
            { pointIdOptions: { case: 'uuid', value: 'f47ac10b-58cc-4372-a567-0e02b2c3d479' } },
          ],
        },
      },
    },
  ],
  ['{"has_vector":""}', { conditionOneOf: { case: 'hasVector', value: { hasVector: '' } } }],
  [
    '{"nested":{"key":"diet[]","filter":{"must":{"key":"food","match":{"value":"meat"}}}}}',
    {
      conditionOneOf: {
        case: 'nested',
        value: {
          key: 'diet[]',
          filter: {
            must: [
              {
                conditionOneOf: {
                  case: 'field',
                  value: { key: 'food', match: { matchValue: { case: 'keyword', value: 'meat' } } },
                },
              },
            ],
          },
        },
      },
    },
  ],
  [
    '{"slice":{"total":4294967295,"index":0}}',
    { conditionOneOf: { case: 'slice', value: { total: 4_294_967_295, index: 0 } } },
  ],
  [
    '{"should":[{"is_null":{"key":"x"}}],"must_not":{"has_id":[]}}',
    {
      conditionOneOf: {
        case: 'filter',
        value: {
          should: [{ conditionOneOf: { case: 'isNull', value: { key: 'x' } } }],
          mustNot: [{ conditionOneOf: { case: 'hasId', value: { hasId: [] } } }],
        },
      },
    },
  ],
  ['{}', { conditionOneOf: { case: 'filter', value: {} } }],
];

describe('filterOf()', () => {
  test.each(CONDITIONS)('makes a message of %s', (json, condition) => {
    const wanted = message({ must: [condition] } as FilterShape);
    const made = filterOf(must(json));
    expect(made).toEqual(wanted as typeof made);
    // It is one that can be sent, and says the same when it arrives.
    const sent = toBinary(ScrollPointsSchema, create(ScrollPointsSchema, { filter: made }));
    expect(fromBinary(ScrollPointsSchema, sent).filter).toEqual(wanted);
  });

  test('puts conditions where they belong: lists, single ones, none, and a number of them', () => {
    const [first, second] = [CONDITIONS[0], CONDITIONS[2]] as [
      (typeof CONDITIONS)[0],
      (typeof CONDITIONS)[0],
    ];
    const json = `{"must":${first[0]},"should":[${first[0]},${second[0]}],"must_not":[],"min_should":{"conditions":[${second[0]}],"min_count":1}}`;
    expect(filterOf(json)).toEqual(
      message({
        must: [first[1]],
        should: [first[1], second[1]],
        minShould: { conditions: [second[1]], minCount: 1n },
      } as FilterShape) as ReturnType<typeof filterOf>,
    );
    const empty = message({}) as ReturnType<typeof filterOf>;
    for (const nothing of ['{}', '{"must":null}', '{"should":[],"min_should":null}']) {
      expect(filterOf(nothing)).toEqual(empty);
    }
  });

  test('goes as deep as Qdrant reads JSON, and no deeper', () => {
    const nested = (levels: number) => `${'{"must":['.repeat(levels)}${'{}'}${']}'.repeat(levels)}`;
    let filter: ReturnType<typeof filterOf> | undefined = filterOf(nested(63));
    let levels = 0;
    for (; filter !== undefined; levels++) {
      const condition: (typeof filter.must)[number]['conditionOneOf'] | undefined =
        filter.must[0]?.conditionOneOf;
      filter = condition?.case === 'filter' ? condition.value : undefined;
    }
    expect(levels).toBe(64);
    for (const deep of [nested(65), `{"must":${'['.repeat(200)}${']'.repeat(200)}}`, nested(100_000)]) {
      expect(errorOf(() => filterOf(deep)).code).toBe('usage');
    }
  });

  test.each([
    ['{"must":[', 'it is not JSON'],
    ['[]', 'the whole of it is a list where an object is wanted'],
    ['"x"', 'the whole of it is "x" where an object is wanted'],
    [
      on('"match":{"value":1}'),
      'key is not a part of a filter that Qdrant knows (must, should, must_not, min_should)',
    ],
    ['{"must":[],"Should":[]}', 'Should is not a part of a filter that Qdrant knows'],
    ['{"must":[],"must":[]}', 'must is there twice'],
    [must(on('"match":{"value":1,"value":2}')), 'must[0].match.value is there twice'],
    ['{"must":7}', 'must is 7 where an object is wanted'],
    [must('null'), 'must[0] is null where an object is wanted'],
    [must('[]'), 'must[0] is a list where an object is wanted'],
    [must('{"nope":1}'), 'must[0].nope is not a condition that Qdrant knows (key, is_empty,'],
    [must('{"odd name":1}'), 'must[0]["odd name"] is not a condition that Qdrant knows'],
    [must('{"must":[],"nope":1}'), 'must[0].nope is not a condition that Qdrant knows'],
    [must('{"has_id":[1],"must":[]}'), 'must[0].must does not go with has_id'],
    [must('{"has_id":1}'), 'must[0].has_id is 1 where a list of ids is wanted'],
    [must('{"has_id":null}'), 'must[0].has_id is null where a list of ids is wanted'],
    [must('{"has_id":[1.0]}'), 'must[0].has_id[0] is 1.0 where an id, a whole number'],
    [must('{"has_id":[-1]}'), 'must[0].has_id[0] is -1 where'],
    [must('{"has_id":[18446744073709551616]}'), 'must[0].has_id[0] is 18446744073709551616 where'],
    [must('{"has_id":[true]}'), 'must[0].has_id[0] is true where'],
    [must('{"has_vector":1}'), 'must[0].has_vector is 1 where a text is wanted'],
    [must('{"is_null":"x"}'), 'must[0].is_null is "x" where an object is wanted'],
    [must('{"is_null":{}}'), 'must[0].is_null has no key'],
    [must('{"is_empty":{"key":"x","filter":{}}}'), 'must[0].is_empty.filter does not go with a key (key)'],
    [must('{"nested":{"key":"x"}}'), 'must[0].nested has no filter'],
    [must('{"nested":{"filter":{}}}'), 'must[0].nested has no key'],
    [must('{"nested":{"key":"x","filter":{"must":{"nope":1}}}}'), 'must[0].nested.filter.must.nope is not'],
    [must('{"slice":{"total":2}}'), 'must[0].slice has no index'],
    [
      must('{"slice":{"total":4294967296,"index":0}}'),
      'must[0].slice.total is 4294967296 where a whole number from 0 to 4294967295',
    ],
    [must('{"key":"x"}'), 'must[0] has a key and nothing to compare it with (match, range,'],
    [must('{"key":"x","match":null}'), 'must[0] has a key and nothing to compare it with'],
    [must('{"key":1,"match":{"value":1}}'), 'must[0].key is 1 where a text is wanted'],
    [
      must('{"key":"x","math":{"value":1}}'),
      'must[0].math is not a condition on a field that Qdrant knows (key, match,',
    ],
    [must(on('"match":{}')), 'must[0].match has to have exactly one of value, text,'],
    [must(on('"match":{"value":1,"any":[1]}')), 'must[0].match has to have exactly one of'],
    [must(on('"match":{"vale":1}')), 'must[0].match.vale is not a match that Qdrant knows (value, text,'],
    [must(on('"match":"red"')), 'must[0].match is "red" where an object is wanted'],
    [
      must(on('"match":{"value":1.5}')),
      'must[0].match.value is 1.5 where a text, a whole number of 64 bits, true or false is wanted',
    ],
    [must(on('"match":{"value":-0}')), 'must[0].match.value is -0 where'],
    [must(on('"match":{"value":1e3}')), 'must[0].match.value is 1e3 where'],
    [must(on('"match":{"value":9223372036854775808}')), 'must[0].match.value is 9223372036854775808 where'],
    [must(on('"match":{"value":["a"]}')), 'must[0].match.value is a list where'],
    [must(on('"match":{"text":1}')), 'must[0].match.text is 1 where a text is wanted'],
    [
      must(on('"match":{"any":"a"}')),
      'must[0].match.any is "a" where a list of texts or of whole numbers is wanted',
    ],
    [must(on('"match":{"any":["a",1]}')), 'must[0].match.any[1] is 1 where a text is wanted'],
    [
      must(on('"match":{"except":[1,"a"]}')),
      'must[0].match.except[1] is "a" where a whole number of 64 bits is wanted',
    ],
    [must(on('"range":{"lt":"soon"}')), 'must[0].range.lt is "soon" where a date that Qdrant reads'],
    [
      must(on('"range":{"lt":1,"gt":"2024-01-01"}')),
      'must[0].range.gt is "2024-01-01" where a number, or a date in a text, is wanted',
    ],
    [must(on('"range":{"gt":"2024-01-01","gte":5}')), 'must[0].range.gte is 5 where a text is wanted'],
    [must(on('"range":{"lt":1e400}')), 'must[0].range.lt is 1e400 where a number'],
    [must(on('"range":{"le":1}')), 'must[0].range.le is not a bound that Qdrant knows (lt, gt, gte, lte)'],
    [must(on('"values_count":{"lt":1.5}')), 'must[0].values_count.lt is 1.5 where a whole number from 0'],
    [must(on('"is_null":"yes"')), 'must[0].is_null is "yes" where true or false is wanted'],
    [must(on(`"geo_radius":{"center":${BERLIN}}`)), 'must[0].geo_radius has no radius'],
    [
      must(on(`"geo_radius":{"center":${BERLIN},"radius":1e39}`)),
      'must[0].geo_radius.radius is 1e39 where a number of metres that fits a float32',
    ],
    [
      must(on('"geo_radius":{"center":{"lon":181,"lat":0},"radius":1}')),
      'must[0].geo_radius.center.lon is 181 where a number from -180 to 180 is wanted',
    ],
    [
      must(on('"geo_radius":{"center":{"lon":0,"lat":-90.5},"radius":1}')),
      'must[0].geo_radius.center.lat is -90.5 where a number from -90 to 90',
    ],
    [must(on(`"geo_bounding_box":{"top_left":${BERLIN}}`)), 'must[0].geo_bounding_box has no bottom_right'],
    [
      must(on(`"geo_polygon":{"exterior":[${BERLIN}]}`)),
      'must[0].geo_polygon.exterior is a list where an object is wanted',
    ],
    [
      must(on(`"geo_polygon":{"exterior":${LINE},"interiors":${LINE}}`)),
      'must[0].geo_polygon.interiors is an object where a list of lines is wanted',
    ],
    ['{"min_should":[]}', 'min_should is a list where an object is wanted'],
    ['{"min_should":{"conditions":[]}}', 'min_should has no min_count'],
    [
      '{"min_should":{"conditions":{},"min_count":1}}',
      'min_should.conditions is an object where a list of conditions is wanted',
    ],
    ['{"min_should":{"conditions":[],"min_count":-1}}', 'min_should.min_count is -1 where a whole number'],
    [must(on('"match":{"value":"\\ud800"}')), 'must[0].match.value has half a surrogate pair'],
  ])('refuses %s and says where', (json, what) => {
    const error = errorOf(() => filterOf(json));
    expect(error.code).toBe('usage');
    expect(error.message).toStartWith(`--filter: ${what}`);
    expect(error.message).toEndWith('.');
  });

  test('refuses a slice where the server would pass over it', () => {
    const slice = must('{"slice":{"total":2,"index":0}}');
    for (const version of ['1.9.0', '1.18.3', '0.11.1']) {
      const error = errorOf(() => filterOf(slice, version));
      expect(error.code).toBe('usage');
      expect(error.message).toContain(`must[0].slice needs Qdrant 1.19 or later, and this one is ${version}`);
    }
    for (const version of ['1.19.0', '1.20.0-dev', '2.0.0', undefined]) {
      expect(filterOf(slice, version).must).toHaveLength(1);
    }
  });

  test.each([
    must(on(`"match":{"value":1${'0'.repeat(1_000)}}`)),
    must(on(`"range":{"lt":"${'x'.repeat(1_000)}"}`)),
    must(`{"${'nope'.repeat(1_000)}":1}`),
    must(`{"${'no pe'.repeat(1_000)}":1}`),
  ])('shows no more of what is wrong than fits a sentence', (json) => {
    expect(errorOf(() => filterOf(json)).message.length).toBeLessThan(250);
  });
});
