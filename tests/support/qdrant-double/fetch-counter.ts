import type { ShardKey } from './collection.ts';

/**
 * How often each point of a generated collection was put into an answer with its payload or vectors, whether or not
 * the answer arrived, in either protocol; ids alone do not count. A look at the first points before an export does.
 */
export interface Fetched {
  /**
   * By a point's place in the collection, of one shard key, or of all points where there are none: 4 bytes a place.
   * Live, and the same array as long as the double lives.
   */
  counts(shardKey?: ShardKey): Uint32Array<ArrayBuffer>;
  /** Of all points together, since the last reset. */
  readonly total: number;
  /** Begins again from 0; who waits for a total waits for it anew. */
  reset(): void;
  /**
   * Resolves when the total is so high or higher, at once where it is already; the answer that made it so may not
   * have left yet. Never rejects, and stays open where the total is never reached.
   */
  reached(total: number): Promise<void>;
}

export class FetchCounter implements Fetched {
  readonly #counts: ReadonlyMap<ShardKey | undefined, Uint32Array<ArrayBuffer>>;
  #total = 0;
  #waiting: { readonly total: number; readonly resolve: () => void }[] = [];

  constructor(places: number, shardKeys: readonly ShardKey[]) {
    const keys = shardKeys.length === 0 ? [undefined] : shardKeys;
    this.#counts = new Map(keys.map((key) => [key, new Uint32Array(places)]));
  }

  get total(): number {
    return this.#total;
  }

  counts(shardKey?: ShardKey): Uint32Array<ArrayBuffer> {
    const counts = this.#counts.get(shardKey);
    if (counts !== undefined) return counts;
    throw new Error(
      shardKey === undefined ? 'it has shard keys: name one' : `it has no shard key ${shardKey}`,
    );
  }

  /** Counts points of one answer in. */
  add(places: readonly number[], shardKey: ShardKey | undefined): void {
    const counts = this.counts(shardKey);
    for (const place of places) counts[place] = (counts[place] as number) + 1;
    this.#total += places.length;
    this.#settle();
  }

  reset(): void {
    for (const counts of this.#counts.values()) counts.fill(0);
    this.#total = 0;
  }

  reached(total: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ total, resolve });
    this.#settle();
    return promise;
  }

  #settle(): void {
    const isDue = ({ total }: { total: number }): boolean => total <= this.#total;
    if (!this.#waiting.some(isDue)) return;
    const due = this.#waiting.filter(isDue);
    this.#waiting = this.#waiting.filter((waiter) => !isDue(waiter));
    for (const { resolve } of due) resolve();
  }
}
