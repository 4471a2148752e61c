import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { countsOf, expectRefused, readsOf, startBoth } from '../support/both-protocols.ts';
import { KEPT_AT_FIRST, keptFiles, PUBLISHED } from '../support/one-export.ts';
import { recordedCollection } from '../support/recorded-points.ts';
import { canonicalText } from '../unit/qdrant/canonical-oracle.ts';

setDefaultTimeout(60_000);

const WAYS = ['one', 'two'] as const;

const servers = await startBoth({ recorded: ['standalone'] });
afterAll(() => servers.stop());

describe('--consistency and --timeout', () => {
  for (const [typed, sent] of [
    ['all', 'all'],
    ['quorum', 'quorum'],
    ['3', 3],
  ] as const) {
    test(`go with every read: ${typed}`, async () => {
      for (const run of await servers.over('plain', [
        '--consistency',
        typed,
        '--timeout',
        '7',
        '--dry-run',
      ])) {
        expect(run.error).toBeUndefined();
        for (const request of readsOf(run)) {
          expect(request).toMatchObject({ consistency: sent, timeoutSeconds: 7 });
        }
        for (const request of countsOf(run))
          expect(request).toMatchObject({ timeoutSeconds: 7, exact: true });
      }
    });
  }

  test('go with pages of ids, of points and with retrieves alike, and leave the choice to the server otherwise', async () => {
    for (const passes of WAYS) {
      for (const run of await servers.over('plain', ['--consistency', 'majority', '--passes', passes])) {
        expect(run.left.toSorted()).toEqual(PUBLISHED);
        expect(new Set(readsOf(run).map(({ consistency }) => consistency))).toEqual(new Set(['majority']));
      }
    }
    for (const run of await servers.over('plain', [])) {
      expect(new Set(readsOf(run).map(({ consistency }) => consistency))).toEqual(new Set([undefined]));
      expect(new Set(readsOf(run).map(({ timeoutSeconds }) => timeoutSeconds))).toEqual(new Set([60]));
    }
  });

  test('are refused where they are neither a word of Qdrant nor a number', async () => {
    for (const typed of ['most', '0']) {
      const runs = await servers.over('plain', ['--consistency', typed]);
      expectRefused(runs, /^--consistency/);
      for (const { requests } of runs) expect(requests).toEqual([]);
    }
  });
});

describe('--key-field and --metadata-field', () => {
  test('choose what goes into key and metadata', async () => {
    for (const run of await servers.over('plain', ['--key-field', 'extra', '--metadata-field', 'metadata'])) {
      const { points } = recordedCollection('plain', '1.18.3', run.protocol);
      expect(run.columns?.key).toEqual(
        points.map(({ id, payload }) => ('extra' in payload ? 'dropped by the old rule' : id)),
      );
      expect(run.columns?.metadata).toEqual(
        points.map(({ payload }) => ('metadata' in payload ? canonicalText(payload.metadata) : null)),
      );
      expect(run.manifest).toMatchObject({
        options: { keyField: 'extra', metadataField: 'metadata' },
        counts: { keysFromPayload: 1, duplicateKeys: 0 },
      });
    }
  });

  test('choose what Pinecone gets as metadata', async () => {
    const filter = '{"must":[{"has_id":[0,1,2,7]}]}';
    const args = ['--schema', 'pinecone', '--metadata-field', 'metadata', '--filter', filter];
    for (const run of await servers.over('plain', args)) {
      expect(run.columns?.id).toEqual(['0', '1', '2', '7']);
      expect(run.columns?.metadata).toEqual([
        '{}',
        '{"n":1,"title":"First"}',
        '{"title":"empty key"}',
        '{"i64max":9223372036854775807,"i64min":-9223372036854775808,"snowflake":1789346712345678901}',
      ]);
    }
    const refused = await servers.over('plain', ['--schema', 'pinecone', '--metadata-field', 'metadata']);
    for (const run of refused) {
      const { code, error } = run;
      expect({ code, kept: keptFiles(run) }).toEqual({ code: 11, kept: KEPT_AT_FIRST });
      expect(error?.message).toMatch(
        /^Cannot write point 3 for Pinecone: payload field `metadata` is no object, /,
      );
    }
  });

  test('are refused in schemas that have no such column', async () => {
    for (const args of [
      ['--schema', 'points', '--key-field', 'key'],
      ['--schema', 'points', '--metadata-field', 'm'],
      ['--schema', 'pinecone', '--key-field', 'key'],
      ['--schema', 'milvus', '--metadata-field', 'm'],
    ]) {
      const runs = await servers.over('plain', args);
      expectRefused(runs, new RegExp(`^${args[2]} and --schema ${args[1]} contradict: `));
    }
  });
});
