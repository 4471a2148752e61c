import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { type ExporterResult, type RunningExporter, startExporter } from '../support/exporter.ts';
import { killAtTick, killChance, lastingOf } from '../support/kill-at-tick.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { unfinishedAt } from '../support/supabase-scene.ts';
import { expectExport, expectNoUploads, manifestOn, type Shelf, shelfAt } from '../support/supabase-shelf.ts';

/** How many exports are killed, most of them more than once; KILLS=100 makes it the full series. */
const KILLS = Number(process.env.KILLS ?? 10);
const LIMIT_MS = 60_000;

/** 13 MB: two chunks of a resumable upload and a rest, one part of a multipart upload and a rest. */
const COLLECTION = {
  name: 'docs',
  points: 12_000,
  dimensions: 256,
  payloadBytes: 40,
  ids: 'mixed',
  keys: true,
} as const;

interface Way {
  readonly name: string;
  readonly args: readonly string[];
  readonly door: 'rest' | 's3';
}

const SMALL = ['--strategy', 'parquet-small', '--row-group-size', '2000'];
const WAYS: readonly Way[] = [
  { name: 'a resumable upload', args: SMALL, door: 'rest' },
  { name: 'the S3 endpoint', args: SMALL, door: 's3' },
  { name: 'streaming', args: [...SMALL, '--stream-upload'], door: 's3' },
  { name: 'split, by resumable and standard uploads', args: [...SMALL, '--split-size', '7MB'], door: 'rest' },
  { name: 'split, by the S3 endpoint', args: [...SMALL, '--split-size', '5MB'], door: 's3' },
];

/** What befalls an export between the kill and the run that goes on with it. */
const EVENTS = ['nothing', 'its unfinished uploads expired', "another writer's object"] as const;
type Event = (typeof EVENTS)[number];

const store = await startSupabaseDouble();
const usable = WAYS.filter(({ door }) => door === 'rest' || store.s3 !== undefined);
const top = mkdtempSync(join(tmpdir(), 'supabase-kill-'));
let qdrant: QdrantDouble;

beforeAll(async () => {
  qdrant = await startQdrantDouble({ generated: [COLLECTION] });
});

afterEach(endFaults);

afterAll(async () => {
  await qdrant.stop();
  await store.stop();
  rmSync(top, { recursive: true, force: true });
});

function endFaults(): void {
  qdrant.setFaults(undefined);
  store.fault = undefined;
}

/** An export's own work folder and prefix, and how its program is started. */
class Scene {
  readonly way: Way;
  readonly prefix: string;
  readonly work: string;

  constructor(way: Way, prefix: string) {
    this.way = way;
    this.prefix = prefix;
    this.work = join(top, prefix);
    mkdirSync(this.work, { recursive: true });
  }

  get folder(): string {
    return `${this.prefix}/docs`;
  }

  start(...args: readonly string[]): Promise<RunningExporter> {
    const env = {
      PATH: '/nowhere',
      OUTPUT_TEMP_FOLDER: this.work,
      SOURCE_DATE_EPOCH: '1700000000',
      SUPABASE_URL: store.url,
      SUPABASE_SERVICE_ROLE_KEY: store.keys.service,
      SUPABASE_STORAGE_BUCKET: store.bucket,
      ...(this.way.door === 'rest'
        ? {}
        : {
            SUPABASE_S3_ACCESS_KEY_ID: store.s3?.accessKeyId,
            SUPABASE_S3_SECRET_ACCESS_KEY: store.s3?.secretAccessKey,
            SUPABASE_S3_REGION: store.s3?.region,
          }),
    };
    const own = ['--collection', 'docs', '--url', qdrant.grpcUrl, '--prefix', this.prefix];
    const options = { program: 'exporter-supabase', env, limitMs: LIMIT_MS } as const;
    return startExporter([...own, ...this.way.args, ...args], options);
  }

  /** As killAtTick, of a run from Qdrant to Storage; `inStorage` counts requests to Storage alone. */
  async killAt(number: number, inStorage: boolean, ...args: readonly string[]) {
    const listen = (tick: () => undefined) => {
      if (!inStorage) qdrant.setFaults(tick);
      store.fault = tick;
    };
    const work = inStorage ? undefined : this.work;
    const killed = await killAtTick(number, work, listen, () => this.start(...args));
    endFaults();
    return killed;
  }

  /** The run was over, but for the end of its process. */
  async isOver(): Promise<boolean> {
    const path = join(this.work, 'qdrant-export', 'docs', 'journal');
    const journal = existsSync(path) ? readFileSync(path, 'utf8') : '';
    return journal === '' && (await this.shelf()).objects.has(`${this.folder}/latest.json`);
  }

  shelf(): Promise<Shelf> {
    return shelfAt(store, this.folder);
  }

  async meet(event: Event, isForgotten: boolean): Promise<void> {
    switch (event) {
      case 'nothing':
        return;
      case 'its unfinished uploads expired':
        await this.#expireResumable(isForgotten ? 404 : 410);
        if (store.s3 !== undefined) await this.#abortMultipart(store.s3);
        return;
      case "another writer's object":
        await this.#overwrite();
    }
  }

  async #expireResumable(status: 404 | 410): Promise<void> {
    const headers = { authorization: `Bearer ${store.keys.service}`, 'tus-resumable': '1.0.0' };
    const open = await unfinishedAt(store);
    store.fault = ({ path }) => (path.includes('/resumable/') ? { kind: 'expired', status } : undefined);
    for (const id of open) {
      const path = Buffer.from(id, 'base64url').toString();
      if (!path.startsWith(`${store.bucket}/${this.folder}/`)) continue;
      const address = `${store.url}/storage/v1/upload/resumable/${id}`;
      expect((await fetch(address, { method: 'HEAD', headers })).status).toBe(status);
    }
    endFaults();
    const left = await unfinishedAt(store);
    expect(left.filter((id) => Buffer.from(id, 'base64url').includes(`/${this.folder}/`))).toEqual([]);
  }

  async #abortMultipart(s3: NonNullable<typeof store.s3>): Promise<void> {
    const { endpoint, region, accessKeyId, secretAccessKey } = s3;
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    try {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: store.bucket }));
      for (const { Key, UploadId } of Uploads) {
        if (!Key?.startsWith(`${this.folder}/`)) continue;
        await client.send(new AbortMultipartUploadCommand({ Bucket: store.bucket, Key, UploadId }));
      }
    } finally {
      client.destroy();
    }
  }

  /** What of the export is there, and where it is to be unless it is split. */
  async #overwrite(): Promise<void> {
    const { objects, manifestKey } = await this.shelf();
    const keys = new Set([...objects.keys()].filter((key) => key !== manifestKey));
    if (!this.way.args.includes('--split-size')) keys.add(`${this.folder}/latest.parquet`);
    for (const key of keys) await store.write(key, Buffer.from('of another writer'));
  }
}

interface Uninterrupted {
  readonly files: readonly Uint8Array[];
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  readonly manifest: any;
  readonly ticks: number;
  /** Requests to Storage. */
  readonly requests: number;
}

const uninterrupted = new Map<Way, Promise<Uninterrupted>>();

function wholeRun(way: Way): Promise<Uninterrupted> {
  const known = uninterrupted.get(way);
  if (known !== undefined) return known;
  const run = async (): Promise<Uninterrupted> => {
    const scene = new Scene(way, `whole-${WAYS.indexOf(way)}`);
    const before = store.requests.length;
    const { result, ticks } = await scene.killAt(Number.POSITIVE_INFINITY, false);
    const requests = store.requests.length - before;
    expect(result.stderr).toContain('Exported');
    expect(result.code).toBe(0);
    const shelf = await scene.shelf();
    const manifest = manifestOn(shelf);
    const files = manifest.files.map(({ key }: { key: string }) => shelf.objects.get(key)?.bytes);
    expect(files.length > 1).toBe(way.args.includes('--split-size'));
    return { files, manifest, ticks, requests };
  };
  const running = run();
  uninterrupted.set(way, running);
  return running;
}

/** Exports that were killed at least once, and kills in all. */
let killed = 0;
let kills = 0;

/** Kills the export up to three times, at moments that the seed decides; resolves to its end where it came to one. */
async function killedExport(
  scene: Scene,
  seed: number,
  whole: Uninterrupted,
): Promise<ExporterResult | undefined> {
  const times = 1 + Math.floor(killChance(seed + 0.25) * 3);
  for (let time = 0; time < times; time++) {
    const args = time === 0 ? [] : ['--resume'];
    // Half of them while something is asked of Storage, which takes the least of a run's time.
    const inStorage = killChance(seed + time / 16 + 1 / 32) < 0.5;
    const moments = inStorage ? whole.requests : whole.ticks;
    const moment = 1 + Math.floor(killChance(seed + time / 16) * moments);
    const { result } = await scene.killAt(moment, inStorage, ...args);
    if (result.code !== 137) {
      expect({ code: result.code, said: result.code === 0 ? '' : result.stderr }).toEqual({
        code: 0,
        said: '',
      });
      return result;
    }
    if (time === 0) killed++;
    kills++;
    if (await scene.isOver()) break;
  }
  return undefined;
}

describe('an export to Supabase Storage that was killed', () => {
  for (let seed = 0; seed < KILLS; seed++) {
    const way = usable[seed % usable.length] as Way;
    const event = EVENTS[Math.floor(killChance(seed + 0.5) * EVENTS.length)] as Event;
    test(
      `goes on to the same export (seed ${seed}, ${way.name}; meanwhile ${event})`,
      async () => {
        const whole = await wholeRun(way);
        const scene = new Scene(way, `seed-${seed}`);
        let ended = await killedExport(scene, seed, whole);
        if (ended === undefined) {
          // Nobody goes on with what is whole: what befalls it then is its next run's affair.
          if (!(await scene.isOver())) await scene.meet(event, seed % 2 === 0);
          ended = await (await scene.start('--resume')).result;
        }
        expect({ code: ended.code, said: ended.code === 0 ? '' : ended.stderr }).toEqual({
          code: 0,
          said: '',
        });
        expect(ended.stderr).toContain('Exported');

        const shelf = await scene.shelf();
        expectExport(shelf, whole.files);
        expect(lastingOf(manifestOn(shelf))).toEqual(lastingOf(whole.manifest));
        expectNoUploads(shelf);
        expect(ended.workFiles).toEqual([]);
      },
      5 * LIMIT_MS,
    );
  }

  test('was killed before its end in most of these cases, in some of them more than once', () => {
    expect(killed).toBeGreaterThan(KILLS / 2);
    if (KILLS >= 10) expect(kills).toBeGreaterThan(killed);
  });
});
