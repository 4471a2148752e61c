/*
 * Measures the main job side by side with clients that do less, each as a whole process against the Qdrant
 * double in a process of its own. It judges nothing: it prints each figure beside the wanted one.
 *
 *   bun run bench [--points 200000] [--rounds 3] [--size 1e9] [--only grpc|named|rest|default|memory|stream|supabase|start]
 *
 * `--size` is how many bytes go through each door of Supabase Storage.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compile } from '../support/build.ts';
import { startS3Server } from '../support/s3-server.ts';
import { type Contestant, median, type Run, rounds } from './contestant.ts';
import { benchSupabase } from './supabase.ts';

const ROOT = resolve(import.meta.dir, '../..');
const { values: flags } = parseArgs({
  options: {
    points: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '1e9' },
    only: { type: 'string' },
  },
});
const POINTS = Number(flags.points);
const ROUNDS = Number(flags.rounds);

const folder = await mkdtemp(join(tmpdir(), 'bench-'));
const output = join(folder, 'bench.parquet');

/** What was started and is to be ended, whatever happens. */
const running = new Set<{ stop(): Promise<void> }>();

interface Double {
  readonly grpc: string;
  readonly rest: string;
  stop(): Promise<void>;
}

const startDouble = (points: number, extra: readonly string[] = []): Promise<Double> =>
  served('tests/support/qdrant-double/main.ts', ['--points', String(points), ...extra]);

/** A program of ours in a process of its own, which prints its addresses as one line of JSON. */
async function served<T extends object>(
  program: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<T & { stop(): Promise<void> }> {
  const child = Bun.spawn([process.execPath, join(ROOT, program), ...args], {
    env: { ...process.env, ...env },
    // Ends with this process, where the program looks at it.
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = '' } = await lines.read();
  const double = {
    ...JSON.parse(value),
    async stop() {
      running.delete(double);
      child.kill();
      await child.exited;
    },
  };
  running.add(double);
  return double;
}

const client = (name: string, url: string, points = POINTS) => [
  process.execPath,
  join(ROOT, `tests/bench/clients/${name}.ts`),
  url,
  String(points),
];

const executable = join(ROOT, 'dist/exporter-r2');

/** The program, by a Parquet strategy: what the figures that are wanted were set for. */
const exporter: typeof byDefault = (name, url, ...args) =>
  byDefault(name, url, ...args, '--strategy', 'parquet-med');

/** The program itself: the executable where it was built, else its source. */
function byDefault(name: string, url: string, ...args: readonly string[]): Contestant {
  const program = existsSync(executable)
    ? [executable]
    : [process.execPath, join(ROOT, 'bin/exporter-r2.ts')];
  return {
    name,
    command: [...program, '--collection', 'bench', '--url', url, '--quiet', ...args],
    env: { QDRANT_URL: '', QDRANT_API_KEY: '', OUTPUT_TEMP_FOLDER: folder },
    // What was written must not be on its way to the disk while the next one is measured.
    after: () => rm(output, { force: true }),
  };
}

function printTable(runs: ReadonlyMap<string, readonly Run[]>, points: number): void {
  const width = Math.max(...[...runs.keys()].map((name) => name.length));
  console.log(`${''.padEnd(width)}  points/s  CPU µs/point  peak MB`);
  for (const [name, figures] of runs) {
    const rate = median(figures.map(({ seconds }) => points / seconds));
    const cpu = median(figures.map(({ cpuSeconds }) => (cpuSeconds / points) * 1e6));
    const peak = median(figures.map(({ peakBytes }) => peakBytes / 1e6));
    console.log(
      `${name.padEnd(width)}  ${rate.toFixed(0).padStart(8)}  ${cpu.toFixed(1).padStart(12)}  ${peak.toFixed(0).padStart(7)}`,
    );
  }
}

/** Rate of one contestant over another's, round by round. */
function rateRatio(runs: ReadonlyMap<string, readonly Run[]>, name: string, of: string): number {
  const others = runs.get(of) ?? [];
  return median((runs.get(name) ?? []).map(({ seconds }, i) => (others[i]?.seconds ?? Number.NaN) / seconds));
}

function cpuMicroseconds(runs: ReadonlyMap<string, readonly Run[]>, name: string): number {
  return median((runs.get(name) ?? []).map(({ cpuSeconds }) => (cpuSeconds / POINTS) * 1e6));
}

function wanted(what: string, found: number, limit: string): void {
  console.log(`  ${what}: ${found.toFixed(2)} (wanted: ${limit})`);
}

async function benchGrpc(): Promise<void> {
  console.log(`\ngRPC, ${POINTS} points of 1024 dimensions and about 350 B of payload, ${ROUNDS} rounds`);
  const double = await startDouble(POINTS);
  const runs = await rounds(
    [
      { name: 'bare HTTP/2, discarded', command: client('bare-grpc', double.grpc) },
      { name: 'official client, no compression', command: client('official-grpc', double.grpc) },
      exporter('exporter-r2 --output', double.grpc, '--output', output),
      exporter('… --compression none', double.grpc, '--output', output, '--compression', 'none'),
      exporter('… --passes one', double.grpc, '--output', output, '--passes', 'one'),
    ],
    ROUNDS,
  );
  await double.stop();
  printTable(runs, POINTS);
  const official = 'official client, no compression';
  wanted('CPU µs a point', cpuMicroseconds(runs, 'exporter-r2 --output'), 'at most 22');
  wanted('rate over the official client', rateRatio(runs, 'exporter-r2 --output', official), 'at least 2');
  wanted('CPU µs a point, uncompressed', cpuMicroseconds(runs, '… --compression none'), 'at most 16');
  wanted('rate, uncompressed', rateRatio(runs, '… --compression none', official), 'at least 2.5');
}

/** The same floats as one unnamed vector and as two named ones, each from a double of its own. */
async function benchNamed(): Promise<void> {
  console.log(`\nNamed vectors, ${POINTS} points, ${ROUNDS} rounds`);
  const vectors = ['a', 'b'].map((name) => ({ name, kind: 'dense', size: 512 }));
  const [one, two] = [
    await startDouble(POINTS),
    await startDouble(POINTS, ['--vectors', JSON.stringify(vectors)]),
  ];
  for (const [title, args] of [
    ['', []],
    [', --compression none', ['--compression', 'none']],
  ] as const) {
    const unnamed = `one of 1024${title}`;
    const named = `named 2 × 512${title}`;
    const runs = await rounds(
      [
        exporter(unnamed, one.grpc, '--output', output, ...args),
        exporter(named, two.grpc, '--output', output, ...args),
      ],
      ROUNDS,
    );
    printTable(runs, POINTS);
    wanted('rate of named over unnamed', rateRatio(runs, named, unnamed), 'at least 0.85');
  }
  await one.stop();
  await two.stop();
}

/** What a real server makes a second over REST, at 50 µs of CPU a point on the machine that was measured. */
const REST_POINTS_PER_SECOND = 20_000;

async function benchRest(): Promise<void> {
  const points = Math.min(POINTS, 100_000);
  for (const pace of [REST_POINTS_PER_SECOND, undefined]) {
    console.log(
      `\nREST, ${points} points, ${pace === undefined ? 'as fast as the double is' : `a server of ${pace} points/s`}`,
    );
    const extra = pace === undefined ? [] : ['--points-per-second', String(pace)];
    const double = await startDouble(points, extra);
    const runs = await rounds(
      [
        { name: 'bare fetch, discarded', command: client('bare-rest', double.rest, points) },
        { name: 'official client', command: client('official-rest', double.rest, points) },
        exporter('exporter-r2 --http --output', double.rest, '--http', '--output', output),
      ],
      ROUNDS,
    );
    await double.stop();
    printTable(runs, points);
    if (pace === undefined) continue;
    const ratio = rateRatio(runs, 'exporter-r2 --http --output', 'bare fetch, discarded');
    wanted('rate over a client that discards', ratio, 'at least 0.85');
  }
}

/** Converters of the default strategy: without a PATH there is no DuckDB. */
const CONVERTERS = [
  { name: 'ndjson-gz, DuckDB', path: process.env.PATH ?? '' },
  { name: 'ndjson-gz, built-in', path: '/nowhere' },
].filter(({ path }) => path === '/nowhere' || Bun.which('duckdb') !== null);

const converted = (path: string, contestant: Contestant): Contestant => ({
  ...contestant,
  env: { ...contestant.env, PATH: path },
});

async function benchDefault(): Promise<void> {
  const points = Math.min(POINTS, 100_000);
  console.log(`\nThe default strategy, ${points} points over gRPC, ${ROUNDS} rounds`);
  const double = await startDouble(points);
  const runs = await rounds(
    [
      exporter('parquet-med', double.grpc, '--output', output),
      ...CONVERTERS.map(({ name, path }) =>
        converted(path, byDefault(name, double.grpc, '--output', output, '--json')),
      ),
    ],
    ROUNDS,
  );
  await double.stop();
  printTable(runs, points);
  for (const { name } of CONVERTERS) {
    const phase = (of: 'exportSeconds' | 'convertSeconds') =>
      median((runs.get(name) ?? []).map(({ phases }) => phases?.[of] ?? Number.NaN)).toFixed(2);
    console.log(`  ${name}: export ${phase('exportSeconds')} s, convert ${phase('convertSeconds')} s`);
  }
}

async function benchMemory(): Promise<void> {
  for (const [title, contestant, sizes] of [
    ['parquet-med', exporter, [50_000, 500_000]],
    ...CONVERTERS.map(
      ({ name, path }) =>
        [
          name,
          (...args: Parameters<typeof byDefault>) => converted(path, byDefault(...args)),
          [20_000, 200_000],
        ] as const,
    ),
  ] as const) {
    console.log(`\nPeak memory by the size of the collection, ${title} at the default settings`);
    const peaks: number[] = [];
    for (const points of sizes) {
      const double = await startDouble(points);
      const name = `${points} points`;
      const runs = await rounds([contestant(name, double.grpc, '--output', output)], ROUNDS);
      await double.stop();
      printTable(runs, points);
      peaks.push(median((runs.get(name) ?? []).map(({ peakBytes }) => peakBytes / 1e6)));
    }
    const [small = Number.NaN, large = Number.NaN] = peaks;
    wanted('peak MB', Math.max(small, large), 'below 300');
    wanted('large over small', large / small, '0.90 to 1.10');
  }
}

/**
 * What a real Qdrant on the machine that was measured let a program write a second over gRPC. Where the source
 * sets the pace, the rates show whether streaming keeps up; where nothing does, the store, the double and the
 * program share the processors, and the rates show what the store costs.
 */
const GRPC_POINTS_PER_SECOND = 40_000;

async function benchStream(): Promise<void> {
  const server = await startS3Server();
  if (server === undefined) return;
  running.add(server);
  const store = {
    R2_ENDPOINT: server.endpoint,
    R2_REGION: server.region,
    R2_ACCESS_KEY_ID: server.accessKeyId,
    R2_SECRET_ACCESS_KEY: server.secretAccessKey,
    R2_BUCKET: server.bucket,
  };
  for (const pace of [undefined, GRPC_POINTS_PER_SECOND]) {
    const source = pace === undefined ? 'as fast as the double is' : `a source of ${pace} points/s`;
    console.log(`\nStraight to a real S3 server on the same processors, ${POINTS} points, ${source}`);
    const double = await startDouble(POINTS, pace === undefined ? [] : ['--points-per-second', String(pace)]);
    const toStore = (name: string, ...args: readonly string[]): Contestant => {
      const contestant = exporter(name, double.grpc, ...args);
      return { ...contestant, env: { ...contestant.env, ...store } };
    };
    const runs = await rounds(
      [
        exporter('--output', double.grpc, '--output', output, '--json'),
        toStore('--stream-upload', '--stream-upload', '--json'),
        toStore('work file, then upload'),
      ],
      ROUNDS,
    );
    await double.stop();
    printTable(runs, POINTS);
    const phase = (name: string, of: 'exportSeconds' | 'uploadSeconds') =>
      median((runs.get(name) ?? []).map(({ phases }) => phases?.[of] ?? Number.NaN));
    const ratio = phase('--output', 'exportSeconds') / phase('--stream-upload', 'exportSeconds');
    wanted('rate of --stream-upload over --output until the last byte was taken', ratio, 'at least 0.90');
    // S3 and R2 join parts by reference; a gateway over a file system may copy every byte once more.
    console.log(
      `  then the store joined the parts: ${phase('--stream-upload', 'uploadSeconds').toFixed(2)} s`,
    );
    const whole = rateRatio(runs, '--stream-upload', '--output');
    console.log(`  rate of the whole processes, that included: ${whole.toFixed(2)}`);
  }
  running.delete(server);
  await server.stop();
}

async function benchStart(): Promise<void> {
  console.log('\nStart of the executable');
  const source = join(folder, 'empty.ts');
  const empty = join(folder, 'empty');
  await Bun.write(source, '');
  await compile(source, empty);
  if (!existsSync(executable)) await compile('bin/exporter-r2.ts', executable);
  const runs = await rounds(
    [
      { name: 'an empty program', command: [empty] },
      { name: 'exporter-r2 --help', command: [executable, '--help'] },
    ],
    20,
  );
  const milliseconds = (name: string) => median((runs.get(name) ?? []).map(({ seconds }) => seconds * 1000));
  for (const name of runs.keys()) console.log(`${name}: ${milliseconds(name).toFixed(1)} ms`);
  wanted('ms more', milliseconds('exporter-r2 --help') - milliseconds('an empty program'), 'at most 30');
}

const ALL = {
  grpc: benchGrpc,
  named: benchNamed,
  rest: benchRest,
  default: benchDefault,
  memory: benchMemory,
  stream: benchStream,
  supabase: () => benchSupabase({ served, folder, bytes: Number(flags.size), roundCount: ROUNDS }),
  start: benchStart,
};

try {
  for (const [name, bench] of Object.entries(ALL)) {
    if (flags.only === undefined || flags.only === name) await bench();
  }
} finally {
  await Promise.all([...running].map((process) => process.stop()));
  await rm(folder, { recursive: true, force: true });
}
