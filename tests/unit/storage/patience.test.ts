import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { Limits } from '../../../lib/storage/attempt.ts';
import { bodyTimeoutMs, cleanUp, PATIENCE } from '../../../lib/storage/patience.ts';

const never = new AbortController().signal;
const aborted = AbortSignal.abort(new ToolError('cancelled', 'enough'));

test('PATIENCE leaves a cancelled run at least 0.2 s of its 2 s', () => {
  expect(PATIENCE.graceMs).toBeLessThanOrEqual(1_000);
  expect(PATIENCE.graceMs + PATIENCE.cancelledCleanupMs).toBeLessThanOrEqual(1_800);
});

test('bodyTimeoutMs() gives a body as long as the slowest line needs, and never less than a request has', () => {
  expect(bodyTimeoutMs(0, PATIENCE)).toBe(30_000);
  expect(bodyTimeoutMs(64 * 1024 * 1024, PATIENCE)).toBe(256_000);
});

describe('cleanUp()', () => {
  const limitsFor = (run: AbortSignal, steps: number): Promise<Limits> =>
    cleanUp(PATIENCE, run, steps, async (limits) => limits);
  /** Work that ends when it is cut, and only then. */
  const untilCut = ({ signal }: Limits) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

  test('cleanUp() gives a request a third of the time, so that it can be sent again', async () => {
    for (const steps of [1, 2]) {
      expect((await limitsFor(never, steps)).timeoutMs).toBe(PATIENCE.cleanupMs / 3);
    }
  });

  test('cleanUp() gives all steps of a cancelled run together what one has', async () => {
    expect((await limitsFor(aborted, 1)).timeoutMs).toBe(PATIENCE.cancelledCleanupMs);
    expect((await limitsFor(aborted, 2)).timeoutMs).toBe(PATIENCE.cancelledCleanupMs / 2);
  });

  for (const [name, patience, run] of [
    ['its time is up', { ...PATIENCE, cleanupMs: 5, cancelledCleanupMs: 1e6 }, never],
    ['the run is cancelled already', { ...PATIENCE, cleanupMs: 1e6, cancelledCleanupMs: 5 }, aborted],
  ] as const) {
    test(`cleanUp() cuts the work when ${name}`, async () => {
      const error = await cleanUp(patience, run, 1, untilCut).catch((thrown) => thrown);
      expect(error.message).toBe('the store did not answer in time');
    });
  }

  test('cleanUp() cuts work that is under way soon after the run is cancelled', async () => {
    const controller = new AbortController();
    const patience = { ...PATIENCE, cleanupMs: 1e6, cancelledCleanupMs: 5 };
    const work = cleanUp(patience, controller.signal, 1, untilCut).catch((thrown) => thrown);
    controller.abort();
    expect((await work).message).toBe('the store did not answer in time');
  });

  test('cleanUp() does not end with the run itself', async () => {
    const { signal } = await limitsFor(aborted, 1);
    expect(signal.aborted).toBe(false);
  });
});
