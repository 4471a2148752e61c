import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import {
  isOutgrown,
  partPool,
  planParts,
  requestGate,
  tooManyParts,
} from '../../../../lib/storage/s3/s3-parts.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

describe('planParts()', () => {
  test('planParts() takes parts of 8 MiB, four in flight, for what they suffice for', () => {
    for (const bytes of [0, 1, 100 * MIB, 39 * GIB, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(planParts(bytes)).toEqual({ partBytes: 8 * MIB, inFlight: 4, maxParts: 10_000 });
    }
  });

  test('planParts() leaves room in 10,000 parts for twice the estimate, up to the largest objects', () => {
    for (const bytes of [40 * GIB, 123_456_789_012, 500 * GIB, 2300 * GIB]) {
      const { partBytes } = planParts(bytes);
      expect(partBytes % MIB).toBe(0);
      expect(partBytes * 10_000).toBeGreaterThanOrEqual(2 * bytes);
    }
  });

  test('planParts() keeps all buffers within 64 MiB, or to two parts', () => {
    for (let bytes = GIB; bytes < 2048 * GIB; bytes *= 1.7) {
      const { partBytes, inFlight } = planParts(bytes, { partsInFlight: 16 });
      expect((inFlight + 1) * partBytes).toBeLessThanOrEqual(Math.max(64 * MIB, 2 * partBytes));
      expect(inFlight).toBeGreaterThanOrEqual(1);
    }
  });

  test('planParts() makes parts larger where the store takes fewer of them', () => {
    expect(planParts(40 * GIB, { maxParts: 1_000 }).partBytes).toBe(82 * MIB);
  });
});

test('tooManyParts() says how much would have fitted', () => {
  const error = tooManyParts('s3://b/k', { partBytes: 8 * MIB, inFlight: 4, maxParts: 10_000 });
  expect(error.message).toContain('78.1 GiB that 10000 parts of 8 MiB');
});

describe('partPool()', () => {
  test('partPool() makes no more buffers than it may and hands them on', async () => {
    const pool = partPool(16, 2, new AbortController().signal);
    const first = await pool.take();
    const second = await pool.take();
    expect(second).not.toBe(first);
    const third = pool.take();
    expect(Bun.peek.status(third)).toBe('pending');
    pool.give(first);
    expect(await third).toBe(first);
  });

  test('partPool() lets no one wait once the signal aborts', async () => {
    const controller = new AbortController();
    const pool = partPool(16, 1, controller.signal);
    await pool.take();
    const waiting = pool.take().catch((reason) => reason);
    controller.abort('enough');
    expect(await waiting).toBe('enough');
    expect(await pool.take().catch((reason) => reason)).toBe('enough');
  });
});

describe('requestGate()', () => {
  test('requestGate() lets in as many as its width, in order', async () => {
    const gate = requestGate(2, new AbortController().signal);
    const [leave] = await Promise.all([gate.enter(), gate.enter()]);
    const third = gate.enter();
    const fourth = gate.enter();
    leave?.();
    await third;
    expect(Bun.peek.status(fourth)).toBe('pending');
  });

  test('requestGate() narrows to two, no further', async () => {
    const gate = requestGate(5, new AbortController().signal);
    for (let times = 0; times < 9; times++) gate.narrow();
    await gate.enter();
    await gate.enter();
    expect(Bun.peek.status(gate.enter())).toBe('pending');
  });

  test('requestGate() lets no one wait once the signal aborts', async () => {
    const controller = new AbortController();
    const gate = requestGate(1, controller.signal);
    await gate.enter();
    const waiting = gate.enter().catch((reason) => reason);
    controller.abort('enough');
    expect(await waiting).toBe('enough');
  });
});

test('isOutgrown() knows the error of tooManyParts() from others', () => {
  const plan = { partBytes: 8 * MIB, inFlight: 4, maxParts: 10_000 };
  expect(isOutgrown(tooManyParts('s3://b/k', plan))).toBe(true);
  expect(isOutgrown(new ToolError('store', 'anything else'))).toBe(false);
});
