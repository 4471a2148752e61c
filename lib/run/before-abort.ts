import { abortReason } from '../errors.ts';

/**
 * What the promise comes to, or a rejection with the signal's reason as soon as that aborts: for what cannot be told to
 * stop, a disk that writes. It then ends when it ends, and nobody hears of it.
 */
export async function beforeAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(abortReason(signal));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
