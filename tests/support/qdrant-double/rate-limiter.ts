import { ServiceError } from './service-error.ts';

/** Strict mode's read limiter: a bucket of one minute's tokens that refills evenly. */
export class RateLimiter {
  readonly #capacity: number;
  readonly #perMinute: number;
  #tokens: number;
  #asOf = performance.now();

  /** `scale` times as fast a refill as a real server's: its capacity stays, waiting gets shorter. */
  constructor(perMinute: number, scale = 1) {
    this.#capacity = perMinute;
    this.#perMinute = perMinute * scale;
    this.#tokens = perMinute;
  }

  /** Takes tokens or throws what Qdrant answers. More than the capacity can never be had. */
  take(tokens: number): void {
    this.#refill();
    if (tokens > this.#capacity) {
      throw new ServiceError(
        'tooMany',
        'Rate limiting exceeded: Read rate limit exceeded, request larger than rate limiter capacity, please try to split your request',
      );
    }
    if (tokens > this.#tokens) throw this.#refusal(tokens);
    this.#tokens -= tokens;
  }

  #refill(): void {
    const now = performance.now();
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((now - this.#asOf) / 60_000) * this.#perMinute);
    this.#asOf = now;
  }

  #refusal(tokens: number): ServiceError {
    const seconds = Math.ceil(((tokens - this.#tokens) * 60) / this.#perMinute);
    const available = this.#tokens.toFixed(1);
    return new ServiceError(
      'tooMany',
      `Rate limiting exceeded: Read rate limit exceeded: Operation requires ${tokens} tokens but only ${available} were available. Retry after ${seconds}s`,
      seconds,
    );
  }
}
