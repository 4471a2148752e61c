import { dlopen } from 'bun:ffi';
import { fstatSync } from 'node:fs';

/** Time between two looks: a reader that went away is noticed within it. */
const PERIOD_MS = 1_000;

/** Where poll(2) is, by system; of musl, its dynamic linker is the library. */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  linux: ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`, 'libc.so'],
  darwin: ['libSystem.dylib', '/usr/lib/libSystem.B.dylib'],
};

/** Of `struct pollfd`, poll(2): Linux sets POLLERR at a pipe that nobody reads, others POLLHUP. Both are always told. */
const POLLERR = 8;
const POLLHUP = 16;

/**
 * Calls `listener` once when `fd` is a pipe whose reader goes away, within about a second. A program that writes only at
 * its end would not notice before: nothing else tells. Does nothing for what is no pipe, and where poll(2) is not to
 * be had (Windows). Keeps no process alive.
 */
export function onClosedPipe(fd: number, listener: () => void, every: Every = everyWhileAlive): void {
  const isClosed = closedCheck(fd);
  if (isClosed === undefined) return;
  if (isClosed()) {
    listener();
    return;
  }
  const stop = every(PERIOD_MS, () => {
    if (!isClosed()) return;
    stop();
    listener();
  });
}

/** Calls back every so many milliseconds until the function it returns is called. */
type Every = (milliseconds: number, call: () => void) => () => void;

function everyWhileAlive(milliseconds: number, call: () => void): () => void {
  const timer = setInterval(call, milliseconds);
  timer.unref();
  return () => clearInterval(timer);
}

function closedCheck(fd: number): (() => boolean) | undefined {
  if (!isPipe(fd)) return undefined;
  const poll = findPoll();
  if (poll === undefined) return undefined;
  // struct pollfd { int fd; short events; short revents; }, in the byte order of the machine.
  const pollfd = new Uint8Array(8);
  new Int32Array(pollfd.buffer)[0] = fd;
  const words = new Int16Array(pollfd.buffer);
  return () => {
    // One that fails leaves what was there: nothing.
    poll(pollfd, 1, 0);
    return ((words[3] ?? 0) & (POLLERR | POLLHUP)) !== 0;
  };
}

function isPipe(fd: number): boolean {
  try {
    return fstatSync(fd).isFIFO();
  } catch {
    return false;
  }
}

function findPoll(): ((fds: Uint8Array, count: number, timeoutMs: number) => number) | undefined {
  for (const library of LIBRARIES[process.platform] ?? []) {
    try {
      return dlopen(library, { poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' } }).symbols.poll;
    } catch {
      // Not there, or a linker script of that name: the next one.
    }
  }
  return undefined;
}
