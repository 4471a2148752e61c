import { heapStats } from 'bun:jsc';
import { describe, expect, test } from 'bun:test';
import { TextColumn } from '../../../lib/batch.ts';
import { keyHashes } from '../../../lib/writers/key-hashes.ts';
import { KeyTracker } from '../../../lib/writers/key-tracker.ts';
import { seeded } from '../../support/batches.ts';

/** Hashes of keys as a unit of rows brings them. */
function hashesOf(keys: readonly string[]): Int32Array {
  const texts = new TextColumn(keys.length, 4);
  for (const [row, key] of keys.entries()) {
    const bytes = new TextEncoder().encode(key);
    texts.reserve(bytes.length).set(bytes, texts.length);
    texts.length += bytes.length;
    texts.ends[row] = texts.length;
  }
  return keyHashes(texts, keys.length);
}

/** Adds `count` keys in units of 1,000, the key with each number being `keyOf` of it. */
function addKeys(tracker: KeyTracker, count: number, keyOf: (number: number) => string): void {
  for (let from = 0; from < count; from += 1000) {
    const size = Math.min(1000, count - from);
    tracker.add(hashesOf(Array.from({ length: size }, (_, i) => keyOf(from + i))));
  }
}

/** Random hashes, which stand for as many different keys. */
function randomHashes(random: () => number, count: number): Int32Array {
  return Int32Array.from({ length: count * 2 }, () => random() * 2 ** 32);
}

describe('keyHashes()', () => {
  test('gives the same key the same hash wherever it lies, and other keys other ones', () => {
    const keys = [
      '',
      'a',
      'b',
      'ab',
      'ba',
      'abc',
      'abcd',
      'abcde',
      'abcdf',
      '\0',
      '\0\0',
      '\0\0\0\0',
      'ключ',
      '7',
      '07',
    ];
    const hashes = hashesOf([...keys, ...keys.toReversed()]);
    const textOf = (row: number) => `${hashes[2 * row]} ${hashes[2 * row + 1]}`;
    for (const [row] of keys.entries()) expect(textOf(2 * keys.length - 1 - row)).toBe(textOf(row));
    expect(new Set(keys.map((_, row) => textOf(row))).size).toBe(keys.length);
  });

  test('spreads numbers and UUIDs evenly over the bits that decide over slots and samples', () => {
    const random = seeded(5);
    const hex = () => Math.floor(random() * 16).toString(16);
    const uuids = Array.from({ length: 8192 }, () =>
      '00000000-0000-4000-8000-000000000000'.replace(/0/g, hex),
    );
    const numbers = Array.from({ length: 8192 }, (_, index) => String(1_000_000 + index));
    for (const keys of [uuids, numbers]) {
      const hashes = hashesOf(keys);
      const slots = new Map<number, number>();
      const samples = new Map<number, number>();
      for (let i = 0; i < hashes.length; i += 2) {
        const slot = (hashes[i] as number) >>> 26;
        const sample = (hashes[i + 1] as number) & 63;
        slots.set(slot, (slots.get(slot) ?? 0) + 1);
        samples.set(sample, (samples.get(sample) ?? 0) + 1);
      }
      // Of 8,192 keys 128 belong in each of 64 places; six times the binomial deviation is 67.
      for (const counts of [slots, samples]) {
        expect(counts.size).toBe(64);
        for (const count of counts.values()) expect(Math.abs(count - 128)).toBeLessThan(67);
      }
    }
  });
});

describe('KeyTracker', () => {
  test('counts exactly the rows whose key a row before them has', () => {
    const tracker = new KeyTracker();
    tracker.add(hashesOf(['a', 'b', 'a']));
    expect(tracker).toMatchObject({ duplicates: 1, exact: true });
    tracker.add(hashesOf(['a', 'c', 'b', '']));
    tracker.add(hashesOf(['']));
    expect(tracker).toMatchObject({ duplicates: 4, exact: true });
  });

  test('finds no duplicate among 2^20 different keys, numbers and UUID-like texts, and is exact', () => {
    const tracker = new KeyTracker();
    const uuid = (number: number) => `0b2f4a9e-77aa-4b5b-9c1d-${number.toString(16).padStart(12, '0')}`;
    addKeys(tracker, 2 ** 20, (number) => (number % 2 === 0 ? String(number) : uuid(number)));
    expect(tracker).toMatchObject({ duplicates: 0, exact: true });
  });

  test('counts each of 2^20 keys that come twice, and three that come once more', () => {
    const tracker = new KeyTracker();
    for (const _ of [1, 2]) addKeys(tracker, 2 ** 20, String);
    addKeys(tracker, 3, String);
    expect(tracker).toMatchObject({ duplicates: 2 ** 20 + 3, exact: true });
  });

  test('says that it estimates from the first key beyond its bound on', () => {
    const tracker = new KeyTracker(10);
    addKeys(tracker, 1024, String);
    expect(tracker.exact).toBe(true);
    tracker.add(hashesOf(['one more']));
    expect(tracker.exact).toBe(false);
  });

  test('takes the two hashes that are nearest to a free slot for keys like others', () => {
    const tracker = new KeyTracker();
    tracker.add(Int32Array.of(0, 0, 0, 1, 5, 0));
    expect(tracker.duplicates).toBe(0);
    tracker.add(Int32Array.of(0, 0, 0, 1, 5, 0));
    expect(tracker.duplicates).toBe(3);
  });

  for (const seed of [1, 2, 3]) {
    test(`estimates duplicates of 40 times as many keys as it holds within six deviations, seed ${seed}`, () => {
      const tracker = new KeyTracker(12);
      const random = seeded(seed);
      const twice = randomHashes(random, 20_000);
      tracker.add(twice);
      tracker.add(randomHashes(random, 140_000));
      tracker.add(twice);
      // 160,000 keys are held to 4,096 by six zero bits: each of the 20,000 is looked at with a chance of 1/64.
      const deviation = Math.sqrt(20_000 * (1 / 64) * (63 / 64)) * 64;
      expect(tracker.exact).toBe(false);
      expect(Math.abs(tracker.duplicates - 20_000)).toBeLessThan(6 * deviation);
      expect(tracker.duplicates).not.toBe(20_000);
    });
  }

  test('finds no duplicates where there are none, however many keys there are', () => {
    const tracker = new KeyTracker(8);
    const random = seeded(4);
    for (let unit = 0; unit < 100; unit++) tracker.add(randomHashes(random, 1000));
    expect(tracker).toMatchObject({ duplicates: 0, exact: false });
  });

  for (const hash of [0b1000000, 0b1000001]) {
    test(`holds one key of half of all rows to what the number of different keys leaves, hash …${hash.toString(2)}`, () => {
      const tracker = new KeyTracker(12);
      const random = seeded(6);
      // Looked at or not, the rows of this one key would make the estimate nearly 0 or many times too large.
      const one = Int32Array.of(1, hash);
      for (let unit = 0; unit < 100; unit++) {
        tracker.add(randomHashes(random, 1000));
        for (let row = 0; row < 1000; row++) tracker.add(one);
      }
      // Six deviations of the number of different keys: at least 2,048 are held.
      expect(Math.abs(tracker.duplicates - 100_000)).toBeLessThan(100_000 * (12 / Math.sqrt(2048)));
    });
  }

  test('is brought to the state of another one by its log, also where that looks at few keys', () => {
    const one = new KeyTracker(8, true);
    const random = seeded(9);
    const twice = randomHashes(random, 5_000);
    const log: number[] = [];
    for (const unit of [twice, randomHashes(random, 20_000), twice.subarray(0, 4_000)]) {
      one.add(unit);
      log.push(...one.takeLog());
    }
    const other = new KeyTracker(8, true);
    other.restore(Int32Array.from(log), one.rows);
    expect(other.takeLog()).toHaveLength(0);
    const rest = [twice.subarray(4_000), randomHashes(random, 3_000)];
    for (const unit of rest) for (const tracker of [one, other]) tracker.add(unit);
    expect(other).toMatchObject({ rows: one.rows, duplicates: one.duplicates, exact: false });
    expect(other.takeLog()).toEqual(one.takeLog());
    // Few keys are looked at once there are many.
    expect(log.length / 2).toBeLessThan(4_000);
    expect(one.duplicates).toBeGreaterThan(0);
  });

  test('takes no more memory for 3 million keys than for none', () => {
    const tracker = new KeyTracker();
    const random = seeded(7);
    const unit = randomHashes(random, 1000);
    tracker.add(unit);
    const bytesOf = () => {
      Bun.gc(true);
      const { heapSize, extraMemorySize } = heapStats();
      return heapSize + extraMemorySize;
    };
    const before = bytesOf();
    for (let round = 0; round < 3000; round++) {
      for (let i = 0; i < unit.length; i++) unit[i] = random() * 2 ** 32;
      tracker.add(unit);
    }
    expect(tracker.exact).toBe(false);
    expect(bytesOf() - before).toBeLessThan(1024 * 1024);
  });
});
