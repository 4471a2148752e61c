import { freeNow } from '../../free-now.ts';

/** Smaller buffers are not worth keeping: thousands of them would be looked through for each page. */
const LEAST_KEPT_BYTES = 16 * 1024;

/** Sizes are rounded up by a sixteenth at most, so that pages of about the same size share buffers… */
const STEPS_IN_A_DOUBLING = 16;
/** …in steps of these sizes at least and at most. */
const LEAST_STEP_BYTES = 64;
const MOST_STEP_BYTES = 64 * 1024;

/**
 * Buffers that are used again: a page body of a megabyte a time would otherwise be new memory faster than the
 * collector frees it. Keeps no buffer larger than `keptBytes`, and idle ones of at most `kept * keptBytes`
 * together: more than `kept` where pages are smaller.
 */
export class BufferPool {
  readonly #keptBytes: number;
  readonly #mostIdleBytes: number;
  /** The one that was idle longest comes first. */
  readonly #idle: Uint8Array<ArrayBuffer>[] = [];
  #idleBytes = 0;

  constructor(kept: number, keptBytes: number) {
    this.#keptBytes = keptBytes;
    this.#mostIdleBytes = kept * keptBytes;
  }

  /** A buffer of at least `bytes` bytes, with anything in it. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const rounded = roundedUp(bytes);
    // Not more than twice what is needed: a page may be kept for long, and a large buffer with it.
    const at = this.#idle.findIndex((buffer) => buffer.length >= bytes && buffer.length <= 2 * rounded);
    const found = at === -1 ? undefined : this.#idle.splice(at, 1)[0];
    if (found === undefined) return new Uint8Array(rounded);
    this.#idleBytes -= found.length;
    return found;
  }

  /** Gives a buffer back; nobody may look at it any more. */
  release(buffer: Uint8Array<ArrayBuffer>): void {
    if (buffer.length < LEAST_KEPT_BYTES || buffer.length > this.#keptBytes) {
      freeNow(buffer);
      return;
    }
    this.#idle.push(buffer);
    this.#idleBytes += buffer.length;
    while (this.#idleBytes > this.#mostIdleBytes) {
      const dropped = this.#idle.shift() as Uint8Array<ArrayBuffer>;
      this.#idleBytes -= dropped.length;
      freeNow(dropped);
    }
  }
}

function roundedUp(bytes: number): number {
  const step = 2 ** Math.floor(Math.log2(Math.max(1, bytes))) / STEPS_IN_A_DOUBLING;
  const bounded = Math.min(MOST_STEP_BYTES, Math.max(LEAST_STEP_BYTES, step));
  return Math.ceil(bytes / bounded) * bounded;
}
