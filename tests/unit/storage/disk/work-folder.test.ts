import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { openWorkFolder } from '../../../../lib/storage/disk/work-folder.ts';
import { patternOf } from '../../../support/byte-body.ts';
import { mountSmall } from '../../../support/small-disk.ts';

const all = await mkdtemp(join(tmpdir(), 'work-'));
let root = '';
let folder = '';
beforeEach(async () => {
  root = await mkdtemp(join(all, 'r-'));
  folder = join(root, 'qdrant-export', 'b%C3%BCcher');
});
afterAll(() => rm(all, { recursive: true, force: true }));

const failure = async (work: Promise<unknown>): Promise<ToolError> => {
  const error = await work.catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
};
const thrown = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};
const namesIn = async (path: string) => (await readdir(path)).sort();

/** A journal whose first line is not what was written. */
async function leaveCorruptJournal(): Promise<void> {
  const work = await openWorkFolder(folder);
  for (const i of [1, 2, 3]) await work.journal.append({ i });
  await work.close();
  const content = await readFile(join(folder, 'journal'));
  content[2] = 0;
  await writeFile(join(folder, 'journal'), content);
}

describe('openWorkFolder()', () => {
  test('openWorkFolder() makes the folder and holds its lock, and close() leaves nothing of a run that made nothing', async () => {
    const work = await openWorkFolder(folder);
    expect(work.path).toBe(folder);
    expect(work.file('x.parquet')).toBe(join(folder, 'x.parquet'));
    expect(work.journal.records).toEqual([]);
    expect(await namesIn(folder)).toEqual(['lock']);
    const error = await failure(openWorkFolder(folder));
    expect(error.code).toBe('usage');
    expect(error.message).toStartWith(`Collection "bücher" is being exported by process ${process.pid} `);
    await work.close();
    await work.close();
    expect(await namesIn(root)).toEqual([]);
  });

  test('close() leaves the journal and the files for a later run, which finds them', async () => {
    const work = await openWorkFolder(folder);
    await work.journal.append({ safe: 1000 });
    const file = await work.grow(work.file('x.parquet.part'), 0);
    await file.write(patternOf(2000));
    await file.sync();
    await file.close();
    await work.close();
    expect(await namesIn(folder)).toEqual(['journal', 'x.parquet.part']);

    const later = await openWorkFolder(folder);
    expect(later.journal.records).toEqual([{ safe: 1000 }]);
    const again = await later.grow(later.file('x.parquet.part'), 1000);
    await again.write(patternOf(3000).subarray(1000));
    await again.sync();
    await again.close();
    await later.rename(later.file('x.parquet.part'), later.file('x.parquet'));
    expect(await later.size(later.file('x.parquet.part'))).toBeUndefined();
    expect(await later.size(later.file('x.parquet'))).toBe(3000);
    const read: number[] = [];
    for await (const chunk of later.read(later.file('x.parquet'), 500)) read.push(...chunk);
    expect(Buffer.compare(Uint8Array.from(read), patternOf(3000).subarray(500))).toBe(0);
    await later.clear();
    expect(await namesIn(root)).toEqual([]);
  });

  test('clear() removes all that a run makes, and nothing that somebody else put there', async () => {
    const work = await openWorkFolder(folder);
    await work.journal.append({ a: 1 });
    const own = [
      'journal.new',
      'memory',
      'ndjson-gz.ndjson.gz',
      'ndjson-gz.parquet.part',
      'ndjson-gz.parquet',
    ];
    for (const name of [...own, 'lock.0123456789abcdef']) await writeFile(work.file(name), 'own');
    await mkdir(join(work.file('scratch'), 'deep'), { recursive: true });
    await writeFile(join(work.file('scratch'), 'deep', 'x'), 'own');
    const others = ['journal.txt', 'lock.txt', 'memory.txt', 'notes', 'x.parquet.bak', 'x.ndjson'];
    for (const name of others) await writeFile(work.file(name), 'of a user');
    await mkdir(join(work.file('folder.parquet'), 'scratch'), { recursive: true });
    await work.clear();
    expect(await namesIn(folder)).toEqual([...others, 'folder.parquet'].sort());
    expect(await namesIn(join(folder, 'folder.parquet'))).toEqual(['scratch']);
  });

  test('clear() removes a link in the place of a file, not what is behind it', async () => {
    const work = await openWorkFolder(folder);
    await mkdir(join(root, 'elsewhere'));
    await writeFile(join(root, 'elsewhere', 'x'), 'of a user');
    await symlink(join(root, 'elsewhere'), work.file('memory'));
    await work.clear();
    expect(await namesIn(root)).toEqual(['elsewhere']);
    expect(await namesIn(join(root, 'elsewhere'))).toEqual(['x']);
  });

  test('clear() leaves the folders of other collections, and the lock of a run that follows', async () => {
    const other = await openWorkFolder(join(root, 'qdrant-export', 'other'));
    const work = await openWorkFolder(folder);
    await work.clear();
    expect(await namesIn(join(root, 'qdrant-export'))).toEqual(['other']);
    const next = await openWorkFolder(folder);
    await work.close();
    expect(await namesIn(folder)).toEqual(['lock']);
    await expect(work.clear()).rejects.toThrow('is closed');
    await next.clear();
    await other.close();
    expect(await namesIn(root)).toEqual([]);
  });

  test('of many that open one folder while others clear it, one at a time has it', async () => {
    let holders = 0;
    let most = 0;
    let opened = 0;
    const run = async () => {
      const work = await openWorkFolder(folder).catch((error: ToolError) => {
        expect(error.message).toContain('is being exported by process');
      });
      if (!work) return;
      opened++;
      most = Math.max(most, ++holders);
      await work.journal.append({ a: 1 });
      holders--;
      await work.clear();
    };
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 5 }, run));
    expect(most).toBe(1);
    expect(opened).toBeGreaterThanOrEqual(10);
    expect(await namesIn(root)).toEqual([]);
  });

  test('a corrupt journal says so when its records are asked for, and replace() starts anew', async () => {
    await leaveCorruptJournal();
    const work = await openWorkFolder(folder);
    const error = thrown(() => work.journal.records) as ToolError;
    expect(error.code).toBe('integrity');
    expect(error.message).toContain(`"${join(folder, 'journal')}": its line 1 is not`);
    await work.journal.replace([{ anew: 1 }]);
    await work.close();
    const later = await openWorkFolder(folder);
    expect(later.journal.records).toEqual([{ anew: 1 }]);
    await later.clear();
  });

  test('a journal that cannot be opened gives the lock back', async () => {
    await mkdir(join(folder, 'journal'), { recursive: true });
    expect((await failure(openWorkFolder(folder))).message).toContain(join(folder, 'journal'));
    expect(await namesIn(folder)).toEqual(['journal']);
  });

  test('openWorkFolder() names OUTPUT_TEMP_FOLDER when the folder cannot be made or locked', async () => {
    await writeFile(join(root, 'plain'), '');
    const made = await failure(openWorkFolder(join(root, 'plain', 'qdrant-export', 'books')));
    expect(made.code).toBe('usage');
    expect(made.message).toBe(
      `Cannot make the work folder "${join(root, 'plain')}/qdrant-export/books": "${join(root, 'plain')}" is not a folder (ENOTDIR). Set OUTPUT_TEMP_FOLDER.`,
    );
    await mkdir(join(folder, 'lock'), { recursive: true });
    const locked = await failure(openWorkFolder(folder));
    expect(locked.code).toBe('usage');
    expect(locked.message).toBe(
      `Cannot lock the work folder "${folder}": it is a folder (EISDIR). Set OUTPUT_TEMP_FOLDER.`,
    );
  });

  test('close() and clear() wait for the records that are being appended', async () => {
    const work = await openWorkFolder(folder);
    const order: string[] = [];
    await Promise.all([
      work.journal.append({ a: 1 }).then(() => order.push('appended')),
      work.close().then(() => order.push('closed')),
    ]);
    expect(order).toEqual(['appended', 'closed']);
    await expect(work.journal.append({ b: 1 })).rejects.toThrow('is closed');
    const later = await openWorkFolder(folder);
    expect(later.journal.records).toEqual([{ a: 1 }]);
    await Promise.all([later.journal.append({ b: 1 }), later.clear()]);
    expect(await namesIn(root)).toEqual([]);
  });

  test('remove() resolves for a file that is not there, removes the scratch folder, and no other folder', async () => {
    const work = await openWorkFolder(folder);
    await work.remove(work.file('none'));
    await mkdir(join(work.file('scratch'), 'deep'), { recursive: true });
    await work.remove(work.file('scratch'));
    await mkdir(work.file('kept'));
    expect((await failure(work.remove(work.file('kept')))).message).toContain('Cannot remove');
    expect(await namesIn(folder)).toEqual(['kept', 'lock']);
    expect((await failure(work.rename(work.file('none'), work.file('x')))).code).toBe('store');
    await work.close();
  });

  test('freeBytes() tells what the file system has, and undefined for a folder that is not there', async () => {
    const work = await openWorkFolder(folder);
    expect(await work.freeBytes(work.file('x'))).toBeGreaterThan(0);
    expect(await work.freeBytes(join(folder, 'nowhere', 'x'))).toBeUndefined();
    await work.close();
  });

  const small = mountSmall('1m');
  afterAll(small.unmount);
  test.skipIf(small.path === undefined)(
    `grow() on a full disk says what to do about that disk, and freeBytes() what it has${small.path ? '' : ' (needs root to mount a tmpfs)'}`,
    async () => {
      const disk = small.path ?? '';
      const work = await openWorkFolder(join(disk, 'qdrant-export', 'books'));
      const free = (await work.freeBytes(work.file('x'))) ?? 0;
      expect(free).toBeLessThanOrEqual(1024 * 1024);
      const within = await work.grow(work.file('x.parquet.part'), 0);
      expect((await failure(within.write(patternOf(4_000_000)))).message).toBe(
        `Cannot write "${within.path}": the disk is full (ENOSPC). Make room there and go on with --resume, set OUTPUT_TEMP_FOLDER to a folder with more room, or use --stream-upload.`,
      );
      await within.close();
      expect(await work.freeBytes(work.file('x'))).toBeLessThan(free);
      await work.remove(within.path);
      const beside = await work.grow(join(disk, 'out.parquet.01234567.part'), 0);
      expect((await failure(beside.write(patternOf(4_000_000)))).message).toBe(
        `Cannot write "${beside.path}": the disk is full (ENOSPC). Make room there and go on with --resume.`,
      );
      await beside.close();
      await work.clear();
      expect(await namesIn(disk)).toEqual(['out.parquet.01234567.part']);
      expect((await stat(beside.path)).size).toBeGreaterThan(0);
    },
  );
});
