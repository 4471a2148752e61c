interface Sample {
  readonly at: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Samples kept, and the least time between two of them: the rate is that of the last 10 s. */
const SAMPLES = 20;
const SPACING_MS = 500;

/** How fast it goes now: the average of the last ten seconds, so that a slow start is forgotten and noise is not shown. */
export class RateMeter {
  readonly #samples: Sample[];
  #last: Sample;

  /** Totals that were there at the start do not count. */
  constructor(at: number, rows = 0, bytes = 0) {
    this.#last = { at, rows, bytes };
    this.#samples = [this.#last];
  }

  /** Totals so far at a time in milliseconds. */
  add(at: number, rows: number, bytes: number): void {
    const previous = this.#samples.at(-1);
    this.#last = { at, rows, bytes };
    if (previous !== undefined && at - previous.at < SPACING_MS) return;
    this.#samples.push(this.#last);
    if (this.#samples.length > SAMPLES + 1) this.#samples.shift();
  }

  perSecond(): { readonly rows: number; readonly bytes: number } {
    const first = this.#samples[0] ?? this.#last;
    const seconds = (this.#last.at - first.at) / 1000;
    if (seconds <= 0) return { rows: 0, bytes: 0 };
    return {
      rows: Math.max(0, this.#last.rows - first.rows) / seconds,
      bytes: Math.max(0, this.#last.bytes - first.bytes) / seconds,
    };
  }
}
