import { describe, expect, test } from 'bun:test';
import { crc32 } from 'node:zlib';
import { crc32Of, RollingCheck } from '../../../lib/run/rolling-check.ts';

const MIB = 1024 * 1024;

/** Chunks of odd sizes, 3 MiB and a little in all. */
function chunks(): Uint8Array[] {
  const bytes = new Uint8Array(3 * MIB + 12_345).map((_, index) => index % 251);
  const cuts: Uint8Array[] = [];
  for (let from = 0, size = 1; from < bytes.length; from += size, size = (size * 7 + 13) % 200_003) {
    cuts.push(bytes.subarray(from, from + size));
  }
  return cuts;
}

describe('RollingCheck', () => {
  test('has the same values when it goes on from one of its own', () => {
    const whole = new RollingCheck();
    const all = chunks();
    const half = all.length >> 1;
    let offset = 0;
    for (const chunk of all.slice(0, half)) {
      whole.take(chunk);
      offset += chunk.length;
    }
    const rest = new RollingCheck(whole.value, offset);
    for (const chunk of all.slice(half)) for (const check of [whole, rest]) check.take(chunk);
    expect(rest.value).toBe(whole.value);
    expect(whole.at(MIB)).toBeString();
    expect(rest.at(3 * MIB)).toBe(whole.at(3 * MIB) as string);
    expect(whole.at(MIB)).not.toBe(whole.at(2 * MIB));
    expect(whole.at(MIB + 1)).toBeUndefined();
  });

  test('tells a single byte that is another, in every value after it', () => {
    const [one, other] = [new RollingCheck(), new RollingCheck()];
    for (const [index, chunk] of chunks().entries()) {
      one.take(chunk);
      const changed = chunk.slice();
      if (index === 3) changed[0] = (changed[0] as number) ^ 1;
      other.take(changed);
    }
    for (const offset of [MIB, 2 * MIB, 3 * MIB]) expect(one.at(offset)).not.toBe(other.at(offset));
    expect(one.value).not.toBe(other.value);
  });

  test('forgets values that nobody wants any more', () => {
    const check = new RollingCheck();
    for (const chunk of chunks()) check.take(chunk);
    check.forgetBefore(2 * MIB);
    expect(check.at(MIB)).toBeUndefined();
    expect(check.at(2 * MIB)).toBeString();
  });

  test('has the CRC-32 of all bytes with it, however they came, and in a check that goes on', () => {
    const all = chunks();
    const whole = crc32(Buffer.concat(all));
    const first = new RollingCheck();
    let offset = 0;
    for (const chunk of all.slice(0, 3)) {
      first.take(chunk);
      offset += chunk.length;
    }
    const rest = new RollingCheck(first.value, offset);
    for (const chunk of all.slice(3)) rest.take(chunk);
    expect(crc32Of(rest.value)).toBe(whole);
  });

  test('has none where it goes on from a value that had none', () => {
    const check = new RollingCheck('abc', 5);
    check.take(new Uint8Array(7));
    expect(crc32Of(check.value)).toBeUndefined();
    expect(crc32Of(undefined)).toBeUndefined();
  });
});
