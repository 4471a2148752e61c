import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import {
  DUCKDB,
  HELD_AT,
  NDJSON,
  NDJSON_FILE,
  PARQUET,
  PARQUET_FILE,
  STREAMED,
  WAYS,
  type Way,
} from '../support/export-ways.ts';
import { EXPORTER_COMMAND, type ExporterResult } from '../support/exporter.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, type Scene, sameBytes } from '../support/long-run-scene.ts';

/*
 * Runs that are told to stop while something stands still, so that the phase is certain. Users are promised 2 s; here
 * is a bound for a machine that has more to do.
 */

const ENDED_WITHIN_MS = 10_000;
const runs = await LongRuns.start();

afterEach(() => runs.reset());
afterAll(() => runs.stop());

/** What stops a run, and the exit code of one that was stopped so. */
const CAUSES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, 'a closed stdout': 141 } as const;
type Cause = keyof typeof CAUSES;

/** Stops what is needed for a run to stay in the phase; resolves when it is there, with something to go on with. */
const PHASES = {
  async export(scene: Scene) {
    await Promise.all([runs.stallAfter(HELD_AT), scene.recorded('safe')]);
  },
  async convert(scene: Scene) {
    // Whatever becomes of the conversion, there is nothing behind it.
    if (scene.way.target === 'store') runs.proxy.faults = isUpload;
    await Promise.all([scene.recorded('data'), scene.whenLeft(() => isConverting(scene))]);
  },
  async upload(scene: Scene) {
    await Promise.all([runs.stallPart(2), scene.recorded('part')]);
  },
} as const;
type Phase = keyof typeof PHASES;

function isUpload({ operation }: { readonly operation: string }) {
  return operation === 'UploadPart' ? ({ kind: 'stall' } as const) : undefined;
}

function isConverting({ left }: Scene): boolean {
  return left.some((name) => name.endsWith('.parquet.part') || name === 'scratch');
}

interface Case {
  readonly way: Way;
  readonly phase: Phase;
  readonly cause: Cause;
}

const CASES: readonly Case[] = [
  { way: PARQUET, phase: 'export', cause: 'SIGINT' },
  { way: NDJSON, phase: 'export', cause: 'SIGTERM' },
  { way: DUCKDB, phase: 'export', cause: 'a closed stdout' },
  { way: STREAMED, phase: 'export', cause: 'SIGHUP' },
  { way: PARQUET_FILE, phase: 'export', cause: 'SIGHUP' },
  { way: NDJSON_FILE, phase: 'export', cause: 'SIGINT' },
  { way: NDJSON, phase: 'convert', cause: 'SIGINT' },
  { way: NDJSON, phase: 'convert', cause: 'SIGHUP' },
  { way: NDJSON, phase: 'convert', cause: 'a closed stdout' },
  { way: DUCKDB, phase: 'convert', cause: 'SIGTERM' },
  { way: PARQUET, phase: 'upload', cause: 'SIGTERM' },
  { way: PARQUET, phase: 'upload', cause: 'a closed stdout' },
  { way: NDJSON, phase: 'upload', cause: 'SIGHUP' },
  { way: DUCKDB, phase: 'upload', cause: 'SIGINT' },
  { way: STREAMED, phase: 'upload', cause: 'SIGINT' },
  { way: STREAMED, phase: 'upload', cause: 'a closed stdout' },
];
const usable = CASES.filter(({ way }) => runs.can(way) && (!way.duckdb || WAYS.includes(way)));
const times: string[] = [];

describe('a run that is stopped', () => {
  for (const { way, phase, cause } of usable) {
    test(
      `in its ${phase} by ${cause} ends with ${CAUSES[cause]}, and its last line goes on (${way.name})`,
      async () => {
        await runs.whole(way);
        const scene = runs.scene(way);
        const reached = PHASES[phase](scene);
        const { result, ms } =
          cause === 'a closed stdout'
            ? await readerGone(scene, reached)
            : await signalled(scene, reached, cause);
        times.push(`${phase}, ${cause}, ${way.name}: ${Math.round(ms)} ms`);
        runs.reset();
        expect(result.stderr).toMatch(
          /^Stopped(, because nobody reads stdout any more| by (Ctrl\+C|SIGTERM|SIGHUP))\.$/m,
        );
        expect(result.code).toBe(CAUSES[cause]);
        expect(ms).toBeLessThan(ENDED_WITHIN_MS);
        expect(await scene.published()).toEqual({ bytes: undefined, manifest: undefined });
        expect(scene.left).toContain('journal');

        runs.double.fetched('docs').reset();
        const again = await scene.goOn(result);
        expect(again.stderr).toContain('Going on with the run of ');
        expect(again.code).toBe(0);
        const { bytes, manifest } = await scene.published();
        expect(sameBytes(bytes, await runs.whole(way))).toBe(true);
        expect(manifest.files[0].bytes).toBe(bytes?.length);
        expect(scene.left).toEqual([]);
        expect(runs.hasStore ? await scene.openUploads() : []).toEqual([]);
      },
      2 * LIMIT_MS,
    );
  }

  test.skipIf(!runs.hasStore)(
    'twice is gone on with from where it came to the second time',
    async () => {
      const scene = runs.scene(PARQUET);
      const first = await signalled(scene, PHASES.export(scene), 'SIGINT');
      runs.reset();
      const standing = PHASES.upload(scene);
      const running = await scene.start('--resume');
      await standing;
      running.kill('SIGTERM');
      const second = await running.result;
      runs.reset();
      expect(first.result.code).toBe(130);
      expect(second.code).toBe(143);
      runs.double.fetched('docs').reset();
      const last = await scene.goOn(second);
      expect(last.stderr).toContain('the Parquet file is whole.');
      expect(last.code).toBe(0);
      expect(runs.double.fetched('docs').total).toBe(0);
      expect(sameBytes((await scene.published()).bytes, await runs.whole(PARQUET))).toBe(true);
    },
    2 * LIMIT_MS,
  );

  afterAll(() => {
    if (process.env.TIMES) console.log(times.join('\n'));
  });
});

interface Stopped {
  readonly result: Pick<ExporterResult, 'code' | 'stderr'>;
  /** From what stopped it to its end. */
  readonly ms: number;
}

async function signalled(
  scene: Scene,
  reached: Promise<void>,
  signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP',
): Promise<Stopped> {
  const running = await scene.start();
  await Promise.race([reached, running.result]);
  const begun = performance.now();
  running.kill(signal);
  return { result: await running.result, ms: performance.now() - begun };
}

/** Its stdout is a pipe whose reader goes away. */
async function readerGone(scene: Scene, reached: Promise<void>): Promise<Stopped> {
  const pipe = join(scene.out, '../pipe');
  expect(Bun.spawnSync(['mkfifo', pipe]).exitCode).toBe(0);
  // Without O_NONBLOCK it would wait for the writer.
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(pipe, constants.O_WRONLY);
  const child = Bun.spawn([...EXPORTER_COMMAND, '--collection', scene.collection, ...scene.args, '--json'], {
    cwd: scene.out,
    env: { HOME: scene.out, PATH: process.env.PATH ?? '', ...scene.env },
    stdin: 'ignore',
    stdout: writer,
    stderr: 'pipe',
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  closeSync(writer);
  const stderr = new Response(child.stderr).text();
  await Promise.race([reached, child.exited]);
  const begun = performance.now();
  closeSync(reader);
  const code = await child.exited;
  return { result: { code, stderr: await stderr }, ms: performance.now() - begun };
}
