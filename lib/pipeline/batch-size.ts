import { ToolError } from '../errors.ts';
import { PATIENT, type RetryNotice, retry } from '../retry.ts';

/** After so many requests without trouble, a halved size is doubled again. */
const REQUESTS_TO_GROW = 64;

/**
 * How many points to ask for at once: halved where an answer was too large or too late, and grown back slowly
 * to where it began.
 */
export class BatchSize {
  readonly #most: number;
  #size: number;
  #good = 0;
  readonly #onRetry: ((notice: RetryNotice) => void) | undefined;

  constructor(most: number, onRetry?: (notice: RetryNotice) => void) {
    this.#most = most;
    this.#size = most;
    this.#onRetry = onRetry;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Calls `request` with at most `wanted` points, again with half as many where the error says that a smaller
   * request may pass. Where even one point did not pass, the request is repeated like any other that failed.
   */
  async attempt<T>(
    signal: AbortSignal,
    request: (points: number) => Promise<T>,
    wanted: number = Number.POSITIVE_INFINITY,
  ): Promise<T> {
    for (;;) {
      const asked = Math.min(this.#size, wanted);
      try {
        const answer = await request(asked);
        this.#succeeded();
        return answer;
      } catch (error) {
        if (!(error instanceof ToolError) || error.remedy !== 'smaller') throw error;
        if (asked === 1) return await this.#single(signal, request);
        this.#shrinkBelow(asked);
        this.#onRetry?.({ error, attempt: 1, waitMs: 0 });
      }
    }
  }

  #single<T>(signal: AbortSignal, request: (points: number) => Promise<T>): Promise<T> {
    const once = () =>
      request(1).catch((error: unknown) => {
        if (!(error instanceof ToolError) || error.remedy !== 'smaller') throw error;
        throw new ToolError(error.code, error.message, { cause: error, remedy: 'again' });
      });
    return retry(once, signal, { ...PATIENT, attempts: SINGLE_ATTEMPTS }, this.#onRetry);
  }

  #shrinkBelow(asked: number): void {
    this.#good = 0;
    // Requests of the old size that fail side by side count once.
    this.#size = Math.min(this.#size, Math.max(1, Math.floor(asked / 2)));
  }

  #succeeded(): void {
    if (this.#size === this.#most || ++this.#good < REQUESTS_TO_GROW) return;
    this.#good = 0;
    this.#size = Math.min(this.#most, this.#size * 2);
  }
}

/** How often a single point that is too large or too late is asked for once more. */
const SINGLE_ATTEMPTS = 3;
