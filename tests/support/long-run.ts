import { type FSWatcher, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DIMENSIONS, POINTS, type Way } from './export-ways.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { Scene, type SceneSettings, type Stage } from './long-run-scene.ts';
import type { Fault } from './qdrant-double/fault.ts';
import type { GeneratedCollection } from './qdrant-double/generated-id.ts';
import { type QdrantDouble, startQdrantDouble } from './qdrant-double/qdrant-double.ts';
import { NO_S3_SERVER, type S3Server, startS3Server } from './s3-server.ts';

/** One double with the collection `docs`, one store behind a proxy, and scenes of runs from one to the other. */
export class LongRuns implements Stage {
  readonly double: QdrantDouble;
  readonly top: string;
  /** Undefined where there is no S3 server: then only files are written. */
  readonly #store: S3Server | undefined;
  readonly #proxy: FaultProxy | undefined;
  readonly #whole = new Map<string, Promise<Uint8Array>>();
  /** Those that look for what has not come, until the faults end. */
  readonly watchers: FSWatcher[] = [];
  #scenes = 0;

  private constructor(double: QdrantDouble, store: S3Server | undefined, proxy: FaultProxy | undefined) {
    this.double = double;
    this.#store = store;
    this.#proxy = proxy;
    this.top = mkdtempSync(join(tmpdir(), 'long-run-'));
  }

  /** Of the collection `docs`, `others` are beside it. */
  static async start(
    docs: Partial<GeneratedCollection> = {},
    others: readonly GeneratedCollection[] = [],
  ): Promise<LongRuns> {
    const collection: GeneratedCollection = {
      name: 'docs',
      points: POINTS,
      dimensions: DIMENSIONS,
      payloadBytes: 40,
      keys: true,
      ...docs,
    };
    const double = await startQdrantDouble({ generated: [collection, ...others], prepared: true });
    const store = await startS3Server();
    return new LongRuns(double, store, store && (await startFaultProxy(store.endpoint)));
  }

  get hasStore(): boolean {
    return this.#store !== undefined;
  }

  /** Rejecting calls where there is none. */
  get store(): S3Server {
    return this.#store ?? NO_S3_SERVER;
  }

  get proxy(): FaultProxy {
    if (this.#proxy === undefined) throw new Error('there is no S3 server');
    return this.#proxy;
  }

  can(way: Way): boolean {
    return way.target === 'file' || this.hasStore;
  }

  scene(way: Way, settings: SceneSettings = {}): Scene {
    return new Scene(this, way, `scene-${++this.#scenes}`, settings);
  }

  /** The bytes of a run that nothing interrupts; made once for what the flags say, while the collection stands as it is. */
  whole(way: Way, ...args: readonly string[]): Promise<Uint8Array> {
    const name = JSON.stringify([way.name, args]);
    const known = this.#whole.get(name) ?? this.wholeNow(way, ...args);
    this.#whole.set(name, known);
    return known;
  }

  /** The same, made anew: of the collection as it is at this moment. */
  async wholeNow(way: Way, ...args: readonly string[]): Promise<Uint8Array> {
    const scene = this.scene(way);
    const result = await (await scene.start(...args)).result;
    if (result.code !== 0) throw new Error(`exporter-r2 ended with ${result.code}:\n${result.stderr}`);
    return (await scene.published()).bytes as Uint8Array;
  }

  /** Ends all faults, and looks for nothing any more. */
  reset(): void {
    for (const watcher of this.watchers.splice(0)) watcher.close();
    this.double.setFaults(undefined);
    this.#proxy?.reset();
  }

  async stop(): Promise<void> {
    await this.double.stop();
    await this.#proxy?.stop();
    await this.#store?.stop();
    rmSync(this.top, { recursive: true, force: true });
  }

  /** Answers retrieves of so many points in all; resolves when one beyond them is not answered. */
  stallAfter(points: number): Promise<void> {
    return this.#after(points, { kind: 'stall' }).standing;
  }

  /** Cuts retrieves beyond so many points off, until it is told to go on. */
  holdAfter(points: number): { readonly standing: Promise<void>; readonly release: () => void } {
    return this.#after(points, { kind: 'reset' });
  }

  #after(points: number, fault: Fault) {
    const standing = Promise.withResolvers<void>();
    let asked = 0;
    this.double.setFaults((request) => {
      if (request.method !== 'retrieve') return undefined;
      if (asked + request.points > points) {
        standing.resolve();
        return fault;
      }
      asked += request.points;
      return undefined;
    });
    return { standing: standing.promise, release: () => this.double.setFaults(undefined) };
  }

  /** Never answers the upload of that part; resolves when it comes. */
  async stallPart(number: number): Promise<void> {
    const isPart = (request: { operation: string; query: URLSearchParams }) =>
      request.operation === 'UploadPart' && request.query.get('partNumber') === String(number);
    this.proxy.faults = (request) => (isPart(request) ? { kind: 'stall' } : undefined);
    await this.proxy.arrival(isPart);
  }
}
