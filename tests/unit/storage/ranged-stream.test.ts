import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { RANGES_AT_ONCE, rangedStream } from '../../../lib/storage/ranged-stream.ts';
import { patternOf } from '../../support/byte-body.ts';

const RANGE = 10;

/** A stream asks its source in a later microtask. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Asked {
  readonly from: number;
  readonly into: Uint8Array<ArrayBuffer>;
  readonly length: number;
  readonly signal: AbortSignal;
  readonly answer: PromiseWithResolvers<void>;
}

/** A store whose answers are given by the test. */
function scene(bytes: Uint8Array, signal = new AbortController().signal) {
  const asked: Asked[] = [];
  const stream = rangedStream({
    total: bytes.length,
    rangeBytes: RANGE,
    signal,
    read: (from, into, at) => {
      const answer = Promise.withResolvers<void>();
      at.addEventListener('abort', () => answer.reject(at.reason), { once: true });
      asked.push({ from, into, length: into.length, signal: at, answer });
      return answer.promise;
    },
  });
  const give = (index: number) => {
    const { from, into, answer } = asked[index] as Asked;
    into.set(bytes.subarray(from, from + into.length));
    answer.resolve();
  };
  return { asked, give, reader: stream.getReader(), starts: () => asked.map(({ from }) => from) };
}

describe('rangedStream()', () => {
  test('rangedStream() asks for the first range alone, when somebody reads, and then stays so many ahead of the reader', async () => {
    const bytes = patternOf(95);
    const { reader, give, starts } = scene(bytes);
    expect(starts()).toEqual([]);
    const first = reader.read();
    await turn();
    expect(starts()).toEqual([0]);
    give(0);
    expect(Buffer.compare((await first).value as Uint8Array, bytes.subarray(0, 10))).toBe(0);
    expect(starts()).toEqual([0]);
    const second = reader.read();
    await turn();
    expect(starts()).toEqual([0, 10, 20, 30]);
    // Out of turn: it waits for the one before.
    give(3);
    give(2);
    give(1);
    expect(Buffer.compare((await second).value as Uint8Array, bytes.subarray(10, 20))).toBe(0);
    expect(starts()).toEqual([0, 10, 20, 30]);
  });

  test('rangedStream() gives all bytes in order, in so many buffers that it uses again', async () => {
    const bytes = patternOf(95);
    const { reader, asked, give } = scene(bytes);
    const read: Buffer[] = [];
    const buffers = new Set<ArrayBuffer>();
    let answered = 0;
    for (;;) {
      const next = reader.read();
      await turn();
      while (answered < asked.length) give(answered++);
      const { done, value } = await next;
      if (done) break;
      read.push(Buffer.from(value));
      buffers.add(value.buffer);
    }
    expect(Buffer.compare(Buffer.concat(read), bytes)).toBe(0);
    expect(buffers.size).toBe(RANGES_AT_ONCE);
    expect(asked.at(-1)?.length).toBe(5);
    // Their memory is not left to the collector.
    expect([...buffers].map(({ byteLength }) => byteLength)).toEqual([0, 0, 0]);
  });

  test('rangedStream() of nothing asks for nothing and ends', async () => {
    const { reader, asked } = scene(patternOf(0));
    expect((await reader.read()).done).toBe(true);
    expect(asked).toHaveLength(0);
  });

  test('rangedStream() errors in the turn of the range that failed, and ends the others', async () => {
    const { reader, asked, give } = scene(patternOf(95));
    const first = reader.read();
    await turn();
    give(0);
    await first;
    const second = reader.read();
    await turn();
    const failure = new ToolError('store', 'gone');
    asked[2]?.answer.reject(failure);
    give(1);
    expect((await second).done).toBe(false);
    expect(asked[3]?.signal.aborted).toBe(false);
    expect(await reader.read().catch((error) => error)).toBe(failure);
    expect(asked[3]?.signal.aborted).toBe(true);
  });

  test('rangedStream() ends what is on its way when it is cancelled, and asks for nothing more', async () => {
    const { reader, asked, give } = scene(patternOf(95));
    const first = reader.read();
    await turn();
    give(0);
    await first;
    const second = reader.read();
    await turn();
    give(1);
    await second;
    await reader.cancel();
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, true, true, true]);
    expect(asked).toHaveLength(4);
  });

  test('rangedStream() rejects with the reason as soon as the signal aborts', async () => {
    const controller = new AbortController();
    const { reader } = scene(patternOf(95), controller.signal);
    const reading = reader.read();
    await turn();
    const reason = new ToolError('cancelled', 'enough');
    controller.abort(reason);
    expect(await reading.catch((error) => error)).toBe(reason);
  });
});
