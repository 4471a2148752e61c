import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { fileDestination, fileStream } from '../../../../lib/storage/disk/file.ts';
import { byteBody, MIB, patternOf } from '../../../support/byte-body.ts';
import { mountSmall } from '../../../support/small-disk.ts';

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

  const local = fileDestination().local;
  const partOf = (key: string, id: string) => local?.part(key, id) ?? '';

  test('part() names a file beside the target, behind links, and refuses what is no file', async () => {
    const key = join(folder, 'beside.parquet');
    expect(await partOf(key, '00112233')).toBe(`${key}.00112233.part`);
    await writeFile(join(folder, 'behind.parquet'), 'old');
    await symlink(join(folder, 'behind.parquet'), join(folder, 'to-behind.parquet'));
    const real = await realpath(join(folder, 'behind.parquet'));
    expect(await partOf(join(folder, 'to-behind.parquet'), '00112233')).toBe(`${real}.00112233.part`);
    await mkdir(join(folder, 'directory'), { recursive: true });
    for (const wrong of ['', join(folder, 'directory'), devNull]) {
      expect((await failure(Promise.resolve(partOf(wrong, '00112233')))).code).toBe('usage');
    }
  });

  test('part() removes what other runs left a day ago, never the part of its own id, and takes no id that it would not know again', async () => {
    const key = join(folder, 'aged.parquet');
    const own = '0123456789abcdef';
    for (const id of [own, '0123abcd', 'fedcba9876543210', 'mine']) {
      await writeFile(`${key}.${id}.part`, 'old');
      await utimes(`${key}.${id}.part`, 0, 0);
    }
    await partOf(key, own);
    const left = (await readdir(folder)).filter((name) => name.startsWith('aged.'));
    expect(left.sort()).toEqual([`aged.parquet.${own}.part`, 'aged.parquet.mine.part']);
    for (const id of ['mine', '../x', '0123ABCD', '']) {
      await expect(Promise.resolve(partOf(key, id))).rejects.toThrow('hex digits');
    }
  });

  test('adopt() gives a whole part its name, in the place of what was there, and through a link', async () => {
    await writeFile(join(folder, 'adopted.parquet'), 'old');
    await symlink(join(folder, 'adopted.parquet'), join(folder, 'to-adopted.parquet'));
    const key = join(folder, 'to-adopted.parquet');
    const part = await partOf(key, '00112233');
    await writeFile(part, patternOf(1000));
    expect(await local?.adopt(part, key, 1000, signal)).toEqual({
      location: key,
      bytes: 1000,
      etag: undefined,
    });
    expect(Buffer.compare(await readFile(join(folder, 'adopted.parquet')), patternOf(1000))).toBe(0);
    expect((await lstat(key)).isSymbolicLink()).toBe(true);
    expect(await stat(part).catch(() => 'none')).toBe('none');
  });

  test('adopt() refuses a part of another size, one that is gone, and an aborted signal, and leaves all as it was', async () => {
    const key = join(folder, 'kept.parquet');
    await writeFile(key, 'as before');
    const part = await partOf(key, '00112233');
    const adopt = (bytes: number, under = signal) =>
      failure(local?.adopt(part, key, bytes, under) ?? Promise.resolve());
    const gone = await adopt(1000);
    expect(gone.code).toBe('integrity');
    expect(gone.message).toContain(`"${part}": it is not there`);
    await writeFile(part, patternOf(1000));
    const shorter = await adopt(1001);
    expect(shorter.code).toBe('integrity');
    expect(shorter.message).toBe(`"${part}" has 1000 bytes on disk, 1001 were written.`);
    const reason = new ToolError('cancelled', 'enough');
    expect(await adopt(1000, AbortSignal.abort(reason))).toBe(reason);
    const late = new AbortController();
    const adopting = adopt(1000, late.signal);
    late.abort(reason);
    expect(await adopting).toBe(reason);
    expect(String(await readFile(key))).toBe('as before');
    expect((await stat(part)).size).toBe(1000);
  });

  const small = mountSmall('2m');
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
  for (const offset of [0, 1, 299_999, 300_000, 999_999, 1_000_000]) {
    test(`fileStream() gives the file from byte ${offset} in chunks that share one buffer`, async () => {
      const path = join(folder, 'source');
      await writeFile(path, patternOf(1_000_000));
      const buffers = new Set<ArrayBuffer>();
      const bytes: number[] = [];
      for await (const chunk of fileStream(path, { offset, chunkBytes: 300_000 })) {
        expect(chunk.length).toBeLessThanOrEqual(300_000);
        buffers.add(chunk.buffer);
        for (const byte of chunk) bytes.push(byte);
      }
      expect(Buffer.compare(Uint8Array.from(bytes), patternOf(1_000_000).subarray(offset))).toBe(0);
      expect(buffers.size).toBe(offset < 1_000_000 ? 1 : 0);
    });
  }

  test('fileStream() errors when the file ends before the offset', async () => {
    const path = join(folder, 'short');
    await writeFile(path, patternOf(99));
    const error = await failure(fileStream(path, { offset: 100 }).getReader().read());
    expect(error.code).toBe('integrity');
    expect(error.message).toContain('it has 99 bytes, and at least 100 bytes were on record');
  });

  test('fileStream() errors when the file shrinks while it is read', async () => {
    const path = join(folder, 'shrinking');
    await writeFile(path, patternOf(1_000_000));
    const reader = fileStream(path, { chunkBytes: 300_000 }).getReader();
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
