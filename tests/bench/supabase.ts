import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { exporterCommand } from '../support/exporter.ts';
import type { SupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import type { StoreAddress, StoreFigures } from './clients/store.ts';
import { type Contestant, median, type Run, rounds } from './contestant.ts';

export interface SupabaseBench {
  /** Starts a program of ours in a process of its own. */
  served<T extends object>(
    program: string,
    args?: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<T & { stop(): Promise<void> }>;
  /** Where the work files go. */
  readonly folder: string;
  /** About how many go through each door for large files. */
  readonly bytes: number;
  readonly roundCount: number;
}

type Store = Pick<SupabaseDouble, 'url' | 'bucket' | 'keys' | 's3'>;
type Runs = ReadonlyMap<string, readonly Run[]>;

const ROOT = resolve(import.meta.dir, '../..');

/** Bytes of the file that a point of 1024 dimensions and about 350 B of payload makes, at the default compression. */
const POINT_BYTES = 3853;
/** The standard upload takes 6 MiB; as many points as just fit. */
const SMALL_POINTS = 1_500;

/**
 * The doors of Supabase Storage: whole exports, then the store alone. The double and the S3 server behind it keep what they
 * get in memory, where the machine has a file system there: the disk is not what is measured.
 */
export async function benchSupabase(bench: SupabaseBench): Promise<void> {
  const env = existsSync('/dev/shm') ? { TMPDIR: '/dev/shm' } : undefined;
  const store = await bench.served<Store>('tests/support/supabase-double/serve.ts', [], env);
  if (store.s3 === undefined) return;
  await benchDoors(bench, store, store.s3);
  await benchStores(bench, store, store.s3);
  await store.stop();
}

async function benchDoors(bench: SupabaseBench, store: Store, s3: Keys): Promise<void> {
  const large = Math.round(bench.bytes / POINT_BYTES);
  for (const points of [large, SMALL_POINTS]) {
    const double = await bench.served<{ readonly grpc: string }>('tests/support/qdrant-double/main.ts', [
      '--points',
      String(points),
    ]);
    const contestants = points === large ? largeDoors(store, s3) : [withKey(store, 'standard upload')];
    const runs = await rounds(
      contestants.map((door) => exporting(door, double.grpc, bench.folder)),
      bench.roundCount,
    );
    await double.stop();
    printDoors(runs);
    for (const [name, figures] of runs) {
      wanted(`peak MB, ${name}`, median(figures.map(({ peakBytes }) => peakBytes / 1e6)), 'below 300');
    }
  }
}

interface Keys {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface Door {
  readonly name: string;
  readonly program: 'exporter-r2' | 'exporter-supabase';
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function largeDoors(store: Store, s3: Keys): readonly Door[] {
  const s3Door: Door = {
    name: 'S3 endpoint',
    program: 'exporter-supabase',
    env: {
      SUPABASE_URL: store.url,
      SUPABASE_STORAGE_BUCKET: store.bucket,
      SUPABASE_S3_ACCESS_KEY_ID: s3.accessKeyId,
      SUPABASE_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      SUPABASE_S3_REGION: s3.region,
    },
  };
  return [
    withKey(store, 'TUS'),
    s3Door,
    { ...s3Door, name: 'S3 endpoint, --stream-upload', args: ['--stream-upload'] },
    { ...s3Door, name: 'S3 endpoint, --split-size 45MB', args: ['--split-size', '45MB'] },
    {
      name: 'exporter-r2 to that endpoint',
      program: 'exporter-r2',
      env: {
        R2_ENDPOINT: s3.endpoint,
        R2_REGION: s3.region,
        R2_BUCKET: store.bucket,
        R2_ACCESS_KEY_ID: s3.accessKeyId,
        R2_SECRET_ACCESS_KEY: s3.secretAccessKey,
      },
    },
  ];
}

function withKey(store: Store, name: string): Door {
  return {
    name,
    program: 'exporter-supabase',
    env: {
      SUPABASE_URL: store.url,
      SUPABASE_STORAGE_BUCKET: store.bucket,
      SUPABASE_SERVICE_ROLE_KEY: store.keys.service,
    },
  };
}

/** What its variable names (EXPORTER_SUPABASE), else the executable where it was built, else the source. */
function commandOf(program: Door['program']): readonly string[] {
  const built = join(ROOT, 'dist', program);
  const isNamed = process.env[program.replace('-', '_').toUpperCase()];
  return isNamed || !existsSync(built) ? exporterCommand(program) : [built];
}

function exporting({ name, program, args = [], env }: Door, qdrant: string, folder: string): Contestant {
  const told = ['--collection', 'bench', '--url', qdrant, '--quiet', '--json', '--strategy', 'parquet-med'];
  return {
    name,
    command: [...commandOf(program), ...told, ...args],
    env: { QDRANT_URL: '', QDRANT_API_KEY: '', OUTPUT_TEMP_FOLDER: folder, ...env },
  };
}

function printDoors(runs: Runs): void {
  const width = Math.max(...[...runs.keys()].map((name) => name.length));
  for (const [name, figures] of runs) {
    const bytes = median(figures.map(({ printed }) => exportedBytes(printed)));
    const of = (figure: (run: Run) => number) => median(figures.map(figure));
    const row = [
      `${(bytes / 1e6).toFixed(0)} MB`,
      `export ${of(({ phases }) => phases?.exportSeconds ?? Number.NaN).toFixed(2)} s`,
      `upload and read-back ${of(({ phases }) => phases?.uploadSeconds ?? Number.NaN).toFixed(2)} s`,
      `${of(({ seconds }) => bytes / 1e6 / seconds).toFixed(0)} MB/s in all`,
      `CPU ${of(({ cpuSeconds }) => cpuSeconds / (bytes / 1e9)).toFixed(1)} s/GB`,
      `peak ${of(({ peakBytes }) => peakBytes / 1e6).toFixed(0)} MB`,
    ];
    console.log(`${name.padEnd(width)}  ${row.join(', ')}`);
  }
}

function exportedBytes(printed: string): number {
  const { files } = JSON.parse(printed) as { readonly files: readonly { readonly bytes: number }[] };
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** The same bytes by each client of a store, and read back. */
async function benchStores(bench: SupabaseBench, { url, bucket, keys }: Store, s3: Keys): Promise<void> {
  console.log(`\nThe store alone, ${(bench.bytes / 1e6).toFixed(0)} MB, ${bench.roundCount} rounds`);
  const r2 = 'S3, as exporter-r2';
  const door = 'S3 endpoint, as exporter-supabase';
  const runs = await rounds(
    [
      storing(r2, { kind: 's3', bucket, s3 }, bench.bytes),
      storing(door, { kind: 'supabase-s3', bucket, s3 }, bench.bytes),
      storing('TUS', { kind: 'supabase', url, bucket, serviceKey: keys.service }, bench.bytes),
    ],
    bench.roundCount,
  );
  for (const [name, figures] of runs) {
    const row = (['put', 'read'] as const).map((step) => {
      const of = (figure: 'seconds' | 'cpuSeconds') =>
        median(figures.map(({ printed }) => figuresOf(printed)[step][figure] / (bench.bytes / 1e9)));
      return `${step} ${of('seconds').toFixed(2)} s/GB, CPU ${of('cpuSeconds').toFixed(2)} s/GB`;
    });
    const peak = median(figures.map(({ peakBytes }) => peakBytes / 1e6));
    console.log(`${name}: ${row.join('; ')}; peak ${peak.toFixed(0)} MB`);
  }
  const put = ({ printed }: Run) => figuresOf(printed).put.seconds;
  const putAndRead = (run: Run) => put(run) + figuresOf(run.printed).read.seconds;
  const rateRatio = (seconds: (run: Run) => number, secondsOfOther = seconds) => {
    const others = runs.get(r2) ?? [];
    return median((runs.get(door) ?? []).map((run, i) => secondsOfOther(others[i] ?? run) / seconds(run)));
  };
  wanted("rate of the door's upload over the R2 uploader's", rateRatio(put), 'at least 0.90');
  wanted('and with both read back', rateRatio(putAndRead), 'at least 0.90');
  console.log(`  and with the door's read back alone: ${(rateRatio(putAndRead, put)).toFixed(2)}`);
}

function storing(name: string, address: StoreAddress, bytes: number): Contestant {
  return {
    name,
    command: [process.execPath, join(ROOT, 'tests/bench/clients/store.ts'), String(bytes)],
    env: { STORE: JSON.stringify(address) },
  };
}

function figuresOf(printed: string): StoreFigures {
  return JSON.parse(printed);
}

function wanted(what: string, found: number, limit: string): void {
  console.log(`  ${what}: ${found.toFixed(2)} (wanted: ${limit})`);
}
