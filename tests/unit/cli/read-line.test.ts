import { describe, expect, test } from 'bun:test';
import { PassThrough } from 'node:stream';
import { readLine } from '../../../lib/cli/read-line.ts';
import { ToolError } from '../../../lib/errors.ts';

const NEVER = new AbortController().signal;

describe('readLine()', () => {
  test('gives a line without its end, whichever way it comes', async () => {
    for (const chunks of [['yes\n'], ['y', 'es', '\r', '\nmore\n'], ['yes\nno\n']]) {
      const input = new PassThrough();
      const line = readLine(input, NEVER);
      for (const chunk of chunks) input.write(chunk);
      expect(await line).toBe('yes');
      expect(input.isPaused()).toBe(true);
      expect(input.listenerCount('data') + input.listenerCount('end')).toBe(0);
    }
  });

  test('puts a letter together that comes in two chunks', async () => {
    const input = new PassThrough();
    const line = readLine(input, NEVER);
    input.write(new Uint8Array([0xc3]));
    input.write(new Uint8Array([0xa9, 0x0a]));
    expect(await line).toBe('é');
  });

  test('gives nothing where the input ends or fails before a line is whole', async () => {
    const ended = new PassThrough();
    const none = readLine(ended, NEVER);
    ended.end('y');
    expect(await none).toBeUndefined();
    const broken = new PassThrough();
    const failed = readLine(broken, NEVER);
    broken.destroy(new Error('EIO'));
    expect(await failed).toBeUndefined();
  });

  test('does not gather more than a line that a terminal sends', async () => {
    const input = new PassThrough();
    const line = readLine(input, NEVER);
    for (let sent = 0; sent < 3; sent++) input.write('x'.repeat(4_096));
    expect((await line)?.length).toBe(3 * 4_096);
  });

  test("rejects with the signal's reason, and listens no more", async () => {
    const input = new PassThrough();
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'Stopped.');
    const line = readLine(input, controller.signal);
    controller.abort(reason);
    expect(await line.catch((error: unknown) => error)).toBe(reason);
    expect(input.listenerCount('data')).toBe(0);
    const late = readLine(input, controller.signal);
    expect(await late.catch((error: unknown) => error)).toBe(reason);
    expect(input.listenerCount('data')).toBe(0);
  });
});
