import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { growFile, HandleWriter } from '../../../../lib/storage/disk/growing-file.ts';
import { MIB, patternOf } from '../../../support/byte-body.ts';
import { mountSmall } from '../../../support/small-disk.ts';

let folder = '';
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'growing-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `file-${made++}`);
const failure = async (work: Promise<unknown>): Promise<ToolError> => {
  const error = await work.catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
};
const holds = async (path: string, bytes: Uint8Array) =>
  expect(Buffer.compare(await readFile(path), bytes)).toBe(0);

describe('growFile()', () => {
  test('growFile() makes a file that is not there, when nothing has to be in it', async () => {
    const path = newPath();
    const file = await growFile(path, 0);
    expect([file.path, file.length]).toEqual([path, 0]);
    await file.close();
    await holds(path, new Uint8Array());
  });

  test('growFile() cuts off what lies behind the length, and writes on from there', async () => {
    for (const length of [0, 1, 4096, 99_999, 100_000]) {
      const path = newPath();
      const bytes = patternOf(200_000);
      await writeFile(path, patternOf(100_000));
      const file = await growFile(path, length);
      expect((await stat(path)).size).toBe(length);
      expect(file.length).toBe(length);
      await file.write(bytes.subarray(length));
      await file.close();
      await holds(path, bytes);
    }
  });

  test('growFile() refuses a file that is shorter or not there, and leaves it so', async () => {
    const path = newPath();
    for (const [found, text] of [
      [undefined, 'it is not there'],
      [99, 'it has 99 bytes'],
    ] as const) {
      if (found !== undefined) await writeFile(path, patternOf(found));
      const error = await failure(growFile(path, 100));
      expect(error.code).toBe('integrity');
      expect(error.message).toContain(`"${path}": ${text}, and at least 100 bytes were on record as written`);
      expect(
        await stat(path).then(
          ({ size }) => size,
          () => undefined,
        ),
      ).toBe(found);
    }
  });

  test('growFile() names the folder that does not exist, and refuses one in the place of the file', async () => {
    const nowhere = join(folder, 'nowhere', 'x');
    expect((await failure(growFile(nowhere, 0))).message).toContain('does not exist (ENOENT)');
    const path = newPath();
    await mkdir(path);
    expect((await failure(growFile(path, 0))).message).toContain('it is a folder (EISDIR)');
  });

  for (const chunk of [1, 50, 64 * 1024 - 1, 64 * 1024, 300_000]) {
    test(`write() takes chunks of ${chunk} bytes that share one buffer`, async () => {
      const path = newPath();
      const file = await growFile(path, 0);
      const bytes = patternOf(chunk === 1 ? 5_000 : 700_000 + 3 * chunk);
      const buffer = new Uint8Array(chunk);
      for (let at = 0; at < bytes.length; at += chunk) {
        const part = bytes.subarray(at, at + chunk);
        buffer.set(part);
        await file.write(buffer.subarray(0, part.length));
        buffer.fill(0xee);
        expect(file.length).toBe(at + part.length);
      }
      await file.close();
      await holds(path, bytes);
    });
  }

  test('write() keeps the order of calls that do not wait for one another', async () => {
    const path = newPath();
    const file = await growFile(path, 0);
    const bytes = patternOf(3 * MIB);
    const cuts = [0, 10, 70_000, 70_001, 600_000, 600_500, 1_200_000, 3 * MIB];
    await Promise.all(cuts.slice(1).map((end, i) => file.write(bytes.subarray(cuts[i], end))));
    await file.sync();
    await holds(path, bytes);
    await file.close();
  });

  test('write() after close() rejects, and so does sync()', async () => {
    const file = await growFile(newPath(), 0);
    await file.close();
    await file.close();
    await expect(file.write(patternOf(10))).rejects.toThrow('is closed');
    await expect(file.sync()).rejects.toThrow('is closed');
  });
});

describe('sync()', () => {
  /** A file whose syncs end when the test says so, and what was in the file when each began. */
  async function held(path: string) {
    const handle = await open(path, 'w');
    const begun: { readonly bytes: number; readonly end: PromiseWithResolvers<void> }[] = [];
    const slow = async () => {
      const end = Promise.withResolvers<void>();
      begun.push({ bytes: (await handle.stat()).size, end });
      onBegun.resolve();
      onBegun = Promise.withResolvers();
      return end.promise;
    };
    let onBegun = Promise.withResolvers<void>();
    handle.datasync = slow;
    handle.sync = slow;
    return {
      file: new HandleWriter(handle, path, 0),
      begun,
      async untilBegun(count: number) {
        while (begun.length < count) await onBegun.promise;
      },
    };
  }

  test('sync() writes what is gathered before it asks the disk', async () => {
    const { file, begun, untilBegun } = await held(newPath());
    await file.write(patternOf(100));
    const syncing = file.sync();
    await untilBegun(1);
    expect(begun[0]?.bytes).toBe(100);
    begun[0]?.end.resolve();
    await syncing;
    await file.close();
  });

  test('write() goes on while sync() waits for the disk', async () => {
    const path = newPath();
    const { file, begun, untilBegun } = await held(path);
    await file.write(patternOf(100));
    const syncing = file.sync();
    await untilBegun(1);
    const bytes = patternOf(2 * MIB);
    await file.write(bytes.subarray(100, MIB));
    await file.write(bytes.subarray(MIB));
    expect(file.length).toBe(2 * MIB);
    begun[0]?.end.resolve();
    await syncing;
    await file.close();
    await holds(path, bytes);
  });

  test('sync() during another waits for one that begins later, which those that come meanwhile share', async () => {
    const { file, begun, untilBegun } = await held(newPath());
    await file.write(patternOf(100));
    const first = file.sync();
    await untilBegun(1);
    await file.write(patternOf(50));
    let later = 0;
    const waiting = [file.sync(), file.sync(), file.sync()].map((sync) => sync.then(() => later++));
    begun[0]?.end.resolve();
    await first;
    expect(later).toBe(0);
    await untilBegun(2);
    expect(begun[1]?.bytes).toBe(150);
    begun[1]?.end.resolve();
    await Promise.all(waiting);
    expect(begun).toHaveLength(2);
    await file.close();
  });

  test('after a sync() that failed every write() and sync() rejects with its error', async () => {
    const { file, begun, untilBegun } = await held(newPath());
    const syncing = failure(file.sync());
    await untilBegun(1);
    begun[0]?.end.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
    const error = await syncing;
    expect(error.code).toBe('store');
    expect(error.message).toContain('the disk reports an error (EIO)');
    expect(await failure(file.write(patternOf(10)))).toBe(error);
    expect(await failure(file.sync())).toBe(error);
    await file.close();
  });

  test('close() waits for the sync() before it', async () => {
    const { file, begun, untilBegun } = await held(newPath());
    const order: string[] = [];
    const both = [file.sync().then(() => order.push('sync')), file.close().then(() => order.push('close'))];
    await untilBegun(1);
    begun[0]?.end.resolve();
    await Promise.all(both);
    expect(order).toEqual(['sync', 'close']);
  });
});

describe('a disk that is full', () => {
  const small = mountSmall('1m');
  afterAll(small.unmount);
  for (const chunk of [1000, 256 * 1024]) {
    test.skipIf(small.path === undefined)(
      `write() in chunks of ${chunk} bytes says so, and what was synced is there${small.path ? '' : ' (needs root to mount a tmpfs)'}`,
      async () => {
        const path = join(small.path ?? '', `file-${chunk}`);
        const bytes = patternOf(4 * MIB);
        const file = await growFile(path, 0, 'Make room.');
        await file.write(bytes.subarray(0, 100_000));
        await file.sync();
        const error = await failure(
          (async () => {
            for (let at = 100_000; at < bytes.length; at += chunk)
              await file.write(bytes.subarray(at, at + chunk));
          })(),
        );
        expect(error.code).toBe('store');
        expect(error.message).toBe(`Cannot write "${path}": the disk is full (ENOSPC). Make room.`);
        expect(await failure(file.sync())).toBe(error);
        await file.close();
        const again = await growFile(path, 100_000);
        await again.close();
        await holds(path, bytes.subarray(0, 100_000));
        await rm(path);
      },
    );
  }
});
