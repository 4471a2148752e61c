import { ToolError } from '../errors.ts';

/** Wire types (protobuf.dev/programming-guides/encoding, "Message Structure"). */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const FIXED32 = 5;

/** Tags of the key and the value in the entries of a map with text for keys (the same guide, "Maps"). */
export const ENTRY_KEY = (1 << 3) | LENGTH;
export const ENTRY_VALUE = (2 << 3) | LENGTH;

/**
 * Reads protobuf fields one after the other out of one buffer, without objects on the way: `tag` says which
 * field comes, then exactly one of the other methods takes or skips it. Every length is checked against the
 * end of the message it lies in.
 */
export class ProtoReader {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** Field number << 3 | wire type. Fields of Qdrant's answers have numbers below 2^28. */
  tag(): number {
    return this.varint32();
  }

  /** An unsigned varint of up to 32 bits; higher bits are refused, as no length or tag has them. */
  varint32(): number {
    const { bytes } = this;
    let byte = bytes[this.at++];
    if (byte === undefined) throw malformed();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let factor = 0x80; factor <= 0x10000000; factor *= 0x80) {
      byte = bytes[this.at++];
      if (byte === undefined) throw malformed();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > 0xffffffff) throw malformed();
        return value;
      }
    }
    throw malformed();
  }

  /** A varint of up to 64 bits as an unsigned number in decimal. */
  uint64Text(): string {
    this.#varint64();
    // Below 2^53 a double is exact.
    if (this.#high < 0x200000) return String(this.#high * 0x100000000 + this.#low);
    return String((BigInt(this.#high) << 32n) | BigInt(this.#low));
  }

  /** A varint of up to 64 bits as a signed number in decimal (int64: two's complement). */
  int64Text(): string {
    this.#varint64();
    if (this.#high < 0x200000) return String(this.#high * 0x100000000 + this.#low);
    return String(BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low)));
  }

  #low = 0;
  #high = 0;

  #varint64(): void {
    const { bytes } = this;
    let low = 0;
    let high = 0;
    for (let index = 0; index < 10; index++) {
      const byte = bytes[this.at++];
      if (byte === undefined) throw malformed();
      const bits = byte & 0x7f;
      // Seven bits a byte: four bytes fill 28 bits of the low word, the fifth is shared.
      if (index < 4) low += bits * 2 ** (7 * index);
      else if (index === 4) {
        low += (bits & 0x0f) * 2 ** 28;
        high = bits >> 4;
      } else high += bits * 2 ** (7 * index - 32);
      if (byte < 0x80) {
        if (high > 0xffffffff) throw malformed();
        this.#low = low;
        this.#high = high;
        return;
      }
    }
    throw malformed();
  }

  double(): number {
    const { at } = this;
    this.#move(8, this.bytes.length);
    return this.bytes.readDoubleLE(at);
  }

  /** End offset of the length-delimited field that begins here, which must lie within `limit`. */
  lengthEnd(limit: number): number {
    const end = this.varint32() + this.at;
    if (end > limit) throw malformed();
    return end;
  }

  skip(tag: number, limit: number): void {
    switch (tag & 7) {
      case VARINT:
        this.#varint64();
        break;
      case FIXED64:
        this.#move(8, limit);
        break;
      case LENGTH:
        this.at = this.lengthEnd(limit);
        break;
      case FIXED32:
        this.#move(4, limit);
        break;
      default:
        // Groups are not used by Qdrant.
        throw malformed();
    }
    if (this.at > limit) throw malformed();
  }

  /** To be called when a message was read: it must have ended where its length said. */
  ended(limit: number): void {
    if (this.at !== limit) throw malformed();
  }

  #move(bytes: number, limit: number): void {
    this.at += bytes;
    if (this.at > limit) throw malformed();
  }
}

/** Bytes that are not the message they should be. */
export function malformed(cause?: unknown): ToolError {
  return new ToolError('qdrant', 'Cannot read an answer of Qdrant over gRPC: its bytes are malformed.', {
    cause,
  });
}
