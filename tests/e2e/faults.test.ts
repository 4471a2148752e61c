import { afterAll, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3';
import { exitCodeOf } from '../../lib/cli/exit.ts';
import { VERSION } from '../../lib/cli/version.ts';
import { messageOf } from '../../lib/errors.ts';
import { exportCollection } from '../../lib/export.ts';
import { Semaphore } from '../../lib/pipeline/semaphore.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { fileDestination } from '../../lib/storage/file.ts';
import { memoryDestination } from '../../lib/storage/memory.ts';
import { s3Destination } from '../../lib/storage/s3.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import { createWorkFile } from '../../lib/storage/work-file.ts';
import { parquetFormat } from '../../lib/writers/parquet.ts';
import { seeded } from '../support/batches.ts';
import { MIB } from '../support/byte-body.ts';
import { runExporter } from '../support/exporter.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { randomStorm, type Storm, type Weather } from '../support/random-faults.ts';
import { startS3Server } from '../support/s3-server.ts';

/*
 * Seeded runs with faults on both sides. Whatever happens, a run ends, with exit code 0 and the bytes of an
 * undisturbed run, or with a documented code and the target as it was. FAULT_SEED=17 runs that one alone,
 * FAULT_RUNS=500 more of them.
 */

const SEEDS = process.env.FAULT_SEED
  ? [Number(process.env.FAULT_SEED)]
  : Array.from({ length: Number(process.env.FAULT_RUNS ?? 50) }, (_, index) => index + 1);
/** A run that takes longer hangs. */
const LIMIT_MS = 45_000;
const EPOCH = 1_700_000_000;
const DOCUMENTED = [10, 11, 12, 13];
const PREVIOUS = Buffer.from('what an earlier run published');
const QUICK: RetryPolicy = { attempts: 6, baseMs: 1, capMs: 20 };

/** One part, and three. */
const SMALL: GeneratedCollection = { name: 'small', points: 3_000, dimensions: 64, ids: 'mixed' };
const LARGE: GeneratedCollection = { name: 'large', points: 3_200, dimensions: 1024, keys: true };

const found = await startS3Server();
const client =
  found &&
  new S3Client({
    endpoint: found.endpoint,
    region: found.region,
    forcePathStyle: true,
    credentials: { accessKeyId: found.accessKeyId, secretAccessKey: found.secretAccessKey },
  });
const top = await mkdtemp(join(tmpdir(), 'faults-'));

afterAll(async () => {
  client?.destroy();
  await found?.stop();
  await rm(top, { recursive: true, force: true });
});

interface Case {
  readonly seed: number;
  readonly random: () => number;
  readonly protocol: 'grpc' | 'rest';
  readonly passes: 'one' | 'two';
  readonly target: 'work file' | 'stream' | 'output';
  readonly isProcess: boolean;
  readonly collection: GeneratedCollection;
  readonly hasPrevious: boolean;
  readonly qdrant: Weather;
  readonly store: Weather;
}

function caseOf(seed: number): Case {
  const random = seeded(seed * 7919);
  const pick = <T>(...values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
  const isProcess = seed % 4 === 0;
  const rough = isProcess ? 'light' : 'heavy';
  return {
    seed,
    random,
    protocol: pick('grpc', 'rest'),
    passes: pick('one', 'two'),
    target: found === undefined ? 'output' : pick('work file', 'stream', 'stream', 'output'),
    isProcess,
    collection: pick(SMALL, LARGE),
    hasPrevious: pick(true, false),
    qdrant: pick<Weather>('light', 'light', 'light', rough, 'dead'),
    store: pick<Weather>('light', 'light', rough, rough, 'dead'),
  };
}

function titleOf({ seed, protocol, passes, target, isProcess, collection, qdrant, store }: Case): string {
  const how = `${isProcess ? 'program' : 'in process'}, ${collection.name}, ${protocol}, ${passes}, ${target}`;
  return `seed ${seed} (${how}; qdrant ${qdrant}${target === 'output' ? '' : `, store ${store}`})`;
}

interface Outcome {
  readonly code: number;
  readonly said: string;
}

interface Place {
  readonly key: string;
  readonly folder: string;
  readonly output: string;
  readonly double: QdrantDouble;
  readonly proxy: FaultProxy | undefined;
}

const parquetOf = (shape: Parameters<typeof parquetFormat>[0], payloadBytes: number) =>
  parquetFormat(shape, {
    strategy: 'parquet-small',
    rowGroupRows: 1_000,
    compression: 'zstd',
    vectorEncoding: 'plain',
    keyField: 'key',
    createdBy: `qdrant-export-tools ${VERSION}`,
    exportedAt: new Date(EPOCH * 1000),
    payloadBytes,
  });

/** The parts joined as bin/exporter-r2.ts joins them, with less patience. */
async function runInProcess(run: Case, place: Place): Promise<Outcome> {
  const transport = await connectQdrant(run.protocol, {
    url: new URL(run.protocol === 'grpc' ? place.double.grpcUrl : place.double.restUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 1,
    retryPolicy: QUICK,
  });
  const workFile =
    run.target === 'work file'
      ? await createWorkFile(join(place.folder, 'work', 'qdrant-export', run.collection.name), 'x.parquet')
      : undefined;
  try {
    const report = await exportCollection(
      {
        collection: run.collection.name,
        batchSize: 500,
        retrieveBatch: undefined,
        parallel: 3,
        passes: run.passes,
        key: run.target === 'output' ? place.output : place.key,
        streaming: workFile === undefined,
        dryRun: false,
      },
      {
        transport,
        format: parquetOf,
        destination: destinationFor(run, place),
        workFile,
        emit: () => {},
      },
      new AbortController().signal,
    );
    expect(report.counts.rows).toBe(run.collection.points);
    return { code: 0, said: '' };
  } catch (error) {
    return { code: exitCodeOf(error), said: messageOf(error) };
  } finally {
    transport.close();
    await workFile?.remove();
  }
}

function destinationFor(run: Case, place: Place): Destination {
  if (run.target === 'output' || found === undefined) return fileDestination();
  return s3Destination({
    endpoint: place.proxy?.endpoint,
    region: found.region,
    bucket: found.bucket,
    accessKeyId: new Secret(found.accessKeyId),
    secretAccessKey: new Secret(found.secretAccessKey),
    partBytes: 5 * MIB,
    partsInFlight: 2,
    retryPolicy: QUICK,
    patience: {
      requestMs: 1_000,
      slowestBytesPerSecond: 8 * MIB,
      completeMs: 1_000,
      graceMs: 300,
      cleanupMs: 4_000,
    },
  });
}

async function runProgram(run: Case, place: Place): Promise<Outcome> {
  const { double, folder, output, proxy } = place;
  const args = [
    ...['--collection', run.collection.name, '--strategy', 'parquet-small', '--timeout', '1'],
    ...['--passes', run.passes, '--parallel', '3', '--batch-size', '500'],
    ...(run.protocol === 'rest' ? ['--http', '--url', double.restUrl] : ['--url', double.grpcUrl]),
    ...(run.target === 'output' ? ['--output', output] : ['--prefix', prefixOf(run)]),
    ...(run.target === 'stream' ? ['--stream-upload'] : []),
  ];
  const work = join(folder, 'work');
  const env = {
    OUTPUT_TEMP_FOLDER: work,
    SOURCE_DATE_EPOCH: String(EPOCH),
    ...(run.target === 'output' || found === undefined
      ? {}
      : {
          R2_ENDPOINT: proxy?.endpoint,
          R2_BUCKET: found.bucket,
          R2_REGION: found.region,
          R2_ACCESS_KEY_ID: found.accessKeyId,
          R2_SECRET_ACCESS_KEY: found.secretAccessKey,
        }),
  };
  const { code, stderr, stdout } = await runExporter(args, { env, limitMs: LIMIT_MS });
  return { code, said: stderr + stdout };
}

function prefixOf({ seed }: Case): string {
  return `seed-${seed}`;
}

/** Rejects, naming the seed, when a run does not end. */
async function inTime<T>(run: Case, storm: Storm, work: Promise<T>): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    limit.reject(
      new Error(`${titleOf(run)} did not end within ${LIMIT_MS / 1000} s.\n${storm.log.join('\n')}`),
    );
  }, LIMIT_MS);
  return Promise.race([work, limit.promise]).finally(() => clearTimeout(timer));
}

/** Bytes of an undisturbed run of this collection. */
async function undisturbed(collection: GeneratedCollection): Promise<Uint8Array> {
  const double = await startQdrantDouble({ generated: [collection] });
  const transport = await connectQdrant('grpc', {
    url: new URL(double.grpcUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 30,
  });
  const destination = memoryDestination();
  await exportCollection(
    {
      collection: collection.name,
      batchSize: 10_000,
      retrieveBatch: undefined,
      parallel: 2,
      passes: 'two',
      key: 'k',
      streaming: true,
      dryRun: false,
    },
    { transport, format: parquetOf, destination, workFile: undefined, emit: () => {} },
    new AbortController().signal,
  );
  transport.close();
  await double.stop();
  return destination.objects.get('k') as Uint8Array;
}

const expected = new Map([
  [SMALL, undisturbed(SMALL)],
  [LARGE, undisturbed(LARGE)],
]);

async function perform(seed: number) {
  const run = caseOf(seed);
  const storm = randomStorm({ ...run, patient: run.isProcess });
  const folder = join(top, `seed-${seed}`);
  const output = join(folder, 'out', 'file.parquet');
  await mkdir(join(folder, 'out'), { recursive: true });
  const wanted = await (expected.get(run.collection) as Promise<Uint8Array>);
  const double = await startQdrantDouble({ generated: [run.collection], faults: storm.qdrant });
  const proxy = found && (await startFaultProxy(found.endpoint));
  if (proxy !== undefined) proxy.faults = storm.store;
  const key = `${prefixOf(run)}/${run.collection.name}/latest.parquet`;
  if (run.hasPrevious) {
    if (run.target === 'output') await writeFile(output, PREVIOUS);
    else await found?.write(key, PREVIOUS);
  }
  try {
    const place = { key, folder, output, double, proxy };
    const { code, said } = await inTime(
      run,
      storm,
      run.isProcess ? runProgram(run, place) : runInProcess(run, place),
    );
    const stored =
      run.target === 'output' ? await readFile(output).catch(() => undefined) : await found?.bytes(key);
    return { run, storm, wanted, code, said, stored, left: await leftBy(run, place) };
  } finally {
    await Promise.all([double.stop(), proxy?.stop()]);
  }
}

interface Left {
  readonly beside: readonly string[];
  readonly work: readonly string[];
  /** Unfinished uploads of the run's key, and whether the program was ever told of them. */
  readonly uploads: readonly { readonly id: string; readonly parts: number; readonly isKnown: boolean }[];
}

async function leftBy(run: Case, { key, folder, output, proxy }: Place): Promise<Left> {
  const told = new Set(proxy?.seen.map(({ query }) => query.get('uploadId')));
  const names = await readdir(join(folder, 'out'));
  return {
    beside: names.filter((name) => join(folder, 'out', name) !== output),
    work: await readdir(join(folder, 'work')).catch(() => []),
    uploads: run.target === 'output' ? [] : await openUploads(key, told),
  };
}

async function openUploads(key: string, told: ReadonlySet<string | null>): Promise<Left['uploads']> {
  const Bucket = found?.bucket;
  const answer = await client?.send(new ListMultipartUploadsCommand({ Bucket }));
  const uploads = (answer?.Uploads ?? []).filter((upload) => upload.Key === key);
  return Promise.all(
    uploads.map(async ({ UploadId = '' }) => {
      const parts = await client?.send(new ListPartsCommand({ Bucket, Key: key, UploadId }));
      return { id: UploadId, parts: parts?.Parts?.length ?? 0, isKnown: told.has(UploadId) };
    }),
  );
}

// Most of a run is waiting, so several go on at once; each has servers of its own.
const places = new Semaphore(availableParallelism() + 1);
const performances = new Map(SEEDS.map((seed) => [seed, places.hold(() => perform(seed))]));
for (const performance of performances.values()) performance.catch(() => {});

describe('exporter-r2 with faults on both sides', () => {
  const codes: number[] = [];

  for (const seed of SEEDS) {
    test(
      `${titleOf(caseOf(seed))}: the right file, or an error and the target as it was`,
      async () => {
        const performance = performances.get(seed) as ReturnType<typeof perform>;
        const { run, storm, wanted, code, said, stored, left } = await performance;
        codes.push(code);
        try {
          if (code === 0) expect(Buffer.compare(stored ?? Buffer.alloc(0), wanted)).toBe(0);
          else {
            expect(DOCUMENTED).toContain(code);
            expect(said).not.toBe('');
            const before = run.hasPrevious ? PREVIOUS.toString() : undefined;
            expect(stored && Buffer.from(stored).toString('latin1', 0, 100)).toBe(before);
          }
          if (run.qdrant === 'light' && (run.store === 'light' || run.target === 'output')) {
            // Damage that nothing but the contents shows is the one thing that light weather need not survive.
            if (!storm.log.some((line) => /truncated|oversized/.test(line))) expect(code).toBe(0);
          }
          if (run.qdrant === 'dead') expect(code).not.toBe(0);
          expect(left.beside).toEqual([]);
          expect(left.work).toEqual([]);
          // An upload whose id was lost with the store's answer cannot be removed, but holds nothing; any
          // other that remains is named.
          expect(left.uploads.filter(({ id, isKnown }) => isKnown && !said.includes(id))).toEqual([]);
          expect(left.uploads.filter(({ parts, isKnown }) => !isKnown && parts > 0)).toEqual([]);
          if (run.store === 'light') expect(left.uploads.filter(({ isKnown }) => isKnown)).toEqual([]);
        } catch (error) {
          console.error(
            `${titleOf(run)} ended with ${code}, rerun it with FAULT_SEED=${seed}: ${said}\n${storm.log.join('\n')}`,
          );
          throw error;
        }
      },
      LIMIT_MS * 4,
    );
  }

  test.skipIf(SEEDS.length < 50)('some of them end well and some do not', () => {
    expect(codes.filter((code) => code === 0).length).toBeGreaterThanOrEqual(SEEDS.length / 5);
    expect(codes.filter((code) => code === 10).length).toBeGreaterThanOrEqual(3);
    expect(codes.filter((code) => code === 12).length).toBeGreaterThanOrEqual(found === undefined ? 0 : 3);
  });
});
