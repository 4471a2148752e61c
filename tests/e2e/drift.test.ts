import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import { EVERY_KIND, expectNothingPublished, exportWhile } from '../support/both-protocols.ts';
import { PUBLISHED } from '../support/one-export.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import type { QdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

setDefaultTimeout(60_000);

const UNNAMED: GeneratedCollection = {
  name: 'unnamed',
  points: 300,
  dimensions: 4,
  distance: 'Dot',
  ids: 'mixed',
};
type Passes = 'one' | 'two';
/** What points come by. */
const READ_BY = { one: 'scroll', two: 'retrieve' } as const;
const WAYS: readonly Passes[] = ['one', 'two'];

const DROPPED = { one: ['text'], two: ['m', 's', 'text'] } as const;
const idAt = (at: number) => generatedPoint(EVERY_KIND, at).id;
const LAST = EVERY_KIND.points - 1;

describe('vectors that change while they are exported', () => {
  for (const passes of WAYS) {
    const way = ['--passes', passes];
    const after = { requests: 3, method: READ_BY[passes] } as const;

    test(`one that is added is named, --passes ${passes}`, async () => {
      const vector = { kind: 'dense', name: 'new', size: 2 } as const;
      const added = (server: QdrantDouble) =>
        server.changeAfter(after, 'named', { kind: 'addVector', vector });
      expectNothingPublished(
        await exportWhile(EVERY_KIND, added, way),
        /^Cannot export collection `named`: its vectors changed during the export, vector `new` was added\. Run it again\.$/,
      );
    });

    test(`one that is added beside an unnamed one is named, --passes ${passes}`, async () => {
      const vector = { kind: 'sparse', name: 'new', entries: 3 } as const;
      const added = (server: QdrantDouble) =>
        server.changeAfter(after, 'unnamed', { kind: 'addVector', vector });
      expectNothingPublished(await exportWhile(UNNAMED, added, way), /\bvector `new`/);
    });

    for (const name of DROPPED[passes]) {
      test(`one that is dropped is named: ${name}, --passes ${passes}`, async () => {
        const dropped = (server: QdrantDouble) =>
          server.changeAfter(after, 'named', { kind: 'dropVector', name });
        expectNothingPublished(
          await exportWhile(EVERY_KIND, dropped, way),
          new RegExp(`: its vector \`${name}\` is gone; .*Export it again\\.$`),
        );
      });
    }

    test(`an unnamed one that is dropped is found, and no rows without it are published, --passes ${passes}`, async () => {
      const dropped = (server: QdrantDouble) =>
        server.changeAfter(after, 'unnamed', { kind: 'dropVector', name: '' });
      expectNothingPublished(await exportWhile(UNNAMED, dropped, way), /unnamed vector/);
    });

    test(`those that --vectors leaves out may come and go, --passes ${passes}`, async () => {
      const runs = await exportWhile(
        EVERY_KIND,
        (server) => {
          server.changeAfter(after, 'named', { kind: 'dropVector', name: 'm' });
          server.changeAfter(after, 'named', {
            kind: 'addVector',
            vector: { kind: 'dense', name: 'n', size: 2 },
          });
        },
        [...way, '--vectors', 'text', '--strict'],
      );
      for (const { columns, error, left } of runs) {
        expect(error).toBeUndefined();
        expect(left.toSorted()).toEqual(PUBLISHED);
        expect(columns?.vector_text).toEqual(
          Array.from({ length: EVERY_KIND.points }, (_, at) => {
            const vector = generatedPoint(EVERY_KIND, at).vectors.get('text');
            return vector?.kind === 'dense' ? vector.values : null;
          }),
        );
      }
    });
  }

  test('one that is dropped after the last point was read is found', async () => {
    const dropped = (server: QdrantDouble) =>
      server.changeAfter({ requests: 1, method: 'count' }, 'named', { kind: 'dropVector', name: 's' });
    expectNothingPublished(
      await exportWhile(EVERY_KIND, dropped, []),
      /its vectors changed during the export, vector `s` was dropped\. Run it again\.$/,
    );
  });

  test('one that was made anew with other dimensions is found', async () => {
    const replaced = (server: QdrantDouble) => {
      const last = { requests: 1, method: 'count' } as const;
      server.changeAfter(last, 'named', { kind: 'dropVector', name: 'text' });
      const vector = { kind: 'dense', name: 'text', size: 5 } as const;
      server.changeAfter(last, 'named', { kind: 'addVector', vector });
    };
    expectNothingPublished(
      await exportWhile(EVERY_KIND, replaced, []),
      /vector `text` was dense of 4 dimensions, float32, Dot and is dense of 5 dimensions, float32, Dot\. Run it again\.$/,
    );
  });
});

/** What becomes of the run's counts, and which points are in the file. */
interface Unrest {
  readonly what: string;
  readonly passes: Passes;
  readonly collection: GeneratedCollection;
  readonly arrange: (server: QdrantDouble) => void;
  readonly counts: Readonly<Record<string, number>>;
  readonly has: (at: number) => boolean;
  readonly warnings: readonly RegExp[];
  readonly strict: RegExp;
}

const WITH_ABSENT: GeneratedCollection = { ...EVERY_KIND, absent: (at) => at === LAST };
const afterFirst = (passes: Passes) => ({ requests: 2, method: READ_BY[passes] }) as const;

const UNREST: readonly Unrest[] = [
  {
    what: 'points that are deleted after their ids were listed',
    passes: 'two',
    collection: EVERY_KIND,
    arrange: (server) =>
      server.changeAfter({ requests: 1, method: 'retrieve' }, 'named', {
        kind: 'deletePoints',
        ids: [idAt(40), idAt(41)],
      }),
    counts: { before: 300, after: 298, idsSeen: 300, rows: 298, missing: 2 },
    has: (at) => at !== 40 && at !== 41,
    warnings: [
      /^2 points were deleted while the export ran and are not in the file\.$/,
      /^The collection changed during the export: it had 300 points before and 298 after, and 300 were found\.$/,
    ],
    strict: /with --strict: 300 points were counted before and 298 after, 300 found and 298 written\.$/,
  },
  {
    what: 'points that are deleted before they were reached',
    passes: 'one',
    collection: EVERY_KIND,
    arrange: (server) =>
      server.changeAfter(afterFirst('one'), 'named', { kind: 'deletePoints', ids: [idAt(LAST)] }),
    counts: { before: 300, after: 299, idsSeen: 299, rows: 299, missing: 0 },
    has: (at) => at !== LAST,
    warnings: [/^The collection changed .* 300 points before and 299 after, and 299 were found\.$/],
    strict: /with --strict: 300 points were counted before and 299 after, 299 found and 299 written\.$/,
  },
  {
    what: 'points that are deleted after they were read',
    passes: 'one',
    collection: EVERY_KIND,
    arrange: (server) =>
      server.changeAfter(afterFirst('one'), 'named', { kind: 'deletePoints', ids: [idAt(0)] }),
    counts: { before: 300, after: 299, idsSeen: 300, rows: 300, missing: 0 },
    has: () => true,
    warnings: [/^The collection changed .* 300 points before and 299 after, and 300 were found\.$/],
    strict: /with --strict: 300 points were counted before and 299 after, 300 found and 300 written\.$/,
  },
  ...WAYS.map((passes) => ({
    what: 'points that are added before they were reached',
    passes,
    collection: WITH_ABSENT,
    arrange: (server: QdrantDouble) =>
      server.changeAfter({ requests: 3, method: 'scroll' }, 'named', {
        kind: 'addPoints',
        ids: [idAt(LAST)],
      }),
    counts: { before: 299, after: 300, idsSeen: 300, rows: 300, missing: 0 },
    has: () => true,
    warnings: [/^The collection changed .* 299 points before and 300 after, and 300 were found\.$/],
    strict: /with --strict: 299 points were counted before and 300 after, 300 found and 300 written\.$/,
  })),
];

describe('a collection that changes while it is exported', () => {
  for (const { arrange, collection, counts, has, passes, strict, warnings, what } of UNREST) {
    test(`${what}: all others are in the file, and the manifest warns, --passes ${passes}`, async () => {
      const wanted = Array.from({ length: collection.points }, (_, at) => at)
        .filter(has)
        .map((at) => generatedPoint(collection, at));
      for (const run of await exportWhile(collection, arrange, ['--passes', passes, '--schema', 'points'])) {
        expect(run.error).toBeUndefined();
        expect(run.left.toSorted()).toEqual(PUBLISHED);
        expect(run.manifest.counts).toMatchObject(counts);
        expect(run.manifest.warnings).toEqual(warnings.map((pattern) => expect.stringMatching(pattern)));
        for (const warning of run.manifest.warnings) {
          expect(run.stderr.replace(/\s+/g, ' ')).toContain(warning);
        }
        expect(run.columns?.id).toEqual(wanted.map(({ id }) => id));
        expect(run.columns?.payload).toEqual(wanted.map(({ payloadJson }) => payloadJson));
      }
    });

    test(`${what}: with --strict nothing is published, --passes ${passes}`, async () => {
      expectNothingPublished(
        await exportWhile(collection, arrange, ['--passes', passes, '--strict']),
        strict,
      );
    });
  }

  test('updates that wait in the queue are a warning, for --strict too', async () => {
    const waiting = (server: QdrantDouble) => server.change('named', { kind: 'updateQueue', length: 3 });
    for (const { error, manifest } of await exportWhile(EVERY_KIND, waiting, ['--strict'])) {
      expect(error).toBeUndefined();
      expect(manifest.warnings).toEqual([
        "3 updates were waiting in Qdrant's queue: what they change is not in the file.",
      ]);
    }
  });
});
