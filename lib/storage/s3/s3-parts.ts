import { ToolError } from '../../errors.ts';
import { freeNow } from '../../free-now.ts';

const MIB = 1024 * 1024;

/** S3's and R2's limit; some stores take only 1,000. */
const MAX_PARTS = 10_000;

/** Below this the requests, not the bytes, set the pace. */
const DEFAULT_PART_BYTES = 8 * MIB;
const DEFAULT_IN_FLIGHT = 4;
/** 4.8 TiB in 10,000 parts: about the largest object that S3 and R2 take. */
const MAX_PART_BYTES = 512 * MIB;
/** How many times larger than estimated an export may become before it runs out of part numbers. */
const ESTIMATE_HEADROOM = 2;
/**
 * Bound of all part buffers together: those in flight and the one being filled. Parts above 32 MiB (estimates
 * from 160 GiB on) leave no room for two, so there the bound is two parts.
 */
const BUFFERS_BYTES = 64 * MIB;

export interface PartPlan {
  /** Size of every part but the last: R2 wants them equal. */
  readonly partBytes: number;
  /** Parts on their way at once; the buffers are one more. */
  readonly inFlight: number;
  readonly maxParts: number;
}

export interface PartWishes {
  readonly partsInFlight?: number | undefined;
  readonly partBytes?: number | undefined;
  readonly maxParts?: number | undefined;
}

/**
 * Cuts about `estimatedBytes` into parts of whole MiB, at least 8 (S3's minimum is 5), of which `inFlight` at
 * most travel at once.
 */
export function planParts(estimatedBytes: number, wishes: PartWishes = {}): PartPlan {
  const { partsInFlight = DEFAULT_IN_FLIGHT, maxParts = MAX_PARTS } = wishes;
  const partBytes = wishes.partBytes ?? partBytesFor(estimatedBytes, maxParts);
  const fitting = Math.floor(BUFFERS_BYTES / partBytes) - 1;
  return { partBytes, inFlight: Math.max(1, Math.min(partsInFlight, fitting)), maxParts };
}

function partBytesFor(estimatedBytes: number, maxParts: number): number {
  const needed = Math.ceil((estimatedBytes * ESTIMATE_HEADROOM) / maxParts / MIB) * MIB;
  // An estimate that is no number sizes nothing.
  return Math.min(MAX_PART_BYTES, Math.max(DEFAULT_PART_BYTES, Number.isFinite(needed) ? needed : 0));
}

export interface PartPool {
  /** Waits for a free buffer; rejects when the signal aborts. */
  take(): Promise<Uint8Array<ArrayBuffer>>;
  give(buffer: Uint8Array<ArrayBuffer>): void;
  /** Gives the memory of all that were given back to the system at once: a run may put thousands of objects. */
  clear(): void;
}

/**
 * `count` buffers of `bytes` each, made when first needed and used again: the memory of an upload, and what
 * holds its source back when the store is slow.
 */
export function partPool(bytes: number, count: number, signal: AbortSignal): PartPool {
  const free: Uint8Array<ArrayBuffer>[] = [];
  const waiting: ((buffer: Uint8Array<ArrayBuffer>) => void)[] = [];
  let made = 0;
  return {
    take() {
      const buffer = free.pop();
      if (buffer !== undefined) return Promise.resolve(buffer);
      if (made < count) {
        made++;
        return Promise.resolve(new Uint8Array(bytes));
      }
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        waiting.push((given) => {
          signal.removeEventListener('abort', onAbort);
          resolve(given);
        });
      });
    },
    give(buffer) {
      const next = waiting.shift();
      if (next === undefined) free.push(buffer);
      else next(buffer);
    },
    clear() {
      made -= free.length;
      for (const buffer of free.splice(0)) freeNow(buffer);
    },
  };
}

export interface Gate {
  /** Waits for its turn and resolves to what gives it back; rejects when the signal aborts. */
  enter(): Promise<() => void>;
  /** One fewer at a time from now on, down to two. */
  narrow(): void;
}

/** Lets at most `limit` requests through at once; a store that asks to slow down makes it narrower. */
export function requestGate(limit: number, signal: AbortSignal): Gate {
  // Below two a single slow request would stop everything; a store that cannot take two is not usable.
  const floor = Math.min(2, limit);
  let width = limit;
  let inside = 0;
  const waiting: (() => void)[] = [];
  const leave = () => {
    inside--;
    admit();
  };
  const admit = () => {
    while (inside < width) {
      const next = waiting.shift();
      if (next === undefined) return;
      inside++;
      next();
    }
  };
  return {
    enter: () =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => {
          const place = waiting.indexOf(onTurn);
          if (place >= 0) waiting.splice(place, 1);
          reject(signal.reason);
        };
        const onTurn = () => {
          signal.removeEventListener('abort', onAbort);
          resolve(leave);
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiting.push(onTurn);
        admit();
      }),
    narrow() {
      width = Math.max(floor, width - 1);
    },
  };
}

/** The error of an export that outgrew its estimate by more than the head-room. */
export function tooManyParts(location: string, { partBytes, maxParts }: PartPlan): ToolError {
  const held = ((partBytes * maxParts) / 1024 ** 3).toFixed(1);
  return new ToolError(
    'store',
    `Cannot write ${location}: more came than the ${held} GiB that ${maxParts} parts of ` +
      `${Math.round(partBytes / MIB)} MiB hold; the estimate made before the export was too small. ` +
      'Nothing was published.',
    { cause: new Outgrown() },
  );
}

class Outgrown extends Error {}

/** That error: it comes again however often the same upload is gone on with. */
export function isOutgrown(error: ToolError): boolean {
  return error.cause instanceof Outgrown;
}
