import type { ByteStream } from '../../lib/storage/storage.ts';

export const MIB = 1024 * 1024;

export interface BodyOptions {
  /** Errors instead of giving the byte at this position. */
  readonly failAt?: number;
  readonly error?: unknown;
  /** Never answers the read of the byte at this position. */
  readonly hangAt?: number;
  readonly onHang?: () => void;
  /** Told before each chunk how many bytes were given so far. */
  readonly onPull?: (pulled: number) => void;
}

export interface ByteBody {
  readonly stream: ByteStream;
  /** The reason it was cancelled with, or undefined. */
  cancelled(): unknown;
}

/**
 * `length` bytes of `patternOf` in chunks that all share one buffer, which is overwritten before each read:
 * who kept a chunk has wrong bytes.
 */
export function byteBody(length: number, chunkBytes: number, options: BodyOptions = {}): ByteBody {
  const { failAt, error, hangAt, onHang, onPull } = options;
  const pattern = patternOf(length);
  const buffer = new Uint8Array(chunkBytes);
  const stop = Math.min(length, failAt ?? length, hangAt ?? length);
  let given = 0;
  let cancelled: unknown;
  const stream: ByteStream = new ReadableStream(
    {
      pull(controller) {
        onPull?.(given);
        buffer.fill(0xee);
        if (given < stop) {
          const chunk = pattern.subarray(given, Math.min(stop, given + chunkBytes));
          buffer.set(chunk);
          given += chunk.length;
          controller.enqueue(buffer.subarray(0, chunk.length));
          return undefined;
        }
        if (failAt === stop) throw error;
        if (hangAt === stop) {
          onHang?.();
          return new Promise(() => {});
        }
        controller.close();
        return undefined;
      },
      cancel(reason) {
        cancelled = reason;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, cancelled: () => cancelled };
}

/** Bytes in which no two stretches of a part's length are equal. */
export function patternOf(length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at, 2654435761);
  return new Uint8Array(words.buffer, 0, length);
}
