import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { GrowingFile, WorkFolder } from '../../../lib/storage/storage.ts';
import { memoryStore } from '../../support/memory-store.ts';
import { type MemoryDisk, memoryDisk } from '../../support/memory-work-folder.ts';
import { idsTo, runProcess, wholeFile } from '../../support/run-scene.ts';

const IDS = idsTo(30);
const lineOf = (id: string) => id.padStart(99, '.');
const WHOLE = wholeFile(IDS, lineOf);
const DATA = 'work/lines.parquet.part';

interface Trial {
  readonly disk: MemoryDisk;
  readonly work?: Partial<WorkFolder>;
  readonly line?: typeof lineOf;
  readonly signal?: AbortSignal;
}

async function byFile({ disk, work = {}, line = lineOf, signal }: Trial) {
  const store = memoryStore(1024 * 1024);
  const plan = { streaming: false, resume: disk.records().length > 0, options: { strategy: 'lines' } };
  const ended = await runProcess({
    ids: IDS,
    lineOf: line,
    disk,
    work,
    plan,
    ...(signal === undefined ? {} : { signal }),
    parts: { destination: store.destination() },
  });
  const object = store.objects.get('k')?.bytes;
  return { ...ended, text: object && Buffer.from(object).toString() };
}

/** What a kill leaves when so many bytes of the data were written; every safe point before is on record. */
async function killedAt(bytes: number): Promise<MemoryDisk> {
  const disk = memoryDisk();
  let left: MemoryDisk | undefined;
  const grow: WorkFolder['grow'] = async (path, length) => {
    const file = await disk.open().grow(path, length);
    if (path !== DATA) return file;
    return {
      ...file,
      get length() {
        return file.length;
      },
      async write(chunk) {
        await file.write(chunk);
        await new Promise(setImmediate);
        if (file.length < bytes || left !== undefined) return;
        left = disk.copy();
        throw new ToolError('store', 'Killed.');
      },
    };
  };
  await byFile({ disk, work: { grow } });
  if (left === undefined) throw new Error('It was not killed.');
  return left;
}

describe('writeDataFile()', () => {
  for (const bytes of [1, 401, 1_601, 2_801, 3_001]) {
    test(`goes on after a kill at byte ${bytes}, and makes the same file`, async () => {
      const disk = await killedAt(bytes);
      const { text, report } = await byFile({ disk });
      expect(text).toBe(WHOLE);
      expect(report?.file?.files[0]?.sha256).toBe(new Bun.CryptoHasher('sha256').update(WHOLE).digest('hex'));
      expect([...disk.files.keys()]).toEqual([]);
    });
  }

  test('makes again only what was not safe', async () => {
    const disk = await killedAt(1_601);
    const made: string[] = [];
    const line = (id: string) => {
      made.push(id);
      return lineOf(id);
    };
    await byFile({ disk, line });
    expect(made[0]).toBe('17');
  });

  test('refuses a file that is shorter than what was safe, and leaves nothing to go on with', async () => {
    const disk = await killedAt(1_601);
    disk.files.set(DATA, new Uint8Array(10));
    const { error, isResumable } = await byFile({ disk });
    expect(error?.code).toBe('integrity');
    expect(isResumable).toBe(false);
    expect(disk.records()).toEqual([]);
  });

  test('refuses to go on without what the format has to remember', async () => {
    const disk = await killedAt(1_601);
    disk.files.delete('work/memory');
    const { error, isResumable } = await byFile({ disk });
    expect(error?.message).toMatch(/^Cannot go on with the interrupted run: "work\/memory" has 0 bytes/);
    expect(isResumable).toBe(false);
    expect([...disk.files.keys()]).toEqual([]);
  });

  test('stops when the run does, while it reads what was written before', async () => {
    const disk = await killedAt(1_601);
    const before = disk.records();
    const stop = new AbortController();
    let chunks = 0;
    // A file without end.
    const read = () =>
      new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull(controller) {
          if (++chunks === 3) stop.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
          controller.enqueue(new Uint8Array(8));
          if (chunks === 100) controller.close();
        },
      });
    const own = disk.open();
    const work = { read: (path: string) => (path === DATA ? read() : own.read(path)) };
    const { error, isResumable } = await byFile({ disk, work, signal: stop.signal });
    expect(error?.message).toBe('Stopped by Ctrl+C.');
    expect(chunks).toBeLessThan(10);
    expect(isResumable).toBe(true);
    expect(disk.records()).toEqual(before);
  });

  test('tells why the run ends, also where the disk never finishes and then fails', async () => {
    const disk = memoryDisk();
    const never = new Promise<void>(() => {});
    const grow: WorkFolder['grow'] = async (path, length) => {
      const file = await disk.open().grow(path, length);
      const stuck: GrowingFile = { ...file, sync: () => never, close: () => never };
      return path === DATA
        ? { ...stuck, write: () => Promise.reject(new ToolError('store', 'Full.')) }
        : stuck;
    };
    const { error, isResumable } = await byFile({ disk, work: { grow } });
    expect(error?.message).toBe('Full.');
    expect(isResumable).toBe(true);
  });

  test('does not wait for a disk when the run is stopped', async () => {
    const disk = memoryDisk();
    const stop = new AbortController();
    const grow: WorkFolder['grow'] = async (path, length) => {
      const file = await disk.open().grow(path, length);
      const sync = () => {
        stop.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
        return new Promise<void>(() => {});
      };
      return path === DATA ? { ...file, sync } : file;
    };
    const { error } = await byFile({ disk, work: { grow }, signal: stop.signal });
    expect(error?.message).toBe('Stopped by Ctrl+C.');
  });

  test('closes what it has opened when the other file cannot be', async () => {
    const disk = memoryDisk();
    const closed: string[] = [];
    const grow: WorkFolder['grow'] = async (path, length) => {
      if (path === DATA) throw new ToolError('store', 'No.');
      const file = await disk.open().grow(path, length);
      return { ...file, close: async () => void closed.push(path) };
    };
    const { error } = await byFile({ disk, work: { grow } });
    expect(error?.message).toBe('No.');
    expect(closed).toEqual(['work/memory']);
  });
});
