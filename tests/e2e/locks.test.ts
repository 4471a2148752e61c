import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { HELD_AT, NDJSON, PARQUET, PARQUET_FILE, STREAMED } from '../support/export-ways.ts';
import { killWhen } from '../support/kill-points.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, sameBytes } from '../support/long-run-scene.ts';

const runs = await LongRuns.start({}, [{ name: 'notes', points: 100, dimensions: 8 }]);

afterEach(() => runs.reset());
afterAll(() => runs.stop());

describe('two runs of one collection in one work folder', () => {
  for (const way of [PARQUET, PARQUET_FILE, NDJSON, STREAMED]) {
    describe.skipIf(!runs.can(way))(way.name, () => {
      test(
        'the second one ends at once, names the process of the first and disturbs nothing',
        async () => {
          const scene = runs.scene(way);
          const held = runs.holdAfter(HELD_AT);
          const first = await scene.start();
          await Promise.all([held.standing, scene.recorded('safe')]);
          const [begun] = readFileSync(scene.journal, 'utf8').split('\n');
          for (const args of [[], ['--resume']]) {
            const second = await scene.run(...args);
            expect(second.stderr).toMatch(
              new RegExp(
                `^Error: Collection "docs" is being exported by process ${first.pid} on host "${hostname()}" since \\S+Z\\. Wait until it ends, or stop it`,
                'm',
              ),
            );
            expect(second.stderr).not.toContain('Go on with');
            expect(second.code).toBe(2);
          }
          expect(readFileSync(scene.journal, 'utf8').split('\n')[0]).toBe(begun as string);
          held.release();
          const ended = await first.result;
          expect(ended.stderr).toContain('Exported');
          expect(ended.code).toBe(0);
          expect(sameBytes((await scene.published()).bytes, await runs.whole(way))).toBe(true);
          expect(ended.workFiles).toEqual([]);
        },
        2 * LIMIT_MS,
      );

      test(
        'the lock of one that was killed is taken over, to go on or to start over',
        async () => {
          for (const args of [['--resume'], []]) {
            const scene = runs.scene(way);
            await scene.killedInExport();
            expect(existsSync(join(scene.folder, 'lock'))).toBe(true);
            const next = await scene.run(...args);
            expect(next.stderr).not.toContain('is being exported by');
            expect(next.code).toBe(0);
            expect(next.workFiles).toEqual([]);
            expect(sameBytes((await scene.published()).bytes, await runs.whole(way))).toBe(true);
          }
        },
        2 * LIMIT_MS,
      );
    });
  }
});

test(
  'runs of two collections in one work folder do not wait for one another',
  async () => {
    const scene = runs.scene(PARQUET_FILE);
    const standing = runs.stallAfter(600);
    const first = await scene.start();
    const killed = killWhen(
      first,
      standing.then(async () => {
        const { work, out } = scene;
        const other = await runs
          .scene(PARQUET_FILE, { work, out, collection: 'notes' })
          .run('--passes', 'one');
        expect(other.code).toBe(0);
      }),
    );
    await killed;
  },
  2 * LIMIT_MS,
);
