import type { Change } from './change.ts';
import type { Collection, QdrantVersion } from './collection.ts';
import type { Faults, Method, RequestFacts } from './fault.ts';
import type { Fetched } from './fetch-counter.ts';
import { generatedCollection } from './generated-collection.ts';
import type { GeneratedCollection } from './generated-id.ts';
import { RECORDED_ALIAS, type RecordedServer, recordedCollections } from './recorded-collections.ts';
import type { RequestRecord } from './request-record.ts';
import type { ServerContext } from './server-context.ts';
import { ServerPair } from './server-pair.ts';
import { Service } from './service.ts';
import { Recorder, type Stats } from './stats.ts';

export interface QdrantDoubleOptions {
  /** 1.18.3 unless told. */
  readonly version?: QdrantVersion;
  /** Collections of the recorded servers; several servers' may stand side by side. None unless told. */
  readonly recorded?: readonly RecordedServer[];
  readonly generated?: readonly GeneratedCollection[];
  /** Makes what answers are copied from before starting (0.5 s and 20 MB at 1024 dimensions), not when wanted. */
  readonly prepared?: boolean;
  /** Alias to collection, beside the recorded ones. */
  readonly aliases?: Readonly<Record<string, string>>;
  readonly apiKey?: string;
  readonly readOnlyKey?: string;
  readonly faults?: Faults;
  /** Makes every answer wait, so that requests overlap. */
  readonly latencyMs?: number;
  /** Paces answers that carry vectors (over gRPC: retrieves). A real server makes about 20,000 a second over REST. */
  readonly pointsPerSecond?: number;
  /** Strict mode's read limiter refills so many times as fast as a real server's: 1 unless told. */
  readonly rateLimitScale?: number;
  /** PEM texts; both ports then speak TLS, gRPC with ALPN h2. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface QdrantDouble {
  readonly grpcUrl: string;
  readonly restUrl: string;
  readonly grpcPort: number;
  readonly restPort: number;
  /** Live counters. */
  readonly stats: Stats;
  /** The last 1,000 requests, oldest first; a live list. */
  readonly requests: readonly RequestRecord[];
  /** Changes a collection now: whatever is answered from here on shows it. */
  change(collection: string, change: Change): void;
  /**
   * Changes it when so many requests have come, over both protocols, before the next one is answered. A change that
   * cannot be made is that request's answer, status 500.
   */
  changeAfter(requests: RequestCount, collection: string, change: Change): void;
  /** Replaces the faults; undefined ends them. */
  setFaults(faults: Faults | undefined): void;
  /** Of a generated collection, which counts from its start on. */
  fetched(collection: string): Fetched;
  /** Cuts every connection and listens no more, as a server that went down. Rejects while it is down. */
  pause(): Promise<void>;
  /** Listens again, on the same ports; nothing was forgotten meanwhile. Rejects while it is up. */
  resume(): Promise<void>;
  /** Cuts every connection. */
  stop(): Promise<void>;
}

/** A point of time: after so many requests, or so many of one method, or of one collection. */
export interface RequestCount {
  readonly requests: number;
  readonly method?: Method;
  /** As it was asked for, be it an alias. */
  readonly collection?: string;
}

/** Starts a Qdrant of this process's own, REST and gRPC on ports of 127.0.0.1. */
export async function startQdrantDouble(options: QdrantDoubleOptions = {}): Promise<QdrantDouble> {
  const recorder = new Recorder();
  recorder.faults = options.faults;
  const { rateLimitScale = 1 } = options;
  const service = new Service(collectionsOf(options), aliasesOf(options), rateLimitScale);
  const context: ServerContext = {
    version: options.version ?? '1.18.3',
    service,
    recorder,
    apiKey: options.apiKey,
    readOnlyKey: options.readOnlyKey,
    latencyMs: options.latencyMs ?? 0,
    pointsPerSecond: options.pointsPerSecond,
    tls: options.tls,
  };
  const servers = new ServerPair(context);
  await servers.start();
  const scheme = options.tls === undefined ? 'http' : 'https';
  return {
    grpcUrl: `${scheme}://127.0.0.1:${servers.grpcPort}`,
    restUrl: `${scheme}://127.0.0.1:${servers.restPort}`,
    grpcPort: servers.grpcPort,
    restPort: servers.restPort,
    stats: recorder.stats,
    requests: recorder.requests,
    change: (collection, change) => changeNow(service, collection, change),
    changeAfter(when, name, change) {
      const isMeant = ({ collection, method }: RequestFacts): boolean =>
        (when.method ?? method) === method && (when.collection ?? collection) === collection;
      recorder.actAfter(when.requests, isMeant, () => changeNow(service, name, change));
    },
    setFaults(faults) {
      recorder.faults = faults;
    },
    fetched(collection) {
      const { fetched } = service.find(collection);
      if (fetched === undefined)
        throw new Error(`The double counts no points of "${collection}": it is stored`);
      return fetched;
    },
    async pause() {
      if (!servers.isUp) throw new Error('The double is down already');
      await servers.stop();
    },
    async resume() {
      if (servers.isUp) throw new Error('The double is not down');
      await servers.start();
    },
    stop: () => servers.stop(),
  };
}

function collectionsOf({
  generated = [],
  prepared = false,
  recorded = [],
  version = '1.18.3',
}: QdrantDoubleOptions): Collection[] {
  return [
    ...recorded.flatMap((server) => recordedCollections(server, version)),
    ...generated.map((settings) => generatedCollection(settings, version, prepared)),
  ];
}

function aliasesOf({ aliases = {}, recorded = [] }: QdrantDoubleOptions): Map<string, string> {
  const all = new Map(Object.entries(aliases));
  if (recorded.includes('standalone')) all.set(RECORDED_ALIAS.alias, RECORDED_ALIAS.collection);
  return all;
}

function changeNow(service: Service, collection: string, change: Change): void {
  try {
    service.find(collection).change(change);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`The double cannot change "${collection}": ${message}`, { cause: error });
  }
}
