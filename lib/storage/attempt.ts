import { abortReason, ToolError } from '../errors.ts';

/** How long one attempt of a request may take, and how long it outlives its signal. Milliseconds. */
export interface Limits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /**
   * For requests that must not be cut in the middle because the store may have acted on them: how long they
   * may still run once the signal aborts. Default 0.
   */
  readonly graceMs?: number;
}

/**
 * Runs one request within its limits; every rejection is a ToolError. `failed` begins those about time: `Cannot
 * write s3://bucket/key`; `explain` makes one of anything else that was thrown.
 */
export async function attempt<T>(
  run: (abortSignal: AbortSignal) => Promise<T>,
  limits: Limits,
  failed: string,
  explain: (thrown: unknown) => ToolError,
): Promise<T> {
  const { signal, timeoutMs, graceMs = 0 } = limits;
  if (signal.aborted) throw abortReason(signal);
  const cut = new AbortController();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    cut.abort();
  }, timeoutMs);
  let graceTimer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => {
    if (graceMs === 0) cut.abort();
    else graceTimer = setTimeout(() => cut.abort(), graceMs);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const ended = Promise.withResolvers<never>();
  cut.signal.addEventListener('abort', () => ended.reject(cut.signal.reason), { once: true });
  const running = run(cut.signal);
  // Whichever of the two comes second has no other listener.
  ended.promise.catch(() => {});
  running.catch(() => {});
  try {
    // A request ends at once when it is cut; what an SDK does before it (looking for credentials) does not.
    return await Promise.race([running, ended.promise]);
  } catch (error) {
    if (timedOut) {
      const text = `${failed}: the store did not answer within ${Math.round(timeoutMs / 1000)} s.`;
      throw new ToolError('store', text, { cause: error, remedy: 'again' });
    }
    if (cut.signal.aborted) throw abortReason(signal);
    throw error instanceof ToolError ? error : explain(error);
  } finally {
    clearTimeout(timer);
    clearTimeout(graceTimer);
    signal.removeEventListener('abort', onAbort);
  }
}
