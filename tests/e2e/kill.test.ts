import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExporterResult, type RunningExporter, startExporter } from '../support/exporter.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { DUCKDB_MISSING } from '../support/foreign-readers.ts';
import { killAtTick, killChance, lastingOf } from '../support/kill-at-tick.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { type ServerPart, startS3Server } from '../support/s3-server.ts';

/** How many runs are killed; KILLS=100 makes it the full series. */
const KILLS = Number(process.env.KILLS ?? 10);
const LIMIT_MS = 120_000;

/** 27 MB: three whole parts and a rest. */
const POINTS = 24_000;
const COLLECTION = {
  name: 'docs',
  points: POINTS,
  dimensions: 256,
  payloadBytes: 40,
  ids: 'mixed',
  keys: true,
} as const;

interface Way {
  readonly name: string;
  readonly args: readonly string[];
  readonly target: 'store' | 'file';
  readonly protocol: 'grpc' | 'rest';
  /** Without it no DuckDB is found. */
  readonly duckdb?: boolean;
}

const ROW_GROUP_ROWS = 2_000;
/** Most rows of a gzip member. */
const NDJSON_UNIT_ROWS = 1_024;
const SMALL = ['--strategy', 'parquet-small', '--row-group-size', String(ROW_GROUP_ROWS)];
const WAYS: readonly Way[] = [
  { name: 'streaming', args: [...SMALL, '--stream-upload'], target: 'store', protocol: 'grpc' },
  { name: 'parquet to a store', args: SMALL, target: 'store', protocol: 'grpc' },
  { name: 'ndjson-gz by the built-in converter', args: [], target: 'store', protocol: 'rest' },
  {
    name: 'parquet to a file, in one pass',
    args: [...SMALL, '--passes', 'one'],
    target: 'file',
    protocol: 'rest',
  },
  { name: 'ndjson-gz by DuckDB', args: [], target: 'file', protocol: 'grpc', duckdb: true },
];

const found = await startS3Server();
const usable = WAYS.filter(
  ({ target, duckdb }) => (target === 'file' || found) && !(duckdb && DUCKDB_MISSING),
);
const top = mkdtempSync(join(tmpdir(), 'kill-'));
let double: QdrantDouble;
let proxy: FaultProxy | undefined;

beforeAll(async () => {
  double = await startQdrantDouble({ generated: [COLLECTION] });
  if (found !== undefined) proxy = await startFaultProxy(found.endpoint);
});

afterEach(() => {
  double.setFaults(undefined);
  proxy?.reset();
});

afterAll(async () => {
  await double.stop();
  await proxy?.stop();
  await found?.stop();
  rmSync(top, { recursive: true, force: true });
});

/** A run's own folders, and how its program is started. */
class Scene {
  readonly way: Way;
  readonly prefix: string;
  readonly #folder: string;

  constructor(way: Way, prefix: string) {
    this.way = way;
    this.prefix = prefix;
    this.#folder = join(top, prefix);
    mkdirSync(join(this.#folder, 'work'), { recursive: true });
  }

  get work(): string {
    return join(this.#folder, 'work');
  }

  start(...args: readonly string[]): Promise<RunningExporter> {
    const { way } = this;
    const server = way.protocol === 'grpc' ? ['--url', double.grpcUrl] : ['--http', '--url', double.restUrl];
    const target = way.target === 'file' ? ['--output', this.#output] : ['--prefix', this.prefix];
    const env = {
      ...(way.duckdb ? {} : { PATH: '/nowhere' }),
      OUTPUT_TEMP_FOLDER: this.work,
      SOURCE_DATE_EPOCH: '1700000000',
      ...(way.target === 'file' ? {} : STORE),
      R2_ENDPOINT: way.target === 'file' ? undefined : proxy?.endpoint,
    };
    return startExporter(['--collection', 'docs', ...server, ...target, ...way.args, ...args], {
      env,
      limitMs: LIMIT_MS,
    });
  }

  /** The export and its manifest; undefined where there is none. */
  async published(): Promise<{
    readonly bytes: Uint8Array | undefined;
    readonly manifest: string | undefined;
  }> {
    if (this.way.target === 'file') {
      const read = (path: string) => (Bun.file(path).size > 0 ? readFileSync(path) : undefined);
      return { bytes: read(this.#output), manifest: read(`${this.#output}.json`)?.toString() };
    }
    const key = `${this.prefix}/docs/latest`;
    const manifest = await found?.bytes(`${key}.json`);
    return {
      bytes: await found?.bytes(`${key}.parquet`),
      manifest: manifest && Buffer.from(manifest).toString(),
    };
  }

  /** What a run that was killed left: whether it was over, but for the end of its process, and rows that are safe. */
  async left(): Promise<{ readonly isOver: boolean; readonly safeRows: number }> {
    const { manifest } = await this.published();
    const path = join(this.work, 'qdrant-export', 'docs', 'journal');
    const journal = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const safe = journal.split('\n').findLast((line) => line.includes('"kind":"safe"'));
    const rows = /"rows":(\d+)/.exec(safe ?? '')?.[1] ?? '0';
    return { isOver: manifest !== undefined && journal === '', safeRows: Number(rows) };
  }

  /**
   * Parts of the unfinished uploads of the export that have any. One that was killed before it heard what the store
   * calls its upload leaves one that nobody knows: it has none, costs nothing, and stores drop it by themselves.
   */
  async openUploads(): Promise<readonly (readonly ServerPart[])[]> {
    const ids = (await found?.openUploads()) ?? [];
    const key = `${this.prefix}/docs/latest.parquet`;
    // Of another key there is no such upload.
    const all = await Promise.all(ids.map((id) => found?.parts(key, id).catch(() => undefined)));
    return all.flatMap((parts) => (parts === undefined || parts.length === 0 ? [] : [parts]));
  }

  /** What lies beside the export. */
  get beside(): readonly string[] {
    return readdirSync(this.#folder).filter((name) => name !== 'work');
  }

  get #output(): string {
    return join(this.#folder, 'docs.parquet');
  }
}

const STORE =
  found === undefined
    ? {}
    : {
        R2_BUCKET: found.bucket,
        R2_REGION: found.region,
        R2_ACCESS_KEY_ID: found.accessKeyId,
        R2_SECRET_ACCESS_KEY: found.secretAccessKey,
      };

/** As killAtTick, of a run from the double to the store. */
function runKilledAt(scene: Scene, number: number, ...args: readonly string[]) {
  const listen = (tick: () => undefined) => {
    double.setFaults(tick);
    if (proxy !== undefined) proxy.faults = tick;
  };
  return killAtTick(number, scene.work, listen, () => scene.start(...args));
}

interface Uninterrupted {
  readonly bytes: Uint8Array;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  readonly manifest: any;
  readonly ticks: number;
  /** Points that are in memory at most, by the run's own word. */
  readonly inMemory: number;
}

const uninterrupted = new Map<Way, Promise<Uninterrupted>>();

function wholeRun(way: Way): Promise<Uninterrupted> {
  const known = uninterrupted.get(way);
  if (known !== undefined) return known;
  const run = async (): Promise<Uninterrupted> => {
    const scene = new Scene(way, `whole-${WAYS.indexOf(way)}`);
    const { result, ticks } = await runKilledAt(scene, Number.POSITIVE_INFINITY);
    expect(result.stderr).toContain('Exported');
    expect(result.code).toBe(0);
    const { bytes, manifest } = await scene.published();
    const inMemory = /at most ([\d,]+) points at once/.exec(result.stderr)?.[1] ?? '';
    return {
      bytes: bytes as Uint8Array,
      manifest: JSON.parse(manifest as string),
      ticks,
      inMemory: Number(inMemory.replaceAll(',', '')),
    };
  };
  const running = run();
  uninterrupted.set(way, running);
  return running;
}

let killed = 0;

describe.skipIf(usable.length === 0)('a run that was killed', () => {
  for (let seed = 0; seed < KILLS; seed++) {
    const way = usable[seed % usable.length] as Way;
    test(
      `goes on to the same export (seed ${seed}, ${way.name})`,
      async () => {
        const whole = await wholeRun(way);
        double.fetched('docs').reset();
        const scene = new Scene(way, `seed-${seed}`);
        const { result } = await runKilledAt(scene, 1 + Math.floor(killChance(seed) * whole.ticks));
        const wasKilled = result.code === 137;
        if (wasKilled) killed++;
        else expect(result.code).toBe(0);
        double.setFaults(undefined);
        proxy?.reset();
        const fetched = double.fetched('docs').total;
        const left = await scene.left();
        const again: ExporterResult = wasKilled ? await (await scene.start('--resume')).result : result;
        expect(again.stderr).toContain('Exported');
        expect(again.code).toBe(0);

        const { bytes, manifest } = await scene.published();
        expect(Buffer.compare(bytes as Uint8Array, whole.bytes)).toBe(0);
        expect(lastingOf(JSON.parse(manifest as string))).toEqual(lastingOf(whole.manifest));
        expect(again.workFiles).toEqual([]);
        expect([...scene.beside].sort()).toEqual(
          way.target === 'file' ? ['docs.parquet', 'docs.parquet.json'] : [],
        );
        if (way.target === 'store') expect(await scene.openUploads()).toEqual([]);

        if (left.isOver) return;
        let twice = 0;
        for (const count of double.fetched('docs').counts()) twice += Math.max(0, count - 1);
        // What was in memory, the unit under way, two whose safe points wait to go on record and two on their way there.
        // A stream is safe as far as the store has confirmed its parts.
        const unitRows = way.args.includes('--row-group-size') ? ROW_GROUP_ROWS : NDJSON_UNIT_ROWS;
        const lost = way.name === 'streaming' ? fetched - left.safeRows : whole.inMemory + 5 * unitRows;
        // The first points are looked at by each run that begins.
        expect(twice).toBeLessThanOrEqual(lost + 32);
      },
      2 * LIMIT_MS,
    );
  }

  test('was killed before its end in most of these cases', () => {
    expect(killed).toBeGreaterThan(KILLS / 2);
  });
});
