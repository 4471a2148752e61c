import { seeded } from './batches.ts';
import type { SeenRequest, Fault as StoreFault } from './fault-proxy.ts';
import type { Faults, Fault as QdrantFault, RequestFacts } from './qdrant-double/fault.ts';

export type Random = () => number;

/** How a run is disturbed. `light` is to be survived, `dead` cannot be; `heavy` is survived if it is over soon. */
export type Weather = 'light' | 'heavy' | 'dead';

export interface Storm {
  readonly qdrant: Faults;
  readonly store: (request: SeenRequest) => StoreFault | undefined;
  /** What was done to whom, for the message of a test that failed. */
  readonly log: readonly string[];
}

export interface StormOptions {
  /** Of two numbers beside each other, one is for each side. */
  readonly seed: number;
  readonly qdrant: Weather;
  readonly store: Weather;
  /** The program's own patience is at work, which is too long to let the store stall. */
  readonly patient: boolean;
}

export const CHANCE: Readonly<Record<Weather, number>> = { light: 0.08, heavy: 0.3, dead: 0.1 };
/** After so many faults heavy weather brings a side down for good; the store is asked less. */
const ENDURED = { qdrant: 25, store: 8 } as const;

/** Faults by dice on both sides, each with dice of its own: what happens to one does not change the other's. */
export function randomStorm({ seed, qdrant, store, patient }: StormOptions): Storm {
  const [qdrantDice, storeDice] = [seeded(seed * 2), seeded(seed * 2 + 1)];
  const log: string[] = [];
  // By path: what is there is there, whatever becomes of the next object.
  const published = new Set<string>();
  const headFaults = new Map<string, number>();
  // What is dead works for some requests, and then never again: Qdrant at the latest in the look at the collection after
  // its last point, the store when parts or the manifest are sent.
  const qdrantDiesAt = 1 + Math.floor(qdrantDice() * 13);
  const storeDiesAt = 1 + Math.floor(storeDice() * 12);
  let stored = 0;
  let qdrantFaults = 0;
  let storeFaults = 0;

  function qdrantFault(request: RequestFacts): QdrantFault | undefined {
    if (qdrant === 'dead' && request.index >= qdrantDiesAt) {
      return { kind: 'status', http: 401, grpc: 16, message: 'Invalid API key or JWT' };
    }
    if (qdrant === 'heavy' && qdrantFaults > ENDURED.qdrant) return DOWN;
    if (qdrantDice() >= CHANCE[qdrant]) return undefined;
    qdrantFaults++;
    return anyQdrantFault(qdrantDice, patient);
  }

  function storeFault(request: SeenRequest): StoreFault | undefined {
    const { operation, path } = request;
    const publishes = operation === 'PutObject' || operation === 'Complete';
    const cleansUp = operation === 'Abort' || operation === 'ListParts';
    const isThere = published.has(path);
    if (store === 'dead' && !cleansUp && !isThere && stored++ >= storeDiesAt) {
      return { kind: 'status', status: 403, code: 'AccessDenied' };
    }
    if (store === 'heavy' && storeFaults > ENDURED.store && !cleansUp && !isThere) {
      return { kind: 'status', status: 503, code: 'SlowDown' };
    }
    if (storeDice() >= CHANCE[store]) {
      if (publishes) published.add(path);
      return undefined;
    }
    storeFaults++;
    const fault = anyStoreFault(storeDice, request, patient);
    const acts = fault.kind !== 'status' && fault.kind !== 'reset' && fault.kind !== 'stall';
    if (publishes && acts && fault.kind !== 'errorBody') {
      // An answer is lost once; whether the object is there must then be possible to find out.
      if (isThere) return undefined;
      published.add(path);
    }
    if (isThere && operation === 'Head') {
      const earlier = headFaults.get(path) ?? 0;
      headFaults.set(path, earlier + 1);
      return earlier >= 2 ? undefined : { kind: 'reset' };
    }
    return fault;
  }

  return {
    qdrant(request) {
      const fault = qdrantFault(request);
      if (fault !== undefined)
        log.push(`qdrant ${request.index} ${request.method}: ${JSON.stringify(fault)}`);
      return fault;
    },
    store(request) {
      const fault = storeFault(request);
      if (fault !== undefined)
        log.push(`store ${request.operation} ${request.path}: ${JSON.stringify(fault)}`);
      return fault;
    },
    log,
  };
}

/** What a socket takes of a body that nobody reads, about. */
const UNREAD_BYTES = 64 * 1024;

const DOWN: QdrantFault = { kind: 'status', http: 503, grpc: 14, message: 'Service unavailable' };

function anyQdrantFault(random: Random, patient: boolean): QdrantFault {
  const connection = random() < 0.3;
  const retryAfterSeconds = patient ? 0 : Math.floor(random() * 2);
  return oneOf<QdrantFault>(random, [
    [4, { kind: 'reset', connection }],
    [4, { kind: 'resetMidway', connection }],
    [3, { kind: 'status', http: 503, grpc: 14, message: 'Service unavailable' }],
    [2, { kind: 'status', http: 500, grpc: 13, message: 'Service internal error: try later' }],
    [2, { kind: 'status', http: 429, grpc: 8, message: 'Rate limiting exceeded', retryAfterSeconds }],
    [2, { kind: 'timeout' }],
    [0.4, { kind: 'stall' }],
    [0.4, { kind: 'stallMidway' }],
    [3, { kind: 'earlyClose' }],
    [0.15, { kind: 'truncated' }],
    [1, { kind: 'oversized' }],
    [2, { kind: 'slow', bytesPerSecond: 3_000_000 }],
    [2, { kind: 'delay', milliseconds: 40 }],
  ]);
}

function anyStoreFault(random: Random, { operation, bodyBytes }: SeenRequest, patient: boolean): StoreFault {
  const tagged = operation === 'UploadPart' || operation === 'PutObject' || operation === 'Complete';
  const when = (holds: boolean, weight: number) => (holds ? weight : 0);
  // A store that has the object refuses it when it is sent again, before it has read the body: the connection breaks,
  // and again each time, until the program's patience is over and it looks what is there.
  const isAnswerMissed = patient && operation === 'PutObject' && bodyBytes > UNREAD_BYTES;
  return oneOf<StoreFault>(random, [
    [3, { kind: 'reset' }],
    [when(!isAnswerMissed, 3), { kind: 'resetAfter' }],
    [when(!isAnswerMissed, 3), { kind: 'earlyClose' }],
    [2, { kind: 'status', status: 500, code: 'InternalError' }],
    [2, { kind: 'status', status: 503, code: 'SlowDown' }],
    [1, { kind: 'status', status: 429, code: 'TooManyRequests', retryAfter: '0' }],
    [when(!patient, 1), { kind: 'stall' }],
    [1, { kind: 'slow', bytesPerSecond: 20_000_000 }],
    [when(bodyBytes > 0 && operation !== 'Complete', 2), { kind: 'corruptBody' }],
    [when(tagged, 2), { kind: 'wrongEtag' }],
    [when(tagged, 1), { kind: 'emptyEtag' }],
    [when(operation === 'Complete', 3), { kind: 'errorBody', code: 'InternalError' }],
  ]);
}

export function oneOf<T>(random: Random, weighted: readonly (readonly [weight: number, value: T])[]): T {
  let left = random() * weighted.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, value] of weighted) {
    left -= weight;
    if (left < 0) return value;
  }
  return (weighted[0] as readonly [number, T])[1];
}
