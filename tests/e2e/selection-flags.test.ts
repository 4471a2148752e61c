import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectRecorded, expectRefused, readsOf, startBoth } from '../support/both-protocols.ts';
import type { Outcome } from '../support/one-export.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import type { RecordedPoint } from '../support/recorded-points.ts';

setDefaultTimeout(60_000);

const WAYS = ['one', 'two'] as const;

/** Names that need quotes in a list. */
const ODD: GeneratedCollection = {
  name: 'odd',
  points: 5,
  dimensions: 0,
  vectors: [
    { kind: 'dense', name: 'a,b', size: 3 },
    { kind: 'sparse', name: 'none' },
    { kind: 'multi', name: 'say "hi"', size: 2 },
  ],
};
/** The unnamed vector beside a named one. */
const BESIDE: GeneratedCollection = {
  name: 'beside',
  points: 5,
  dimensions: 0,
  vectors: [
    { kind: 'dense', name: '', size: 3 },
    { kind: 'sparse', name: 's' },
  ],
};

const servers = await startBoth({ recorded: ['standalone', 'cluster'], generated: [ODD, BESIDE] });
const folder = mkdtempSync(join(tmpdir(), 'selection-'));
afterAll(async () => {
  await servers.stop();
  rmSync(folder, { recursive: true });
});

/** What a run asked for where it asked for vectors at all: names, or all that there are. */
function askedVectors(run: Outcome): readonly unknown[] {
  const asked = readsOf(run).flatMap(({ vectors }) => (vectors === false ? [] : [JSON.stringify(vectors)]));
  return [...new Set(asked)];
}

describe('--vectors', () => {
  for (const passes of WAYS) {
    test(`asks for the vectors that it names and no others, --passes ${passes}`, async () => {
      const args = ['--vectors', 'text,bm25', '--passes', passes, '--schema', 'points'];
      for (const run of await servers.over('named', args)) {
        expectRecorded(run, 'named', { schema: 'points', vectors: ['bm25', 'text'] });
        expect(Object.keys(run.columns ?? {})).toEqual([
          'id',
          'payload',
          'vector_bm25',
          'vector_text',
          'shard_key',
        ]);
        expect(askedVectors(run)).toEqual(['["bm25","text"]']);
        expect(run.manifest.options.vectors).toEqual(['text', 'bm25']);
      }
    });

    test(`none asks for no vector at all, --passes ${passes}`, async () => {
      for (const run of await servers.over('named', ['--vectors', 'none', '--passes', passes])) {
        expectRecorded(run, 'named', { schema: 'keyed', vectors: [] });
        expect(Object.keys(run.columns ?? {})).toEqual(['key', 'metadata']);
        expect(readsOf(run).length).toBeGreaterThan(1);
        expect(askedVectors(run)).toEqual([]);
        expect(run.manifest).toMatchObject({ vectors: [], counts: { emptyVectors: {} } });
      }
    });
  }

  test('"" is the unnamed vector, and leaves out a named one beside it', async () => {
    const wanted = Array.from({ length: BESIDE.points }, (_, at) => generatedPoint(BESIDE, at));
    for (const run of await servers.over('beside', ['--vectors', '""'])) {
      expect(run.columns?.vector).toEqual(wanted.map(({ vector }) => vector));
      expect(Object.keys(run.columns ?? {})).toEqual(['key', 'metadata', 'vector']);
      expect(askedVectors(run)).toEqual(['[""]']);
    }
    for (const run of await servers.over('beside', ['--vectors', 's'])) {
      const sparse = wanted.map(({ vectors }) => vectors.get('s') as { indices: readonly number[] });
      expect(run.columns?.vector_s).toMatchObject(
        sparse.map(({ indices }) => ({ indices: Uint32Array.from(indices) })),
      );
      expect(askedVectors(run)).toEqual(['["s"]']);
    }
  });

  test('takes names with commas, with quotes, and `none`, in quotes', async () => {
    for (const run of await servers.over('odd', ['--vectors', '"a,b", "none","say ""hi"""'])) {
      expect(run.error).toBeUndefined();
      const columns = ['key', 'metadata', 'vector_a,b', 'vector_none', 'vector_say "hi"'];
      expect(Object.keys(run.columns ?? {})).toEqual(columns);
      expect(run.columns?.['vector_a,b']).toEqual(
        Array.from({ length: ODD.points }, (_, at) => {
          const vector = generatedPoint(ODD, at).vectors.get('a,b');
          return vector?.kind === 'dense' ? vector.values : null;
        }),
      );
    }
  });

  test('refuses a name that there is not, and says what there is', async () => {
    const runs = await servers.over('named', ['--vectors', 'text,colour']);
    expectRefused(
      runs,
      /^Collection `named` has no vector `colour`; it has .*`bm25`, .*`colbert`, .*`half`, .*`image`, .*`text`\.$/,
    );
    for (const run of runs) expect(readsOf(run)).toEqual([]);
    expectRefused(
      await servers.over('plain', ['--vectors', 'text']),
      /^Collection `plain` has no vector `text`; it has .*unnamed/,
    );
  });
});

interface FilterCase {
  readonly filter: string;
  readonly passes: (typeof WAYS)[number];
  readonly takes: (point: RecordedPoint) => boolean;
}

const IDS = ['0', '9007199254740993', '18446744073709551615', 'ffffffff-ffff-ffff-ffff-ffffffffffff'];
const keyOf = ({ payload }: RecordedPoint) => payload.key;
const BIG_INTEGERS = '[9223372036854775807,1789346712345678901]';

const FILTERS: Readonly<Record<string, FilterCase>> = {
  'has_id, beyond 2^53 and UUIDs': {
    filter: `{"must":[{"has_id":[0,9007199254740993,18446744073709551615,"${IDS[3]}",5]}]}`,
    passes: 'two',
    takes: ({ id }) => IDS.includes(id),
  },
  must_not: {
    filter: '{"must_not":[{"key":"key","match":{"any":["alpha","tweet-1789"]}},{"has_id":[0]}]}',
    passes: 'one',
    takes: (point) => keyOf(point) !== 'alpha' && keyOf(point) !== 'tweet-1789' && point.id !== '0',
  },
  should: {
    filter: '{"should":[{"is_null":{"key":"ключ"}},{"key":"geo.lat","range":{"gt":52}}]}',
    passes: 'two',
    takes: ({ payload }) => 'ключ' in payload || 'geo' in payload,
  },
  'integers of 64 bits': {
    filter: `{"must":[{"key":"metadata.i64max","match":{"any":${BIG_INTEGERS}}}]}`,
    passes: 'one',
    takes: (point) => keyOf(point) === 'tweet-1789',
  },
  'what no point is': {
    filter: '{"must":[{"key":"key","match":{"value":"nobody"}}]}',
    passes: 'two',
    takes: () => false,
  },
};

/** The filter as the server understood it, the same text for the same filter over either protocol. */
function sentFilters({ requests }: Outcome): readonly (string | undefined)[] {
  const listing = requests.filter(({ method }) => method === 'scroll' || method === 'count');
  expect(listing.length).toBeGreaterThanOrEqual(4);
  return [...new Set(listing.map(({ filter }) => filter))];
}

describe('--filter', () => {
  for (const [name, { filter, passes, takes }] of Object.entries(FILTERS)) {
    test(`takes the same points over both protocols: ${name}, --passes ${passes}`, async () => {
      const args = ['--filter', filter, '--passes', passes, '--schema', 'points', '--strict'];
      for (const run of await servers.over('plain', args)) {
        expectRecorded(run, 'plain', { schema: 'points', takes });
        expect(run.manifest.options.filter).toBe(filter);
        // Whatever lists or counts points has the filter; retrieve asks for what was listed.
        expect(sentFilters(run)).toEqual([filter]);
      }
    });
  }

  test('is read from a file behind @, byte for byte the same export', async () => {
    const { filter } = FILTERS.should as FilterCase;
    const path = join(folder, 'filter.json');
    writeFileSync(path, `\ufeff\n  ${filter}\n`);
    const inline = await servers.over('plain', ['--filter', filter]);
    for (const [at, run] of (await servers.over('plain', ['--filter', `@${path}`])).entries()) {
      expect(run.error).toBeUndefined();
      expect(Buffer.compare(run.bytes, inline[at]?.bytes as Buffer)).toBe(0);
      expect(run.manifest.options.filter).toBe(filter);
    }
  });

  test('holds under every shard key', async () => {
    const filter = '{"must":[{"has_id":[2,3]}]}';
    for (const run of await servers.over('tenants', ['--filter', filter, '--schema', 'points'])) {
      expectRecorded(run, 'tenants', { schema: 'points', takes: ({ id }) => id === '2' || id === '3' });
    }
  });

  test('that is no JSON object, or in no file, is refused before the server is asked', async () => {
    for (const [filter, message] of [
      ['{"must":[}', /^--filter is not JSON: line 1, column 10 has /],
      ['[]', /^--filter is a JSON array; Qdrant's filter is wanted, a JSON object, /],
      [`@${join(folder, 'nothing.json')}`, /^Cannot read --filter @.*nothing\.json: /],
    ] as const) {
      const runs = await servers.over('plain', ['--filter', filter]);
      expectRefused(runs, message);
      for (const { requests } of runs) expect(requests).toEqual([]);
    }
  });

  test('that Qdrant does not take is refused before a point is read or a file begun', async () => {
    for (const [filter, message] of [
      ['{"mst":[]}', /--filter.* `?mst`?/],
      [
        '{"must":[{"key":"key","match":{"value":{"a":1}}}]}',
        /--filter.*(match\.value is an object|form of condition)/,
      ],
      ['{"must":[{"has_id":["no uuid"]}]}', /--filter.*(Unable to parse UUID: no uuid|form of condition)/],
      ['{"must":[{"has_id":[18446744073709551616]}]}', /--filter/],
    ] as const) {
      const runs = await servers.over('plain', ['--filter', filter]);
      expectRefused(runs, message);
      for (const run of runs) expect(readsOf(run)).toEqual([]);
    }
  });
});
