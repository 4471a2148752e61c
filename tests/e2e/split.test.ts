import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { type RunningExporter, runExporter, startExporter } from '../support/exporter.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { DUCKDB_MISSING } from '../support/foreign-readers.ts';
import { goOn } from '../support/go-on.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { differencesInDuckDb } from '../support/split-files.ts';
import {
  BY_PARQUET,
  expectFilesAsTold,
  interrupted,
  LARGE,
  SupabaseExports,
  TEST_MS,
} from '../support/supabase-exports.ts';
import { unfinishedAt } from '../support/supabase-scene.ts';

/*
 * --split-size: an export as several whole Parquet files that one manifest binds, by every program and door. LARGE
 * has 9.2 MB.
 */

setDefaultTimeout(2 * TEST_MS);

/** Its last point does not fit a file of 1 MB: letters that compress to no less. */
const HUGE_LAST: GeneratedCollection = {
  name: 'huge-last',
  points: 200,
  dimensions: 8,
  payload: (index) =>
    index === 199 ? JSON.stringify({ text: Buffer.from(noise(1_500_000)).toString('base64') }) : undefined,
};

function noise(bytes: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
}

/** 2.7 MB. */
const MIDDLE: GeneratedCollection = { ...LARGE, name: 'middle', points: 700 };

const exports = await SupabaseExports.startWithDouble(MIDDLE, HUGE_LAST);
const { qdrant, store } = exports;
const r2 = await startS3Server();
const proxy = r2 && (await startFaultProxy(r2.endpoint));
afterEach(() => {
  exports.reset();
  proxy?.reset();
});
afterAll(async () => {
  await exports.stop();
  await proxy?.stop();
  await r2?.stop();
});

/** Somewhere that a program splits to. */
interface Place {
  readonly name: string;
  start(args: readonly string[], given?: Given): Promise<RunningExporter>;
  goOn(stderr: string, given?: Given): ReturnType<typeof runExporter>;
  bytes(key: string): Promise<Uint8Array | undefined>;
  keysUnder(prefix: string): Promise<readonly string[]>;
  openUploads(): Promise<readonly string[]>;
  /** Never answers what would write the file of that name; resolves when it comes. */
  hangAt(name: string): Promise<void>;
}

interface Given {
  readonly day?: number;
  readonly work?: string;
}

const supabasePlaces = store.doors
  .filter((door) => door !== 'S3 session')
  .map(
    (door): Place => ({
      name: `exporter-supabase by ${door}`,
      start: (args, given) => exports.start(door, args, given),
      goOn: (stderr, given) => exports.goOn(door, { stderr }, given),
      bytes: store.bytes,
      keysUnder: store.keysUnder,
      openUploads: () => unfinishedAt(store.double),
      hangAt(name) {
        const { promise, resolve } = Promise.withResolvers<void>();
        store.double.fault = ({ method, path }) => {
          if (!/^(POST|PUT)$/.test(method) || !path.includes(name)) return undefined;
          resolve();
          return { kind: 'hang' };
        };
        return promise;
      },
    }),
  );
const PLACES: readonly Place[] = [...supabasePlaces, ...(r2 && proxy ? [r2Place(r2, proxy)] : [])];

function r2Place(server: S3Server, way: FaultProxy): Place {
  const env = ({ day = 0, work }: Given = {}) => ({
    R2_ENDPOINT: way.endpoint,
    R2_BUCKET: server.bucket,
    R2_REGION: server.region,
    R2_ACCESS_KEY_ID: server.accessKeyId,
    R2_SECRET_ACCESS_KEY: server.secretAccessKey,
    SOURCE_DATE_EPOCH: String(1_700_000_000 + day * 86_400),
    ...(work === undefined ? {} : { OUTPUT_TEMP_FOLDER: work }),
  });
  return {
    name: 'exporter-r2',
    start: (args, given) => startExporter(['--url', qdrant.grpcUrl, ...args], { env: env(given) }),
    goOn: (stderr, given) => goOn(stderr, { env: env(given) }),
    bytes: server.bytes,
    async keysUnder(prefix) {
      const folder = `${server.dir}/${server.bucket}/${prefix}`;
      if (!existsSync(folder)) return [];
      const names = [...new Bun.Glob('**/*.{parquet,json}').scanSync(folder)];
      return names.map((name) => `${prefix}/${name}`).toSorted();
    },
    openUploads: server.openUploads,
    async hangAt(name) {
      const writes = ({ method, path }: { method: string; path: string }) =>
        /^(POST|PUT)$/.test(method) && path.includes(name);
      way.faults = (request) => (writes(request) ? { kind: 'stall' } : undefined);
      await way.arrival(writes);
    },
  };
}

async function run(place: Place, args: readonly string[], given?: Given) {
  return (await place.start(args, given)).result;
}

/** What the manifest names, in its order. */
async function publishedAt(place: Place, prefix: string, collection = 'large') {
  const text = await place.bytes(`${prefix}/${collection}/latest.json`);
  const manifest = JSON.parse(Buffer.from(text ?? '{"files":[]}').toString());
  const keys: readonly string[] = manifest.files.map(({ key }: { key: string }) => key);
  return { manifest, keys, files: await Promise.all(keys.map((key) => place.bytes(key))) };
}

const STRATEGIES: Readonly<Record<string, readonly string[]>> = {
  'ndjson-gz': [],
  'parquet-small': ['--strategy', 'parquet-small'],
  'parquet-med': ['--strategy', 'parquet-med'],
  'parquet-large': ['--strategy', 'parquet-large'],
};
const SPLIT = ['--split-size', '1MB'];

const rowsOf = (file: { rows: number }) => file.rows;

interface Split {
  readonly strategy: keyof typeof STRATEGIES;
  readonly bytes: number;
}

/** Each way of making files once; a file above 6 MiB goes by a resumable upload where S3 keys are not set. */
const SPLITS: Readonly<Record<string, readonly Split[]>> = {
  'exporter-r2': Object.keys(STRATEGIES).map((strategy) => ({ strategy, bytes: 2_000_000 })),
  'exporter-supabase by REST': [{ strategy: 'parquet-small', bytes: 7_000_000 }],
  'exporter-supabase by S3 keys': [{ strategy: 'ndjson-gz', bytes: 2_000_000 }],
};
const FOLDER = /\/(\d{8}T\d{6}Z-[0-9a-f]{8})\/part-(\d{5})\.parquet$/;

/** A file of the whole, which no run has split. */
let plain: Promise<string> | undefined;
function plainFile(place: Place): Promise<string> {
  plain ??= (async () => {
    const prefix = exports.prefix();
    expect((await run(place, ['--collection', 'large', '--prefix', prefix, ...BY_PARQUET])).code).toBe(0);
    return exports.saved((await publishedAt(place, prefix)).files)[0] as string;
  })();
  return plain;
}

for (const place of PLACES) {
  describe(`--split-size of ${place.name}`, () => {
    for (const { strategy, bytes } of SPLITS[place.name] ?? []) {
      test(`makes whole files that together are the export: ${strategy}, of ${bytes} bytes`, async () => {
        const prefix = exports.prefix();
        const flags = STRATEGIES[strategy] ?? [];
        const args = [
          '--collection',
          'large',
          '--prefix',
          prefix,
          ...flags,
          '--split-size',
          String(bytes),
          '--json',
        ];
        const ended = await run(place, args);
        expect(ended.code).toBe(0);
        expect(ended.workFiles).toEqual([]);
        const published = await publishedAt(place, prefix);
        expectFilesAsTold(published);
        const { manifest, keys, files } = published;
        const [first = ''] = keys;
        const folder = FOLDER.exec(first)?.[1];
        expect(keys.length).toBe(Math.ceil(LARGE.points / Math.max(...manifest.files.map(rowsOf))));
        expect(keys.length).toBeGreaterThan(1);
        expect(keys).toEqual(
          keys.map((_, at) => `${prefix}/large/${folder}/part-${String(at).padStart(5, '0')}.parquet`),
        );
        expect(await place.keysUnder(prefix)).toEqual([...keys, `${prefix}/large/latest.json`]);
        expect(manifest.files.map(rowsOf).reduce((sum: number, each: number) => sum + each)).toBe(
          LARGE.points,
        );
        expect(manifest.counts.rows).toBe(LARGE.points);
        expect(Math.max(...files.map((file) => file?.length ?? Number.NaN))).toBeLessThanOrEqual(bytes);
        const told = ended.json();
        expect(told.files).toMatchObject(manifest.files);
        expect(told.options.splitSize).toBe(bytes);
        expect(ended.stderr).toContain(`/${folder}/part-*.parquet (${keys.length} files)\n`);
        expect(ended.stderr).toContain(`/${folder}/part-*.parquet') LIMIT 5;\n`);
        if (DUCKDB_MISSING === undefined) {
          const whole = await plainFile(place);
          expect(await differencesInDuckDb(whole, exports.saved(files))).toEqual({
            rows: LARGE.points,
            missing: 0,
            added: 0,
          });
        }
        expect(await place.openUploads()).toEqual([]);
      });
    }

    test('replaces the files of the night before, and a plain export replaces them and is replaced', async () => {
      const prefix = exports.prefix();
      const args = ['--collection', 'middle', '--prefix', prefix, ...BY_PARQUET];
      const nights = [SPLIT, SPLIT, [], SPLIT];
      for (const [day, flags] of nights.entries()) {
        const ended = await run(place, [...args, ...flags], { day });
        expect(ended.code).toBe(0);
        const { keys, manifest, files } = await publishedAt(place, prefix, 'middle');
        expectFilesAsTold({ manifest, files });
        expect(keys.every((key) => FOLDER.test(key))).toBe(flags === SPLIT);
        expect(manifest.options.splitSize).toBe(flags === SPLIT ? 1_000_000 : null);
        // And nothing of the nights before.
        const names = [...keys, `${prefix}/middle/latest.json`];
        expect(await place.keysUnder(prefix)).toEqual(names.toSorted());
        expect(ended.stderr.includes('Note: The export that this one takes the place of is removed: ')).toBe(
          day > 0,
        );
      }
    });

    test('keeps the dated exports of --keep whole, and removes all files of the others', async () => {
      const prefix = exports.prefix();
      const args = ['--collection', 'middle', '--prefix', prefix, ...BY_PARQUET, ...SPLIT, '--keep', '2'];
      const nights: (readonly string[])[] = [];
      for (const day of [0, 1, 2, 3]) {
        const ended = await run(place, args, { day });
        expect(ended.code).toBe(0);
        const { keys, manifest } = await publishedAt(place, prefix, 'middle');
        nights.push(keys);
        const date = `202311${14 + day}T221320Z`;
        const dated = JSON.parse(
          Buffer.from((await place.bytes(`${prefix}/middle/${date}.json`)) ?? []).toString(),
        );
        expect(dated).toEqual(manifest);
        const kept = [day - 1, day].filter((each) => each >= 0);
        const names = kept.flatMap((each) => [
          ...(nights[each] as readonly string[]),
          `${prefix}/middle/202311${14 + each}T221320Z.json`,
        ]);
        expect(await place.keysUnder(prefix)).toEqual([...names, `${prefix}/middle/latest.json`].toSorted());
      }
    });

    test('tells with --dry-run how many files there will be, and writes none', async () => {
      const prefix = exports.prefix();
      const args = ['--collection', 'middle', '--prefix', prefix, ...BY_PARQUET, ...SPLIT, '--dry-run'];
      const ended = await run(place, [...args, '--json']);
      expect(ended.code).toBe(0);
      const plan = ended.stderr.replaceAll(/\n {12}/g, ' ');
      expect(plan).toMatch(/\/part-\*\.parquet, about 3\.1 MB in about 4 files of at most 1\.0 MB\n/);
      expect(ended.json()).toMatchObject({ dryRun: true, files: [], plan: { estimatedFiles: 4 } });
      expect(await place.keysUnder(prefix)).toEqual([]);
    });

    test('goes on after a stop between two files, without reading or sending what is there', async () => {
      const [prefix, work] = [exports.prefix(), exports.folder()];
      const args = ['--collection', 'middle', '--prefix', prefix, ...BY_PARQUET, ...SPLIT];
      const reached = place.hangAt('part-00002.parquet');
      const stopped = await interrupted(await place.start(args, { work }), reached);
      exports.reset();
      proxy?.reset();
      const stored = await place.keysUnder(prefix);
      expect(stored.map((key) => FOLDER.exec(key)?.[2])).toEqual(['00000', '00001']);
      qdrant.fetched('middle').reset();
      const again = await place.goOn(stopped.stderr, { work });
      expect(again.stderr).toMatch(/Going on with the run of \S+: 2 of \d files are in the store\./);
      expect(again.code).toBe(0);
      expect(qdrant.fetched('middle').total).toBe(0);
      const published = await publishedAt(place, prefix, 'middle');
      expectFilesAsTold(published);
      expect(published.keys).toEqual(expect.arrayContaining([...stored]));
      expect(await place.keysUnder(prefix)).toEqual([...published.keys, `${prefix}/middle/latest.json`]);
      expect(await place.openUploads()).toEqual([]);
    });

    const twice = place.name === 'exporter-r2' ? ['parquet-small', 'ndjson-gz'] : ['ndjson-gz'];
    test('refuses a point that fits no file, says which size does, and leaves nothing to go on with', async () => {
      for (const strategy of twice) {
        const [prefix, work] = [exports.prefix(), exports.folder()];
        const args = ['--collection', HUGE_LAST.name, '--prefix', prefix, '--strategy', strategy];
        const ended = await run(place, [...args, '--split-size', '1MB'], { work });
        expect(ended.stderr).toMatch(
          /^Error: Cannot keep files to the 1 MB of --split-size: .* Give --split-size \d+ or more/m,
        );
        expect(ended.code).toBe(2);
        expect(ended.stderr).not.toContain('Go on with');
        expect(ended.workFiles.filter((name) => !/^qdrant-export(\/huge-last)?$/.test(name))).toEqual([]);
        expect(await place.keysUnder(prefix)).toEqual([]);
        const size = /Give --split-size (\d+) or more/.exec(ended.stderr)?.[1] ?? '';
        const enough = await run(place, [...args, '--split-size', size], { work });
        expect(enough.stderr).not.toContain('is given up');
        expect(enough.code).toBe(0);
        expectFilesAsTold(await publishedAt(place, prefix, HUGE_LAST.name));
      }
    });
  });
}

test('contradicts --output and --stream-upload, and sizes that are none', async () => {
  const base = ['--collection', 'large', '--prefix', 'p'];
  const cases = {
    '--split-size and --stream-upload contradict': [
      ...base,
      ...SPLIT,
      '--stream-upload',
      '--strategy',
      'parquet-small',
    ],
    '--split-size and --output contradict': ['--collection', 'large', ...SPLIT, '--output', 'large.parquet'],
    '--split-size is 999,999 bytes; 1MB or more': [...base, '--split-size', '999999'],
    '--split-size is "2 apples"': [...base, '--split-size', '2 apples'],
  };
  for (const program of ['exporter-r2', 'exporter-supabase'] as const) {
    for (const [sentence, args] of Object.entries(cases)) {
      const ended = await runExporter(args, { program });
      expect(ended.stderr).toContain(sentence);
      expect(ended.stderr.split('\n')).toHaveLength(2);
      expect(ended.code).toBe(2);
    }
  }
});
