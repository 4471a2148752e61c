/** Different keys that are counted exactly: 2^20. */
const KEY_BITS = 20;

/**
 * Counts rows whose key another row before them has, in memory that does not grow: 64-bit hashes in an open-
 * addressing table of twice as many slots as it holds keys, 2^21 slots of 8 bytes (16 MiB, and for a moment half
 * of that again).
 *
 * Up to 2^20 different keys the count is exact, but for a chance of 3·10^-8 that two of them share a hash. Beyond
 * that only keys whose hash ends in a zero bit are looked at, then in two zero bits, and so on; a row that repeats
 * one of them stands for 2^bits rows. A key that is looked at was looked at from its first row on, so the estimate
 * has no bias. Its standard error is at most sqrt(2^bits · duplicates) where keys occur twice: 1 % of 20,000
 * duplicates among 2 million keys. Keys that very many rows share would make it worse; but the number of different
 * keys is estimated as well, with a standard error of 0.14 % at most, and the result is held within six of these
 * of the rows which that leaves.
 */
export class KeyTracker {
  readonly #mostKeys: number;
  /** Slot s is words 2s and 2s + 1; both are 0 where it is free. */
  readonly #table: Int32Array<ArrayBuffer>;
  /** Takes a hash's first word to a slot. */
  readonly #shift: number;
  #rows = 0;
  #keys = 0;
  #duplicates = 0;
  /** Rows that one row stands for: 2^bits. */
  #weight = 1;
  /** Hashes that were looked at since they were last asked for; undefined where nobody asks. */
  readonly #log: number[] | undefined;

  /** With a log another tracker can be brought to the same state. Other bounds than 2^20 are for tests. */
  constructor(keyBits = KEY_BITS, logged = false) {
    this.#log = logged ? [] : undefined;
    this.#mostKeys = 2 ** keyBits;
    this.#table = new Int32Array(this.#mostKeys * 4);
    this.#shift = 31 - keyBits;
  }

  get exact(): boolean {
    return this.#weight === 1;
  }

  /** Rows whose key a row before them has: their number, or an estimate of it. */
  get duplicates(): number {
    if (this.exact) return this.#duplicates;
    const differentKeys = this.#keys * this.#weight;
    const left = this.#rows - differentKeys;
    const error = (6 * differentKeys) / Math.sqrt(this.#keys);
    return Math.round(Math.max(0, left - error, Math.min(left + error, this.#duplicates)));
  }

  get rows(): number {
    return this.#rows;
  }

  /**
   * The hashes that were looked at since the last call: all of the rows' up to 2^20 different keys, then fewer and
   * fewer (36 MB in all for 100 million different keys).
   */
  takeLog(): Int32Array<ArrayBuffer> {
    const taken = new Int32Array(this.#log ?? []);
    if (this.#log !== undefined) this.#log.length = 0;
    return taken;
  }

  /** Brings a new tracker to the state of another one: with all that its log gave, and its number of rows. */
  restore(logged: Int32Array, rows: number): void {
    this.#look(logged);
    this.#rows = rows;
    this.takeLog();
  }

  /** Takes the hashes of further rows, two words each. */
  add(hashes: Int32Array): void {
    this.#rows += hashes.length / 2;
    this.#look(hashes);
  }

  #look(hashes: Int32Array): void {
    for (let i = 0; i < hashes.length; i += 2) {
      const last = hashes[i + 1] as number;
      if ((last & (this.#weight - 1)) !== 0) continue;
      this.#log?.push(hashes[i] as number, last);
      // Two zeros would be a free slot.
      const first = (hashes[i] as number) === 0 && last === 0 ? 1 : (hashes[i] as number);
      if (!this.#place(first, last)) this.#duplicates += this.#weight;
      else if (++this.#keys > this.#mostKeys) this.#lookAtFewer();
    }
  }

  /** Puts a hash in a slot; false when it is in one already. */
  #place(first: number, last: number): boolean {
    const table = this.#table;
    const end = table.length - 1;
    for (let at = (first >>> this.#shift) << 1; ; at = (at + 2) & end) {
      if (table[at] === first && table[at + 1] === last) return false;
      if (table[at] === 0 && table[at + 1] === 0) {
        table[at] = first;
        table[at + 1] = last;
        return true;
      }
    }
  }

  /** Asks for one zero bit more, which about half of the keys have. */
  #lookAtFewer(): void {
    while (this.#keys > this.#mostKeys) {
      this.#weight *= 2;
      const kept = this.#passing();
      this.#table.fill(0);
      for (let i = 0; i < kept.length; i += 2) this.#place(kept[i] as number, kept[i + 1] as number);
      this.#keys = kept.length / 2;
    }
  }

  /** The hashes in the table that still are to be looked at. */
  #passing(): Int32Array {
    const table = this.#table;
    const passing = new Int32Array(this.#keys * 2);
    let length = 0;
    for (let at = 0; at < table.length; at += 2) {
      const first = table[at] as number;
      const last = table[at + 1] as number;
      if ((first === 0 && last === 0) || (last & (this.#weight - 1)) !== 0) continue;
      passing[length++] = first;
      passing[length++] = last;
    }
    return passing.subarray(0, length);
  }
}
