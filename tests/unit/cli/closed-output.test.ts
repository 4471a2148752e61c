import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onClosedPipe } from '../../../lib/cli/closed-output.ts';

// Where there is no poll(2) nothing is promised.
describe.skipIf(process.platform === 'win32')('onClosedPipe()', () => {
  let folder: string;
  let reader: number;
  let writer: number;
  let open: Set<number>;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'closed-output-test-'));
    const pipe = join(folder, 'pipe');
    expect(Bun.spawnSync(['mkfifo', pipe]).exitCode).toBe(0);
    // Without O_NONBLOCK it would wait for the writer.
    reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    writer = openSync(pipe, constants.O_WRONLY);
    open = new Set([reader, writer]);
  });
  afterEach(() => {
    for (const fd of open) closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  function close(fd: number) {
    closeSync(fd);
    open.delete(fd);
  }

  /** A clock that ticks when it is told to. */
  function clock() {
    let call: (() => void) | undefined;
    return {
      every: (_: number, given: () => void) => {
        call = given;
        return () => {
          call = undefined;
        };
      },
      tick: () => call?.(),
      isRunning: () => call !== undefined,
    };
  }

  test('calls once at the first look after the reader went away, and looks no more', () => {
    const { every, tick, isRunning } = clock();
    let calls = 0;
    onClosedPipe(writer, () => calls++, every);
    tick();
    expect(calls).toBe(0);
    close(reader);
    tick();
    expect(calls).toBe(1);
    expect(isRunning()).toBe(false);
  });

  test('notices it by itself', async () => {
    const closed = Promise.withResolvers<void>();
    onClosedPipe(writer, closed.resolve);
    close(reader);
    // Its timer keeps no process alive, and so no test.
    const alive = setInterval(() => {}, 60_000);
    await closed.promise;
    clearInterval(alive);
  });

  test('calls at once when the reader went away before, and does not begin to look', () => {
    const { every, isRunning } = clock();
    close(reader);
    let calls = 0;
    onClosedPipe(writer, () => calls++, every);
    expect(calls).toBe(1);
    expect(isRunning()).toBe(false);
  });

  test('looks neither at what is no pipe nor at what is not open', () => {
    const { every, isRunning } = clock();
    const file = openSync(join(folder, 'file'), 'w');
    open.add(file);
    const nothing = openSync('/dev/null', 'w');
    close(nothing);
    for (const fd of [file, nothing]) onClosedPipe(fd, () => {}, every);
    expect(isRunning()).toBe(false);
  });
});
