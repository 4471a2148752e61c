import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { Checkpoints } from '../../../lib/run/checkpoints.ts';
import { RunJournal } from '../../../lib/run/run-journal.ts';
import type { SafeRecord } from '../../../lib/run/run-state.ts';
import type { GrowingFile } from '../../../lib/storage/storage.ts';
import { memoryJournal } from '../../support/memory-journal.ts';

/** A file that says when it was synced, and how long it was then. */
function memoryFile(steps: string[]): GrowingFile & { readonly bytes: number[] } {
  const bytes: number[] = [];
  return {
    bytes,
    path: 'memory',
    get length() {
      return bytes.length;
    },
    write: async (chunk) => void bytes.push(...chunk),
    sync: async () => void steps.push(`memory ${bytes.length}`),
    close: async () => {},
  };
}

const point = (rows: number) => ({
  units: rows,
  rows,
  bytes: rows * 10,
  counts: {},
  memory: new Uint8Array([rows, rows]),
});
const position = (rows: number) => ({ set: 0, after: String(rows), idsSeen: rows, missing: 0 });

describe('Checkpoints', () => {
  test('put a point on record when its bytes and its memory are on the disk', async () => {
    const steps: string[] = [];
    const { journal } = memoryJournal();
    const record = {
      ...journal,
      append: async (each: object) => void steps.push(`rows ${(each as SafeRecord).point.rows}`),
    };
    const file = memoryFile(steps);
    const checkpoints = new Checkpoints(new RunJournal(record), file, async () => void steps.push('data'));
    checkpoints.add(point(1), position(1));
    await checkpoints.settled();
    expect(steps.slice(0, 2).sort()).toEqual(['data', 'memory 2']);
    expect(steps.slice(2)).toEqual(['rows 1']);
  });

  test('let points that come meanwhile go on record together, with all that is to be remembered', async () => {
    const store = memoryJournal();
    const disk = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let syncs = 0;
    const file = memoryFile([]);
    const checkpoints = new Checkpoints(
      new RunJournal(store.journal),
      file,
      () => disk[syncs++]?.promise ?? Promise.resolve(),
    );
    checkpoints.add(point(1), position(1));
    for (const rows of [2, 3, 4]) checkpoints.add(point(rows), position(rows));
    disk[0]?.resolve();
    disk[1]?.resolve();
    await checkpoints.settled();
    const records = store.reopened().records as readonly SafeRecord[];
    expect(records.map(({ point: { rows }, memoryBytes }) => [rows, memoryBytes])).toEqual([
      [1, 2],
      [4, 8],
    ]);
    expect(file.bytes).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
    expect(syncs).toBe(2);
  });

  test('have no room for more while two wait for a slow disk', async () => {
    const store = memoryJournal();
    const disk = Promise.withResolvers<void>();
    let syncs = 0;
    const checkpoints = new Checkpoints(new RunJournal(store.journal), memoryFile([]), () =>
      syncs++ === 0 ? disk.promise : Promise.resolve(),
    );
    for (const rows of [1, 2]) {
      checkpoints.add(point(rows), position(rows));
      expect(checkpoints.room()).toBeUndefined();
    }
    checkpoints.add(point(3), position(3));
    let hasRoom = false;
    const room = checkpoints.room()?.then(() => {
      hasRoom = true;
    });
    await new Promise(setImmediate);
    expect(hasRoom).toBe(false);
    disk.resolve();
    await room;
    expect(hasRoom).toBe(true);
    await checkpoints.settled();
    expect((store.reopened().records.at(-1) as SafeRecord).point.rows).toBe(3);
  });

  test('hold nobody up for a disk that failed', async () => {
    const store = memoryJournal();
    const disk = Promise.withResolvers<void>();
    const checkpoints = new Checkpoints(new RunJournal(store.journal), memoryFile([]), () => disk.promise);
    for (const rows of [1, 2, 3]) checkpoints.add(point(rows), position(rows));
    const room = checkpoints.room();
    disk.reject(new ToolError('store', 'The disk is full.'));
    await room;
    expect(() => checkpoints.add(point(4), position(4))).toThrow('The disk is full.');
  });

  test('fail at the next point after a disk that took nothing, and at the end', async () => {
    const full = new ToolError('store', 'The disk is full.');
    const store = memoryJournal();
    const checkpoints = new Checkpoints(new RunJournal(store.journal), memoryFile([]), () =>
      Promise.reject(full),
    );
    checkpoints.add(point(1), position(1));
    const settled = await checkpoints.settled().catch((error: unknown) => error);
    expect(settled).toBe(full);
    expect(() => checkpoints.add(point(2), position(2))).toThrow(full);
    expect(store.reopened().records).toEqual([]);
  });
});
