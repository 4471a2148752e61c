import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../../../lib/errors.ts';
import { openJournal } from '../../../../lib/storage/disk/journal.ts';
import { mountSmall } from '../../../support/small-disk.ts';

let folder = '';
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'journal-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `journal-${made++}`);
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

const RECORDS = [
  { kind: 'begun', text: 'ü\t\n"\\ \u2028 𝄞' },
  { kind: 'safe', bytes: 12_345_678_901, ids: ['1', '2'] },
  {},
  { kind: 'part', number: 3 },
];

/** A journal of these commits, its bytes. */
async function written(commits: readonly (readonly object[])[]): Promise<Buffer> {
  const path = newPath();
  const journal = await openJournal(path);
  for (const records of commits) await Promise.all(records.map((record) => journal.append(record)));
  await journal.close();
  return readFile(path);
}

async function opened(content: Uint8Array) {
  const path = newPath();
  await writeFile(path, content);
  return { path, journal: await openJournal(path) };
}

/** Where each line of it begins, and its end. */
function lineStarts(content: Buffer): number[] {
  return [0, ...[...content.keys()].filter((at) => content[at] === 0x0a).map((at) => at + 1)];
}

describe('openJournal()', () => {
  test('openJournal() finds no records where there is no file, and makes none', async () => {
    const path = newPath();
    expect((await openJournal(path)).records).toEqual([]);
    expect(await stat(path).catch(() => 'none')).toBe('none');
  });

  test('append() resolves when the record is what another openJournal() reads', async () => {
    const path = newPath();
    const journal = await openJournal(path);
    for (const [i, record] of RECORDS.entries()) {
      await journal.append(record);
      const copy = newPath();
      await copyFile(path, copy);
      expect((await openJournal(copy)).records).toEqual(RECORDS.slice(0, i + 1));
    }
    expect(journal.records).toEqual([]);
  });

  test('append() keeps the order of its calls, those that share a sync included', async () => {
    const path = newPath();
    const journal = await openJournal(path);
    const records = Array.from({ length: 500 }, (_, i) => ({ i }));
    await Promise.all(records.map((record) => journal.append(record)));
    expect((await openJournal(path)).records).toEqual(records);
    // One commit: a line that begins one has the mark `=`.
    expect(String(await readFile(path)).match(/\t=/g)).toHaveLength(1);
  });

  test('append() goes on behind the records of an earlier process', async () => {
    const { path, journal } = await opened(await written([RECORDS]));
    await journal.append({ more: 1 });
    expect(journal.records).toEqual(RECORDS);
    expect((await openJournal(path)).records).toEqual([...RECORDS, { more: 1 }]);
  });

  for (const [name, commits] of [
    ['one commit', [RECORDS]],
    ['a commit a record', RECORDS.map((record) => [record])],
  ] as const) {
    test(`openJournal() gives every whole record of ${name} before a cut at any byte, and goes on from there`, async () => {
      const content = await written(commits);
      const starts = lineStarts(content);
      expect(starts).toHaveLength(RECORDS.length + 1);
      for (let cut = 0; cut <= content.length; cut++) {
        const whole = starts.filter((start) => start > 0 && start <= cut).length;
        const { path, journal } = await opened(content.subarray(0, cut));
        expect(journal.records).toEqual(RECORDS.slice(0, whole));
        expect((await stat(path)).size).toBe(starts[whole] ?? -1);
        await journal.append({ after: cut });
        expect((await openJournal(path)).records).toEqual([...RECORDS.slice(0, whole), { after: cut }]);
      }
    });
  }

  test('openJournal() takes a flipped byte in the last record for a torn one, and in one before for corrupt', async () => {
    const content = await written(RECORDS.map((record) => [record]));
    const starts = lineStarts(content);
    for (let at = 0; at < content.length; at++) {
      const line = starts.filter((start) => start <= at).length;
      const { path, journal } = await opened(content.map((byte, i) => (i === at ? byte ^ 0x10 : byte)));
      // Without its newline the record before the last is one line with the last.
      const torn = at >= (starts[RECORDS.length - 1] ?? 0) - 1;
      if (torn) {
        expect(journal.records).toEqual(RECORDS.slice(0, line - 1));
        continue;
      }
      const error = thrown(() => journal.records) as ToolError;
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(
        `Cannot go on from "${path}": its line ${line} is not what was written. Start over without --resume.`,
      );
    }
  });

  test('openJournal() cuts off a commit of which a crash left a later line whole and an earlier one not', async () => {
    const content = await written([[{ first: 1 }], [{ a: 1 }, { b: 2 }, { c: 3 }]]);
    const [, second = 0, third = 0] = lineStarts(content);
    // As when a page was not written: zeros.
    const { path, journal } = await opened(content.fill(0, second, third));
    expect(journal.records).toEqual([{ first: 1 }]);
    expect((await stat(path)).size).toBe(second);
  });

  test('openJournal() refuses a commit that lost a line before another commit began', async () => {
    const content = await written([[{ a: 1 }, { b: 2 }, { c: 3 }], [{ d: 4 }]]);
    const [, second = 0, third = 0] = lineStarts(content);
    const { journal } = await opened(content.fill(0, second, third));
    expect((thrown(() => journal.records) as ToolError).code).toBe('integrity');
  });

  test('openJournal() does not read a file that no run writes', async () => {
    const path = newPath();
    await writeFile(path, '');
    await truncate(path, 16 * 1024 * 1024 + 1);
    const journal = await openJournal(path);
    const error = thrown(() => journal.records);
    expect((error as ToolError).code).toBe('integrity');
    expect((error as ToolError).message).toContain('it has 16777217 bytes');
  });

  test('openJournal() says which file it cannot read', async () => {
    const path = newPath();
    await mkdir(path);
    expect((await failure(openJournal(path))).message).toContain(path);
  });

  test('append() to a corrupt journal rejects until replace() has healed it', async () => {
    const content = await written(RECORDS.map((record) => [record]));
    content[3] = 0;
    const { path, journal } = await opened(content);
    expect((await failure(journal.append({ x: 1 }))).code).toBe('integrity');
    expect(Buffer.compare(await readFile(path), content)).toBe(0);
    await journal.replace([{ new: 1 }]);
    expect(journal.records).toEqual([]);
    await journal.append({ x: 1 });
    expect((await openJournal(path)).records).toEqual([{ new: 1 }, { x: 1 }]);
  });
});

describe('replace()', () => {
  test('replace() comes after the records that were appended before it and before those after', async () => {
    const path = newPath();
    const journal = await openJournal(path);
    await Promise.all([
      journal.append({ a: 1 }),
      journal.append({ b: 1 }),
      journal.replace([{ c: 1 }, { d: 1 }]),
      journal.append({ e: 1 }),
      journal.append({ f: 1 }),
    ]);
    expect((await openJournal(path)).records).toEqual([{ c: 1 }, { d: 1 }, { e: 1 }, { f: 1 }]);
  });

  test('replace() leaves the old records until the new ones are whole', async () => {
    const { path, journal } = await opened(await written([RECORDS]));
    // A crash before the rename leaves some of the new file.
    await writeFile(`${path}.new`, '{"half":');
    expect((await openJournal(path)).records).toEqual(RECORDS);
    await journal.replace([{ whole: 1 }]);
    expect((await openJournal(path)).records).toEqual([{ whole: 1 }]);
    expect(await stat(`${path}.new`).catch(() => 'none')).toBe('none');
  });

  test('replace() with nothing empties the journal, which goes on', async () => {
    const { path, journal } = await opened(await written([RECORDS]));
    await journal.replace([]);
    expect((await openJournal(path)).records).toEqual([]);
    await journal.append({ x: 1 });
    expect((await openJournal(path)).records).toEqual([{ x: 1 }]);
  });

  test('replace() refuses more bytes than openJournal() reads, and keeps what was there', async () => {
    const { path, journal } = await opened(await written([RECORDS]));
    const error = await failure(journal.replace([{ text: 'x'.repeat(16 * 1024 * 1024) }]));
    expect(error.code).toBe('store');
    expect((await openJournal(path)).records).toEqual(RECORDS);
  });
});

describe('a journal that cannot be written', () => {
  test('append() rejects with integrity when another process wrote to the file or removed it', async () => {
    for (const harm of [(path: string) => writeFile(path, 'other'), (path: string) => rm(path)]) {
      const { path, journal } = await opened(await written([RECORDS]));
      await harm(path);
      const error = await failure(journal.append({ x: 1 }));
      expect(error.code).toBe('integrity');
      expect(error.message).toContain(path);
    }
  });

  test('every append() after the first failure rejects with it, those that wait included', async () => {
    const path = join(folder, 'nowhere', 'journal');
    const journal = await openJournal(path);
    const first = journal.append({ a: 1 });
    const replaced = journal.replace([]);
    const second = journal.append({ b: 1 });
    const errors = await Promise.all([failure(first), failure(replaced), failure(second)]);
    await mkdir(join(folder, 'nowhere'));
    errors.push(await failure(journal.append({ c: 1 })));
    expect(new Set(errors).size).toBe(1);
    expect(errors[0]?.code).toBe('store');
    expect(errors[0]?.message).toBe(
      `Cannot write "${path}": folder "${join(folder, 'nowhere')}" does not exist (ENOENT). Mend that and go on with --resume, or set OUTPUT_TEMP_FOLDER to another folder and start over.`,
    );
    expect(await readdir(join(folder, 'nowhere'))).toEqual([]);
  });

  test('append() after close() rejects, and close() waits for those before it', async () => {
    const path = newPath();
    const journal = await openJournal(path);
    let done = false;
    const appended = journal.append({ a: 1 }).then(() => {
      done = true;
    });
    await Promise.all([appended, journal.close().then(() => expect(done).toBe(true))]);
    expect((await openJournal(path)).records).toEqual([{ a: 1 }]);
    await expect(journal.append({ b: 1 })).rejects.toThrow('is closed');
  });

  const small = mountSmall('1m');
  afterAll(small.unmount);
  test.skipIf(small.path === undefined)(
    `append() on a full disk says so, and what was whole is read again${small.path ? '' : ' (needs root to mount a tmpfs)'}`,
    async () => {
      const path = join(small.path ?? '', 'journal');
      const journal = await openJournal(path);
      await journal.append({ first: 1 });
      await writeFile(join(small.path ?? '', 'ballast'), new Uint8Array(1000 * 1024));
      const error = await failure(journal.append({ text: 'x'.repeat(100_000) }));
      expect(error.code).toBe('store');
      expect(error.message).toContain(`Cannot write "${path}": the disk is full (ENOSPC). Mend that`);
      expect(await failure(journal.append({ x: 1 }))).toBe(error);
      expect((await openJournal(path)).records).toEqual([{ first: 1 }]);
    },
  );
});
