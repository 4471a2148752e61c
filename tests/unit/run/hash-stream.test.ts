import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { hashParts } from '../../../lib/run/hash-stream.ts';
import { memoryDisk } from '../../support/memory-work-folder.ts';

const MIB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => new Bun.CryptoHasher('sha256').update(bytes).digest('hex');

function hashed(
  bytes: Uint8Array<ArrayBuffer>,
  lengths: readonly number[],
  signal = new AbortController().signal,
) {
  const told: number[] = [];
  const work = memoryDisk(new Map([['file', bytes]])).open();
  return hashParts(work, 'file', lengths, signal, (done) => void told.push(done)).then((hashes) => ({
    ...hashes,
    told,
  }));
}

describe('hashParts()', () => {
  const file = crypto.getRandomValues(new Uint8Array(64 * 1024)).toBase64();
  const bytes = new Uint8Array(Buffer.from(file.repeat(3)));

  for (const cuts of [
    [0, bytes.length],
    [0, 1, 2, 64 * 1024, 64 * 1024 + 1, bytes.length - 1, bytes.length],
    [0, 128 * 1024, bytes.length],
  ]) {
    test(`hashes the whole and the stretches between ${cuts.join(', ')}`, async () => {
      const lengths = cuts.slice(1).map((end, index) => end - (cuts[index] ?? 0));
      const { whole, parts, told } = await hashed(bytes, lengths);
      expect(whole).toBe(sha256(bytes));
      expect(parts).toEqual(
        lengths.map((length, index) => sha256(bytes.subarray(cuts[index] ?? 0, (cuts[index] ?? 0) + length))),
      );
      expect(told.at(-1)).toBe(bytes.length);
    });
  }

  test('hashes a large file with its thread', async () => {
    const large = new Uint8Array(20 * MIB).fill(7);
    const { whole, parts } = await hashed(large, [19 * MIB, MIB]);
    expect([whole, ...parts]).toEqual([
      sha256(large),
      sha256(large.subarray(MIB)),
      sha256(large.subarray(0, MIB)),
    ]);
  });

  test('gives another whole where there are bytes behind the last stretch', async () => {
    const { whole, parts } = await hashed(bytes, [10]);
    expect(whole).toBe(sha256(bytes));
    expect(parts).toEqual([sha256(bytes.subarray(0, 10))]);
  });

  test('stops when the run does', async () => {
    const stop = AbortSignal.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
    const failure = await hashed(bytes, [bytes.length], stop).catch((error: unknown) => error);
    expect((failure as ToolError).message).toBe('Stopped by Ctrl+C.');
  });
});
