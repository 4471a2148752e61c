import { abortReason } from '../errors.ts';
import type { ByteStream } from './storage.ts';

/**
 * Gives every chunk of the body to `take`, which is awaited before the next read. When the signal aborts it
 * does not wait for a read; on any failure it cancels the body, waits for that, and rejects.
 */
export async function drain(
  body: ByteStream,
  signal: AbortSignal,
  take: (chunk: Uint8Array<ArrayBuffer>) => Promise<void> | void,
): Promise<void> {
  const reader = body.getReader();
  const onAbort = () => void reader.cancel(abortReason(signal)).catch(() => {});
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    for (;;) {
      const next = await reader.read();
      // A cancelled body ends too; that must not pass for the end of its bytes.
      if (signal.aborted) throw abortReason(signal);
      if (next.done) return;
      await take(next.value);
    }
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    reader.releaseLock();
  }
}
