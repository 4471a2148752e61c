import { freeNow } from '../free-now.ts';
import type { ByteStream } from './storage.ts';

export interface Ranges {
  /** Bytes of the object. */
  readonly total: number;
  /** Bytes of each range but the last. */
  readonly rangeBytes: number;
  /** What ends every reading; also aborted by the first failure, or when nobody wants the rest. */
  readonly signal: AbortSignal;
  /** Fills `into` with the object's bytes from `from` on. Is called for several ranges at once. */
  read(from: number, into: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void>;
}

/**
 * Ranges at once: that many buffers of `rangeBytes` are the memory of a stream, 24 MiB at 8 MiB. While the reader has one,
 * the next two are on their way, so that a line with latency does not stand still between two requests.
 */
export const RANGES_AT_ONCE = 3;

/**
 * An object in ranges, in order. None is asked for before somebody reads, and the first one alone: what is wrong with
 * the object shows there, and who reads a little costs no more.
 */
export function rangedStream({ total, rangeBytes, signal, read }: Ranges): ByteStream {
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const underway: Promise<Uint8Array<ArrayBuffer>>[] = [];
  let asked = 0;
  const ask = (buffer: Uint8Array<ArrayBuffer>) => {
    const into = buffer.subarray(0, Math.min(buffer.length, total - asked));
    const range = read(asked, into, stopped).then(() => into);
    // Whoever reads gets the rejection, in its turn; until then it is not an unhandled one.
    range.catch(() => {});
    underway.push(range);
    asked += into.length;
  };
  const buffers: Uint8Array<ArrayBuffer>[] = [];
  const newBuffer = () => {
    const buffer = new Uint8Array(Math.min(rangeBytes, total));
    buffers.push(buffer);
    return buffer;
  };
  /** Those of an object of one range are small, and whoever reads it may well keep them. */
  const free = () => {
    if (total > rangeBytes) for (const buffer of buffers) freeNow(buffer);
  };
  /** What the reader has, until it asks for more. */
  let given: Uint8Array<ArrayBuffer> | undefined;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        if (given !== undefined && asked < total) ask(given);
        const atOnce = given === undefined ? 1 : RANGES_AT_ONCE;
        while (underway.length < atOnce && asked < total && buffers.length < RANGES_AT_ONCE) ask(newBuffer());
        const next = underway.shift();
        if (next === undefined) {
          free();
          return controller.close();
        }
        try {
          given = await next;
        } catch (error) {
          stop.abort(error);
          throw error;
        }
        controller.enqueue(given);
      },
      cancel(reason) {
        stop.abort(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
