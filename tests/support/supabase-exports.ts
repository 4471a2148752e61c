import { expect } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ExporterOptions,
  type ExporterResult,
  type RunningExporter,
  startExporter,
} from './exporter.ts';
import { DUCKDB_MISSING, readWithDuckDb, readWithHyparquet } from './foreign-readers.ts';
import { commandThatGoesOn, goOn } from './go-on.ts';
import type { GeneratedCollection } from './qdrant-double/generated-id.ts';
import { generatedPoint } from './qdrant-double/generated-point.ts';
import { type QdrantDouble, startQdrantDouble } from './qdrant-double/qdrant-double.ts';
import { type Door, type SupabaseStore, startDoubleStore, startSupabaseStore } from './supabase-store.ts';

/** One upload by one request. */
export const SMALL: GeneratedCollection = {
  name: 'small',
  points: 300,
  dimensions: 8,
  payloadBytes: 300,
  ids: 'mixed',
};
/** 9 MB: a chunk of a resumable upload and a rest, a part through S3 and a rest. */
export const LARGE: GeneratedCollection = {
  name: 'large',
  points: 2_400,
  dimensions: 1024,
  payloadBytes: 40,
};

/** Row groups of 1.2 MB of LARGE. */
export const BY_PARQUET = ['--strategy', 'parquet-small', '--row-group-size', '300'];

/** Until a test has failed; it runs programs, which are slow to start where others run too. */
export const TEST_MS = 60_000;

const EPOCH = 1_700_000_000;

export interface Given {
  readonly env?: ExporterOptions['env'];
  /** Work files that outlive the process. */
  readonly work?: string;
  /** Instead of the one that all have. */
  readonly qdrant?: QdrantDouble;
  /** Days after the first export. */
  readonly day?: number;
}

/** A Qdrant, a Supabase Storage, and exports from one to the other, whose outputs are searched for secrets. */
export class SupabaseExports<Store extends SupabaseStore = SupabaseStore> {
  readonly store: Store;
  readonly qdrant: QdrantDouble;
  readonly #top = mkdtempSync(join(tmpdir(), 'supabase-exports-'));
  #count = 0;

  constructor(store: Store, qdrant: QdrantDouble) {
    this.store = store;
    this.qdrant = qdrant;
  }

  /** Of SMALL, LARGE and others, into the double or a real Storage. */
  static async start(...others: readonly GeneratedCollection[]): Promise<SupabaseExports> {
    return new SupabaseExports(await startSupabaseStore(), await qdrantWith(others));
  }

  /** Into the double. */
  static async startWithDouble(...others: readonly GeneratedCollection[]) {
    return new SupabaseExports(await startDoubleStore(), await qdrantWith(others));
  }

  async stop(): Promise<void> {
    await this.qdrant.stop();
    await this.store.stop();
    rmSync(this.#top, { recursive: true });
  }

  /** Ends all faults. */
  reset(): void {
    this.qdrant.setFaults(undefined);
    if (this.store.double !== undefined) this.store.double.fault = undefined;
  }

  /** One that nothing was written below yet. */
  prefix(): string {
    return `${this.store.root}/${++this.#count}`;
  }

  /** A folder of its own for work files or downloads. */
  folder(): string {
    const folder = join(this.#top, `folder-${++this.#count}`);
    mkdirSync(folder);
    return folder;
  }

  options(door: Door, { env, work, day = 0 }: Given = {}): ExporterOptions {
    return {
      program: 'exporter-supabase',
      env: {
        ...this.store.env(door),
        SOURCE_DATE_EPOCH: String(EPOCH + day * 86_400),
        ...(work === undefined ? {} : { OUTPUT_TEMP_FOLDER: work }),
        ...env,
      },
    };
  }

  async start(door: Door, args: readonly string[], given?: Given): Promise<RunningExporter> {
    const { grpcUrl } = given?.qdrant ?? this.qdrant;
    return startExporter(['--url', grpcUrl, ...args], this.options(door, given));
  }

  async run(door: Door, args: readonly string[], given?: Given): Promise<ExporterResult> {
    return this.searched(await (await this.start(door, args, given)).result);
  }

  /** Runs what the last line of a run says. */
  async goOn(door: Door, { stderr }: Pick<ExporterResult, 'stderr'>, given?: Given): Promise<ExporterResult> {
    return this.searched(await goOn(stderr, this.options(door, given)));
  }

  /** Throws where a key was printed, and does not print it again. */
  searched(result: ExporterResult): ExporterResult {
    const place = this.store.secrets.findIndex((secret) =>
      `${result.stdout}${result.stderr}`.includes(secret),
    );
    if (place >= 0) throw new Error(`The run printed secret ${place} of the store.`);
    return result;
  }

  /** The manifest, and the files that it names, as they lie in the store. */
  async published(prefix: string, folder: string): Promise<Published> {
    const text = await this.store.bytes(`${prefix}/${folder}/latest.json`);
    const manifest = text && JSON.parse(Buffer.from(text).toString());
    const keys = (manifest?.files ?? []).map(({ key }: { key: string }) => key);
    const files = await Promise.all(keys.map((key: string) => this.store.bytes(key)));
    return { manifest, files };
  }

  /** Paths of copies of these files. */
  saved(files: readonly (Uint8Array | undefined)[]): readonly string[] {
    const folder = this.folder();
    return files.map((bytes, number) => {
      const path = join(folder, `${number}.parquet`);
      writeFileSync(path, bytes ?? '');
      return path;
    });
  }

  /** Cuts retrieves beyond so many points off; resolves when that happens first. */
  stallAfter(points: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    this.qdrant.setFaults((request) => {
      if (request.method !== 'retrieve') return undefined;
      if (asked + request.points > points) {
        resolve();
        return { kind: 'stall' };
      }
      asked += request.points;
      return undefined;
    });
    return promise;
  }
}

function qdrantWith(others: readonly GeneratedCollection[]): Promise<QdrantDouble> {
  return startQdrantDouble({ generated: [SMALL, LARGE, ...others], prepared: true });
}

export interface Published {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  readonly manifest: any;
  readonly files: readonly (Uint8Array | undefined)[];
}

/** What a manifest says of its files is what lies in the store. */
export function expectFilesAsTold({ manifest, files }: Published): void {
  const told = manifest.files.map(({ bytes, sha256 }: Record<string, unknown>) => ({ bytes, sha256 }));
  const found = files.map((file = new Uint8Array()) => ({
    bytes: file.length,
    sha256: createHash('sha256').update(file).digest('hex'),
  }));
  expect(found).toEqual(told);
}

/** The file has just the points that the collection has, as a foreign reader tells. */
export async function expectPoints(path: string, collection: GeneratedCollection): Promise<void> {
  const rows = await (DUCKDB_MISSING === undefined ? readWithDuckDb : readWithHyparquet)(path);
  expect(rows).toHaveLength(collection.points);
  for (const [index, row] of rows.entries()) {
    const { id, payload, payloadJson, vector } = generatedPoint(collection, index);
    const key = typeof payload.key === 'string' ? payload.key : id;
    expect({ index, key: row.key, metadata: row.metadata }).toEqual({ index, key, metadata: payloadJson });
    // Bit by bit; toEqual would take seconds for them all.
    const [found, wanted] = [row.vector, vector].map(
      (floats) => floats && Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength),
    );
    expect({ index, same: found != null && wanted != null && found.equals(wanted) }).toEqual({
      index,
      same: true,
    });
  }
}

/** Stops a run with Ctrl+C once that has happened; it has to say how to go on. */
export async function interrupted(running: RunningExporter, reached: Promise<void>): Promise<ExporterResult> {
  await Promise.race([reached, running.result]);
  running.kill('SIGINT');
  const result = await running.result;
  expect(result.stderr).toContain('Stopped by Ctrl+C.');
  expect(result.code).toBe(130);
  expect(commandThatGoesOn(result.stderr)).toBeDefined();
  return result;
}
