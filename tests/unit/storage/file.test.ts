import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../lib/errors.ts';
import { fileDestination, fileStream } from '../../../lib/storage/file.ts';
import { byteBody, MIB, patternOf } from '../../support/byte-body.ts';

const signal = new AbortController().signal;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'file-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const put = (key: string, body = byteBody(1000, 100)) =>
  fileDestination().put({ key, body: body.stream, estimatedBytes: 1000, signal });
const failure = async (work: Promise<unknown>): Promise<ToolError> => {
  const error = await work.catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
};

describe('fileDestination()', () => {
  test('check() and put() refuse what is no file, and cancel the body', async () => {
    await mkdir(join(folder, 'directory'), { recursive: true });
    for (const key of ['', join(folder, 'directory'), join(folder, 'new/'), devNull]) {
      expect((await failure(fileDestination().check(key, signal))).code).toBe('usage');
      const body = byteBody(1000, 100);
      const error = await failure(put(key, body));
      expect(error.code).toBe('usage');
      expect(body.cancelled()).toBe(error);
    }
  });

  test('check() and put() name the folder that does not exist, or is none', async () => {
    await writeFile(join(folder, 'plain'), '');
    for (const [key, text] of [
      [join(folder, 'nowhere', 'x.parquet'), 'does not exist'],
      [join(folder, 'plain', 'x.parquet'), 'is not a folder'],
    ] as const) {
      for (const work of [() => fileDestination().check(key, signal), () => put(key)]) {
        const error = await failure(work());
        expect(error.code).toBe('store');
        expect(error.message).toContain(text);
      }
    }
  });

  test('put() writes through a link and keeps it', async () => {
    await writeFile(join(folder, 'real.parquet'), 'old');
    await symlink(join(folder, 'real.parquet'), join(folder, 'link.parquet'));
    await put(join(folder, 'link.parquet'));
    expect((await readFile(join(folder, 'real.parquet'))).length).toBe(1000);
  });

  test('two put() of one key at once each write a whole file', async () => {
    const key = join(folder, 'twice.parquet');
    const [one, two] = await Promise.all([
      put(key, byteBody(3 * MIB, 70_000)),
      put(key, byteBody(2 * MIB, 70_000)),
    ]);
    expect([one.bytes, two.bytes]).toEqual([3 * MIB, 2 * MIB]);
    const written = await readFile(key);
    expect(Buffer.compare(written, patternOf(written.length))).toBe(0);
    expect([2 * MIB, 3 * MIB]).toContain(written.length);
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('put() removes what a run killed a day ago left, not what another run is writing', async () => {
    const key = join(folder, 'stale.parquet');
    await writeFile(`${key}.0123abcd.part`, 'old');
    await utimes(`${key}.0123abcd.part`, 0, 0);
    await writeFile(`${key}.4567abcd.part`, 'new');
    await put(key);
    const left = (await readdir(folder)).filter((name) => name.startsWith('stale.'));
    expect(left.sort()).toEqual(['stale.parquet', 'stale.parquet.4567abcd.part']);
    await rm(`${key}.4567abcd.part`);
  });

  const small = mountSmall();
  afterAll(small.unmount);
  test.skipIf(small.path === undefined)(
    `put() on a full disk says so, keeps what was there and cleans up${small.path ? '' : ' (needs root to mount a tmpfs)'}`,
    async () => {
      const key = join(small.path ?? '', 'x.parquet');
      await writeFile(key, 'as before');
      for (const chunk of [4 * MIB, 1000]) {
        const body = byteBody(8 * MIB, chunk);
        const error = await failure(put(key, body));
        expect(error.code).toBe('store');
        expect(error.message).toContain('the disk is full (ENOSPC)');
        expect(body.cancelled()).toBe(error);
        expect(await readdir(small.path ?? '')).toEqual(['x.parquet']);
        expect(String(await readFile(key))).toBe('as before');
      }
    },
  );
});

describe('fileStream()', () => {
  test('fileStream() gives the file in chunks that share one buffer, and reads none ahead', async () => {
    const path = join(folder, 'source');
    await writeFile(path, patternOf(1_000_000));
    const key = join(folder, 'copy');
    const stream = fileStream(path, 300_000);
    const receipt = await fileDestination({ durable: false }).put({
      key,
      body: stream,
      estimatedBytes: 0,
      signal,
    });
    expect(receipt.bytes).toBe(1_000_000);
    expect(Buffer.compare(await readFile(key), patternOf(1_000_000))).toBe(0);
  });

  test('fileStream() errors when the file shrinks while it is read', async () => {
    const path = join(folder, 'shrinking');
    await writeFile(path, patternOf(1_000_000));
    const reader = fileStream(path, 300_000).getReader();
    await reader.read();
    await truncate(path, 400_000);
    const error = await failure(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    );
    expect(error.code).toBe('integrity');
  });

  test('fileStream() says which file it cannot read', async () => {
    const path = join(folder, 'missing');
    const error = await failure(fileStream(path).getReader().read());
    expect(error.message).toContain(path);
  });
});

/** A file system of 2 MiB, or undefined where mounting is not allowed. */
function mountSmall(): { readonly path: string | undefined; unmount(): void } {
  const path = join(tmpdir(), `small-${process.pid}`);
  const run = (command: string[]) => {
    try {
      return Bun.spawnSync(command, { stderr: 'ignore' }).success;
    } catch {
      return false;
    }
  };
  run(['mkdir', '-p', path]);
  const mounted = process.getuid?.() === 0 && run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path]);
  return {
    path: mounted ? path : undefined,
    unmount() {
      if (mounted) run(['umount', path]);
      run(['rmdir', path]);
    },
  };
}
