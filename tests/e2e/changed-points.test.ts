import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BY_FILE, PARQUET_FILE, POINTS, STREAMED, type Way } from '../support/export-ways.ts';
import { readColumnsWithHyparquet } from '../support/foreign-readers.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, type Scene, sameBytes } from '../support/long-run-scene.ts';
import { generatedId } from '../support/qdrant-double/generated-id.ts';

/*
 * A collection that changes between a run that was killed and the one that goes on with it. Rows that were safe stay
 * what they were, all others are as the collection is now; none comes twice, none is missing.
 */

/** Places of points that are not there at first: before the cursor of any run, and behind it. */
const ABSENT = [40, 2_900];
const runs = await LongRuns.start({ absent: (place) => ABSENT.includes(place) });
const idAt = (place: number) => generatedId({ name: 'docs', points: POINTS, dimensions: 1 }, place);

afterEach(() => runs.reset());
afterAll(() => runs.stop());

/** While these are gone, and those are there. */
async function changed(
  deleted: readonly number[],
  added: readonly number[],
  work: () => Promise<void>,
): Promise<void> {
  const change = (kind: 'addPoints' | 'deletePoints', places: readonly number[]) => {
    if (places.length > 0) runs.double.change('docs', { kind, ids: places.map(idAt) });
  };
  change('deletePoints', deleted);
  change('addPoints', added);
  try {
    await work();
  } finally {
    change('addPoints', deleted);
    change('deletePoints', added);
  }
}

/** The same way with ids for keys. */
function byId(way: Way): Way {
  return { ...way, name: `${way.name} with ids`, args: [...way.args, '--schema', 'points'] };
}

async function idsOf(scene: Scene): Promise<readonly string[]> {
  const { bytes } = await scene.published();
  const path = join(scene.out, 'published.parquet');
  writeFileSync(path, bytes as Uint8Array);
  return (await readColumnsWithHyparquet(path)).id as readonly string[];
}

/** Ids of all places but these. */
function idsBut(places: readonly number[]): readonly string[] {
  return Array.from({ length: POINTS }, (_, place) => place)
    .filter((place) => !places.includes(place))
    .map(idAt);
}

describe('a run that goes on after points have changed', () => {
  for (const way of [...BY_FILE, PARQUET_FILE]) {
    test.skipIf(!runs.can(way))(
      `has rows as they were before its cursor, and as they are behind it (${way.name})`,
      async () => {
        const scene = runs.scene(byId(way));
        await scene.killedInExport();
        await changed([20, 2_950], ABSENT, async () => {
          const again = await scene.run('--resume');
          expect(again.stderr).toContain(' rows are safe.');
          expect(again.code).toBe(0);
          // Place 20 was read already, and 40 was passed.
          expect(await idsOf(scene)).toEqual(idsBut([40, 2_950]));
          const { counts, warnings } = (await scene.published()).manifest;
          expect(counts).toMatchObject({ before: POINTS - 2, after: POINTS - 2, rows: POINTS - 2 });
          expect(warnings).not.toContain(expect.stringContaining('Only'));
        });
      },
      2 * LIMIT_MS,
    );

    test.skipIf(!runs.can(way))(
      `tells of counts that differ (${way.name})`,
      async () => {
        const scene = runs.scene(byId(way));
        await scene.killedInExport();
        await changed([2_950], [], async () => {
          const again = await scene.run('--resume');
          expect(again.stderr).toContain(
            `Warning: The collection changed during the export: it had ${POINTS - 2} points before and ${POINTS - 3} after, and ${POINTS - 3} were found.`,
          );
          expect(again.code).toBe(0);
          expect(await idsOf(scene)).toEqual(idsBut([...ABSENT, 2_950]));
        });
      },
      2 * LIMIT_MS,
    );

    test.skipIf(!runs.can(way))(
      `has what its finished data has, whatever changed since (${way.name})`,
      async () => {
        if (way.target === 'file') return;
        const whole = await runs.whole(way);
        const scene = runs.scene(way);
        await scene.killedInUpload();
        await changed([20, 1_500, 2_950], ABSENT, async () => {
          const again = await scene.run('--resume');
          expect(again.stderr).toContain('the Parquet file is whole.');
          expect(again.code).toBe(0);
          expect(sameBytes((await scene.published()).bytes, whole)).toBe(true);
        });
      },
      2 * LIMIT_MS,
    );
  }
});

describe.skipIf(!runs.hasStore)('a stream that goes on after points have changed', () => {
  const STARTS_OVER =
    'The interrupted upload cannot be gone on with, as points have changed since: it starts over.';

  for (const [what, deleted, added] of [
    ['one is gone of those behind its safe point that the store has already', [2_130], []],
    ['one is gone and another is there before its safe point, and behind it', [20, 2_130], ABSENT],
  ] as const) {
    test(
      `starts over and has them all as they are now, where ${what}`,
      async () => {
        const scene = runs.scene(byId(STREAMED));
        await scene.killedInExport();
        await changed(deleted, added, async () => {
          const again = await scene.run('--resume');
          expect(again.stderr).toContain(STARTS_OVER);
          expect(again.code).toBe(0);
          const absent = ABSENT.filter((place) => !(added as readonly number[]).includes(place));
          expect(await idsOf(scene)).toEqual(idsBut([...absent, ...deleted]));
          const { bytes, manifest } = await scene.published();
          expect(sameBytes(bytes, await runs.wholeNow(byId(STREAMED)))).toBe(true);
          expect(manifest.files[0].etag).toBe((await runs.store.head(scene.key))?.etag);
          expect(await scene.openUploads()).toEqual([]);
          expect(scene.left).toEqual([]);
        });
      },
      2 * LIMIT_MS,
    );
  }

  test(
    'goes on where the bytes that the store has are the same, rows before its safe point as they were',
    async () => {
      const scene = runs.scene(byId(STREAMED));
      await scene.killedInExport();
      await changed([20, 2_950], ABSENT, async () => {
        const again = await scene.run('--resume');
        expect(again.stderr).not.toContain('starts over');
        expect(again.code).toBe(0);
        expect(await idsOf(scene)).toEqual(idsBut([40, 2_950]));
        const { bytes, manifest } = await scene.published();
        const { sha256 } = manifest.files[0];
        expect(new Bun.CryptoHasher('sha256').update(bytes as Uint8Array).digest('hex')).toBe(sha256);
        expect(await scene.openUploads()).toEqual([]);
      });
    },
    2 * LIMIT_MS,
  );
});
