import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { ExportPlan } from '../../../lib/plan.ts';
import type { WorkFolder } from '../../../lib/storage/storage.ts';
import { memoryStore } from '../../support/memory-store.ts';
import { memoryDisk } from '../../support/memory-work-folder.ts';
import { idsTo, runProcess } from '../../support/run-scene.ts';
import { scriptedTransport } from '../../support/scripted-transport.ts';

const IDS = idsTo(30);
const lineOf = (id: string) => id.padStart(99, '.');
const OPTIONS = { strategy: 'lines' };

/** A disk and a store as a run leaves them that is killed when the second part is sent. */
async function interrupted() {
  const disk = memoryDisk();
  const store = memoryStore(1_000);
  let left: { disk: typeof disk; store: typeof store } | undefined;
  const part = (number: number) => {
    if (number !== 2) return;
    left = { disk: disk.copy(), store: store.copy() };
    throw new ToolError('store', 'Killed.');
  };
  await runProcess({
    ids: IDS,
    lineOf,
    disk,
    plan: { streaming: false, options: OPTIONS },
    parts: { destination: store.destination({ part }) },
  });
  if (left === undefined) throw new Error('It was not killed.');
  return left;
}

type Left = Awaited<ReturnType<typeof interrupted>>;

function again({ disk, store }: Left, plan: Partial<ExportPlan>, work: Partial<WorkFolder> = {}) {
  return runProcess({
    ids: IDS,
    lineOf,
    disk,
    work,
    plan: { streaming: false, options: OPTIONS, ...plan },
    parts: { destination: store.destination() },
  });
}

describe('beginSession()', () => {
  test('says that it goes on, and with what', async () => {
    const left = await interrupted();
    const { notes } = await again(left, { resume: true });
    expect(notes).toMatch(/^Going on with the run of 20\S+Z: the Parquet file is whole\.$/);
  });

  test('gives up what was left without --resume: the upload, the files and the journal', async () => {
    const left = await interrupted();
    const { notes, error } = await again(left, {});
    expect(notes).toMatch(/^The interrupted run of 20\S+Z is given up, and this one starts over/);
    expect(error).toBeUndefined();
    expect(left.store.uploads.size).toBe(0);
    expect([...left.disk.files.keys()]).toEqual([]);
  });

  test('leaves no journal of files that are gone when it gives up and then cannot begin', async () => {
    const left = await interrupted();
    const { error, isResumable } = await again(left, {}, { freeBytes: async () => 1 });
    expect(error?.message).toStartWith('Cannot begin the export: 1 MB are free in work');
    expect(isResumable).toBe(false);
    expect(left.disk.records()).toEqual([]);
    expect([...left.disk.files.keys()]).toEqual([]);
    expect(left.store.uploads.size).toBe(0);
  });

  test('forgets what was left before it removes any of it', async () => {
    const left = await interrupted();
    const recordsThen: number[] = [];
    const own = left.disk.open();
    const remove = async (path: string) => {
      recordsThen.push(left.disk.records().length);
      await own.remove(path);
    };
    await again(left, {}, { remove });
    expect(recordsThen).toEqual([0, 0, 0]);
  });

  test('names an upload that it gives up in another store', async () => {
    const left = await interrupted();
    const { notes } = await again(left, { target: 'other/k' });
    expect(notes).toContain(
      'The unfinished upload upload 1 of k stays in the other store, store/k, and may cost storage until that drops it.',
    );
  });

  test('begins anew with --resume where nothing was left', async () => {
    const { notes, error } = await again({ disk: memoryDisk(), store: memoryStore(1_000) }, { resume: true });
    expect(notes).toBe('There is no interrupted run to go on with: this one begins anew.');
    expect(error).toBeUndefined();
  });
});

describe('a run with --resume that fails before it goes on', () => {
  test('says that it can be gone on with still', async () => {
    const { disk, store } = await interrupted();
    const before = disk.records();
    const describe_ = async () => Promise.reject(new ToolError('qdrant', 'Qdrant is not there.'));
    const { isResumable, error } = await runProcess({
      ids: IDS,
      lineOf,
      disk,
      plan: { streaming: false, options: OPTIONS, resume: true },
      parts: { destination: store.destination(), transport: scriptedTransport({ describe: describe_ }) },
    });
    expect(error?.message).toBe('Qdrant is not there.');
    expect(isResumable).toBe(true);
    expect(disk.records()).toEqual(before);
  });

  test('does not say so of settings that are others: the same command would be refused again', async () => {
    const left = await interrupted();
    const { isResumable, error } = await again(left, { resume: true, options: { strategy: 'words' } });
    expect(error?.code).toBe('usage');
    expect(error?.message).toContain('--strategy lines then, words now');
    expect(isResumable).toBe(false);
    expect(left.disk.records().length).toBeGreaterThan(0);
  });
});

describe('clearKept()', () => {
  const strict = (left: Left, work: Partial<WorkFolder> = {}) =>
    runProcess({
      ids: IDS,
      lineOf,
      disk: left.disk,
      work,
      plan: { streaming: false, options: OPTIONS, strict: true, limit: 40, resume: false },
      parts: {
        destination: left.store.destination({
          publish: () => {
            throw new ToolError('integrity', 'What is there is not what was sent.');
          },
        }),
      },
    });

  test('removes the upload and all files of a run that does not agree with itself', async () => {
    const left = { disk: memoryDisk(), store: memoryStore(1_000) };
    const { error, isResumable } = await strict(left);
    expect(error?.code).toBe('integrity');
    expect(isResumable).toBe(false);
    expect([...left.disk.files.keys()]).toEqual([]);
    expect(left.disk.records()).toEqual([]);
    expect(left.store.uploads.size).toBe(0);
  });

  test('tells what it cannot remove, and why the run failed all the same', async () => {
    const left = { disk: memoryDisk(), store: memoryStore(1_000) };
    const clear = () =>
      Promise.reject(new ToolError('store', 'Cannot remove "work/journal": no permission.'));
    const { error, notes } = await strict(left, { clear });
    expect(error?.message).toContain('What is there is not what was sent.');
    expect(notes).toContain('Cannot remove "work/journal": no permission.');
  });
});

describe('the end of a run that went well', () => {
  test('is no failure where its work files cannot be removed', async () => {
    const left = { disk: memoryDisk(), store: memoryStore(1_000) };
    const clear = () => Promise.reject(new ToolError('store', 'Cannot remove "work/x": no permission.'));
    const { error, notes, isResumable } = await again(left, {}, { clear });
    expect(error).toBeUndefined();
    expect(isResumable).toBe(false);
    expect(notes).toBe('Not all work files could be removed: Cannot remove "work/x": no permission.');
    expect([...left.store.objects.keys()]).toEqual(['k', 'k.json']);
  });
});
