import { abortReason } from '../errors.ts';

/**
 * Bytes of points, vectors and payload text together, that may be in memory at once. Units of usual size never
 * reach it; with large payloads it lets fewer units in, but always one.
 */
export const POINT_BYTES_IN_MEMORY = 96 * 1024 * 1024;

/** How many units may be under way at once: the window, or as many as fit, but always one. */
export function unitsAtOnce(most: number, unitBytes: number): number {
  return Math.max(1, Math.min(most, Math.floor(POINT_BYTES_IN_MEMORY / Math.max(1, unitBytes))));
}

/**
 * Lets as many units be under way as fit, first come, first served: a unit enters before its first point is
 * asked for, and has left when the writer has taken all it wants of it.
 */
export class UnitGate {
  readonly #most: number;
  /** Bytes of a unit: as large as the largest so far. */
  #unitBytes: number;
  #inside = 0;
  readonly #signal: AbortSignal;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number, expectedUnitBytes: number, signal: AbortSignal) {
    this.#most = most;
    this.#unitBytes = expectedUnitBytes;
    this.#signal = signal;
  }

  get capacity(): number {
    return unitsAtOnce(this.#most, this.#unitBytes);
  }

  /** Waits for a place; rejects with the signal's reason as soon as it aborts. */
  async enter(): Promise<void> {
    const signal = this.#signal;
    if (signal.aborted) throw abortReason(signal);
    if (this.#inside < this.capacity && this.#waiting.length === 0) {
      this.#inside++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(onTurn), 1);
        reject(abortReason(signal));
      };
      const onTurn = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(onTurn);
    });
  }

  observe(unitBytes: number): void {
    this.#unitBytes = Math.max(this.#unitBytes, unitBytes);
  }

  leave(): void {
    this.#inside--;
    if (this.#inside >= this.capacity) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    // The place is taken here, so that nobody comes in between.
    this.#inside++;
    next();
  }
}
