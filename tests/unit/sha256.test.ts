import { afterEach, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { peek } from 'bun';
import { ToolError } from '../../lib/errors.ts';
import { type Sha256, startSha256 } from '../../lib/sha256.ts';
import { MIB, patternOf } from '../support/byte-body.ts';

const LARGE = 1024 * MIB;
/** What sha256.ts says may wait to be hashed. */
const RING_BYTES = 4 * MIB;

const started: Sha256[] = [];
function start(expectedBytes: number, startThread?: () => Worker): Sha256 {
  const sha256 = startSha256(expectedBytes, startThread);
  started.push(sha256);
  return sha256;
}
afterEach(() => {
  for (const sha256 of started.splice(0)) sha256.close();
});

/** A thread of another make. */
function threadOf(source: string): () => Worker {
  return () => new Worker(URL.createObjectURL(new Blob([source], { type: 'application/javascript' })));
}

/** Answers as the real one does, but without a look at the bytes: its digest is what `hex` is then. */
const thread = (onSlot: string, hex = "'none'") => `
  self.onmessage = ({ data: { kind, start, end } }) => {
    if (kind === 'ring') self.postMessage({ kind: 'started' });
    if (kind === 'slot') { ${onSlot} }
    if (kind === 'digest') self.postMessage({ kind: 'digest', hex: ${hex} });
  };`;
const HASHED = "self.postMessage({ kind: 'hashed' });";

/** Gives the bytes in chunks of these lengths, over and over, each in a buffer that is overwritten at once. */
async function hash(sha256: Sha256, bytes: Uint8Array, lengths: readonly number[]): Promise<string> {
  for (let given = 0, turn = 0; given < bytes.length; turn++) {
    const chunk = bytes.slice(given, given + (lengths[turn % lengths.length] as number));
    given += chunk.length;
    await sha256.update(chunk);
    chunk.fill(0xee);
  }
  return sha256.digest();
}

function expected(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function failure(work: Promise<unknown> | undefined): Promise<ToolError> {
  const error = await Promise.resolve(work).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
}

describe('startSha256()', () => {
  for (const [where, expectedBytes] of [
    ['in place', 0],
    ['on a thread', LARGE],
  ] as const) {
    describe(where, () => {
      for (const lengths of [
        [1000],
        [0, 1, 0, 65_537],
        [MIB],
        [MIB - 1, MIB + 1, 1],
        [RING_BYTES],
        [3 * MIB + 7, 2],
        [9 * MIB + 1],
        [40 * MIB],
      ]) {
        test(`gives the hash of the bytes in chunks of ${lengths.join(', ')}, whatever becomes of the chunks`, async () => {
          const bytes = patternOf(17 * MIB + 12_345);
          expect(await hash(start(expectedBytes), bytes, lengths)).toBe(expected(bytes));
        });
      }

      test('gives the hash of few bytes and of none', async () => {
        for (const length of [0, 1, MIB - 1, MIB, MIB + 1, RING_BYTES]) {
          const bytes = patternOf(length);
          expect(await hash(start(expectedBytes), bytes, [length])).toBe(expected(bytes));
        }
      });

      test('gives the hash again when it is asked again or was closed, and takes nothing more', async () => {
        const sha256 = start(expectedBytes);
        await sha256.update(patternOf(10));
        const hex = await sha256.digest();
        sha256.close();
        sha256.close();
        expect(await sha256.digest()).toBe(hex);
        await expect(sha256.update(patternOf(10))).rejects.toThrow('after digest()');
      });

      test('rejects as cancelled when it is closed before the hash is known', async () => {
        const sha256 = start(expectedBytes);
        await sha256.update(patternOf(10));
        sha256.close();
        sha256.close();
        expect((await failure(sha256.update(patternOf(10)))).code).toBe('cancelled');
        expect((await failure(sha256.digest())).code).toBe('cancelled');
      });
    });
  }

  test('starts a thread for a large file alone, and ends it', async () => {
    const threads: Worker[] = [];
    const counted = () => {
      threads.push(threadOf(thread(HASHED))());
      return threads.at(-1) as Worker;
    };
    start(16 * MIB - 1, counted);
    expect(threads).toHaveLength(0);
    for (const end of [(sha256: Sha256) => sha256.close(), (sha256: Sha256) => sha256.digest()]) {
      const sha256 = start(16 * MIB, counted);
      const ended = new Promise((resolve) => threads.at(-1)?.addEventListener('close', resolve));
      await end(sha256);
      await ended;
    }
    expect(threads).toHaveLength(2);
  });
});

describe('update()', () => {
  /** A thread that has a slot free only when it is told to. */
  function onDemand() {
    const source = `${thread('')}
      self.addEventListener('message', ({ data }) => { if (data === 'free a slot') ${HASHED} });`;
    const worker = threadOf(source)();
    const sha256 = start(LARGE, () => worker);
    async function freeSlot(): Promise<void> {
      const freed = new Promise<void>((resolve) => {
        worker.addEventListener('message', ({ data }) => data.kind === 'hashed' && resolve());
      });
      worker.postMessage('free a slot');
      await freed;
      // Whoever waited for it has gone on.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { freeSlot, sha256 };
  }

  test('takes as many bytes as the ring has ahead of the thread, and not one more', async () => {
    const { freeSlot, sha256 } = onDemand();
    expect(sha256.update(patternOf(RING_BYTES - 1))).toBeUndefined();
    let waiting = sha256.update(patternOf(1)) as Promise<void>;
    for (let slot = 0; slot < 10; slot++) {
      expect(peek.status(waiting)).toBe('pending');
      await freeSlot();
      await waiting;
      expect(sha256.update(patternOf(MIB - 1))).toBeUndefined();
      waiting = sha256.update(patternOf(1)) as Promise<void>;
    }
    sha256.close();
    await failure(waiting);
  });

  test('keeps a chunk that is larger than the ring until all of it is taken', async () => {
    const { freeSlot, sha256 } = onDemand();
    const waiting = sha256.update(patternOf(RING_BYTES + 2 * MIB)) as Promise<void>;
    // All of it is taken when the second slot is free, and there is room for more with the third.
    for (let slot = 0; slot < 3; slot++) {
      expect(peek.status(waiting)).toBe('pending');
      await freeSlot();
    }
    await waiting;
    expect(sha256.update(patternOf(MIB - 1))).toBeUndefined();
  });

  test('gathers small chunks: a message for each slot, not for each chunk', async () => {
    const source = `let slots = ''; ${thread(`slots += (end - start) + ' '; ${HASHED}`, 'slots')}`;
    const sha256 = start(LARGE, threadOf(source));
    for (let chunk = 0; chunk < 2500; chunk++) await sha256.update(patternOf(1000));
    expect(await sha256.digest()).toBe(`${MIB} ${MIB} ${2_500_000 - 2 * MIB} `);
  });

  test('refuses a chunk, and digest() an answer, while another chunk waits for room', async () => {
    const sha256 = start(LARGE, threadOf(thread('')));
    const waiting = sha256.update(patternOf(RING_BYTES)) as Promise<void>;
    await expect(sha256.update(patternOf(1))).rejects.toThrow('before the last one was done');
    await expect(sha256.digest()).rejects.toThrow('before the last update() was done');
    sha256.close();
    expect((await failure(waiting)).code).toBe('cancelled');
  });
});

describe('a thread that fails', () => {
  for (const [how, onSlot, text] of [
    ['throws', "throw new Error('out of order');", 'the thread that hashes it failed.'],
    ['ends', 'process.exit(3);', 'ended with code 3.'],
  ] as const) {
    test(`makes update() reject that waits for it, and all that follows, when it ${how}`, async () => {
      const sha256 = start(LARGE, threadOf(thread(onSlot)));
      const error = await failure(sha256.update(patternOf(RING_BYTES)));
      expect(error.code).toBe('format');
      expect(error.message).toContain(text);
      if (how === 'throws') expect(String(error.cause)).toContain('out of order');
      expect(await failure(sha256.update(patternOf(1)))).toBe(error);
      expect(await failure(sha256.digest())).toBe(error);
    });

    test(`makes digest() reject that waits for it when it ${how}`, async () => {
      const sha256 = start(LARGE, threadOf(thread(onSlot)));
      expect(sha256.update(patternOf(10))).toBeUndefined();
      expect((await failure(sha256.digest())).message).toContain(text);
    });

    test(`is noticed by the next update() when it ${how} while nobody waits`, async () => {
      let worker: Worker | undefined;
      const sha256 = start(LARGE, () => {
        worker = threadOf(thread(onSlot))();
        return worker;
      });
      const ended = new Promise((resolve) => worker?.addEventListener('close', resolve));
      expect(sha256.update(patternOf(MIB))).toBeUndefined();
      worker?.ref();
      await ended;
      expect((await failure(sha256.update(patternOf(1)))).message).toContain(text);
    });
  }

  for (const [how, startThread] of [
    ['throws at once', threadOf("throw new Error('no memory');")],
    ['is not found', () => new Worker('blob:nowhere')],
    [
      'cannot be made',
      () => {
        throw new Error('no threads here');
      },
    ],
  ] as const) {
    test(`costs nothing when it ${how}: the bytes are hashed here`, async () => {
      for (const length of [0, 10, 3 * MIB, RING_BYTES, 3 * RING_BYTES + 5]) {
        const bytes = patternOf(length);
        for (const lengths of [[1000], [length + 1]]) {
          expect(await hash(start(LARGE, startThread), bytes, lengths)).toBe(expected(bytes));
        }
      }
    });
  }
});
