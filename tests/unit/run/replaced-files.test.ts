import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { Manifest } from '../../../lib/manifest.ts';
import type { Objects } from '../../../lib/storage/storage.ts';
import { etagOf } from '../../support/memory-store.ts';
import {
  type Given,
  KEY,
  keysOf,
  killedAnywhere,
  type Left,
  MANIFEST_KEY,
  manifestOf,
  nothing,
  PLAIN,
  partKeysOf,
  run,
} from '../../support/split-scene.ts';

/** A store with an export, split or not. */
async function after(given: Given): Promise<Left> {
  const left = nothing();
  const { error } = await run(left, given);
  if (error !== undefined) throw error;
  return left;
}

/** What is there that the newest manifest does not name. */
function others(left: Left): readonly string[] {
  const named = manifestOf(left).files.map(({ key }) => key);
  return keysOf(left).filter((key) => key !== MANIFEST_KEY && !named.includes(key));
}

function putAt({ store }: Left, key: string, text: string): void {
  const bytes = new Uint8Array(Buffer.from(text));
  store.objects.set(key, { bytes, etag: etagOf(bytes) });
}

function changeManifest(left: Left, other: object): Manifest {
  const old = manifestOf(left);
  putAt(left, MANIFEST_KEY, JSON.stringify({ ...old, ...other }));
  return old;
}

function objectsOf({ store }: Left, other: Partial<Objects>): { readonly objects: Objects } {
  const { objects } = store.destination();
  if (objects === undefined) throw new Error('A store has objects.');
  return { objects: { ...objects, ...other } };
}

const keysIn = ({ files }: Manifest) => files.map(({ key }) => key);

describe('what the replaced manifest named', () => {
  test('is removed after a split export over a split one, and told', async () => {
    const left = await after({});
    const folder = partKeysOf(left)[0]?.replace(/part-.*/, '');
    const { notes } = await run(left);
    expect(notes).toBe(
      `The export that this one takes the place of is removed: memory:${folder}part-*.parquet (4 files).`,
    );
    expect(others(left)).toEqual([]);
  });

  test('is removed after a split export over one that was not, and told', async () => {
    const left = await after({ plan: PLAIN });
    const { notes } = await run(left);
    expect(notes).toBe(`The export that this one takes the place of is removed: memory:${KEY}.`);
    expect(others(left)).toEqual([]);
  });

  test('is removed after an export that is not split over one that was', async () => {
    const left = await after({});
    const { notes } = await run(left, { plan: PLAIN });
    expect(notes).toContain('part-*.parquet (4 files).');
    expect(keysOf(left)).toEqual([MANIFEST_KEY, KEY]);
  });

  test('is the export itself where neither is split, and stays', async () => {
    const left = await after({ plan: PLAIN });
    const { notes } = await run(left, { plan: PLAIN });
    expect(notes).toBe('');
    expect(keysOf(left)).toEqual([MANIFEST_KEY, KEY]);
  });

  test('is removed after a stream too, which may have no journal', async () => {
    const left = await after({});
    await run({ ...left }, { plan: { ...PLAIN, streaming: true } });
    expect(keysOf(left)).toEqual([MANIFEST_KEY, KEY]);
  });

  test('is removed by whoever gives a run up that was killed behind its manifest', async () => {
    const from = await after({});
    const old = partKeysOf(from);
    const points = await killedAnywhere(from);
    const behind = points.filter((left) => old.every((key) => others(left).includes(key)));
    expect(behind.length).toBeGreaterThan(0);
    for (const left of behind) {
      const { notes } = await run(left);
      expect(notes).toContain('The export that it took the place of is removed: memory:docs/');
      expect(others(left)).toEqual([]);
    }
  });

  test('stays where a run is given up, as long as no manifest has taken its place', async () => {
    const from = await after({ plan: PLAIN });
    const points = await killedAnywhere(from);
    const onRecord = points.filter(
      (left) => JSON.stringify(left.disk.records()).includes('"replacing"') && keysOf(left).includes(KEY),
    );
    expect(onRecord.length).toBeGreaterThan(0);
    for (const left of onRecord) {
      left.store.objects.delete(MANIFEST_KEY);
      const part = () => {
        throw new ToolError('store', 'The store is full.');
      };
      const { error } = await run(left, { hooks: { part } });
      expect(error?.message).toBe('The store is full.');
      expect(keysOf(left)).toContain(KEY);
    }
  });

  test('is there until the new manifest is', async () => {
    const left = await after({});
    const old = partKeysOf(left);
    let then: readonly string[] = [];
    const publish = (key: string) => {
      if (key === MANIFEST_KEY) then = partKeysOf(left);
    };
    await run(left, { hooks: { publish } });
    expect(then).toEqual(expect.arrayContaining([...old]));
    expect(then.length).toBe(8);
  });

  const foreign: readonly [string, object][] = [
    ['another tool', { tool: { name: 'other', version: '1' } }],
    ['another collection', { collection: 'other' }],
    ['an alias, by which it was not asked for now', { alias: 'other' }],
  ];
  for (const [what, other] of foreign) {
    test(`stays where the manifest is of ${what}`, async () => {
      const left = await after({});
      const old = changeManifest(left, other);
      const { notes } = await run(left);
      expect(others(left)).toEqual(keysIn(old));
      expect(notes).toBe('');
    });
  }

  for (const text of ['x', 'null', '{"manifest":1}', '{"manifest":1,"files":[null,7,{"key":7}]}']) {
    test(`is nothing where the manifest is ${text}`, async () => {
      const left = await after({});
      const old = partKeysOf(left);
      putAt(left, MANIFEST_KEY, text);
      await run(left);
      expect(others(left)).toEqual(old);
    });
  }

  test('stays where it has another name than this tool gives', async () => {
    const left = await after({});
    const keys = [
      'docs/mine.parquet',
      'docs/t/part-00000.parquet',
      'other/latest.parquet',
      'docs/20260101T000000Z.parquet',
    ];
    for (const key of keys) putAt(left, key, 'mine');
    const own = partKeysOf(left);
    const files = keys.map((key) => ({ key, etag: etagOf(Buffer.from('mine')) }));
    changeManifest(left, { files });
    await run(left);
    expect(others(left)).toEqual([...keys, ...own].sort());
  });

  test('stays where it is another object by now, and so does the rest of nobody', async () => {
    const left = await after({});
    const [first = ''] = partKeysOf(left);
    putAt(left, first, 'mine');
    const { notes } = await run(left);
    expect(others(left)).toEqual([first]);
    expect(notes).toContain('(3 files).');
  });

  test('stays where a dated manifest names it', async () => {
    const left = await after({});
    const old = manifestOf(left);
    const [, second, ...rest] = keysIn(old);
    putAt(
      left,
      'docs/20260101T000000Z.json',
      JSON.stringify({ ...old, files: old.files.filter((_, i) => i !== 1) }),
    );
    await run(left);
    expect(others(left)).toEqual(['docs/20260101T000000Z.json', keysIn(old)[0] ?? '', ...rest].sort());
    expect(others(left)).not.toContain(second);
  });

  test('stays where another run wrote its manifest meanwhile that names it', async () => {
    const left = await after({});
    const old = left.store.objects.get(MANIFEST_KEY);
    const oldKeys = partKeysOf(left);
    const published = (key: string) => {
      if (key === MANIFEST_KEY && old !== undefined) left.store.objects.set(key, old);
    };
    await run(left, { hooks: { published } });
    expect(partKeysOf(left)).toEqual(expect.arrayContaining([...oldKeys]));
  });

  test('is known to the run that goes on, of both manifests, when another one was written meanwhile', async () => {
    const left = await after({});
    const stopped = await run(left, {
      hooks: {
        publish: (key) => {
          if (key === MANIFEST_KEY) throw new ToolError('store', 'Stopped.');
        },
      },
    });
    expect(stopped.isResumable).toBe(true);
    // On another machine, where nobody knows of the first one's folder.
    await run({ ...nothing(), store: left.store }, {});
    const { error } = await run(left, { plan: { resume: true } });
    expect(error).toBeUndefined();
    expect(others(left)).toEqual([]);
    expect(partKeysOf(left).length).toBe(4);
  });

  test('is no failure where it cannot be removed, but a warning', async () => {
    const left = await after({});
    const old = partKeysOf(left);
    const remove: Objects['remove'] = async (key) => {
      if (key.endsWith('2.parquet')) throw new ToolError('store', 'No permission.');
      left.store.objects.delete(key);
    };
    const { error, events, notes } = await run(left, { destination: objectsOf(left, { remove }) });
    expect(error).toBeUndefined();
    expect(others(left)).toEqual(old.filter((key) => key.endsWith('2.parquet')));
    expect(notes).toContain('part-*.parquet (3 files).');
    expect(events).toContainEqual({
      kind: 'warning',
      text: 'Not all files of the export that this one takes the place of could be removed: No permission.',
    });
  });

  test('is removed by the run that goes on, when one was stopped in the midst of it', async () => {
    const left = await after({});
    const stop = new AbortController();
    const { objects } = objectsOf(left, {});
    const remove: Objects['remove'] = async (key, signal) => {
      stop.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
      if (key.endsWith('0.parquet')) return await objects.remove(key, signal);
      throw signal.reason;
    };
    const { error, isResumable } = await run(left, {
      signal: stop.signal,
      destination: objectsOf(left, { remove }),
    });
    expect(error?.code).toBe('cancelled');
    expect(error?.message).toMatch(
      /^The export is whole and published as memory:\S+, but not all files of the one before it are removed: the run was stopped\.$/,
    );
    expect(isResumable).toBe(true);
    expect(others(left).length).toBe(3);
    const again = await run(left, { plan: { resume: true } });
    expect(again.error).toBeUndefined();
    expect(others(left)).toEqual([]);
  });

  test('stays where the manifests cannot be read, and that is no failure either', async () => {
    const left = await after({});
    const old = partKeysOf(left);
    const open = () => Promise.reject(new ToolError('store', 'Only writing is allowed.'));
    const { error, notes } = await run(left, { destination: objectsOf(left, { open }) });
    expect(error).toBeUndefined();
    expect(notes).toContain(
      'Which files the export before this one had cannot be read, so that any which are of no use now stay: Only writing is allowed.',
    );
    expect(others(left)).toEqual(old);
  });

  test('stays where dated manifests cannot be listed', async () => {
    const left = await after({});
    const old = partKeysOf(left);
    const list = (): AsyncIterable<never> => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new ToolError('store', 'No listing.')) }),
    });
    const { error, notes } = await run(left, { destination: objectsOf(left, { list }) });
    expect(error).toBeUndefined();
    expect(notes).toContain('could be removed: No listing.');
    expect(others(left)).toEqual(old);
  });
});

describe('a split export', () => {
  test('warns of an older one under the name that it does not use, where nothing says that it may be removed', async () => {
    const left = nothing();
    putAt(left, KEY, 'of somebody else');
    putAt(left, `${KEY}.bak`, 'a copy');
    const { notes } = await run(left);
    expect(notes).toBe(
      `memory:${KEY} stays there, which is an older export: readers of that name do not get this one.`,
    );
    expect(others(left)).toEqual([KEY, `${KEY}.bak`]);
  });
});
