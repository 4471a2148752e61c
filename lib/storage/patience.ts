import { ToolError } from '../errors.ts';
import type { Limits } from './attempt.ts';

/** How long things may take. All in milliseconds but the second. */
export interface Patience {
  /** A request without a body; a body may take as long, or longer by `slowestBytesPerSecond`. */
  readonly requestMs: number;
  /** A slower connection counts as stalled. All parts in flight share the line. */
  readonly slowestBytesPerSecond: number;
  /** Joining parts, and copying: S3 may take minutes. */
  readonly completeMs: number;
  /** How long a request that publishes may go on once the run is cancelled. */
  readonly graceMs: number;
  /** How long each step of cleaning up may take. */
  readonly cleanupMs: number;
  /** How long all of them together may take once the run is cancelled. */
  readonly cancelledCleanupMs: number;
}

/**
 * Somebody who pressed Ctrl+C waits for `graceMs` and `cancelledCleanupMs` at most, whatever the store does:
 * 1.6 s of the 2 s that a program has to end.
 */
export const PATIENCE: Patience = {
  requestMs: 30_000,
  slowestBytesPerSecond: 256 * 1024,
  completeMs: 180_000,
  graceMs: 900,
  cleanupMs: 10_000,
  cancelledCleanupMs: 700,
};

/** A first contact that takes longer will not do as a store. */
export const FIRST_CONTACT_MS = 10_000;

/** The size of a request's body sets how long one attempt at it may take. */
export function bodyTimeoutMs(bytes: number, patience: Patience): number {
  return Math.max(patience.requestMs, (bytes / patience.slowestBytesPerSecond) * 1000);
}

/**
 * One step of `steps` of what has to be done after a failure: within `cleanupMs`, or, from the moment on that
 * the run is cancelled, within its part of `cancelledCleanupMs`. A third of the former is what one request
 * has, so that one that is lost on the way is sent again; the latter has no room for that.
 */
export async function cleanUp<T>(
  patience: Patience,
  run: AbortSignal,
  steps: number,
  work: (limits: Limits) => Promise<T>,
): Promise<T> {
  // Not under the run's signal, which may be the very reason of the failure.
  const cut = new AbortController();
  const end = () => cut.abort(new ToolError('store', 'the store did not answer in time'));
  const shortMs = patience.cancelledCleanupMs / steps;
  const timers = [setTimeout(end, run.aborted ? shortMs : patience.cleanupMs)];
  const onAbort = () => timers.push(setTimeout(end, shortMs));
  run.addEventListener('abort', onAbort, { once: true });
  try {
    return await work({ signal: cut.signal, timeoutMs: run.aborted ? shortMs : patience.cleanupMs / 3 });
  } finally {
    run.removeEventListener('abort', onAbort);
    for (const timer of timers) clearTimeout(timer);
  }
}
