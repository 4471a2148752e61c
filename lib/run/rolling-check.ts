/** Values are kept at multiples of this, where parts of an upload may end. */
const EDGE_BYTES = 1024 * 1024;

/**
 * A 64-bit check of all bytes of a stream so far, which can be gone on with from its value: each piece's xxHash64,
 * seeded with the one before. Bytes that come in the same chunks, from a place where a chunk began, give the same
 * value. It tells bytes that are made a second time from those that were sent, at several GB/s.
 */
export class RollingCheck {
  #value: bigint;
  #offset: number;
  /** By offset: those that nobody has forgotten yet. */
  readonly #edges = new Map<number, string>();

  constructor(value = '0', offset = 0) {
    this.#value = BigInt(`0x${value}`);
    this.#offset = offset;
  }

  /** In hex. */
  get value(): string {
    return this.#value.toString(16);
  }

  take(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0; ) {
      const piece = rest.subarray(0, EDGE_BYTES - (this.#offset % EDGE_BYTES));
      this.#value = Bun.hash.xxHash64(piece, this.#value);
      this.#offset += piece.length;
      if (this.#offset % EDGE_BYTES === 0) this.#edges.set(this.#offset, this.value);
      rest = rest.subarray(piece.length);
    }
  }

  /** The value when so many bytes had been taken; undefined where that is no multiple of 1 MiB, or forgotten. */
  at(offset: number): string | undefined {
    return this.#edges.get(offset);
  }

  forgetBefore(offset: number): void {
    for (const edge of this.#edges.keys()) if (edge < offset) this.#edges.delete(edge);
  }
}
