import { existsSync, type FSWatcher, mkdirSync, readdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { HELD_AT, serverOf, type Way } from './export-ways.ts';
import {
  EXPORTER_COMMAND,
  type ExporterOptions,
  type ExporterResult,
  type RunningExporter,
  startExporter,
} from './exporter.ts';
import type { FaultProxy } from './fault-proxy.ts';
import { killWhen } from './kill-points.ts';
import type { QdrantDouble } from './qdrant-double/qdrant-double.ts';
import type { S3Server } from './s3-server.ts';

/** A run that takes longer hangs. */
export const LIMIT_MS = 60_000;

/** What a store holds of an export. */
export interface Published {
  readonly bytes: Uint8Array | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  readonly manifest: any;
}

/** What scenes play on. */
export interface Stage {
  readonly double: QdrantDouble;
  readonly proxy: FaultProxy;
  readonly store: S3Server;
  readonly hasStore: boolean;
  /** Folder of the scenes' own. */
  readonly top: string;
  /** Those that look for what has not come, until the faults end. */
  readonly watchers: FSWatcher[];
  stallAfter(points: number): Promise<void>;
  stallPart(number: number): Promise<void>;
  reset(): void;
}

export interface SceneSettings {
  /** Instead of folders of its own: for a small disk. */
  readonly work?: string;
  readonly out?: string;
  /** Instead of one of its own. */
  readonly prefix?: string;
  readonly collection?: string;
  /** Instead of the double that all have. */
  readonly server?: QdrantDouble;
  readonly env?: ExporterOptions['env'];
  readonly epoch?: number;
}

/** A run's own folders and prefix, and how its program is started. */
export class Scene {
  readonly way: Way;
  readonly prefix: string;
  readonly work: string;
  /** Of `--output`. */
  readonly out: string;
  readonly #stage: Stage;
  readonly #settings: SceneSettings;

  constructor(stage: Stage, way: Way, name: string, settings: SceneSettings) {
    this.way = way;
    this.#stage = stage;
    this.#settings = settings;
    this.prefix = settings.prefix ?? name;
    this.work = settings.work ?? join(stage.top, name, 'work');
    this.out = settings.out ?? join(stage.top, name, 'out');
    for (const folder of [this.work, this.out]) mkdirSync(folder, { recursive: true });
  }

  get collection(): string {
    return this.#settings.collection ?? 'docs';
  }

  get output(): string {
    return join(this.out, `${this.collection}.parquet`);
  }

  /** Keys in the store. */
  get key(): string {
    return `${this.prefix}/${this.collection}/latest.parquet`;
  }

  get manifestKey(): string {
    return `${this.prefix}/${this.collection}/latest.json`;
  }

  get folder(): string {
    return join(this.work, 'qdrant-export', this.collection);
  }

  get journal(): string {
    return join(this.folder, 'journal');
  }

  /** Work files of the collection, the journal among them, without the lock of a process that was killed. */
  get left(): readonly string[] {
    const names = existsSync(this.folder) ? readdirSync(this.folder) : [];
    return names.filter((name) => name !== 'lock').sort();
  }

  get env(): Readonly<Record<string, string | undefined>> {
    const { store, hasStore } = this.#stage;
    return {
      ...(this.way.duckdb ? {} : { PATH: '/nowhere' }),
      OUTPUT_TEMP_FOLDER: this.work,
      SOURCE_DATE_EPOCH: String(this.#settings.epoch ?? 1_700_000_000),
      ...(this.way.target === 'store' && hasStore
        ? {
            R2_ENDPOINT: this.#stage.proxy.endpoint,
            R2_BUCKET: store.bucket,
            R2_REGION: store.region,
            R2_ACCESS_KEY_ID: store.accessKeyId,
            R2_SECRET_ACCESS_KEY: store.secretAccessKey,
          }
        : {}),
      ...this.#settings.env,
    };
  }

  /** Flags of the server, those of the target, and the way's own. */
  get args(): readonly string[] {
    const { way } = this;
    const url = serverOf(way, this.#settings.server ?? this.#stage.double);
    const server = way.protocol === 'grpc' ? ['--url', url] : ['--http', '--url', url];
    const target = way.target === 'file' ? ['--output', this.output] : ['--prefix', this.prefix];
    return [...server, ...target, ...way.args];
  }

  start(...args: readonly string[]): Promise<RunningExporter> {
    return this.startWith(['--collection', this.collection, ...this.args, ...args]);
  }

  /** With these arguments alone. */
  startWith(args: readonly string[], options: ExporterOptions = {}): Promise<RunningExporter> {
    return startExporter(args, {
      limitMs: LIMIT_MS,
      ...options,
      env: { ...this.env, ...options.env },
    });
  }

  async run(...args: readonly string[]): Promise<ExporterResult> {
    return (await this.start(...args)).result;
  }

  /** Does what the last line of a run says: runs its command, as a shell reads it. */
  async goOn({ stderr }: Pick<ExporterResult, 'stderr'>): Promise<ExporterResult> {
    return (await this.startWith(argumentsOf(resumeLine(stderr)))).result;
  }

  /** Resolves when the journal has a record of that kind; the work folder is watched. */
  recorded(
    kind: 'safe' | 'data' | 'parquet' | 'upload' | 'part' | 'publishing' | 'published',
  ): Promise<void> {
    return this.whenLeft(() => this.hasRecord(kind));
  }

  hasRecord(kind: string): boolean {
    return existsSync(this.journal) && readFileSync(this.journal, 'utf8').includes(`{"kind":"${kind}"`);
  }

  /** Resolves when that holds of the work folder and the one of `--output`, looked at with each change in them. */
  whenLeft(holds: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watchers: FSWatcher[] = [];
    const look = () => {
      if (!holds()) return;
      for (const watcher of watchers) watcher.close();
      resolve();
    };
    for (const folder of [this.work, this.out]) watchers.push(watch(folder, { recursive: true }, look));
    this.#stage.watchers.push(...watchers);
    look();
    return promise;
  }

  /** Kills a run that has so many points asked for, and a safe point on record. */
  async killedInExport(points = HELD_AT, ...args: readonly string[]): Promise<ExporterResult> {
    const standing = this.#stage.stallAfter(points);
    const safe = this.recorded('safe');
    const result = await killWhen(
      await this.start(...args),
      Promise.all([standing, safe]).then(() => {}),
    );
    this.#stage.reset();
    return result;
  }

  /** Kills a run whose first part is on record, and whose second never arrives. */
  async killedInUpload(...args: readonly string[]): Promise<ExporterResult> {
    const standing = this.#stage.stallPart(2);
    const first = this.recorded('part');
    const result = await killWhen(
      await this.start(...args),
      Promise.all([standing, first]).then(() => {}),
    );
    this.#stage.reset();
    return result;
  }

  /** The export and its manifest. */
  async published(): Promise<Published> {
    if (this.way.target === 'file') {
      const read = (path: string) => (existsSync(path) ? readFileSync(path) : undefined);
      const manifest = read(`${this.output}.json`);
      return { bytes: read(this.output), manifest: manifest && JSON.parse(manifest.toString()) };
    }
    const { store } = this.#stage;
    const manifest = await store.bytes(this.manifestKey);
    return {
      bytes: await store.bytes(this.key),
      manifest: manifest && JSON.parse(Buffer.from(manifest).toString()),
    };
  }

  /** UploadIds of this scene's key that the store has not forgotten. */
  async openUploads(): Promise<readonly string[]> {
    const { store } = this.#stage;
    const open = await store.openUploads();
    const parts = await Promise.all(open.map((id) => store.parts(this.key, id).catch(() => undefined)));
    return open.filter((_, at) => parts[at] !== undefined);
  }
}

/** The command of a run's last line. */
export function resumeLine(stderr: string): string {
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  const command = /^Go on with: (.+)$/.exec(last)?.[1];
  if (command === undefined) throw new Error(`The last line is no command that goes on:\n${stderr}`);
  return command;
}

/** The program's arguments in a command, as a shell reads it. */
export function argumentsOf(command: string): readonly string[] {
  const { stdout } = Bun.spawnSync([
    '/bin/sh',
    '-c',
    `for word in ${command}; do printf '%s\\0' "$word"; done`,
  ]);
  const words = stdout.toString().split('\0').slice(0, -1);
  // What Bun was told before the script, such as --preload, comes with the environment.
  const script = words.indexOf(EXPORTER_COMMAND.at(-1) as string);
  if (words[0] !== EXPORTER_COMMAND[0] || script < 0) {
    throw new Error(`The command does not start this program again: ${command}`);
  }
  return words.slice(script + 1);
}

/** Whether these are the same bytes; not by toEqual, which takes minutes to tell how megabytes differ. */
export function sameBytes(found: Uint8Array | undefined, wanted: Uint8Array | undefined): boolean {
  return found !== undefined && wanted !== undefined && Buffer.compare(found, wanted) === 0;
}
