/** A buffer that grows by doubling; answers are written into one and sent without another copy. */
export class ByteWriter {
  bytes: Buffer;
  length = 0;

  constructor(capacity = 1024) {
    this.bytes = takeBuffer(capacity);
  }

  /** Makes room for `size` more bytes; the caller writes at `length` and moves it. */
  reserve(size: number): Buffer {
    if (this.length + size > this.bytes.length) {
      const bigger = takeBuffer(Math.max(this.bytes.length * 2, this.length + size));
      this.bytes.copy(bigger, 0, 0, this.length);
      releaseBuffer(this.bytes);
      this.bytes = bigger;
    }
    return this.bytes;
  }

  append(source: Uint8Array): void {
    this.reserve(source.length).set(source, this.length);
    this.length += source.length;
  }

  byte(value: number): void {
    this.reserve(1)[this.length++] = value;
  }

  /** Unsigned LEB128 of an integer below 2^53. */
  varint(value: number): void {
    const bytes = this.reserve(8);
    let rest = value;
    let at = this.length;
    while (rest > 0x7f) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    bytes[at++] = rest;
    this.length = at;
  }

  ascii(text: string): void {
    const bytes = this.reserve(text.length);
    bytes.write(text, this.length, 'latin1');
    this.length += text.length;
  }

  utf8(text: string): void {
    const bytes = this.reserve(text.length * 3);
    this.length += bytes.write(text, this.length);
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

/*
 * Answers of a megabyte and more come out of this pool: fresh memory costs a page fault for every 4 KiB, as
 * much as filling it. At most 32 buffers of at most 16 MiB are kept, 512 MiB in the worst case, some 20 MiB
 * in practice.
 */
const POOLED_BUFFERS = 32;
const LARGEST_POOLED = 16 * 1024 * 1024;
const SMALLEST_POOLED = 64 * 1024;
const pool: Buffer[] = [];

function takeBuffer(capacity: number): Buffer {
  if (capacity >= SMALLEST_POOLED) {
    const at = pool.findIndex((buffer) => buffer.length >= capacity);
    if (at >= 0) return pool.splice(at, 1)[0] as Buffer;
  }
  return Buffer.allocUnsafeSlow(capacity);
}

/** Gives a writer's memory back once nothing reads it any more. */
export function releaseBuffer(buffer: Buffer): void {
  if (buffer.length < SMALLEST_POOLED || buffer.length > LARGEST_POOLED) return;
  if (pool.length === POOLED_BUFFERS) pool.shift();
  pool.push(buffer);
}
