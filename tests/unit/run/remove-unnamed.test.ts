import { describe, expect, test } from 'bun:test';
import { removeUnnamed } from '../../../lib/run/remove-unnamed.ts';
import { partKey } from '../../../lib/split-keys.ts';
import { etagOf, memoryStore } from '../../support/memory-store.ts';

const PLACE = { key: 'docs/latest.parquet', manifestKey: 'docs/latest.json' };
const BYTES = new TextEncoder().encode('part');
const ETAG = etagOf(BYTES);
const signal = new AbortController().signal;

function scene(keys: readonly string[]) {
  const store = memoryStore(1_000);
  for (const key of keys) store.objects.set(key, { bytes: BYTES, etag: ETAG });
  const { objects } = store.destination();
  if (objects === undefined) throw new Error('A store has objects.');
  return { store, objects };
}

describe('removeUnnamed()', () => {
  test('removes nothing that has another name than this tool gives, whoever asks for it', async () => {
    const own = partKey(PLACE.key, new Date(0), '0a1b2c3d', 0);
    const keys = [own, 'docs/mine.parquet', 'docs/20260101T000000Z.parquet', 'other/latest.parquet'];
    const { store, objects } = scene(keys);
    const files = keys.map((key) => ({ key, etag: ETAG }));
    expect(await removeUnnamed(objects, PLACE, files, signal)).toEqual({
      removed: [own],
      problem: undefined,
    });
    expect([...store.objects.keys()]).toEqual(keys.slice(1));
  });

  test('lists the files of one run together, and removes a few at once', async () => {
    const keys = Array.from({ length: 30 }, (_, number) =>
      partKey(PLACE.key, new Date(0), '0a1b2c3d', number),
    );
    const { store, objects } = scene([...keys, PLACE.key]);
    const listed: string[] = [];
    let [now, most] = [0, 0];
    const heard: typeof objects = {
      ...objects,
      list(prefix, until) {
        listed.push(prefix);
        return objects.list(prefix, until);
      },
      async remove(key, until) {
        most = Math.max(most, ++now);
        await objects.remove(key, until);
        now--;
      },
    };
    const files = [...keys, PLACE.key].map((key) => ({ key, etag: ETAG }));
    const { removed } = await removeUnnamed(heard, PLACE, files, signal);
    expect(removed.toSorted()).toEqual([...keys, PLACE.key].sort());
    expect(listed).toEqual(['docs/', 'docs/19700101T000000Z-0a1b2c3d/', PLACE.key]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
    expect(store.objects.size).toBe(0);
  });
});
