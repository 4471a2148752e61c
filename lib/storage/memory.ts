import { abortReason } from '../errors.ts';
import { drain } from './drain.ts';
import type { Destination } from './storage.ts';

export interface MemoryDestination extends Destination {
  /** By key. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

/** Keeps what it is given: for tests, and the shortest example of a Destination. Unbounded by nature. */
export function memoryDestination(): MemoryDestination {
  const contents = new Map<string, Uint8Array>();
  const locate = (key: string) => `memory:${key}`;
  return {
    contents,
    locate,
    check: async (_key, signal) => {
      if (signal.aborted) throw abortReason(signal);
    },
    async put({ key, body, signal, onProgress }) {
      const chunks: Uint8Array[] = [];
      await drain(body, signal, (chunk) => {
        // Not slice(), which of a Buffer is a view.
        chunks.push(new Uint8Array(chunk));
        onProgress?.(chunk.length);
      });
      const bytes = Buffer.concat(chunks);
      contents.set(key, bytes);
      return { location: locate(key), bytes: bytes.length, etag: undefined };
    },
  };
}
