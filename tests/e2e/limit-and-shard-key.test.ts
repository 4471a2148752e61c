import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { countsOf, expectRecorded, expectRefused, readsOf, startBoth } from '../support/both-protocols.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import type { RecordedPoint } from '../support/recorded-points.ts';

setDefaultTimeout(60_000);

const WAYS = ['one', 'two'] as const;

/** Shard keys of which two look the same, and one that no double holds. */
const KEYS: GeneratedCollection = {
  name: 'keys',
  points: 4,
  dimensions: 0,
  vectors: [{ kind: 'dense', name: '', size: 2 }],
  shardKeys: [{ key: 'é' }, { key: '7' }, { key: 9_007_199_254_740_993n }, { key: 7 }, { key: 10 }],
};
const MANY: GeneratedCollection = { name: 'many', points: 5_000, dimensions: 4, ids: 'mixed' };

const servers = await startBoth({ recorded: ['standalone', 'cluster'], generated: [KEYS, MANY] });
afterAll(() => servers.stop());

describe('--limit', () => {
  for (const passes of WAYS) {
    test(`ends in the middle of a shard key, --passes ${passes}`, async () => {
      for (const limit of [2, 3]) {
        const args = ['--limit', `${limit}`, '--passes', passes, '--schema', 'points', '--strict'];
        for (const run of await servers.over('same ids', args)) {
          expect(run.error).toBeUndefined();
          expect(run.columns?.id).toEqual(['1', '2', '1'].slice(0, limit));
          expect(run.columns?.shard_key).toEqual(['a', 'a', 'b'].slice(0, limit));
          expect(run.columns?.payload).toEqual(
            ['{"tenant":"a"}', '{"tenant":"a"}', '{"tenant":"b"}'].slice(0, limit),
          );
          const { counts: counted, warnings } = run.manifest;
          expect(counted).toMatchObject({ before: 4, after: 4, idsSeen: limit, rows: limit });
          expect(warnings).toEqual([]);
          expect(run.manifest.options.limit).toBe(limit);
        }
      }
    });

    test(`takes the first points, whatever the pages, and asks for no more, --passes ${passes}`, async () => {
      for (const [limit, batchSize] of [
        [2_000, 1_000],
        [1_003, 500],
      ] as const) {
        const args = ['--limit', `${limit}`, '--batch-size', `${batchSize}`, '--passes', passes];
        for (const run of await servers.over('many', args)) {
          const wanted = Array.from({ length: limit }, (_, at) => generatedPoint(MANY, at).id);
          expect(run.columns?.key).toEqual(wanted);
          const [sample, ...others] = readsOf(run);
          expect(sample).toMatchObject({ method: 'scroll', points: 16 });
          const method = passes === 'two' ? 'retrieve' : 'scroll';
          const points = others
            .filter((request) => request.method === method)
            .map((request) => request.points);
          expect(points.reduce((sum, each) => sum + each, 0)).toBe(limit);
          const ids = others
            .filter((request) => request.method === 'scroll')
            .map((request) => request.points);
          expect(ids.reduce((sum, each) => sum + each, 0)).toBe(limit);
        }
      }
    });
  }

  test('of more points than there are takes all of them, and --strict has nothing to say', async () => {
    for (const run of await servers.over('plain', ['--limit', '29', '--strict'])) {
      expectRecorded(run, 'plain', { schema: 'keyed' });
    }
  });
});

describe('--shard-key', () => {
  const under = (key: string) => ({
    schema: 'points' as const,
    takes: ({ shardKey }: RecordedPoint) => shardKey === key,
  });

  for (const [typed, sent, passes] of [
    ['acme', 'acme', 'two'],
    ['"acme"', 'acme', 'one'],
    ['7', 7, 'two'],
    ['7', 7, 'one'],
  ] as const) {
    test(`${typed} takes the points under it, and asks for no others, --passes ${passes}`, async () => {
      const args = ['--shard-key', typed, '--schema', 'points', '--passes', passes];
      for (const run of await servers.over('tenants', args)) {
        expectRecorded(run, 'tenants', under(`${sent}`));
        for (const { shardKeys } of [...readsOf(run), ...countsOf(run)]) expect(shardKeys).toEqual([sent]);
        expect(run.manifest.options.shardKey).toBe(typed);
      }
    });
  }

  test('takes a number of 64 bits to its last digit', async () => {
    const key = 9_007_199_254_740_993n;
    for (const run of await servers.over('keys', ['--shard-key', `${key}`, '--schema', 'points'])) {
      expect(run.columns?.payload).toEqual(
        Array.from({ length: KEYS.points }, (_, at) => generatedPoint(KEYS, at, key).payloadJson),
      );
      expect(run.columns?.shard_key).toEqual(Array(KEYS.points).fill(`${key}`));
    }
  });

  test('tells the number 7 from the keyword "7", and without it both are there, numbers first', async () => {
    const rows = (key: string | number | bigint) =>
      Array.from({ length: KEYS.points }, (_, at) => generatedPoint(KEYS, at, key).payloadJson);
    expect(rows(7)).not.toEqual(rows('7'));
    for (const [typed, key] of [
      ['7', 7],
      ['"7"', '7'],
    ] as const) {
      for (const run of await servers.over('keys', ['--shard-key', typed, '--schema', 'points'])) {
        expect(run.columns?.payload).toEqual(rows(key));
        expect(run.columns?.shard_key).toEqual(Array(KEYS.points).fill('7'));
        expect(run.manifest.warnings).toEqual([]);
      }
    }
    const keys = [7, 10, 9_007_199_254_740_993n, '7', 'é'];
    for (const run of await servers.over('keys', ['--schema', 'points'])) {
      expect(run.columns?.payload).toEqual(keys.flatMap(rows));
      expect(run.columns?.shard_key).toEqual(keys.flatMap((key) => Array(KEYS.points).fill(`${key}`)));
      expect(run.manifest.warnings).toEqual([
        'Rows under the shard key 7 (a number) and under "7" (a keyword) look the same in column shard_key.',
      ]);
    }
  });

  test('that there is not, or of a collection without any, is refused', async () => {
    for (const typed of ['nope', '"7"']) {
      const runs = await servers.over('tenants', ['--shard-key', typed]);
      expectRefused(runs, `Collection \`tenants\` has no shard key \`${typed}\`; it has 7, \`acme\`.`);
    }
    expectRefused(
      await servers.over('plain', ['--shard-key', 'acme']),
      '--shard-key is `acme`, but collection `plain` has no shard keys (its sharding is automatic); leave the flag out.',
    );
  });
});
