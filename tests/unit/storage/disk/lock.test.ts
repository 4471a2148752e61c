import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { isLockName, type LockSettings, takeLock } from '../../../../lib/storage/disk/lock.ts';

const WHAT = 'Collection "books"';
const onLinux = process.platform === 'linux';
let folder = '';
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `${made++}-lock`);
const refusal = async (path: string, settings?: LockSettings): Promise<string> => {
  const error = await takeLock(path, WHAT, settings).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ToolError);
  expect((error as ToolError).code).toBe('usage');
  return (error as ToolError).message;
};
/** Takes it, sees that it is this process's, and gives it back. */
async function takeAndRelease(path: string): Promise<void> {
  const lock = await takeLock(path, WHAT);
  expect((await contentOf(path)).pid).toBe(process.pid);
  await lock.release();
  expect(await namesOf(path)).toEqual([]);
}
const contentOf = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
const namesOf = async (path: string) =>
  (await readdir(folder)).filter((name) => join(folder, name).startsWith(path));

/** The lock as a process left it: this one's own, but for `changes`. */
async function leave(path: string, changes: object, ageSeconds = 0): Promise<void> {
  const lock = await takeLock(path, WHAT);
  const text = JSON.stringify({ ...(await contentOf(path)), token: 'of another', ...changes });
  await lock.release();
  await writeFile(path, text);
  await age(path, ageSeconds);
}
async function age(path: string, seconds: number): Promise<void> {
  const then = Date.now() / 1000 - seconds;
  await utimes(path, then, then);
}

/** A process that takes the lock at `path` when it is told to. */
function startHolder(path: string) {
  const script = join(import.meta.dir, '../../../support/lock-holder.ts');
  const child = Bun.spawn([process.execPath, script, path], { stdin: 'pipe', stdout: 'pipe' });
  const reader = child.stdout.getReader();
  let text = '';
  const line = async () => {
    while (!text.includes('\n')) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`It ended after "${text}".`);
      text += new TextDecoder().decode(value);
    }
    const end = text.indexOf('\n');
    const first = text.slice(0, end);
    text = text.slice(end + 1);
    return first;
  };
  return {
    pid: child.pid,
    line,
    go() {
      child.stdin.write('\n');
      child.stdin.flush();
    },
    end: () => child.stdin.end(),
    async kill() {
      child.kill('SIGKILL');
      await child.exited;
    },
    exited: child.exited,
  };
}

/** The pid of a process that has ended. */
async function endedPid(): Promise<number> {
  const child = Bun.spawn(['true']);
  await child.exited;
  return child.pid;
}

describe('takeLock()', () => {
  test('takeLock() names this process in the file, and release() leaves nothing', async () => {
    const path = newPath();
    const lock = await takeLock(path, WHAT);
    const { pid, host, taken } = await contentOf(path);
    expect([pid, host]).toEqual([process.pid, hostname()]);
    expect(Math.abs(Date.parse(taken) - Date.now())).toBeLessThan(60_000);
    expect(await namesOf(path)).toHaveLength(1);
    await lock.release();
    await lock.release();
    expect(await namesOf(path)).toEqual([]);
    await takeAndRelease(path);
  });

  test('takeLock() of a lock that this process has is refused', async () => {
    const path = newPath();
    const lock = await takeLock(path, WHAT);
    const { taken } = await contentOf(path);
    expect(await refusal(path)).toBe(
      `${WHAT} is being exported by process ${process.pid} on host "${hostname()}" since ${taken}. Wait until it ends, or stop it; if it is no export, delete "${path}".`,
    );
    expect(await namesOf(path)).toHaveLength(1);
    await lock.release();
  });

  test('takeLock() is refused while another process holds the lock, and takes it when that was killed or gave it back', async () => {
    const path = newPath();
    for (const kill of [true, false]) {
      const holder = startHolder(path);
      expect(await holder.line()).toBe('ready');
      holder.go();
      expect(await holder.line()).toBe('held');
      expect(await refusal(path)).toStartWith(
        `${WHAT} is being exported by process ${holder.pid} on host "${hostname()}" since 20`,
      );
      if (kill) {
        await holder.kill();
        expect((await contentOf(path)).pid).toBe(holder.pid);
      } else {
        holder.end();
        expect(await holder.line()).toBe('released');
        await holder.exited;
      }
      await takeAndRelease(path);
    }
  });

  test.skipIf(!onLinux)(
    'takeLock() takes the lock of a killed process that nobody has waited for',
    async () => {
      const path = newPath();
      // The child lives until its stdin ends, and by then its parent is a program that waits for no child.
      const script = 'exec 3<&0; cat <&3 >/dev/null & echo $!; exec 3<&- sleep 1000';
      const parent = Bun.spawn(['sh', '-c', script], { stdin: 'pipe', stdout: 'pipe' });
      try {
        const { value } = await parent.stdout.getReader().read();
        const pid = Number(new TextDecoder().decode(value));
        const name = () => readFileSync(`/proc/${parent.pid}/comm`, 'utf8').trim();
        while (name() !== 'sleep') await new Promise(setImmediate);
        await parent.stdin.end();
        while (!/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) await new Promise(setImmediate);
        await leave(path, { pid, start: undefined });
        await takeAndRelease(path);
      } finally {
        parent.kill('SIGKILL');
        await parent.exited;
      }
    },
  );

  test.skipIf(!onLinux)('takeLock() knows a pid that is used again by the start of the process', async () => {
    const path = newPath();
    for (const pid of [process.pid, process.ppid]) {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
      await leave(path, { pid, start });
      expect(await refusal(path)).toContain(`process ${pid} `);
      await rm(path);
      await leave(path, { pid, start: '1' });
      await takeAndRelease(path);
    }
  });

  test('takeLock() takes one with its own pid that it does not hold, where starts are not known', async () => {
    const path = newPath();
    await leave(path, { start: undefined });
    await takeAndRelease(path);
  });

  for (const [where, elsewhere] of [
    ['on another host', { host: 'elsewhere', pid: 1, place: undefined }],
    ['in another container of this host', { place: 'another boot, another namespace', pid: 999_999_999 }],
  ] as const) {
    test(`takeLock() waits a minute for a sign of life of a holder ${where}`, async () => {
      const path = newPath();
      for (const seconds of [0, 55]) {
        await leave(path, elsewhere, seconds);
        expect(await refusal(path)).toContain('if it was killed, try again in a minute');
        await rm(path);
      }
      await leave(path, elsewhere, 65);
      await takeAndRelease(path);
    });
  }

  test('takeLock() takes an empty or damaged lock when it is a minute old', async () => {
    const path = newPath();
    for (const text of ['', '{"pid":1', 'null', '{"pid":"1"}', '{"pid":1,"host":"x"}']) {
      await writeFile(path, text);
      await age(path, 55);
      expect(await refusal(path)).toContain('a process that has not written its name');
      await age(path, 65);
      await takeAndRelease(path);
    }
  });

  test('of many takers of one stale lock exactly one holds it', async () => {
    const path = newPath();
    const pid = await endedPid();
    for (let round = 0; round < 20; round++) {
      await leave(path, { pid });
      const taken = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(path, WHAT)));
      const locks = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      expect(locks).toHaveLength(1);
      await locks[0]?.release();
      expect(await namesOf(path)).toEqual([]);
    }
  });

  test('of processes that take one stale lock together exactly one holds it', async () => {
    const path = newPath();
    const pid = await endedPid();
    for (let round = 0; round < 6; round++) {
      await leave(path, { pid });
      const takers = [startHolder(path), startHolder(path), startHolder(path)];
      expect(await Promise.all(takers.map((taker) => taker.line()))).toEqual(['ready', 'ready', 'ready']);
      for (const taker of takers) taker.go();
      const said = await Promise.all(takers.map((taker) => taker.line()));
      expect(said.filter((line) => line === 'held')).toHaveLength(1);
      expect(said.filter((line) => line.includes('is being exported by process'))).toHaveLength(2);
      expect((await contentOf(path)).pid).toBe(takers[said.indexOf('held')]?.pid);
      for (const taker of takers) taker.end();
      await Promise.all(takers.map((taker) => taker.exited));
      expect(await namesOf(path)).toEqual([]);
    }
  }, 60_000);

  test('takeLock() finishes a takeover during which another process was killed', async () => {
    const path = newPath();
    const pid = await endedPid();
    await leave(path, { pid });
    const key = Bun.hash(await readFile(path, 'utf8'))
      .toString(16)
      .padStart(16, '0');
    await leave(`${path}.over-${key}`, { pid });
    const lock = await takeLock(path, WHAT);
    expect(await namesOf(path)).toHaveLength(1);
    await lock.release();
  });

  test('a holder touches its own file, and gives back no lock that is not its own', async () => {
    const path = newPath();
    const lock = await takeLock(path, WHAT, { touchMs: 1 });
    await age(path, 1000);
    while (Date.now() - (await stat(path)).mtimeMs > 500_000) await new Promise(setImmediate);
    await rm(path);
    await writeFile(path, 'of another');
    const before = (await stat(path)).mtimeMs;
    await lock.release();
    expect(await readFile(path, 'utf8')).toBe('of another');
    expect((await stat(path)).mtimeMs).toBe(before);
  });

  test('takeLock() works where there are no hard links', async () => {
    const path = newPath();
    const link = () => Promise.reject(Object.assign(new Error('EPERM'), { code: 'EPERM' }));
    await leave(path, { pid: await endedPid() });
    const lock = await takeLock(path, WHAT, { link });
    expect(await refusal(path, { link })).toContain(`process ${process.pid} `);
    expect(await namesOf(path)).toHaveLength(1);
    await lock.release();
    expect(await namesOf(path)).toEqual([]);
  });

  test('takeLock() in a folder that is not there says so', async () => {
    const error = await takeLock(join(folder, 'nowhere', 'lock'), WHAT).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ToolError);
    expect(error.message).toContain('does not exist (ENOENT)');
  });
});

describe('isLockName()', () => {
  test('isLockName() knows the names that a lock has, and no other', () => {
    const hex = '0123456789abcdef';
    for (const name of ['lock', `lock.${hex}`, `lock.over-${hex}`, `lock.over-${hex}.over-${hex}.${hex}`]) {
      expect(isLockName(name, 'lock')).toBe(true);
    }
    for (const name of ['locks', 'lock.txt', 'lock.over-', `${hex}`, `lock.${hex}.bak`, 'my.lock']) {
      expect(isLockName(name, 'lock')).toBe(false);
    }
  });
});
