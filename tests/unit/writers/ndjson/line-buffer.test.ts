import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import { LineBuffer, LineBuffers } from '../../../../lib/writers/ndjson/line-buffer.ts';

const MIB = 1024 * 1024;

describe('LineBuffer', () => {
  test('keeps what is in it as it grows, and its view with it', () => {
    const buffer = new LineBuffer(4);
    buffer.bytes.set([1, 2, 3]);
    buffer.length = 3;
    buffer.reserve(1000);
    expect([...buffer.bytes.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect(buffer.bytes.length).toBeGreaterThanOrEqual(1003);
    buffer.view.setUint8(1002, 7);
    expect(buffer.bytes[1002]).toBe(7);
  });

  test('refuses lines of more than 2 GiB', () => {
    const buffer = new LineBuffer(4);
    // As if so many had been written.
    buffer.length = 2 ** 31 - 10;
    expect(() => buffer.reserve(10)).toThrow(ToolError);
  });
});

describe('LineBuffers', () => {
  test('lends four buffers at most, and the next one to who waited longest', async () => {
    const buffers = new LineBuffers();
    const lent = await Promise.all([1, 2, 3, 4].map(() => buffers.take()));
    expect(new Set(lent).size).toBe(4);
    const order: string[] = [];
    const first = buffers.take().then((buffer) => {
      order.push('first');
      return buffer;
    });
    const second = buffers.take().then((buffer) => {
      order.push('second');
      return buffer;
    });
    await Promise.resolve();
    expect(order).toEqual([]);
    const [a, b] = lent as [LineBuffer, LineBuffer];
    a.length = 5;
    buffers.release(a);
    expect(await first).toBe(a);
    expect(a.length).toBe(0);
    expect(order).toEqual(['first']);
    buffers.release(b);
    expect(await second).toBe(b);
  });

  test('lends a buffer again, but gives the memory of a large one back', async () => {
    const buffers = new LineBuffers();
    const usual = await buffers.take();
    usual.reserve(9 * MIB);
    buffers.release(usual);
    expect(await buffers.take()).toBe(usual);
    usual.reserve(40 * MIB);
    const { bytes } = usual;
    buffers.release(usual);
    expect(bytes.length).toBe(0);
    expect((await buffers.take()).bytes.length).toBe(MIB);
  });
});
