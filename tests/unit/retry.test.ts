import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { parseRetryAfter, type RetryNotice, retry, sleep } from '../../lib/retry.ts';

const signal = new AbortController().signal;
const QUICK = { attempts: 4, baseMs: 1, capMs: 2 };
const passing = (retryAfterMs?: number) => new ToolError('qdrant', 'busy', { remedy: 'again', retryAfterMs });

async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('retry()', () => {
  test('repeats what can pass until it passes', async () => {
    let calls = 0;
    const answer = await retry(
      async () => {
        if (++calls < 3) throw passing();
        return 'answer';
      },
      signal,
      QUICK,
    );
    expect(answer).toBe('answer');
    expect(calls).toBe(3);
  });

  test("gives up with the last error after the policy's attempts", async () => {
    let calls = 0;
    const failing = async () => {
      throw new ToolError('qdrant', `busy ${++calls}`, { remedy: 'again' });
    };
    const error = await thrownBy(retry(failing, signal, QUICK));
    expect((error as ToolError).message).toBe('busy 4');
  });

  for (const remedy of ['none', 'smaller'] as const) {
    test(`does not repeat an error with the remedy ${remedy}`, async () => {
      let calls = 0;
      const refused = new ToolError('qdrant', 'no', { remedy });
      const failing = async () => {
        calls++;
        throw refused;
      };
      expect(await thrownBy(retry(failing, signal, QUICK))).toBe(refused);
      expect(calls).toBe(1);
    });
  }

  test('waits at least as long as the server asks, and does not count that as an attempt', async () => {
    const notices: RetryNotice[] = [];
    let calls = 0;
    await retry(
      async () => {
        if (++calls <= 10) throw passing(3);
      },
      signal,
      QUICK,
      (notice) => notices.push(notice),
    );
    expect(calls).toBe(11);
    for (const { waitMs } of notices) expect(waitMs).toBeGreaterThanOrEqual(3);
  });

  test('stops waiting for a server that asks for ever', async () => {
    let calls = 0;
    const failing = async () => {
      calls++;
      throw passing(0);
    };
    expect(await thrownBy(retry(failing, signal, QUICK))).toBeInstanceOf(ToolError);
    expect(calls).toBe(121);
  });

  test('pauses a random part of a time that doubles up to the cap', async () => {
    const waits: number[] = [];
    const failing = () => Promise.reject(passing());
    const policy = { attempts: 6, baseMs: 1, capMs: 4 };
    await thrownBy(retry(failing, signal, policy, ({ waitMs }) => waits.push(waitMs)));
    expect(waits).toHaveLength(5);
    for (const [index, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(Math.min(4, 2 ** index));
  });

  test('ends a pause with the reason as soon as the signal aborts', async () => {
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'stop');
    const hour = { attempts: 2, baseMs: 3_600_000, capMs: 3_600_000 };
    const waiting = retry(
      () => Promise.reject(passing(3_600_000)),
      controller.signal,
      hour,
      () => queueMicrotask(() => controller.abort(reason)),
    );
    expect(await thrownBy(waiting)).toBe(reason);
  });
});

describe('sleep()', () => {
  test('rejects at once when the signal has aborted already', async () => {
    const reason = new ToolError('cancelled', 'stop');
    expect(await thrownBy(sleep(3_600_000, AbortSignal.abort(reason)))).toBe(reason);
  });
});

describe('parseRetryAfter()', () => {
  const now = Date.UTC(2026, 0, 1);
  for (const [text, expected] of [
    ['60', 60_000],
    [' 1.5 ', 1_500],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Thu, 01 Jan 2015 00:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
    [null, undefined],
  ] as const) {
    test(`reads ${JSON.stringify(text)}`, () => {
      expect(parseRetryAfter(text, now)).toBe(expected);
    });
  }
});
