import { freeNow } from '../free-now.ts';

/** Sizes are rounded up to this, so that pages of about the same size share buffers. */
const ROUND_BYTES = 64 * 1024;

/**
 * Buffers that are used again: a page body of a megabyte a time would otherwise be new memory faster than the
 * collector frees it. Keeps at most `kept` buffers of at most `keptBytes` each.
 */
export class BufferPool {
  readonly #kept: number;
  readonly #keptBytes: number;
  readonly #idle: Uint8Array<ArrayBuffer>[] = [];

  constructor(kept: number, keptBytes: number) {
    this.#kept = kept;
    this.#keptBytes = keptBytes;
  }

  /** A buffer of at least `bytes` bytes, with anything in it. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const rounded = Math.ceil(bytes / ROUND_BYTES) * ROUND_BYTES;
    // Not more than twice what is needed: a small page may be kept for long, and a large buffer with it.
    const at = this.#idle.findIndex((buffer) => buffer.length >= bytes && buffer.length <= 2 * rounded);
    const found = at === -1 ? undefined : this.#idle.splice(at, 1)[0];
    return found ?? new Uint8Array(rounded);
  }

  /** Gives a buffer back; nobody may look at it any more. */
  release(buffer: Uint8Array<ArrayBuffer>): void {
    if (buffer.length > this.#keptBytes) {
      freeNow(buffer);
      return;
    }
    this.#idle.push(buffer);
    // The one that was idle longest goes.
    const dropped = this.#idle.length > this.#kept ? this.#idle.shift() : undefined;
    if (dropped !== undefined) freeNow(dropped);
  }
}
