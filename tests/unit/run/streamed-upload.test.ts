import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { PointId } from '../../../lib/model.ts';
import { type MemoryStore, memoryStore, type StoreHooks } from '../../support/memory-store.ts';
import { type MemoryDisk, memoryDisk } from '../../support/memory-work-folder.ts';
import { idsTo, runProcess, wholeFile } from '../../support/run-scene.ts';

const MIB = 1024 * 1024;
/** A unit of four is 800 KiB: some safe points lie in each part, and some parts hold none. */
const lineOf = (id: PointId) => id.padStart(200 * 1024 - 1, '.');
const IDS = idsTo(30);

interface Left {
  readonly disk: MemoryDisk;
  readonly store: MemoryStore;
}

/** What a kill leaves at the moment when the store is asked for this. */
async function killed(at: (step: string) => boolean, from: Left = nothing()): Promise<Left> {
  let left: Left | undefined;
  const check = (step: string) => {
    if (left !== undefined || !at(step)) return;
    left = { disk: from.disk.copy(), store: from.store.copy() };
    throw new ToolError('store', 'Killed.');
  };
  const hooks: StoreHooks = {
    part: async (number) => {
      // What was confirmed is on record soon.
      await new Promise(setImmediate);
      check(`part ${number}`);
    },
    publish: (key) => check(`publish ${key}`),
    published: (key) => check(`published ${key}`),
  };
  await streamed(IDS, lineOf, from, hooks);
  if (left === undefined) throw new Error('It was not killed.');
  return left;
}

function nothing(): Left {
  return { disk: memoryDisk(), store: memoryStore(MIB) };
}

function streamed(
  ids: readonly PointId[],
  line: typeof lineOf,
  { disk, store }: Left,
  hooks: StoreHooks = {},
) {
  return runProcess({
    ids,
    lineOf: line,
    disk,
    plan: { streaming: true, resume: disk.records().length > 0 },
    parts: { destination: store.destination(hooks) },
  });
}

/** The object is whole, its manifest is its own, and nothing is left. */
function expectRight({ disk, store }: Left, ids = IDS, line = lineOf): void {
  const object = store.objects.get('k');
  expect(Buffer.from(object?.bytes ?? []).toString() === wholeFile(ids, line)).toBe(true);
  const manifest = JSON.parse(Buffer.from(store.objects.get('k.json')?.bytes ?? []).toString());
  expect(manifest.files[0]).toMatchObject({
    bytes: object?.bytes.length,
    etag: object?.etag,
    sha256: new Bun.CryptoHasher('sha256').update(object?.bytes ?? '').digest('hex'),
    rows: ids.length,
  });
  expect([...store.uploads.keys()]).toEqual([]);
  expect([...disk.files.keys()]).toEqual([]);
  expect(disk.records()).toEqual([]);
}

describe('streamToStore() goes on', () => {
  for (const step of ['part 2', 'part 6', 'publish k']) {
    test(`after a kill at ${step} of the version before this one, whose checks have no CRC-32`, async () => {
      const left = await killed((each) => each === step);
      const text = JSON.stringify(left.disk.records()).replace(/("check":"[0-9a-f]+) [0-9a-f]+/g, '$1');
      // What was on record before the first safe point was is made again from the first byte on.
      for (const isSafe of [true, false]) {
        const records = (JSON.parse(text) as { kind: string }[]).filter(
          ({ kind }) => isSafe || kind !== 'safe',
        );
        const disk = memoryDisk(left.disk.files, records);
        const again = { disk, store: left.store.copy() };
        const { error, notes } = await streamed(IDS, lineOf, again);
        expect(error).toBeUndefined();
        expect(notes).not.toContain('starts over');
        expectRight(again);
      }
    });
  }

  for (const step of ['part 1', 'part 2', 'part 4', 'part 6', 'publish k', 'published k', 'publish k.json']) {
    test(`after a kill at ${step}, and makes the same object`, async () => {
      const left = await killed((each) => each === step);
      const { error } = await streamed(IDS, lineOf, left);
      expect(error).toBeUndefined();
      expectRight(left);
    });
  }

  test('after one kill after another', async () => {
    let left = nothing();
    for (const step of ['part 2', 'part 3', 'part 5', 'publish k'])
      left = await killed((each) => each === step, left);
    await streamed(IDS, lineOf, left);
    expectRight(left);
  });

  test('sends only what the store does not have', async () => {
    const left = await killed((step) => step === 'part 5');
    await streamed(IDS, lineOf, left);
    expect(left.store.taken.get('k')).toBe(wholeFile(IDS, lineOf).length - 4 * MIB);
  });

  test('and sends nothing at all where the store has it all', async () => {
    const left = await killed((step) => step === 'publish k');
    await streamed(IDS, lineOf, left);
    expect(left.store.taken.get('k')).toBeUndefined();
    expectRight(left);
  });

  test('also when the last part went on record and nothing after that did', async () => {
    const left = await killed((step) => step === 'publish k');
    const records = left.disk.records() as readonly { readonly kind: string }[];
    const last = records.findLastIndex(({ kind }) => kind === 'part');
    const cut = { disk: memoryDisk(left.disk.files, records.slice(0, last + 1)), store: left.store };
    const { notes } = await streamed(IDS, lineOf, cut);
    expect(notes).not.toContain('starts over');
    expect(cut.store.taken.get('k')).toBeUndefined();
    expectRight(cut);
  });
});

describe('streamToStore()', () => {
  test('forgets the end that it had made when it has to make it again, which may be another one', async () => {
    const left = await killed((step) => step === 'part 6');
    const kinds = ({ disk }: Left) => disk.records().map((record) => (record as { kind: string }).kind);
    expect(kinds(left)).toContain('data');
    const more = [...IDS, ...idsTo(40).slice(30)];
    let records: readonly string[] = [];
    await streamed(more, lineOf, left, {
      part: (number) => {
        if (number !== 7) return;
        records = kinds(left);
        throw new ToolError('store', 'Killed.');
      },
    });
    expect(records).not.toContain('data');
    await streamed(more, lineOf, left);
    expectRight(left, more);
  });
});

describe('streamToStore() starts over', () => {
  const changed = (id: PointId) => (id === '17' ? lineOf('x') : lineOf(id));

  test('when a point changed whose bytes were sent', async () => {
    const left = await killed((step) => step === 'part 5');
    // So that it has to be made again.
    const records = left.disk.records().filter((record) => (record as { kind: string }).kind !== 'safe');
    const cut = { disk: memoryDisk(left.disk.files, records), store: left.store };
    const { notes } = await streamed(IDS, changed, cut);
    expect(notes).toContain('points have changed since: it starts over');
    expectRight(cut, IDS, changed);
  });

  test('when so many points are gone that the file ends within what was sent', async () => {
    const left = await killed((step) => step === 'part 5');
    const records = left.disk.records().filter((record) => (record as { kind: string }).kind !== 'safe');
    const cut = { disk: memoryDisk(left.disk.files, records), store: left.store };
    const fewer = idsTo(17);
    const published: string[] = [];
    const { notes } = await streamed(fewer, lineOf, cut, {
      published: (key) => void published.push(`${key} ${cut.store.objects.get(key)?.bytes.length}`),
    });
    expect(published[0]).toBe(`k ${wholeFile(fewer, lineOf).length}`);
    expect(notes).toContain('points have changed since: it starts over');
    expectRight(cut, fewer);
  });

  test('also when the store cannot clean up what was sent', async () => {
    const left = await killed((step) => step === 'part 5');
    const records = left.disk.records().filter((record) => (record as { kind: string }).kind !== 'safe');
    const cut = { disk: memoryDisk(left.disk.files, records), store: left.store };
    const { put, ...others } = cut.store.destination();
    const { notes, error } = await runProcess({
      ids: IDS,
      lineOf: changed,
      disk: cut.disk,
      plan: { streaming: true, resume: true },
      parts: {
        destination: {
          ...others,
          put: (request) =>
            put(request).catch((cause: ToolError) => {
              throw new ToolError(cause.code, `${cause.message} Something is left.`, { cause });
            }),
        },
      },
    });
    expect(error).toBeUndefined();
    expect(notes).toContain('points have changed since: it starts over');
    expectRight(cut, IDS, changed);
  });

  test('when the upload is gone', async () => {
    const left = await killed((step) => step === 'part 5');
    left.store.uploads.clear();
    const { notes } = await streamed(IDS, lineOf, left);
    expect(notes).toContain('what was uploaded is gone: it starts over');
    expectRight(left);
  });
});

describe('a stream that several processes made', () => {
  test('is found out where the store has other bytes of it than were made, and removed', async () => {
    const left = await killed((step) => step === 'part 5');
    const destination = left.store.destination({
      // A part whose entity tag is right, and whose bytes are not.
      change: (key, bytes) => (key === 'k' ? bytes.map((byte, at) => (at === 7 ? byte ^ 1 : byte)) : bytes),
    });
    const { error, isResumable } = await runProcess({
      ids: IDS,
      lineOf,
      disk: left.disk,
      plan: { streaming: true, resume: true },
      parts: { destination },
    });
    expect(error?.code).toBe('integrity');
    expect(error?.message).toMatch(
      /^memory:k is not what was sent: read back, its CRC-32 is \w+ where \w+ is wanted\. It was removed/,
    );
    expect(isResumable).toBe(false);
    expect([...left.store.objects.keys()]).toEqual([]);
  });
});
