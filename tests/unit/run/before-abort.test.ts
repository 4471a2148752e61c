import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { beforeAbort } from '../../../lib/run/before-abort.ts';
import { within } from '../../../lib/run/within.ts';

const never = new Promise<never>(() => {});
const stopped = new ToolError('cancelled', 'Stopped.');

describe('beforeAbort()', () => {
  test('is what the promise comes to', async () => {
    const { signal } = new AbortController();
    expect(await beforeAbort(Promise.resolve(1), signal)).toBe(1);
    const failure = new Error('no');
    expect(await beforeAbort(Promise.reject(failure), signal).catch((error: unknown) => error)).toBe(failure);
  });

  test('rejects with the reason when the signal aborts first, or did already', async () => {
    const stop = new AbortController();
    const waiting = beforeAbort(never, stop.signal).catch((error: unknown) => error);
    stop.abort(stopped);
    expect(await waiting).toBe(stopped);
    expect(await beforeAbort(never, stop.signal).catch((error: unknown) => error)).toBe(stopped);
  });

  test('leaves no rejection that nobody hears', async () => {
    const stop = new AbortController();
    const late = Promise.withResolvers<void>();
    const waiting = beforeAbort(late.promise, stop.signal).catch((error: unknown) => error);
    stop.abort(stopped);
    expect(await waiting).toBe(stopped);
    // Would fail the test, as any rejection that nobody handles.
    late.reject(new Error('too late'));
    await new Promise(setImmediate);
  });
});

describe('within()', () => {
  test('waits for the promise, whatever becomes of it', async () => {
    let done = false;
    const work = new Promise(setImmediate).then(() => {
      done = true;
      throw new Error('no');
    });
    await within(work, 10_000);
    expect(done).toBe(true);
  });

  test('waits no longer than that', async () => {
    await within(never, 1);
  });
});
