import type { TextColumn } from '../batch.ts';

/*
 * Two lanes of MurmurHash3's 32-bit block step with constants of their own, which its finalizers then mix with
 * one another. Of two different texts, both lanes are the same with a chance of about 2^-64.
 */
const SEED_A = 0x2545f491;
const SEED_B = 0x6c078965;

/** A hash of 64 bits of each of the first `rows` texts: words 2i and 2i + 1 are row i's. */
export function keyHashes(texts: TextColumn, rows: number): Int32Array<ArrayBuffer> {
  const { bytes } = texts;
  const hashes = new Int32Array(rows * 2);
  for (let row = 0, at = 0; row < rows; row++) {
    const end = texts.end(row);
    const length = end - at;
    let a = SEED_A ^ length;
    let b = SEED_B ^ length;
    for (; at < end; at += 4) {
      const word = wordAt(bytes, at, end);
      a ^= Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
      a = (Math.imul(rotate(a, 13), 5) + 0xe6546b64) | 0;
      b ^= Math.imul(rotate(Math.imul(word, 0x239b961b), 17), 0x38b34ae5);
      b = (Math.imul(rotate(b, 19), 5) + 0x561ccd1b) | 0;
    }
    at = end;
    a = finish((a + b) | 0);
    b = finish((b + a) | 0);
    hashes[2 * row] = (a + b) | 0;
    hashes[2 * row + 1] = b;
  }
  return hashes;
}

/** Up to four bytes, little-endian; fewer at the text's end. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  let word = bytes[at] as number;
  if (at + 1 < end) word |= (bytes[at + 1] as number) << 8;
  if (at + 2 < end) word |= (bytes[at + 2] as number) << 16;
  if (at + 3 < end) word |= (bytes[at + 3] as number) << 24;
  return word;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** MurmurHash3's fmix32: every bit of the word decides over every bit of the result. */
function finish(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
