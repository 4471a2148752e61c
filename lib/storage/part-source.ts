import { abortReason } from '../errors.ts';
import type { ByteStream } from './storage.ts';

/** Fills part buffers from a body. */
export interface PartSource {
  /** Copies bytes until `part` is full or the body ends; resolves to how many. */
  fill(part: Uint8Array): Promise<number>;
  /** Whether everything was given out. May read one chunk ahead, no more. */
  ended(): Promise<boolean>;
  /** Tells the body that nobody wants the rest; resolves when it has stopped. Never rejects. */
  cancel(reason: unknown): Promise<void>;
}

/** Reads `body`, cancelling it as soon as the signal aborts so that no read is waited for. */
export function partSource(body: ByteStream, signal: AbortSignal): PartSource {
  const reader = body.getReader();
  /** Of the last chunk, what no part has taken yet: valid until the next read. */
  let rest: Uint8Array = new Uint8Array(0);
  let done = false;
  let cancelled: Promise<void> | undefined;
  const cancel = (reason: unknown) => {
    cancelled ??= reader.cancel(reason).catch(() => {});
    return cancelled;
  };
  const onAbort = () => void cancel(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();

  const more = async (): Promise<boolean> => {
    while (rest.length === 0 && !done) {
      const next = await reader.read();
      // A cancelled body ends; that must not pass for the end of its bytes.
      if (signal.aborted) throw abortReason(signal);
      if (next.done) done = true;
      else rest = next.value;
    }
    return rest.length > 0;
  };

  return {
    async fill(part) {
      let filled = 0;
      while (filled < part.length && (await more())) {
        const taken = rest.subarray(0, part.length - filled);
        part.set(taken, filled);
        filled += taken.length;
        rest = rest.subarray(taken.length);
      }
      return filled;
    },
    async ended() {
      return !(await more());
    },
    async cancel(reason) {
      signal.removeEventListener('abort', onAbort);
      await cancel(reason);
    },
  };
}
