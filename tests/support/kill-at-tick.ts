import { watch } from 'node:fs';
import type { ExporterResult, RunningExporter } from './exporter.ts';

export interface KilledRun {
  readonly result: ExporterResult;
  /** All that were counted. */
  readonly ticks: number;
}

/**
 * Counts what can be seen of a run from outside: requests to its servers, which `listen` is to hand on, and changes in its
 * work folder where that is given. Kills it with SIGKILL at the one with that number, before it is answered.
 */
export async function killAtTick(
  number: number,
  work: string | undefined,
  listen: (tick: () => undefined) => void,
  start: () => Promise<RunningExporter>,
): Promise<KilledRun> {
  let ticks = 0;
  let running: RunningExporter | undefined;
  const tick = () => {
    if (++ticks >= number) running?.kill('SIGKILL');
    return undefined;
  };
  listen(tick);
  const watcher = work === undefined ? undefined : watch(work, { recursive: true }, tick);
  try {
    running = await start();
    const result = await running.result;
    return { result, ticks };
  } finally {
    watcher?.close();
  }
}

/** A number from 0 to 1 that the seed alone decides. */
export function killChance(seed: number): number {
  return Number(Bun.hash.xxHash32(`kill ${seed}`)) / 2 ** 32;
}

/** Of a manifest what another run of the same points says too. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
export function lastingOf({ startedAt, finishedAt, files, ...rest }: any) {
  return { ...rest, files: files.map(({ key, etag, ...file }: { key: string; etag: string }) => file) };
}
