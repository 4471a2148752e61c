import { describe, expect, test } from 'bun:test';
import { BufferPool } from '../../../../lib/writers/parquet/buffer-pool.ts';

const MIB = 1024 * 1024;

describe('BufferPool', () => {
  test('gives a buffer again to who needs about as much', () => {
    const pool = new BufferPool(4, 2 * MIB);
    const first = pool.take(MIB);
    pool.release(first);
    expect(pool.take(MIB - 40_000)).toBe(first);
  });

  test('never gives one that is more than twice as large as what fits, nor one that is too small', () => {
    const pool = new BufferPool(4, 2 * MIB);
    const large = pool.take(2 * MIB);
    const small = pool.take(MIB / 4);
    pool.release(large);
    pool.release(small);
    for (const bytes of [MIB / 2, MIB / 2 + 1, MIB - 70_000]) {
      const buffer = pool.take(bytes);
      expect(buffer.length).toBeGreaterThanOrEqual(bytes);
      expect(buffer.length).toBeLessThan(1.07 * bytes);
    }
  });

  test('rounds sizes up by a sixteenth at most, and by no more than 64 KiB', () => {
    const pool = new BufferPool(4, 2 * MIB);
    for (const bytes of [1000, 1025, 16_385, 99_999, MIB - 1, MIB + 1, 3 * MIB + 5, 50 * MIB + 1]) {
      const { length } = pool.take(bytes);
      expect(length).toBeGreaterThanOrEqual(bytes);
      expect(length - bytes).toBeLessThanOrEqual(Math.min(Math.max(64, bytes / 16), 64 * 1024));
    }
    expect(pool.take(0).length).toBe(0);
  });

  test('keeps idle buffers up to its bytes, however many they are, and drops the one idle longest', () => {
    const pool = new BufferPool(2, MIB);
    const buffers = Array.from({ length: 9 }, () => pool.take(MIB / 4));
    for (const buffer of buffers) pool.release(buffer);
    // Its memory is gone at once: nobody can look at it.
    expect(buffers.map(({ length }) => length)).toEqual([0, ...Array.from({ length: 8 }, () => MIB / 4)]);
    expect(buffers.slice(1).map(() => buffers.indexOf(pool.take(MIB / 4)))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(buffers).not.toContain(pool.take(MIB / 4));
    // Those that were lent count no longer: there is room for all again.
    for (const buffer of buffers.slice(1)) pool.release(buffer);
    expect(buffers.map(({ length }) => length)).toEqual([0, ...Array.from({ length: 8 }, () => MIB / 4)]);
  });

  test('keeps none that is larger than it may, or too small to be worth it', () => {
    const pool = new BufferPool(4, MIB);
    for (const bytes of [MIB + 1, 100]) {
      const buffer = pool.take(bytes);
      pool.release(buffer);
      expect(buffer.length).toBe(0);
    }
  });
});
