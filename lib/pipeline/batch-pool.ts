import { type BatchLayout, PointBatch } from '../batch.ts';

/** Batches that are filled again once they were encoded. As many exist as are in use at once. */
export class BatchPool {
  readonly #layout: BatchLayout;
  readonly #idle: PointBatch[] = [];

  constructor(layout: BatchLayout) {
    this.#layout = layout;
  }

  take(): PointBatch {
    const batch = this.#idle.pop() ?? new PointBatch(this.#layout);
    batch.reset();
    return batch;
  }

  release(batch: PointBatch): void {
    this.#idle.push(batch);
  }
}
