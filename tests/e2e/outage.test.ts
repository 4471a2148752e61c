import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import {
  DUCKDB,
  HELD_AT,
  NDJSON,
  PARQUET,
  PARQUET_FILE,
  STREAMED,
  WAYS,
  type Way,
} from '../support/export-ways.ts';
import type { RunningExporter } from '../support/exporter.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, type Scene, sameBytes } from '../support/long-run-scene.ts';

/*
 * A server or a store that goes away in the middle of a run, for a while or for good, and a clock that is set
 * meanwhile.
 */

const runs = await LongRuns.start();
/** What is loaded before the program; an executable takes nothing. */
const preloaded = (file: string) => ({
  BUN_OPTIONS: `--preload ${join(import.meta.dir, '../support', file)}`,
});
const isExecutable = process.env.EXPORTER_R2 !== undefined && process.env.EXPORTER_R2 !== '';

afterEach(() => runs.reset());
afterAll(() => runs.stop());

async function expectRight(scene: Scene): Promise<void> {
  const { bytes, manifest } = await scene.published();
  expect(sameBytes(bytes, await runs.whole(scene.way))).toBe(true);
  expect(manifest.files[0].bytes).toBe(bytes?.length);
  expect(scene.left).toEqual([]);
  if (runs.hasStore) expect(await scene.openUploads()).toEqual([]);
}

async function expectSurvived(scene: Scene, running: RunningExporter): Promise<void> {
  const result = await running.result;
  expect(result.stderr).toContain('Exported');
  expect(result.code).toBe(0);
  await expectRight(scene);
}

describe('a server that restarts in the middle of a run', () => {
  for (const way of [...WAYS, PARQUET_FILE]) {
    test.skipIf(!runs.can(way))(
      `is waited for (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        await runs.whole(way);
        runs.double.fetched('docs').reset();
        const half = runs.double.fetched('docs').reached(1_200);
        const running = await scene.start();
        await half;
        await runs.double.pause();
        try {
          await running.stderrMatching(/^Retrying: Cannot .* Attempt \d+ follows in /m);
        } finally {
          await runs.double.resume();
        }
        await expectSurvived(scene, running);
      },
      2 * LIMIT_MS,
    );
  }
});

describe.skipIf(!runs.hasStore)('a store that goes away for a while', () => {
  for (const way of WAYS) {
    test(
      `in the middle of an upload is waited for (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        const running = await scene.start();
        const refused = storeDown(8, ({ operation }) => operation === 'UploadPart');
        await refused;
        await expectSurvived(scene, running);
      },
      2 * LIMIT_MS,
    );
  }

  test(
    'before the last step of an upload is waited for',
    async () => {
      const scene = runs.scene(PARQUET);
      const running = await scene.start();
      await storeDown(5, ({ operation }) => operation === 'Complete');
      await expectSurvived(scene, running);
    },
    2 * LIMIT_MS,
  );

  test(
    'before the manifest is waited for',
    async () => {
      const scene = runs.scene(STREAMED);
      const running = await scene.start();
      await storeDown(5, ({ operation, path }) => operation === 'PutObject' && path.endsWith('.json'));
      await expectSurvived(scene, running);
    },
    2 * LIMIT_MS,
  );
});

/** From the first such request on the store resets every connection; resolves when it is back, so many later. */
function storeDown(
  requests: number,
  from: (request: { readonly operation: string; readonly path: string }) => boolean,
): Promise<void> {
  const back = Promise.withResolvers<void>();
  let seen = 0;
  runs.proxy.faults = (request) => {
    if (seen === 0 && !from(request)) return undefined;
    if (++seen > requests) return undefined;
    if (seen === requests) back.resolve();
    return { kind: 'reset' };
  };
  return back.promise;
}

describe.skipIf(isExecutable)('a run from which something goes away for good', () => {
  const env = preloaded('impatient.ts');

  for (const way of [...WAYS, PARQUET_FILE]) {
    test.skipIf(!runs.can(way))(
      `ends with the command that goes on when the server is back (${way.name})`,
      async () => {
        const scene = runs.scene(way, { env });
        const standing = runs.stallAfter(HELD_AT);
        const safe = scene.recorded('safe');
        const running = await scene.start();
        await Promise.all([standing, safe]);
        await runs.double.pause();
        const result = await running.result.finally(() => runs.double.resume());
        runs.reset();
        expect(result.stderr).toMatch(/^Error: Cannot .*127\.0\.0\.1/m);
        expect(result.code).toBe(10);
        expect((await scene.published()).bytes).toBeUndefined();
        const again = await scene.goOn(result);
        expect(again.stderr).toContain('Going on with the run of ');
        expect(again.code).toBe(0);
        await expectRight(scene);
      },
      2 * LIMIT_MS,
    );
  }

  for (const [way, what, is] of [
    [PARQUET, 'its second part', isSecondPart],
    [NDJSON, 'the first part', ({ operation }) => operation === 'UploadPart'],
    [STREAMED, 'its second part', isSecondPart],
    [PARQUET, 'the last step', ({ operation }) => operation === 'Complete'],
    [STREAMED, 'the last step', ({ operation }) => operation === 'Complete'],
    [STREAMED, 'the manifest', isManifest],
    [PARQUET, 'the manifest', isManifest],
  ] as readonly (readonly [Way, string, (request: Request) => boolean])[]) {
    test.skipIf(!runs.hasStore)(
      `ends with the command that goes on when the store is back, gone before ${what} (${way.name})`,
      async () => {
        const scene = runs.scene(way, { env });
        let gone = false;
        runs.proxy.faults = (request) => {
          gone ||= is(request);
          return gone ? { kind: 'reset' } : undefined;
        };
        const result = await scene.run();
        runs.reset();
        expect(result.stderr).toMatch(/^Error: .*manifest is not|^Error: Cannot write s3:/m);
        expect(result.code).toBe(12);
        const isPublished = what === 'the manifest';
        const { bytes, manifest } = await scene.published();
        expect(bytes !== undefined).toBe(isPublished);
        expect(manifest).toBeUndefined();
        const again = await scene.goOn(result);
        expect(again.stderr).toContain('Going on with the run of ');
        expect(again.code).toBe(0);
        await expectRight(scene);
      },
      2 * LIMIT_MS,
    );
  }
});

interface Request {
  readonly operation: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

function isSecondPart({ operation, query }: Request): boolean {
  return operation === 'UploadPart' && query.get('partNumber') === '2';
}

function isManifest({ operation, path }: Request): boolean {
  return operation === 'PutObject' && path.endsWith('.json');
}

describe.skipIf(isExecutable)('a clock that is set in the middle of a run', () => {
  for (const [seconds, said] of [
    [7_200, 'forward by two hours'],
    [-86_400, 'back by a day'],
  ] as const) {
    for (const way of [PARQUET, STREAMED, DUCKDB, PARQUET_FILE]) {
      test.skipIf(!runs.can(way) || (way === DUCKDB && !WAYS.includes(way)))(
        `${said} changes nothing (${way.name})`,
        async () => {
          const env = { ...preloaded('jumping-clock.ts'), CLOCK_JUMP_SECONDS: String(seconds) };
          const scene = runs.scene(way, { env });
          const held = runs.holdAfter(1_200);
          const running = await scene.start();
          await held.standing;
          running.kill('SIGUSR2');
          await running.stderrMatching(/The clock jumps to /);
          held.release();
          await expectSurvived(scene, running);
        },
        2 * LIMIT_MS,
      );
    }
  }
});
