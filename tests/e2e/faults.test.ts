import { afterAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3';
import { exitCodeOf } from '../../lib/cli/exit.ts';
import { VERSION } from '../../lib/cli/version.ts';
import { messageOf } from '../../lib/errors.ts';
import { exportCollection } from '../../lib/export.ts';
import type { CollectionShape } from '../../lib/model.ts';
import { Semaphore } from '../../lib/pipeline/semaphore.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { fileDestination } from '../../lib/storage/file.ts';
import { memoryDestination } from '../../lib/storage/memory.ts';
import { s3Destination } from '../../lib/storage/s3.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import { createWorkFile } from '../../lib/storage/work-file.ts';
import type { PointSample } from '../../lib/writers/format.ts';
import { parquetFormat } from '../../lib/writers/parquet.ts';
import { seeded } from '../support/batches.ts';
import { MIB } from '../support/byte-body.ts';
import { runExporter } from '../support/exporter.ts';
import {
  type FaultProxy,
  type Operation,
  type SeenRequest,
  type Fault as StoreFault,
  startFaultProxy,
} from '../support/fault-proxy.ts';
import { planOf } from '../support/plans.ts';
import type { Faults, Method, Fault as QdrantFault } from '../support/qdrant-double/fault.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { randomStorm, type Storm, type Weather } from '../support/random-faults.ts';
import { startS3Server } from '../support/s3-server.ts';

/*
 * Seeded runs with faults on both sides. Whatever happens, a run ends: with exit code 0, the bytes of an
 * undisturbed run and their manifest, or with a documented code and the target as it was, or with the word that
 * all but the manifest is done. FAULT_SEED=17 runs that one alone, FAULT_RUNS=500 more of them.
 */

const SEEDS = process.env.FAULT_SEED
  ? [Number(process.env.FAULT_SEED)]
  : Array.from({ length: Number(process.env.FAULT_RUNS ?? 50) }, (_, index) => index + 1);
/** A run that takes longer hangs. */
const LIMIT_MS = 45_000;
const EPOCH = 1_700_000_000;
const TOOL = { name: 'exporter-r2', version: VERSION };
const DOCUMENTED = [10, 11, 12, 13];
const PREVIOUS = Buffer.from('what an earlier run published');
const PREVIOUS_MANIFEST = Buffer.from('its manifest');
/** How a run ends that published the export and could not publish the manifest. */
const ALL_BUT_MANIFEST = /The export is whole and published as (\S+), but its manifest is not: /;
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
  /** Keys of the export and its manifest in the store. */
  readonly key: string;
  readonly manifestKey: string;
  readonly folder: string;
  /** Path of the export as a local file; its manifest is beside it. */
  readonly output: string;
  readonly double: QdrantDouble;
  readonly proxy: FaultProxy | undefined;
}

/** What an export needs to be told of a case. */
type Settings = Pick<Case, 'protocol' | 'passes' | 'target' | 'collection'>;

const parquetOf = (shape: CollectionShape, sample: PointSample) =>
  parquetFormat(shape, {
    strategy: 'parquet-small',
    rowGroupRows: 1_000,
    compression: 'zstd',
    vectorEncoding: 'plain',
    schema: 'keyed',
    keyField: 'key',
    metadataField: undefined,
    createdBy: `qdrant-export-tools ${VERSION}`,
    exportedAt: new Date(EPOCH * 1000),
    sample,
  });

/** The parts joined as bin/exporter-r2.ts joins them, with less patience. */
async function runInProcess(run: Settings, place: Place): Promise<Outcome> {
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
      planOf({
        collection: run.collection.name,
        batchSize: 500,
        parallel: 3,
        passes: run.passes,
        key: run.target === 'output' ? place.output : place.key,
        manifestKey: run.target === 'output' ? `${place.output}.json` : place.manifestKey,
        streaming: workFile === undefined,
      }),
      {
        transport,
        format: parquetOf,
        destination: destinationFor(run, place),
        workFile,
        tool: TOOL,
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

function destinationFor(run: Settings, place: Place): Destination {
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
    planOf({ collection: collection.name, batchSize: 10_000, parallel: 2 }),
    { transport, format: parquetOf, destination, workFile: undefined, tool: TOOL, emit: () => {} },
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
  const [key, manifestKey] = keysUnder(`${prefixOf(run)}/${run.collection.name}`);
  const place = { key, manifestKey, folder, output, double, proxy };
  if (run.hasPrevious) await writePrevious(run, place);
  try {
    const { code, said } = await inTime(
      run,
      storm,
      run.isProcess ? runProgram(run, place) : runInProcess(run, place),
    );
    const published = await publishedBy(run, place);
    return { run, storm, wanted, code, said, ...published, left: await leftBy(run, place) };
  } finally {
    await Promise.all([double.stop(), proxy?.stop()]);
  }
}

function keysUnder(folder: string): readonly [export_: string, manifest: string] {
  return [`${folder}/latest.parquet`, `${folder}/latest.json`];
}

async function writePrevious({ target }: Settings, { key, manifestKey, output }: Place): Promise<void> {
  if (target === 'output') {
    await writeFile(output, PREVIOUS);
    await writeFile(`${output}.json`, PREVIOUS_MANIFEST);
  } else {
    await found?.write(key, PREVIOUS);
    await found?.write(manifestKey, PREVIOUS_MANIFEST);
  }
}

/** What lies where the run was to put it. */
interface Published {
  readonly stored: Uint8Array | undefined;
  readonly manifest: Uint8Array | undefined;
}

async function publishedBy({ target }: Settings, { key, manifestKey, output }: Place): Promise<Published> {
  const read = (path: string) => readFile(path).catch(() => undefined);
  return target === 'output'
    ? { stored: await read(output), manifest: await read(`${output}.json`) }
    : { stored: await found?.bytes(key), manifest: await found?.bytes(manifestKey) };
}

function expectWhole({ stored }: Pick<Published, 'stored'>, wanted: Uint8Array): void {
  expect(Buffer.compare(stored ?? Buffer.alloc(0), wanted)).toBe(0);
}

/** The manifest says just what was published. */
function expectManifest({ manifest }: Pick<Published, 'manifest'>, wanted: Uint8Array): void {
  const { files } = JSON.parse(textOf(manifest) ?? '{}');
  const sha256 = createHash('sha256').update(wanted).digest('hex');
  expect(files).toMatchObject([{ bytes: wanted.length, sha256 }]);
}

const textOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1');

function expectOldManifest({ manifest }: Pick<Published, 'manifest'>, hasPrevious: boolean): void {
  expect(textOf(manifest)).toBe(hasPrevious ? PREVIOUS_MANIFEST.toString() : undefined);
}

/** Nothing was published: what was there before is there. */
function expectAsBefore(published: Published, hasPrevious: boolean): void {
  expect(textOf(published.stored)?.slice(0, 100)).toBe(hasPrevious ? PREVIOUS.toString() : undefined);
  expectOldManifest(published, hasPrevious);
}

interface Left {
  readonly beside: readonly string[];
  readonly work: readonly string[];
  /** Unfinished uploads of the run's key, and whether the program was ever told of them. */
  readonly uploads: readonly { readonly id: string; readonly parts: number; readonly isKnown: boolean }[];
}

async function leftBy(run: Settings, { key, folder, output, proxy }: Place): Promise<Left> {
  const told = new Set(proxy?.seen.map(({ query }) => query.get('uploadId')));
  const names = await readdir(join(folder, 'out'));
  return {
    beside: names.filter((name) => ![output, `${output}.json`].includes(join(folder, 'out', name))),
    work: await readdir(join(folder, 'work')).catch(() => []),
    uploads: run.target === 'output' ? [] : await openUploads(dirname(key), told),
  };
}

/** Of every key in a folder. */
async function openUploads(prefix: string, told: ReadonlySet<string | null>): Promise<Left['uploads']> {
  const Bucket = found?.bucket;
  const answer = await client?.send(new ListMultipartUploadsCommand({ Bucket }));
  const uploads = (answer?.Uploads ?? []).filter(({ Key }) => Key?.startsWith(`${prefix}/`));
  return Promise.all(
    uploads.map(async ({ Key, UploadId = '' }) => {
      const parts = await client?.send(new ListPartsCommand({ Bucket, Key, UploadId }));
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
        const { run, storm, wanted, code, said, left, ...published } = await performance;
        codes.push(code);
        try {
          if (code === 0) {
            expectWhole(published, wanted);
            expectManifest(published, wanted);
          } else if (ALL_BUT_MANIFEST.test(said)) {
            expect([12, 13]).toContain(code);
            expectWhole(published, wanted);
            expectOldManifest(published, run.hasPrevious);
          } else {
            expect(DOCUMENTED).toContain(code);
            expect(said).not.toBe('');
            expectAsBefore(published, run.hasPrevious);
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

interface Disturbed extends Settings {
  /** Names its folder and its keys. */
  readonly name: string;
  readonly hasPrevious: boolean;
  readonly qdrant?: Faults;
  readonly store?: FaultProxy['faults'];
}

/** One run in process with the faults that it is given. */
async function disturbed({ name, hasPrevious, qdrant, store, ...run }: Disturbed) {
  const folder = join(top, name);
  const output = join(folder, 'out', 'file.parquet');
  await mkdir(join(folder, 'out'), { recursive: true });
  const double = await startQdrantDouble({ generated: [run.collection], ...(qdrant && { faults: qdrant }) });
  const proxy = found && (await startFaultProxy(found.endpoint));
  if (proxy !== undefined && store !== undefined) proxy.faults = store;
  const [key, manifestKey] = keysUnder(name);
  const place = { key, manifestKey, folder, output, double, proxy };
  if (hasPrevious) await writePrevious(run, place);
  try {
    const { code, said } = await runInProcess(run, place);
    expect(await leftBy(run, place)).toEqual({ beside: [], work: [], uploads: [] });
    return { code, said, location: locationOf(run, place), ...(await publishedBy(run, place)) };
  } finally {
    await Promise.all([double.stop(), proxy?.stop()]);
  }
}

function locationOf({ target }: Settings, { key, output }: Place): string {
  return target === 'output' ? output : `s3://${found?.bucket}/${key}`;
}

/** What the look at the collection after its last point asks. */
const CLOSING: readonly Method[] = ['count', 'version', 'describe', 'aliases'];

/** Faults from the second count on, which is the first request of that look. */
function inClosingLook(fault: Faults): Faults {
  let counts = 0;
  return (request) => {
    if (request.method === 'count') counts++;
    return counts < 2 ? undefined : fault(request);
  };
}

/** A whole run into each kind of target that there is here. */
const TARGETS = found === undefined ? (['output'] as const) : (['output', 'work file', 'stream'] as const);

describe('the look at the collection after its last point', () => {
  const status = (http: number, grpc: number, message: string) =>
    ({ kind: 'status', http, grpc, message }) as const;

  for (const protocol of ['grpc', 'rest'] as const) {
    const scene = { protocol, passes: 'two', collection: SMALL } as const;

    for (const [what, fault, at] of [
      ['a cut connection', { kind: 'reset', connection: true }, CLOSING],
      ['half an answer', { kind: 'resetMidway' }, CLOSING],
      ['an answer that ends early', { kind: 'earlyClose' }, CLOSING],
      // Each takes as long as a request may.
      ['no answer', { kind: 'stall' }, ['count']],
      ['half an answer and silence', { kind: 'stallMidway' }, ['describe']],
      ['a time-out of the server', { kind: 'timeout' }, CLOSING],
      ['status 500', status(500, 13, 'Service internal error: try later'), CLOSING],
      ['status 503', status(503, 14, 'Service unavailable'), CLOSING],
      ['status 429', { ...status(429, 8, 'Rate limiting exceeded'), retryAfterSeconds: 0 }, CLOSING],
    ] as const satisfies [string, QdrantFault, readonly Method[]][]) {
      test(`survives ${what} once at each request, over ${protocol}`, async () => {
        const hit = new Set<Method>();
        const { code, said, ...published } = await disturbed({
          ...scene,
          name: `closing ${what} ${protocol}`,
          target: 'output',
          hasPrevious: true,
          qdrant: inClosingLook(({ method }) => {
            if (hit.has(method) || !at.some((meant) => meant === method)) return undefined;
            hit.add(method);
            return fault;
          }),
        });
        expect({ code, said }).toEqual({ code: 0, said: '' });
        const wanted = await (expected.get(SMALL) as Promise<Uint8Array>);
        expectWhole(published, wanted);
        expectManifest(published, wanted);
        expect([...hit]).toEqual([...at]);
      }, 30_000);
    }

    for (const [what, fault, at, error] of [
      [
        'a Qdrant that is gone',
        status(503, 14, 'Service unavailable'),
        'count',
        /^Cannot count collection `small`: Qdrant answered (503 Service Unavailable|UNAVAILABLE)/,
      ],
      [
        'a key that may no longer count',
        status(403, 7, 'Forbidden'),
        'count',
        /^Cannot count collection `small`: Qdrant answered (403 Forbidden|PERMISSION_DENIED)/,
      ],
      [
        'a collection that is gone',
        status(404, 5, "Not found: Collection `small` doesn't exist!"),
        'describe',
        /^There is no collection `small` on /,
      ],
    ] as const satisfies [string, QdrantFault, Method, RegExp][]) {
      for (const [index, target] of TARGETS.entries()) {
        test(`ends the run at ${what}: 10, nothing published (${target}), over ${protocol}`, async () => {
          const hasPrevious = index % 2 === 0;
          const { code, said, ...published } = await disturbed({
            ...scene,
            name: `ended ${what} ${target} ${protocol}`,
            target,
            hasPrevious,
            qdrant: inClosingLook(({ method }) => (method === at ? fault : undefined)),
          });
          expect(code).toBe(10);
          expect(said).toMatch(error);
          expectAsBefore(published, hasPrevious);
        }, 30_000);
      }
    }
  }
});

describe.skipIf(found === undefined)('the manifest on its way to a store', () => {
  const isManifest = ({ path }: SeenRequest) => path.endsWith('.json');
  const scene = { protocol: 'grpc', passes: 'two', target: 'stream', collection: SMALL } as const;

  for (const [what, operation, fault] of [
    ['a cut connection', 'PutObject', { kind: 'reset' }],
    ['a lost answer', 'PutObject', { kind: 'resetAfter' }],
    ['half an answer', 'PutObject', { kind: 'earlyClose' }],
    ['no answer', 'PutObject', { kind: 'stall' }],
    ['damage', 'PutObject', { kind: 'corruptBody' }],
    ['a wrong ETag in the answer', 'PutObject', { kind: 'wrongEtag' }],
    ['status 500', 'PutObject', { kind: 'status', status: 500, code: 'InternalError' }],
    ['status 503', 'PutObject', { kind: 'status', status: 503, code: 'SlowDown' }],
    ['a cut connection', 'Head', { kind: 'reset' }],
    ['no answer', 'Head', { kind: 'stall' }],
  ] as const satisfies [string, Operation, StoreFault][]) {
    for (const hasPrevious of [false, true]) {
      const over = hasPrevious ? ', over an earlier one' : '';
      test(`gets there though its first ${operation} meets ${what}${over}`, async () => {
        let met = 0;
        const { code, said, ...published } = await disturbed({
          ...scene,
          name: `once ${what} ${operation} ${hasPrevious}`,
          hasPrevious,
          store: (request) =>
            isManifest(request) && request.operation === operation && met++ === 0 ? fault : undefined,
        });
        expect({ code, said }).toEqual({ code: 0, said: '' });
        expect(met).toBeGreaterThan(0);
        const wanted = await (expected.get(SMALL) as Promise<Uint8Array>);
        expectWhole(published, wanted);
        expectManifest(published, wanted);
      }, 30_000);
    }
  }

  for (const [what, operation, fault, why] of [
    [
      'may not be written',
      'PutObject',
      { kind: 'status', status: 403, code: 'AccessDenied' },
      /403 AccessDenied/,
    ],
    [
      'meets a store that is down',
      'PutObject',
      { kind: 'status', status: 503, code: 'SlowDown' },
      /503 SlowDown/,
    ],
    ['is damaged each time', 'PutObject', { kind: 'corruptBody' }, /BadDigest/],
    ['is never answered', 'PutObject', { kind: 'stall' }, /did not answer within 1 s/],
    ['cannot be compared with an earlier one', 'Head', { kind: 'reset' }, /closed the connection/],
  ] as const satisfies [string, Operation, StoreFault, RegExp][]) {
    for (const target of ['work file', 'stream'] as const) {
      test(`is said to be missing beside a whole export when it ${what} (${target}): 12`, async () => {
        const hasPrevious = target === 'stream';
        const { code, said, location, ...published } = await disturbed({
          ...scene,
          name: `never ${what} ${target}`,
          target,
          hasPrevious,
          store: (request) => (isManifest(request) && request.operation === operation ? fault : undefined),
        });
        expect(said).toStartWith(
          `The export is whole and published as ${location}, but its manifest is not: Cannot write ${location.replace(/parquet$/, 'json')}: `,
        );
        expect(said).toMatch(why);
        expect(code).toBe(12);
        expectWhole(published, await (expected.get(SMALL) as Promise<Uint8Array>));
        expectOldManifest(published, hasPrevious);
      }, 60_000);
    }
  }

  test('is said to be missing, and the export not, when another run replaced it meanwhile: 12', async () => {
    const { code, said, ...published } = await disturbed({
      ...scene,
      name: 'overtaken',
      hasPrevious: true,
      store: (request) => {
        if (!isManifest(request) || request.operation !== 'PutObject') return undefined;
        return {
          kind: 'hold',
          until: found?.write('overtaken/latest.json', Buffer.from('of another run')) as Promise<void>,
        };
      },
    });
    expect(code).toBe(12);
    expect(said).toContain(
      'but its manifest is not: Cannot write s3://exports/overtaken/latest.json: another run replaced the object meanwhile',
    );
    expect(said).not.toContain('Nothing of this run was published');
    expectWhole(published, await (expected.get(SMALL) as Promise<Uint8Array>));
    expect(textOf(published.manifest)).toBe('of another run');
  }, 30_000);
});
