import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { BatchSize } from '../../../lib/pipeline/batch-size.ts';

const signal = new AbortController().signal;
const tooLarge = () => new ToolError('qdrant', 'too large', { remedy: 'smaller' });

describe('BatchSize.attempt()', () => {
  test('asks for half as many until the answer fits, and stays there', async () => {
    const asked: number[] = [];
    const size = new BatchSize(100);
    const request = async (points: number) => {
      asked.push(points);
      if (points > 20) throw tooLarge();
      return points;
    };
    expect(await size.attempt(signal, request)).toBe(12);
    expect(await size.attempt(signal, request)).toBe(12);
    expect(asked).toEqual([100, 50, 25, 12, 12]);
  });

  test('grows back to where it began after a run of requests without trouble', async () => {
    const size = new BatchSize(8);
    await size.attempt(signal, async (points) => {
      if (points > 4) throw tooLarge();
    });
    const asked = new Set<number>();
    for (let i = 0; i < 65; i++) await size.attempt(signal, async (points) => asked.add(points));
    expect([...asked]).toEqual([4, 8]);
  });

  test('halves once for requests of one size that fail side by side', async () => {
    const size = new BatchSize(64);
    let release = () => {};
    const all = new Promise<void>((resolve) => {
      release = resolve;
    });
    let waiting = 0;
    const request = async (points: number) => {
      if (points <= 32) return;
      if (++waiting === 3) release();
      await all;
      throw tooLarge();
    };
    await Promise.all([1, 2, 3].map(() => size.attempt(signal, request)));
    expect(size.size).toBe(32);
  });

  test('fails with the error when even one point does not pass', async () => {
    let requests = 0;
    const failing = async () => {
      requests++;
      throw tooLarge();
    };
    const error = await new BatchSize(2).attempt(signal, failing).catch((thrown: unknown) => thrown);
    expect((error as ToolError).message).toBe('too large');
    // Two points, one point, and one point three times more.
    expect(requests).toBe(5);
  });

  test('passes any other error on at once', async () => {
    const refused = new ToolError('qdrant', 'no', { remedy: 'none' });
    const attempt = new BatchSize(8).attempt(signal, () => Promise.reject(refused));
    expect(await attempt.catch((thrown: unknown) => thrown)).toBe(refused);
  });
});
