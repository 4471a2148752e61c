import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { type Manifest, manifestBytes, manifestOf } from '../../../lib/manifest.ts';
import type { ExportEvent } from '../../../lib/plan.ts';
import { keepCopies } from '../../../lib/run/kept-copies.ts';
import type { Destination } from '../../../lib/storage/storage.ts';
import { etagOf, type MemoryStore, memoryStore } from '../../support/memory-store.ts';
import { planOf, shapeOf } from '../../support/plans.ts';

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
  return keepCopies(plan, parts, manifest(), RECEIPT, NIGHT, new AbortController().signal);
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
