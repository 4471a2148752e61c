import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { partKey } from '../../../lib/split-keys.ts';
import { etagOf } from '../../support/memory-store.ts';
import { memoryDisk } from '../../support/memory-work-folder.ts';
import { wholeFile } from '../../support/run-scene.ts';
import { splitLineOf } from '../../support/split-lines.ts';
import {
  IDS,
  KEY,
  keysOf,
  killedAnywhere,
  LENGTHS,
  type Left,
  MANIFEST_KEY,
  manifestOf,
  nothing,
  PLAIN,
  partKeysOf,
  run,
  sha256Of,
  textOf,
  WHOLE,
} from '../../support/split-scene.ts';

/** The files are there, whole, and named by the manifest; nothing else is there, and nothing is left. */
function expectSplit(left: Left): void {
  const { files, counts } = manifestOf(left);
  expect(keysOf(left)).toEqual([...files.map(({ key }) => key), MANIFEST_KEY].sort());
  expect(files.map(({ key }) => textOf(left, key)).join('')).toBe(WHOLE);
  expect(files.map(({ bytes }) => bytes)).toEqual(LENGTHS);
  expect(files.map(({ rows }) => rows)).toEqual([8, 8, 8, 6]);
  expect(files.map(({ rowGroups }) => rowGroups)).toEqual([2, 2, 2, 2]);
  expect(counts.rows).toBe(30);
  for (const { key, sha256, etag } of files) {
    expect(sha256).toBe(sha256Of(textOf(left, key)));
    expect(etag).toBe(left.store.objects.get(key)?.etag ?? 'none');
  }
  expectNothingLeft(left);
}

function expectPlain(left: Left): void {
  expect(keysOf(left)).toEqual([MANIFEST_KEY, KEY]);
  expect(textOf(left, KEY)).toBe(wholeFile(IDS, splitLineOf));
  expect(manifestOf(left).files.map(({ key }) => key)).toEqual([KEY]);
  expectNothingLeft(left);
}

function expectNothingLeft({ disk, store }: Left): void {
  expect([...store.uploads.keys()]).toEqual([]);
  expect([...disk.files.keys()]).toEqual([]);
  expect(disk.records()).toEqual([]);
}

/** What a kill leaves right before so many parts of uploads were sent, three a file; around the fourth file's end. */
async function killedAtPart(sent: number): Promise<Left> {
  const from = nothing();
  let left: Left | undefined;
  let parts = 0;
  await run(from, {
    hooks: {
      part: async () => {
        await new Promise(setImmediate);
        if (parts++ !== sent) return;
        left = { disk: from.disk.copy(), store: from.store.copy() };
        throw new ToolError('store', 'Killed.');
      },
    },
  });
  if (left === undefined) throw new Error('It was not killed.');
  return left;
}

describe('an export with --split-size', () => {
  for (const partBytes of [300, 10_000]) {
    test(`is several files, each of its own key, which one manifest binds (in parts of ${partBytes})`, async () => {
      const left = nothing(partBytes);
      const { report, error } = await run(left);
      expect(error).toBeUndefined();
      expectSplit(left);
      const [, id] = /Z-(\w{8})\//.exec(report?.file?.key ?? '') ?? [];
      expect(report?.file).toMatchObject({
        key: `docs/19700101T000000Z-${id}/part-*.parquet`,
        location: `memory:docs/19700101T000000Z-${id}/part-*.parquet`,
        manifestLocation: `memory:${MANIFEST_KEY}`,
        bytes: WHOLE.length,
        rowGroups: 8,
      });
      expect(report?.file?.files.map(({ location }) => location)).toEqual(
        [0, 1, 2, 3].map((number) => `memory:${partKey(KEY, new Date(0), id ?? '', number)}`),
      );
    });
  }

  test('tells of the file that is uploaded how far the whole export is', async () => {
    const { events } = await run(nothing());
    const from = events.findIndex((event) => event.kind === 'phase' && event.phase === 'upload');
    const told = events.slice(from).flatMap((event) => (event.kind === 'progress' ? [event.bytes] : []));
    expect(told.at(-1)).toBe(WHOLE.length);
    expect(told.toSorted((a, b) => a - b)).toEqual(told);
    const totals = events.flatMap((event) =>
      event.kind === 'phase' && event.phase === 'upload' ? [event.total] : [],
    );
    expect(totals).toEqual([1, 2, 3, 4].map(() => WHOLE.length));
  });

  test('asks with --debug once, for all files', async () => {
    const asked: unknown[] = [];
    const left = nothing();
    const { error } = await run(left, {
      plan: { debug: true },
      confirm: async (question) => {
        asked.push(question);
        return false;
      },
    });
    expect(error?.code).toBe('cancelled');
    expect(asked).toEqual([
      {
        path: 'work/lines.parquet',
        bytes: WHOLE.length,
        files: 4,
        location: expect.stringMatching(/^memory:docs\/19700101T000000Z-\w{8}\/part-\*\.parquet$/),
      },
    ]);
    expect(keysOf(left)).toEqual([]);
  });

  test('names in its plan where its files will be, and on the way on its run too', async () => {
    const locationOf = async (left: Left, resume: boolean) => {
      const { events } = await run(left, { plan: { resume, dryRun: true } });
      return events.flatMap((event) => (event.kind === 'plan' ? [event.plan.location] : []));
    };
    expect(await locationOf(nothing(), false)).toEqual(['memory:docs/19700101T000000Z-*/part-*.parquet']);
    const left = await killedAtPart(4);
    const [stored] = partKeysOf(left);
    const folder = stored?.slice(0, stored.lastIndexOf('/'));
    expect(await locationOf(left, true)).toEqual([`memory:${folder}/part-*.parquet`]);
  });
});

describe('a split export goes on, wherever it was killed', () => {
  const before = {
    'where there was none': async () => {},
    'over one that was not split': async (left: Left) => void (await run(left, { plan: PLAIN })),
    'over another split one': async (left: Left) => void (await run(left)),
  };
  for (const [what, make] of Object.entries(before)) {
    for (const partBytes of [300, 10_000]) {
      test(`${what} (in parts of ${partBytes})`, async () => {
        const from = nothing(partBytes);
        await make(from);
        const points = await killedAnywhere(from);
        expectSplit(from);
        expect(points.length).toBeGreaterThan(20);
        for (const left of points) {
          const { error } = await run(left, { plan: { resume: true } });
          expect(error).toBeUndefined();
          expectSplit(left);
        }
      });
    }
  }

  test('and so does one that is not split, over one that was', async () => {
    const from = nothing();
    await run(from);
    const points = await killedAnywhere(from, { plan: PLAIN });
    expectPlain(from);
    for (const left of points) {
      const { error } = await run(left, { plan: { ...PLAIN, resume: true } });
      expect(error).toBeUndefined();
      expectPlain(left);
    }
  });
});

describe('publishParts()', () => {
  test('sends no file again that is there, and of the one under way only what is missing', async () => {
    const left = await killedAtPart(7);
    expect(partKeysOf(left).length).toBe(2);
    const { notes } = await run(left, { plan: { resume: true } });
    expect(notes).toContain('2 of 4 files are in the store.');
    const { files } = manifestOf(left);
    expect(files.map(({ key }) => left.store.taken.get(key))).toEqual([
      undefined,
      undefined,
      500,
      LENGTHS[3],
    ]);
    expectSplit(left);
  });

  for (const what of ['gone', 'another'] as const) {
    test(`sends a file again that is ${what} by now, after the one that is under way`, async () => {
      const left = await killedAtPart(7);
      const [first = ''] = partKeysOf(left);
      if (what === 'gone') left.store.objects.delete(first);
      else left.store.objects.set(first, { bytes: new Uint8Array(800), etag: etagOf(new Uint8Array(800)) });
      const published: string[] = [];
      await run(left, { plan: { resume: true }, hooks: { published: (key) => void published.push(key) } });
      const keys = manifestOf(left).files.map(({ key }) => key);
      expect(published).toEqual([keys[2], keys[0], keys[3], MANIFEST_KEY] as string[]);
      expectSplit(left);
    });
  }

  test('publishes no file of bytes that changed since they were written, and removes those that are there', async () => {
    const left = await killedAtPart(4);
    const bytes = left.disk.files.get('work/lines.parquet');
    if (bytes !== undefined) bytes[1_700] = 0;
    const { error, isResumable, notes } = await run(left, { plan: { resume: true } });
    expect(error?.message).toContain('Cannot publish "work/lines.parquet": it is not the file of');
    expect(isResumable).toBe(false);
    expect(notes).toMatch(
      /What it had in the store is removed: memory:docs\/\S+\/part-\*\.parquet \(2 files\)\./,
    );
    expect(keysOf(left)).toEqual([]);
    expectNothingLeft(left);
  });
});

describe('a split export that is given up', () => {
  test('leaves nothing in the store, wherever it was killed, but for what its manifest names', async () => {
    const from = nothing();
    const points = await killedAnywhere(from);
    for (const left of points) {
      const { error } = await run(left);
      expect(error).toBeUndefined();
      expectSplit(left);
    }
  });

  test('leaves the export alone that it is, where it came as far as its manifest', async () => {
    const from = nothing();
    const points = await killedAnywhere(from);
    const withManifest = points.filter(
      (left) => keysOf(left).includes(MANIFEST_KEY) && left.disk.records().length > 0,
    );
    expect(withManifest.length).toBeGreaterThan(0);
    for (const left of withManifest) {
      const whole = keysOf(left);
      const { error } = await run(left, {
        hooks: {
          part: () => {
            throw new ToolError('store', 'The store is full.');
          },
        },
      });
      expect(error?.message).toBe('The store is full.');
      expect(keysOf(left)).toEqual(whole);
    }
  });

  test('stays in another store, and is told', async () => {
    const left = await killedAtPart(4);
    const there = partKeysOf(left);
    const { notes } = await run({ ...left, store: nothing().store }, { plan: { target: 'other/k' } });
    expect(notes).toContain(
      `Its files in the other store, store/docs/latest.parquet, stay there: memory:${there[0]}.`,
    );
    expect(partKeysOf(left)).toEqual(there);
  });

  test('is told of where it cannot be removed', async () => {
    const left = await killedAtPart(4);
    const { objects } = left.store.destination();
    if (objects === undefined) throw new Error('A store has objects.');
    const remove = () => Promise.reject(new ToolError('store', 'No permission.'));
    const [first] = partKeysOf(left);
    const { notes, error } = await run(left, { destination: { objects: { ...objects, remove } } });
    expect(error).toBeUndefined();
    expect(notes).toContain(
      `Not all that it had in the store could be removed, memory:${first}: No permission.`,
    );
  });
});

describe('makeParquetFile() of a split export', () => {
  test('rejects files that are not the whole, or larger than they may be', async () => {
    for (const splitBytes of [700, 999]) {
      const left = { disk: memoryDisk(), store: nothing().store };
      const { error } = await run(left, { plan: { splitBytes } });
      expect(error?.code).toBe('integrity');
      expect(error?.message).toContain(`Cannot split the export into files of at most ${splitBytes} bytes`);
      expect(keysOf(left)).toEqual([]);
    }
  });

  test('rejects data that changed on the disk since it was written', async () => {
    const from = nothing();
    const points = await killedAnywhere(from);
    const kinds = (left: Left) => left.disk.records().map((record) => (record as { kind: string }).kind);
    const left = points.find((each) => kinds(each).at(-1) === 'data');
    const path = 'work/lines.parquet.part';
    const bytes = left?.disk.files.get(path);
    if (left === undefined || bytes === undefined) throw new Error('There is no such point.');
    bytes[5] = 0;
    const { error } = await run(left, { plan: { resume: true } });
    expect(error?.code).toBe('integrity');
    expect(keysOf(left)).toEqual([]);
    expectNothingLeft(left);
  });
});
