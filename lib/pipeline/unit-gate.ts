/**
 * Bytes of points, vectors and payload text together, that may be in memory at once. Units of usual size never
 * reach it; with large payloads it lets fewer units in, but always one.
 */
export const POINT_BYTES_IN_MEMORY = 96 * 1024 * 1024;

/** Lets as many units be under way as fit, first come, first served. */
export class UnitGate {
  readonly #most: number;
  /** Bytes of a unit: as large as the largest so far. */
  #unitBytes: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number, expectedUnitBytes: number) {
    this.#most = most;
    this.#unitBytes = expectedUnitBytes;
  }

  get capacity(): number {
    return Math.max(
      1,
      Math.min(this.#most, Math.floor(POINT_BYTES_IN_MEMORY / Math.max(1, this.#unitBytes))),
    );
  }

  async enter(): Promise<void> {
    if (this.#inside < this.capacity && this.#waiting.length === 0) this.#inside++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
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
