import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Semaphore } from '../../lib/pipeline/semaphore.ts';
import { seeded } from '../support/batches.ts';
import { ALL_BUT_MANIFEST, EPOCH, LARGE } from '../support/disturbed-exports.ts';
import { type ExporterOptions, type ExporterResult, runExporter } from '../support/exporter.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { commandThatGoesOn, goOn } from '../support/go-on.ts';
import { sameBytes } from '../support/long-run-scene.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { randomStorm, type Weather } from '../support/random-faults.ts';
import { startS3Server } from '../support/s3-server.ts';
import { type SupabaseDouble, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { type Certainty, supabaseStorm } from '../support/supabase-faults.ts';
import {
  expectExport,
  expectNoUploads,
  manifestOn,
  type Shelf,
  sha256Of,
  shelfAt,
} from '../support/supabase-shelf.ts';

/*
 * Seeded runs of the program with faults at Supabase Storage, and some at Qdrant. Whatever happens, a run ends: with
 * exit code 0, the bytes of an undisturbed run and a manifest that agrees with them, or with a documented code, one
 * sentence, and what was there before. One that failed is gone on with in fair weather, to those bytes and with nothing
 * left. FAULTS=50 makes so many runs for each door; FAULT_SEED=17 (with FAULT_DOOR=TUS) runs that one alone.
 */

const DOORS = ['standard upload', 'TUS', 'S3 keys'] as const;
type Door = (typeof DOORS)[number];

/** Kinds of requests that are made whatever the size. */
const OF_ALL = [
  /^GET \S+\/bucket\//,
  /^POST \S+\/upload\/resumable$/,
  /^HEAD \S+\/resumable\//,
  /^DELETE \S+\/resumable\//,
];
const OF_REST = [
  ...OF_ALL,
  /^POST \S+\/object\/backups\//,
  /^GET \S+\/object\/info\//,
  /^GET \S+\/object\/backups\//,
];
/** Those whose answers are lost, in turn. */
const LOST: Readonly<Record<Door, readonly RegExp[]>> = {
  'standard upload': OF_REST,
  TUS: [/^PATCH /, ...OF_REST],
  'S3 keys': [
    /^POST \S+\?uploads/,
    /^PUT \S+partNumber=/,
    /^POST \S+\?uploadId=/,
    /^PUT \S+PutObject/,
    /^DELETE \S+uploadId=/,
    /^GET \S+max-parts=/,
    /^HEAD \S+\/s3\//,
    /^GET \S+GetObject/,
    ...OF_ALL,
  ],
};

const SEEDS = process.env.FAULT_SEED
  ? [Number(process.env.FAULT_SEED)]
  : Array.from({ length: Number(process.env.FAULTS ?? 5) }, (_, index) => index + 1);
/** A run that takes longer hangs. */
const LIMIT_MS = 60_000;
const PROGRAM = 'exporter-supabase';

const top = mkdtempSync(join(tmpdir(), 'supabase-faults-'));
const probe = await startS3Server();
await probe?.stop();
const doors = DOORS.filter(
  (door) => (door !== 'S3 keys' || probe !== undefined) && (process.env.FAULT_DOOR ?? door) === door,
);

afterAll(() => rmSync(top, { recursive: true, force: true }));

/** 3 MB: one request. The large one has 13 MB: three chunks, or two parts. */
const SMALL: GeneratedCollection = { name: 'small', points: 3_000, dimensions: 256, ids: 'mixed' };

/** What decides the bytes of an export. */
interface Data {
  readonly collection: GeneratedCollection;
  readonly strategy: 'parquet-small' | 'ndjson-gz';
  readonly splitSize: string | undefined;
}

interface Case extends Data {
  readonly seed: number;
  readonly door: Door;
  readonly streams: boolean;
  readonly hasPrevious: boolean;
  readonly qdrant: Weather | 'fair';
  readonly store: Weather;
}

function caseOf(door: Door, seed: number): Case {
  const random = seeded(seed * 7919 + DOORS.indexOf(door));
  const pick = <T>(...values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
  const collection = door === 'standard upload' ? SMALL : door === 'TUS' ? LARGE : pick(SMALL, LARGE);
  const splits = random() < 0.3;
  const streams = door === 'S3 keys' && !splits && random() < 0.4;
  return {
    seed,
    door,
    collection,
    // Text of large vectors takes seconds to write and read.
    strategy: streams || collection === LARGE ? 'parquet-small' : pick('parquet-small', 'ndjson-gz'),
    // Three or four files; those of the large one are sent in two chunks.
    splitSize: splits ? (collection === LARGE ? '7MB' : '1MB') : undefined,
    streams,
    hasPrevious: pick(true, false),
    qdrant: pick<Weather | 'fair'>('fair', 'fair', 'fair', 'fair', 'light', 'dead'),
    store: pick<Weather>('light', 'light', 'light', 'heavy', 'heavy', 'heavy', 'dead'),
  };
}

function titleOf({ seed, door, collection, strategy, splitSize, streams, qdrant, store }: Case): string {
  const how = streams ? 'streamed' : splitSize === undefined ? 'one file' : `files of ${splitSize}`;
  return `${door}, seed ${seed} (${collection.name}, ${strategy}, ${how}; qdrant ${qdrant}, store ${store})`;
}

const PREVIOUS = Buffer.from('what an earlier run published');

function folderOf({ collection }: Data): string {
  return `exports/${collection.name}`;
}

interface Servers {
  /** Qdrant's. */
  readonly qdrantUrl: string;
  /** Storage's, or a proxy's in front of it. */
  readonly storeUrl: string;
  readonly store: SupabaseDouble;
  /** OUTPUT_TEMP_FOLDER. */
  readonly work: string;
}

/** Arguments and environment of the program for a case. */
function commandOf(run: Data & Pick<Case, 'door' | 'streams'>, servers: Servers) {
  const { qdrantUrl, storeUrl, store, work } = servers;
  const args = [
    ...['--collection', run.collection.name, '--strategy', run.strategy, '--timeout', '1'],
    ...['--url', qdrantUrl, '--batch-size', '500', '--parallel', '3', '--prefix', 'exports'],
    ...(run.splitSize === undefined ? [] : ['--split-size', run.splitSize]),
    ...(run.streams ? ['--stream-upload'] : []),
  ];
  const env = {
    // No DuckDB is there.
    PATH: '/nowhere',
    OUTPUT_TEMP_FOLDER: work,
    SOURCE_DATE_EPOCH: String(EPOCH),
    SUPABASE_URL: storeUrl,
    SUPABASE_SERVICE_ROLE_KEY: store.keys.service,
    SUPABASE_STORAGE_BUCKET: store.bucket,
    ...(run.door !== 'S3 keys'
      ? {}
      : {
          SUPABASE_S3_ACCESS_KEY_ID: store.s3?.accessKeyId,
          SUPABASE_S3_SECRET_ACCESS_KEY: store.s3?.secretAccessKey,
          SUPABASE_S3_REGION: store.s3?.region,
        }),
  };
  const options: ExporterOptions = { program: PROGRAM, env, limitMs: LIMIT_MS };
  return { args, options };
}

interface Undisturbed {
  /** In order. */
  readonly files: readonly Uint8Array[];
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  readonly manifest: any;
}

const references = new Map<string, Promise<Undisturbed>>();

/** An undisturbed run's; the door makes no difference to them. */
function undisturbed({ collection, strategy, splitSize }: Data): Promise<Undisturbed> {
  const data = { collection, strategy, splitSize };
  const name = [collection.name, strategy, splitSize].join('-');
  const known = references.get(name);
  if (known !== undefined) return known;
  const make = async (): Promise<Undisturbed> => {
    const qdrant = await startQdrantDouble({ generated: [collection] });
    const store = await startSupabaseDouble({ s3: false });
    const run = { ...data, door: 'TUS', streams: false } as const;
    const servers = { qdrantUrl: qdrant.grpcUrl, storeUrl: store.url, store, work: join(top, name) };
    const { args, options } = commandOf(run, servers);
    const { code, stderr } = await runExporter(args, options);
    if (code !== 0) throw new Error(`The undisturbed run of ${name} ended with ${code}: ${stderr}`);
    const shelf = await shelfAt(store, folderOf(data));
    await Promise.all([qdrant.stop(), store.stop()]);
    const manifest = manifestOn(shelf);
    const keys = manifest.files.map(({ key }: { key: string }) => key);
    return { files: keys.map((key: string) => shelf.objects.get(key)?.bytes), manifest };
  };
  const making = make();
  making.catch(() => {});
  references.set(name, making);
  return making;
}

/** Puts an export of the same collection there, with a manifest that is true of it. */
async function writePrevious(run: Case, store: SupabaseDouble, { manifest }: Undisturbed): Promise<Shelf> {
  const folder = folderOf(run);
  const key = `${folder}/latest.parquet`;
  if (run.hasPrevious) {
    await store.write(key, PREVIOUS);
    const { objects } = await shelfAt(store, folder);
    const file = { key, bytes: PREVIOUS.length, sha256: sha256Of(PREVIOUS), rows: 1, rowGroups: 1 };
    const files = [{ ...file, etag: objects.get(key)?.etag }];
    await store.write(`${folder}/latest.json`, Buffer.from(JSON.stringify({ ...manifest, files })));
  }
  return await shelfAt(store, folder);
}

interface Left {
  readonly shelf: Shelf;
  /** Files in the collection's work folder. */
  readonly work: readonly string[];
  readonly journal: string;
}

async function leftBy(run: Case, store: SupabaseDouble, folder: string): Promise<Left> {
  const own = join(folder, 'qdrant-export', run.collection.name);
  const work = existsSync(own) ? readdirSync(own).sort() : [];
  const journal = work.includes('journal') ? readFileSync(join(own, 'journal'), 'utf8') : '';
  return { shelf: await shelfAt(store, folderOf(run)), work, journal };
}

/** The next kind of request with each seed, and its second or third when all have had their turn; a flip with every third. */
function certaintyOf({ door, seed }: Case): Certainty {
  const kinds = LOST[door];
  const requests = kinds[(seed - 1) % kinds.length] as RegExp;
  return {
    lost: { requests, number: 1 + (Math.floor((seed - 1) / kinds.length) % 3) },
    flips: seed % 3 === 0,
  };
}

async function perform(run: Case) {
  const wanted = await undisturbed(run);
  const qdrantStorm =
    run.qdrant === 'fair'
      ? undefined
      : randomStorm({ seed: run.seed, qdrant: run.qdrant, store: 'light', patient: true });
  const faults = qdrantStorm && { faults: qdrantStorm.qdrant };
  const qdrant = await startQdrantDouble({ generated: [run.collection], ...faults });
  const store = await startSupabaseDouble({ s3: run.door === 'S3 keys' });
  const work = join(top, `${run.door} ${run.seed}`);
  const { args, options } = commandOf(run, { qdrantUrl: qdrant.grpcUrl, storeUrl: store.url, store, work });
  const stormSeed = run.seed * DOORS.length + DOORS.indexOf(run.door);
  const storm = supabaseStorm(stormSeed, run.store, certaintyOf(run));
  const log = () => [
    ...(qdrantStorm?.log ?? []),
    ...storm.log.map(({ request, fault }) => `${request}: ${JSON.stringify(fault)}`),
  ];
  try {
    const before = await writePrevious(run, store, wanted);
    const asked = store.requests.length;
    // Numbers of the run's own requests.
    store.fault = (request) => storm.fault({ ...request, number: request.number - asked });
    const first = await runExporter(args, options).catch((error) => {
      throw new Error(`${titleOf(run)}: ${error}\n${log().join('\n')}`);
    });
    qdrant.setFaults(undefined);
    store.fault = undefined;
    const then = await leftBy(run, store, work);
    const canGoOn = commandThatGoesOn(first.stderr) !== undefined;
    const again =
      first.code === 0
        ? undefined
        : canGoOn
          ? await goOn(first.stderr, options)
          : await runExporter(args, options);
    const after = await leftBy(run, store, work);
    return { run, wanted, storm, log: log(), before, first, canGoOn, then, again, finally: after };
  } finally {
    await Promise.all([qdrant.stop(), store.stop()]);
  }
}

type Performance = Awaited<ReturnType<typeof perform>>;

// Most of a run is waiting, so several go on at once; each has servers of its own.
const places = new Semaphore(availableParallelism() + 1);
const performances = new Map(
  doors.flatMap((door) =>
    SEEDS.map((seed) => {
      const performance = places.hold(() => perform(caseOf(door, seed)));
      performance.catch(() => {});
      return [`${door} ${seed}`, performance] as const;
    }),
  ),
);

/** What a run that ended well left. */
function expectDone({ wanted }: Pick<Performance, 'wanted'>, { shelf, work }: Left, said: string): void {
  expectExport(
    shelf,
    wanted.files,
    (key) => /could not be removed|could be removed/.test(said) && said.includes(key),
  );
  expectNoUploads(shelf, (id) => said.includes(id));
  expect(work).toEqual([]);
}

/** What the storm left. */
function expectFirst(performance: Performance): void {
  const { run, storm, first, then } = performance;
  if (first.code === 0) {
    expectDone(performance, then, first.stderr);
    expect(run.qdrant).not.toBe('dead');
    return;
  }
  expectSentence(first);
  expectRightOrBefore(performance);
  expectOnlyWhatGoesOn(performance);
  // Damage, and an upload that the store forgets, are the two things that light weather need not survive.
  const isBad = storm.log.some(({ fault: { kind } }) => kind === 'flip' || kind === 'expired');
  const isLight = run.qdrant !== 'dead' && run.store === 'light';
  const isDamagedAtQdrant = performance.log.some((line) => /truncated|oversized/.test(line));
  expect(isLight && !isBad && !isDamagedAtQdrant).toBe(false);
}

/** One documented code, one sentence, and nothing of our own code. */
function expectSentence({ code, stderr }: ExporterResult): void {
  expect([10, 12, 13]).toContain(code);
  const errors = stderr.split('\n').filter((line) => line.startsWith('Error: '));
  expect(errors).toEqual([expect.stringMatching(/^Error: [^\n]{20,}\.$/)]);
  expect(stderr).not.toMatch(/^\s+at .+[:(]/m);
  expect(stderr).not.toContain('Something unexpected');
}

/** Under the export's name is what was there before, or what belongs there; damage was removed, or it was told of. */
function expectRightOrBefore({ run, wanted, before, first, then: { shelf } }: Performance): void {
  const key = `${folderOf(run)}/latest.parquet`;
  const isSplit = run.splitSize !== undefined;
  const there = shelf.objects.get(key)?.bytes;
  const wasThere = before.objects.get(key)?.bytes;
  const isRight = !isSplit && sameBytes(there, wanted.files[0]);
  const isAsBefore = there === wasThere || sameBytes(there, wasThere);
  const isRemoved = there === undefined && first.code === 13 && /It was removed/.test(first.stderr);
  const isTold = first.code === 13 && /could not be removed/.test(first.stderr);
  expect({ isRight, isAsBefore, isRemoved, isTold }).not.toEqual({
    isRight: false,
    isAsBefore: false,
    isRemoved: false,
    isTold: false,
  });
  const manifest = shelf.objects.get(shelf.manifestKey)?.bytes;
  const oldManifest = before.objects.get(before.manifestKey)?.bytes;
  if (manifest === oldManifest || sameBytes(manifest, oldManifest)) return;
  // Written, and its answer never came: then it has to be true.
  expect(first.stderr).toMatch(ALL_BUT_MANIFEST);
  expectExport(shelf, wanted.files, (other) => other === key);
}

/** What a failed run leaves is what its journal names, or what it has told of; without a journal, nothing. */
function expectOnlyWhatGoesOn({ first, canGoOn, before, then: { shelf, work, journal } }: Performance): void {
  if (canGoOn) {
    expect(first.code).not.toBe(13);
    expect(work).toContain('journal');
  } else {
    expect(work).toEqual([]);
    const parts = [...shelf.objects.keys()].filter((key) => /\/part-\d{5}\.parquet$/.test(key));
    if (!/could be removed|could not be removed/.test(first.stderr)) expect(parts).toEqual([]);
  }
  expect(work.filter((name) => name.startsWith('lock'))).toEqual([]);
  expectNoUploads(shelf, (id) => journal.includes(id) || first.stderr.includes(id));
  const known = [...before.objects.keys(), shelf.manifestKey];
  const others = [...shelf.objects.keys()].filter(
    (key) => !known.includes(key) && !/\/(part-\d{5}|latest)\.parquet$/.test(key),
  );
  expect(others).toEqual([]);
}

/** What fair weather made of that. */
function expectAgain(performance: Performance): void {
  const { first, again } = performance;
  if (again === undefined) return;
  expect({ code: again.code, said: again.code === 0 ? '' : again.stderr }).toEqual({ code: 0, said: '' });
  expectDone(performance, performance.finally, first.stderr + again.stderr);
}

/** How often runs of each door ended with each code, and what went wrong how often. */
function figuresOf(performances: readonly Performance[]): string {
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { run, first, canGoOn, storm } of performances) {
    count(`${run.door}: code ${first.code}${canGoOn ? ', to be gone on with' : ''}`);
    for (const { fault } of storm.log) count(`${run.door}: ${fault.kind}`);
  }
  return [...counts]
    .map(([name, times]) => `${name}: ${times}`)
    .toSorted()
    .join('\n');
}

describe('exporter-supabase with faults at Storage', () => {
  const firsts: Performance[] = [];

  for (const door of doors) {
    for (const seed of SEEDS) {
      test(
        `${titleOf(caseOf(door, seed))}: the right object, or an error and what was there; then the right object`,
        async () => {
          const performance = await (performances.get(`${door} ${seed}`) as Promise<Performance>);
          const { run, log, first, again } = performance;
          firsts.push(performance);
          try {
            expectFirst(performance);
            expectAgain(performance);
          } catch (error) {
            const ended = `${first.code} (${first.stderr}), then with ${again?.code} (${again?.stderr})`;
            console.error(
              `${titleOf(run)} ended with ${ended}; rerun it with FAULT_SEED=${seed} FAULT_DOOR="${door}"\n${log.join('\n')}`,
            );
            throw error;
          }
        },
        LIMIT_MS * 4,
      );
    }
  }

  test.skipIf(SEEDS.length < 10)('some of them end well, and some do not, in every way that there is', () => {
    const withCode = (wanted: number) => firsts.filter(({ first: { code } }) => code === wanted).length;
    expect(withCode(0)).toBeGreaterThanOrEqual(firsts.length / 5);
    for (const code of [10, 12, 13]) expect(withCode(code)).toBeGreaterThanOrEqual(1);
    expect(firsts.filter(({ canGoOn }) => canGoOn).length).toBeGreaterThanOrEqual(firsts.length / 10);
    const struck = new Set(firsts.flatMap(({ storm }) => storm.log.map(({ fault: { kind } }) => kind)));
    for (const door of doors) {
      const lost = firsts.flatMap(({ run, storm }) =>
        run.door !== door ? [] : storm.log.filter(({ fault: { kind } }) => kind === 'lost answer'),
      );
      const kinds = LOST[door].filter((kind) => lost.some(({ request }) => kind.test(request)));
      expect(kinds.length).toBeGreaterThan(LOST[door].length / 2);
    }
    if (process.env.FAULT_FIGURES === '1') console.log(figuresOf(firsts));
    for (const kind of ['reset', 'lost answer', 'status', 'flip']) expect([...struck].join()).toContain(kind);
  });
});

describe.each(doors)('exporter-supabase by %s', (door) => {
  test(
    'goes well where what is read back breaks off in the middle',
    async () => {
      const collection = door === 'standard upload' ? SMALL : LARGE;
      const data = { collection, strategy: 'parquet-small', splitSize: undefined } as const;
      const wanted = await undisturbed(data);
      const qdrant = await startQdrantDouble({ generated: [collection] });
      const store = await startSupabaseDouble({ s3: door === 'S3 keys' });
      const proxy = await startFaultProxy(store.url);
      const work = join(top, `${door} in the middle`);
      let cuts = 0;
      proxy.faults = ({ method, path }) => {
        const isReadBack = method === 'GET' && path.endsWith('latest.parquet') && !path.includes('/info/');
        return isReadBack && ++cuts <= 2 ? { kind: 'earlyClose' } : undefined;
      };
      try {
        const servers = { qdrantUrl: qdrant.grpcUrl, storeUrl: proxy.endpoint, store, work };
        const { args, options } = commandOf({ ...data, door, streams: false }, servers);
        const { code, stderr } = await runExporter(args, options);
        expect({ code, said: code === 0 ? '' : stderr }).toEqual({ code: 0, said: '' });
        expect(cuts).toBeGreaterThan(2);
        expectExport(await shelfAt(store, folderOf(data)), wanted.files);
      } finally {
        await Promise.all([qdrant.stop(), proxy.stop(), store.stop()]);
      }
    },
    LIMIT_MS,
  );
});
