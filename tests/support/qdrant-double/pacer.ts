/** Spaces answers out as a server would that reads so many points a second. */
export class Pacer {
  readonly #pointsPerSecond: number | undefined;
  #busyUntil = 0;

  constructor(pointsPerSecond: number | undefined) {
    this.#pointsPerSecond = pointsPerSecond;
  }

  /** How long the answer with so many points is to wait: until those before it, and then it, are read. */
  delayMs(points: number): number {
    if (this.#pointsPerSecond === undefined || points === 0) return 0;
    const now = performance.now();
    this.#busyUntil = Math.max(now, this.#busyUntil) + (points / this.#pointsPerSecond) * 1000;
    return this.#busyUntil - now;
  }
}
