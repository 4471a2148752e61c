import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { results, startAhead } from '../../../lib/pipeline/start-ahead.ts';
import { UnitGate } from '../../../lib/pipeline/unit-gate.ts';

function counting(count: number): ReadableStream<number> {
  let next = 0;
  return new ReadableStream(
    {
      pull(controller) {
        if (next === count) controller.close();
        else controller.enqueue(next++);
      },
    },
    { highWaterMark: 0 },
  );
}

const never = new AbortController().signal;

/** Lets everything that needs no further event run. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('startAhead()', () => {
  test('gives results in the order of the input, whichever is ready first', async () => {
    const gate = new UnitGate(100, 1, never);
    const finish: (() => void)[] = [];
    const started = startAhead(counting(4), 4, async (item) => {
      await new Promise<void>((resolve) => finish.push(resolve));
      return item;
    });
    const all = Array.fromAsync(results(started, gate));
    await settle();
    for (const done of finish.reverse()) done();
    expect(await all).toEqual([0, 1, 2, 3]);
  });

  test('begins no more than the window ahead of a reader that does not read', async () => {
    const gate = new UnitGate(100, 1, never);
    let begun = 0;
    const started = startAhead(counting(1000), 5, async (item) => {
      begun++;
      return item;
    });
    const reader = results(started, gate);
    for (let read = 0; read < 3; read++) {
      await reader.next();
      await settle();
      // The window, the one with the reader and those it has read.
      expect(begun).toBeLessThanOrEqual(5 + 1 + read + 1);
      expect(begun).toBeGreaterThan(5);
    }
    await reader.return(undefined);
  });

  test('passes a failure on in its place', async () => {
    const gate = new UnitGate(100, 1, never);
    const started = startAhead(counting(5), 3, async (item) => {
      if (item === 2) throw new Error('third');
      return item;
    });
    const seen: number[] = [];
    const read = async () => {
      for await (const item of results(started, gate)) seen.push(item);
    };
    expect(await read().catch((error: Error) => error.message)).toBe('third');
    expect(seen).toEqual([0, 1]);
  });
});

describe('UnitGate', () => {
  test('lets fewer units in where they are large, but always one', async () => {
    const gate = new UnitGate(8, 1, never);
    expect(gate.capacity).toBe(8);
    gate.observe(40 * 1024 * 1024);
    expect(gate.capacity).toBe(2);
    gate.observe(1024 * 1024 * 1024);
    expect(gate.capacity).toBe(1);
  });

  test('lets units in first come, first served', async () => {
    const gate = new UnitGate(1, 1, never);
    const order: number[] = [];
    await gate.enter();
    const waiting = [1, 2, 3].map(async (unit) => {
      await gate.enter();
      order.push(unit);
      gate.leave();
    });
    gate.leave();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  test('lets those who wait go with the reason when the run is aborted', async () => {
    const run = new AbortController();
    const gate = new UnitGate(1, 1, run.signal);
    await gate.enter();
    const waiting = [gate.enter(), gate.enter()];
    const reason = new ToolError('qdrant', 'It broke.');
    run.abort(reason);
    const outcomes = await Promise.allSettled([...waiting, gate.enter()]);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toEqual([
      reason,
      reason,
      reason,
    ]);
  });
});
