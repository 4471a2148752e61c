import { abortReason, ToolError } from './errors.ts';

export interface RetryPolicy {
  /** Requests sent in all, the first one included, but for those that the server itself put off. */
  readonly attempts: number;
  /** Most pauses that the server may ask for; 120 unless told. */
  readonly toldPauses?: number;
  /** The first pause is a random part of this; each further one of twice as much. Milliseconds. */
  readonly baseMs: number;
  /** No pause of our own choosing is longer. Milliseconds. */
  readonly capMs: number;
}

/** About 45 s of patience on average: a server restarted or a store gone for half a minute is survived. */
export const PATIENT: RetryPolicy = { attempts: 10, baseMs: 250, capMs: 30_000 };

/**
 * Pauses that the server itself asked for do not count as attempts, or a rate limit would end a long run; but
 * a server that asks for ever is not waited for: at a minute each, this is two hours for one request.
 */
const TOLD_PAUSES = 120;

/** For a first contact, where a wrong address should be told at once: about a second. */
export const BRISK: RetryPolicy = { attempts: 3, baseMs: 250, capMs: 1_000 };

export interface RetryNotice {
  readonly error: ToolError;
  /** Attempts made so far. */
  readonly attempt: number;
  readonly waitMs: number;
}

/**
 * Runs `attempt` until it settles with anything but a ToolError whose remedy is 'again', waiting in between
 * with exponential backoff and full jitter, or as long as the server asked. Rejects with the last error, or
 * with the signal's reason as soon as it aborts.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  policy: RetryPolicy = PATIENT,
  onRetry?: (notice: RetryNotice) => void,
): Promise<T> {
  let made = 0;
  let told = 0;
  for (;;) {
    if (signal.aborted) throw abortReason(signal);
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) throw abortReason(signal);
      if (!(error instanceof ToolError) || error.remedy !== 'again') throw error;
      if (error.retryAfterMs === undefined) made++;
      else told++;
      if (made >= policy.attempts || told > (policy.toldPauses ?? TOLD_PAUSES)) throw error;
      const waitMs = pauseMs(error, Math.max(1, made), policy);
      onRetry?.({ error, attempt: made + told, waitMs });
      await sleep(waitMs, signal);
    }
  }
}

function pauseMs(error: ToolError, made: number, policy: RetryPolicy): number {
  const own = Math.random() * Math.min(policy.capMs, policy.baseMs * 2 ** (made - 1));
  // The server's word is a lower bound; the jitter on top keeps parallel requests from coming back as one.
  return error.retryAfterMs === undefined ? own : error.retryAfterMs + Math.min(own, 1_000);
}

/** Resolves after `ms`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortReason(signal));
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortReason(signal));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Milliseconds that a Retry-After value asks for: seconds or an HTTP date (RFC 9110, section 10.2.3).
 * Undefined when there is none or it says neither.
 */
export function parseRetryAfter(
  value: string | null | undefined,
  now: number = Date.now(),
): number | undefined {
  if (value === null || value === undefined) return undefined;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
