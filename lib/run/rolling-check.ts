import { crc32 } from 'node:zlib';

/** Values are kept at multiples of this, where parts of an upload may end. */
const EDGE_BYTES = 1024 * 1024;

/**
 * A 64-bit check of all bytes of a stream so far, which can be gone on with from its value: each piece's xxHash64,
 * seeded with the one before. Bytes that come in the same chunks, from a place where a chunk began, give the same
 * value. It tells bytes that are made a second time from those that were sent, at several GB/s. With it goes a CRC-32, which
 * whoever reads all bytes can compute, whatever chunks they come in.
 */
export class RollingCheck {
  #value: bigint;
  /** Undefined in a run that goes on from a value without one, of an older version of this tool. */
  #crc32: number | undefined;
  #offset: number;
  /** By offset: those that nobody has forgotten yet. */
  readonly #edges = new Map<number, string>();

  constructor(value = '0', offset = 0) {
    const [check, crc = offset === 0 ? '0' : undefined] = value.split(' ');
    this.#value = BigInt(`0x${check}`);
    this.#crc32 = crc === undefined ? undefined : Number.parseInt(crc, 16);
    this.#offset = offset;
  }

  /** The check and the CRC-32, in hex. */
  get value(): string {
    const check = this.#value.toString(16);
    return this.#crc32 === undefined ? check : `${check} ${this.#crc32.toString(16)}`;
  }

  take(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0; ) {
      const piece = rest.subarray(0, EDGE_BYTES - (this.#offset % EDGE_BYTES));
      this.#value = Bun.hash.xxHash64(piece, this.#value);
      if (this.#crc32 !== undefined) this.#crc32 = crc32(piece, this.#crc32);
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

/** Whether values at one offset are of the same bytes. One of an older version of this tool has no CRC-32 to compare. */
export function isSameCheck(one: string | undefined, other: string | undefined): boolean {
  const [check, crc] = one?.split(' ') ?? [];
  const [otherCheck, otherCrc] = other?.split(' ') ?? [];
  return check === otherCheck && (crc === undefined || otherCrc === undefined || crc === otherCrc);
}

/** The CRC-32 that goes with a value; undefined where there is none. */
export function crc32Of(value: string | undefined): number | undefined {
  const crc = value?.split(' ')[1];
  return crc === undefined ? undefined : Number.parseInt(crc, 16);
}
