/*
 * Protocol buffer fields, written and read by hand (https://protobuf.dev/programming-guides/encoding/): the
 * generated schemas give up on payloads nested 60 deep, which Qdrant itself sends.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

export function varintField(field: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(field * 8 + VARINT), varint(value)]);
}

export function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint(field * 8 + FIXED64), bytes]);
}

export function bytesField(field: number, ...content: readonly Uint8Array[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([varint(field * 8 + LENGTH_DELIMITED), varint(length), ...content]);
}

export function stringField(field: number, text: string): Buffer {
  return bytesField(field, Buffer.from(text));
}

/** A field as proto3 writes it: left out when it is empty. */
export function packedFloats(field: number, values: Float32Array): Buffer {
  if (values.length === 0) return Buffer.alloc(0);
  return bytesField(field, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/** As 1.16 writes vectors: every float a field of its own. */
export function unpackedFloats(field: number, values: Float32Array): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 5);
  values.forEach((value, at) => {
    bytes[at * 5] = field * 8 + FIXED32;
    bytes.writeFloatLE(value, at * 5 + 1);
  });
  return bytes;
}

export function packedVarints(field: number, values: readonly number[]): Buffer {
  return values.length === 0 ? Buffer.alloc(0) : bytesField(field, ...values.map(varint));
}

function varint(value: number | bigint): Buffer {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Buffer.from(out);
}

/** Walks a message's fields without copying. Use: `while (reader.next()) switch (reader.field) …`. */
export class FieldReader {
  field = 0;
  /** Value of a varint field as a double (exact below 2^53) and the bytes it was read from. */
  number = 0;
  /** Start and end of the field's value: a length-delimited one's content, any other's own bytes. */
  start = 0;
  end = 0;
  #at: number;

  constructor(
    readonly bytes: Uint8Array,
    start = 0,
    readonly limit: number = bytes.length,
  ) {
    this.#at = start;
  }

  next(): boolean {
    if (this.#at >= this.limit) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.#readValue(tag % 8);
    if (this.end > this.limit) throw new Error('a field reaches past the end of its message');
    this.#at = this.end;
    return true;
  }

  /** The varint as all of its 64 bits. */
  bigint(): bigint {
    let value = 0n;
    for (let at = this.end - 1; at >= this.start; at--) {
      value = (value << 7n) | BigInt((this.bytes[at] as number) & 0x7f);
    }
    return BigInt.asUintN(64, value);
  }

  text(): string {
    return Buffer.from(
      this.bytes.buffer,
      this.bytes.byteOffset + this.start,
      this.end - this.start,
    ).toString();
  }

  inner(): FieldReader {
    return new FieldReader(this.bytes, this.start, this.end);
  }

  content(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }

  #readValue(wireType: number): void {
    this.start = this.#at;
    switch (wireType) {
      case VARINT:
        this.number = this.#varint();
        this.end = this.#at;
        break;
      case LENGTH_DELIMITED: {
        const length = this.#varint();
        this.start = this.#at;
        this.end = this.#at + length;
        break;
      }
      case FIXED64:
        this.end = this.start + 8;
        break;
      case FIXED32:
        this.end = this.start + 4;
        break;
      default:
        throw new Error(`wire type ${wireType} is not one of protobuf's`);
    }
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10 && this.#at < this.limit; count++) {
      const byte = this.bytes[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new Error('a varint has no end');
  }
}
