import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { type Manifest, manifestBytes, manifestOf } from '../../../lib/manifest.ts';
import type { ExportEvent, ExportedData } from '../../../lib/plan.ts';
import { keepCopies } from '../../../lib/run/kept-copies.ts';
import type { Destination } from '../../../lib/storage/storage.ts';
import { etagOf, type MemoryStore, memoryStore } from '../../support/memory-store.ts';
import { planOf, shapeOf } from '../../support/plans.ts';
import {
  KEY,
  keysOf,
  killedAnywhere,
  type Left,
  MANIFEST_KEY,
  nothing,
  PLAIN,
  partKeysOf,
  run,
  textOf,
} from '../../support/split-scene.ts';

const BYTES = new TextEncoder().encode('tonight');
const RECEIPT = { location: 'memory:docs/latest.parquet', bytes: BYTES.length, etag: etagOf(BYTES) };
const NIGHT = new Date('2026-01-09T00:00:00Z');
const COPY = 'docs/20260109T000000Z';
const PLAN = planOf({ key: 'docs/latest.parquet', manifestKey: 'docs/latest.json' });

function manifest(key = PLAN.key, other: Partial<Manifest> = {}): Manifest {
  const file = { key, bytes: BYTES.length, sha256: '0', rows: 1, rowGroups: 1, etag: RECEIPT.etag };
  const facts = {
    shape: shapeOf({ name: 'docs' }),
    tool: { name: 'exporter', version: '1' },
    options: {},
    startedAt: '',
    finishedAt: '',
    counts: {
      before: 1,
      after: 1,
      idsSeen: 1,
      rows: 1,
      missing: 0,
      emptyVectors: {},
      keysFromPayload: null,
      duplicateKeys: null,
      duplicateKeysExact: null,
    },
    files: [file],
    warnings: [],
  };
  return { ...manifestOf(facts), ...other };
}

function putAt(store: MemoryStore, key: string, bytes: Uint8Array<ArrayBuffer>): void {
  store.objects.set(key, { bytes, etag: etagOf(bytes) });
}

/** A store with tonight's export, and with copies of these nights of January. */
function storeWith(nights: readonly number[], other: Partial<Manifest> = {}): MemoryStore {
  const store = memoryStore(1_000);
  putAt(store, PLAN.key, BYTES);
  for (const night of nights) {
    const stem = `docs/2026010${night}T000000Z`;
    putAt(store, `${stem}.parquet`, BYTES);
    putAt(store, `${stem}.json`, manifestBytes(manifest(`${stem}.parquet`, other)));
  }
  return store;
}

function keep(
  store: MemoryStore,
  copies: number | undefined,
  destination: Destination = store.destination(),
) {
  const events: ExportEvent[] = [];
  const parts = { destination, emit: (event: ExportEvent) => events.push(event) };
  const plan = { ...PLAN, keep: copies };
  const exported: ExportedData = {
    ...RECEIPT,
    key: PLAN.key,
    manifestLocation: 'memory:docs/latest.json',
    rowGroups: 1,
    files: [{ ...RECEIPT, key: PLAN.key, sha256: '0', rows: 1, rowGroups: 1 }],
  };
  return keepCopies(plan, parts, manifest(), exported, NIGHT, new AbortController().signal);
}

const dated = ({ objects }: MemoryStore) => [...objects.keys()].filter((key) => /\d/.test(key)).sort();

describe('keepCopies()', () => {
  test('makes none unless it is asked to, and none of local files', async () => {
    const store = storeWith([1, 2]);
    expect(await keep(store, undefined)).toEqual({ made: [], removed: [] });
    const { objects: _, ...local } = store.destination();
    expect(await keep(store, 1, local)).toEqual({ made: [], removed: [] });
    expect(dated(store).length).toBe(4);
  });

  test('copies the export and names the copy in a manifest of its own', async () => {
    const store = storeWith([]);
    const { made, removed } = await keep(store, 3);
    expect({ made, removed }).toEqual({ made: [`memory:${COPY}.parquet`], removed: [] });
    expect(store.objects.get(`${COPY}.parquet`)?.bytes).toEqual(BYTES);
    const document = JSON.parse(Buffer.from(store.objects.get(`${COPY}.json`)?.bytes ?? []).toString());
    expect(document).toEqual(manifest(`${COPY}.parquet`));
  });

  test('removes the oldest beyond the newest N, each with its manifest', async () => {
    const store = storeWith([1, 2, 3]);
    const { removed } = await keep(store, 2);
    expect(removed).toEqual(['memory:docs/20260102T000000Z.parquet', 'memory:docs/20260101T000000Z.parquet']);
    expect(dated(store)).toEqual(
      ['docs/20260103T000000Z', COPY].flatMap((stem) => [`${stem}.json`, `${stem}.parquet`]),
    );
  });

  test('counts the copies of an alias together, whatever collection was behind it', async () => {
    const store = storeWith([1, 2, 3], { alias: 'docs', collection: 'docs-of-that-night' });
    await keep(store, 1);
    expect(dated(store)).toEqual([`${COPY}.json`, `${COPY}.parquet`]);
  });

  const others: readonly [string, Partial<Manifest>][] = [
    ['of another tool', { tool: { name: 'other', version: '1' } }],
    ['of another collection', { collection: 'other' }],
    ['that name another object', { files: [{ ...manifest().files[0], key: PLAN.key } as never] }],
    ['that name no text', { files: [{ key: 7 } as never] }],
    ['without files', { files: undefined as never }],
  ];
  for (const [what, other] of others) {
    test(`neither counts nor removes copies with manifests ${what}`, async () => {
      const store = storeWith([1, 2, 3], other);
      const { removed } = await keep(store, 1);
      expect(removed).toEqual([]);
      expect(dated(store).length).toBe(8);
      expect(store.objects.has(PLAN.key)).toBe(true);
    });
  }

  for (const [what, text] of [
    ['is no JSON', 'x'],
    ['is null', 'null'],
    ['is of somebody else', '{"files":[]}'],
  ] as const) {
    test(`leaves a copy alone whose manifest ${what}`, async () => {
      const store = storeWith([1]);
      putAt(store, 'docs/20260101T000000Z.json', new TextEncoder().encode(text));
      await keep(store, 1);
      expect(dated(store).length).toBe(4);
    });
  }

  test('makes no copy of what another run has published meanwhile', async () => {
    const store = storeWith([]);
    putAt(store, PLAN.key, new TextEncoder().encode('another'));
    const failure = await keep(store, 1).catch((error: unknown) => error);
    expect((failure as ToolError).message).toBe(
      'The export is published as memory:docs/latest.parquet, but its dated copies are not as --keep 1 wants them: The source changed.',
    );
    expect(dated(store)).toEqual([]);
  });

  test('puts no manifest beside the copy of another run of the same second', async () => {
    const store = storeWith([]);
    const { objects, ...others } = store.destination();
    if (objects === undefined) throw new Error('A store has objects.');
    const destination: Destination = {
      ...others,
      objects: {
        ...objects,
        async copy(...args) {
          const receipt = await objects.copy(...args);
          putAt(store, args[1], new TextEncoder().encode('another'));
          return receipt;
        },
      },
    };
    const failure = await keep(store, 1, destination).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ToolError);
    expect((failure as ToolError).message).toContain(`another run replaced memory:${COPY}.parquet`);
    expect(dated(store)).toEqual([`${COPY}.parquet`]);
  });
});

describe('--keep of split exports', () => {
  /** The store after exports of these seconds, each in files or in one. */
  async function nights(split: readonly boolean[], copies: number): Promise<Left> {
    const left = nothing();
    for (const [second, isSplit] of split.entries()) {
      const plan = { keep: copies, exportedAt: new Date(second * 1_000), ...(isSplit ? {} : PLAIN) };
      const { error } = await run(left, { plan });
      if (error !== undefined) throw error;
    }
    return left;
  }

  const nightsOf = (keys: readonly string[]) => [
    ...new Set(keys.map((key) => /T0000(\d\d)Z/.exec(key)?.[1])),
  ];
  const manifests = (left: Left) => keysOf(left).filter((key) => /Z\.json$/.test(key));

  test('are a dated manifest that names the same files', async () => {
    const left = await nights([true], 2);
    const [dated = ''] = manifests(left);
    expect(dated).toBe('docs/19700101T000000Z.json');
    expect(textOf(left, dated)).toBe(textOf(left, MANIFEST_KEY));
    expect(keysOf(left).length).toBe(4 + 2);
  });

  test('are told as such, and those that are removed by their files', async () => {
    const left = await nights([true, true], 2);
    const { report } = await run(left, { plan: { keep: 2, exportedAt: new Date(2_000) } });
    expect(report?.copies.made).toEqual(['memory:docs/19700101T000002Z.json']);
    expect(report?.copies.removed).toEqual([
      expect.stringMatching(/^memory:docs\/19700101T000000Z-\w{8}\/part-\*\.parquet \(4 files\)$/),
    ]);
    expect(manifests(left)).toEqual(['docs/19700101T000001Z.json', 'docs/19700101T000002Z.json']);
    expect(nightsOf(partKeysOf(left))).toEqual(['01', '02']);
  });

  test('keep the files of the newest N, and no others', async () => {
    const left = await nights([true, true, true, true], 2);
    expect(nightsOf(partKeysOf(left))).toEqual(['02', '03']);
    expect(partKeysOf(left).length).toBe(8);
    expect(keysOf(left).length).toBe(8 + 2 + 1);
  });

  test('count together with copies that are not split', async () => {
    const left = await nights([true, false, true, false], 2);
    expect(keysOf(left)).toEqual([
      ...partKeysOf(left),
      'docs/19700101T000002Z.json',
      'docs/19700101T000003Z.json',
      'docs/19700101T000003Z.parquet',
      MANIFEST_KEY,
      KEY,
    ]);
    expect(nightsOf(partKeysOf(left))).toEqual(['02']);
  });

  test('leave no files of a run that had the same time, whose dated manifest they write over', async () => {
    const left = await nights([true], 2);
    await run(left, { plan: { ...PLAIN, exportedAt: new Date(1_000) } });
    expect(partKeysOf(left).length).toBe(4);
    await run(left, { plan: { keep: 2 } });
    expect(manifests(left)).toEqual(['docs/19700101T000000Z.json']);
    expect(partKeysOf(left).length).toBe(4);
    expect(textOf(left, 'docs/19700101T000000Z.json')).toBe(textOf(left, MANIFEST_KEY));
  });

  test('go on wherever they were killed', async () => {
    const from = await nights([true, false], 1);
    const plan = { keep: 1, exportedAt: new Date(2_000) };
    const points = await killedAnywhere(from, { plan });
    const whole = keysOf(from).map((key) => key.replace(/-\w{8}\//, '/'));
    expect(whole.length).toBe(4 + 2);
    for (const left of points) {
      const { error } = await run(left, { plan: { ...plan, resume: true } });
      expect(error).toBeUndefined();
      expect(keysOf(left).map((key) => key.replace(/-\w{8}\//, '/'))).toEqual(whole);
    }
  });

  test('fail where a copy cannot be removed, with its manifest still there', async () => {
    const left = await nights([true], 1);
    const { objects } = left.store.destination();
    if (objects === undefined) throw new Error('A store has objects.');
    const remove = () => Promise.reject(new ToolError('store', 'No permission.'));
    const { error } = await run(left, {
      plan: { keep: 1, exportedAt: new Date(1_000) },
      destination: { objects: { ...objects, remove } },
    });
    expect(error?.message).toContain('its dated copies are not as --keep 1 wants them: No permission.');
    expect(manifests(left).length).toBe(2);
    expect(nightsOf(partKeysOf(left))).toEqual(['00', '01']);
  });
});
