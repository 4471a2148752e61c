/** One program that is measured as a whole process. */
export interface Contestant {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Cleans up after a run, uncounted. */
  readonly after?: () => Promise<void>;
}

/** Figures of one run of a whole process, start and end included. */
export interface Run {
  readonly seconds: number;
  /** User and system time of the process. */
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  /** Of a run with --json: seconds until the last byte was taken, until the Parquet file was whole, until it was published. */
  readonly phases:
    | { readonly exportSeconds: number; readonly convertSeconds: number; readonly uploadSeconds: number }
    | undefined;
  /** All that it printed on stdout. */
  readonly printed: string;
}

/** Runs a contestant to its end; one that fails ends the bench with what it said. */
export async function run({ name, command, env }: Contestant): Promise<Run> {
  const start = performance.now();
  const child = Bun.spawn([...command], {
    stdout: 'pipe',
    stderr: 'pipe',
    stdin: 'ignore',
    env: { ...process.env, ...env },
  });
  const errors = new Response(child.stderr).text();
  const text = new Response(child.stdout).text();
  const code = await child.exited;
  const seconds = (performance.now() - start) / 1000;
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${await errors}`);
  const usage = child.resourceUsage();
  if (usage === undefined) throw new Error(`No resource usage of ${name}.`);
  const printed = await text;
  const phases = command.includes('--json') ? JSON.parse(printed).timings : undefined;
  return { seconds, cpuSeconds: Number(usage.cpuTime.total) / 1e6, peakBytes: usage.maxRSS, phases, printed };
}

/**
 * Runs contestants in turn, A B C A B C …, after one uncounted turn: what disturbs the machine disturbs them
 * all.
 */
export async function rounds(
  contestants: readonly Contestant[],
  count: number,
): Promise<ReadonlyMap<string, readonly Run[]>> {
  const runs = new Map<string, Run[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round <= count; round++) {
    for (const contestant of contestants) {
      const figures = await run(contestant);
      await contestant.after?.();
      if (round > 0) runs.get(contestant.name)?.push(figures);
    }
  }
  return runs;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
