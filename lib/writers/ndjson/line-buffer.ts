import { ToolError } from '../../errors.ts';
import { freeNow } from '../../free-now.ts';
import { MOST_BYTES } from '../../vector-columns.ts';

/** Text that grows at its end, in memory that is used again. */
export class LineBuffer {
  bytes: Uint8Array<ArrayBuffer>;
  /** The same memory. */
  view: DataView;
  /** Bytes in use. Whoever writes into `bytes` moves it on. */
  length = 0;

  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `extra` more bytes; `bytes` and `view` may be new afterwards. */
  reserve(extra: number): void {
    const needed = this.length + extra;
    if (needed <= this.bytes.length) return;
    if (needed > MOST_BYTES) {
      throw new ToolError('format', 'Cannot hold the lines of one work unit: they have more than 2 GiB.');
    }
    const grown = new Uint8Array(Math.max(needed, Math.min(MOST_BYTES, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.length));
    freeNow(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** Lines are written on one thread and compressed on others, which so many buffers keep busy. */
const BUFFERS = 4;
const FIRST_BYTES = 1024 * 1024;
/** A larger buffer is given back to the system: a unit of usual size takes 8 MiB, and doubling overshoots. */
const KEPT_BYTES = 32 * 1024 * 1024;

/** At most 4 buffers, each as large as a unit's text made it; idle ones have at most 32 MiB. */
export class LineBuffers {
  readonly #idle: LineBuffer[] = [];
  #made = 0;
  /** Those who wait for a buffer, first come, first served. */
  readonly #waiting: ((buffer: LineBuffer) => void)[] = [];

  /** An empty buffer, as soon as there is one. */
  take(): Promise<LineBuffer> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    if (this.#made === BUFFERS) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#made++;
    return Promise.resolve(new LineBuffer(FIRST_BYTES));
  }

  /** Gives a buffer back; nobody may look at it any more. */
  release(buffer: LineBuffer): void {
    const kept = buffer.bytes.length <= KEPT_BYTES ? buffer : new LineBuffer(FIRST_BYTES);
    if (kept !== buffer) freeNow(buffer.bytes);
    kept.length = 0;
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(kept);
    else next(kept);
  }

  /** Gives the memory of all idle buffers back to the system. */
  free(): void {
    for (const { bytes } of this.#idle) freeNow(bytes);
    this.#made -= this.#idle.length;
    this.#idle.length = 0;
  }
}
