import type { Manifest } from '../../lib/manifest.ts';
import type { ExportPlan } from '../../lib/plan.ts';
import { isPartKey } from '../../lib/split-keys.ts';
import type { Destination, Journal } from '../../lib/storage/storage.ts';
import { type MemoryStore, memoryStore, type StoreHooks } from './memory-store.ts';
import { type MemoryDisk, memoryDisk } from './memory-work-folder.ts';
import { idsTo, runProcess, wholeFile } from './run-scene.ts';
import { splitLineOf, splitLines } from './split-lines.ts';

export const KEY = 'docs/latest.parquet';
export const MANIFEST_KEY = 'docs/latest.json';
/** Eight rows a file: four files, of 8, 8, 8 and 6 rows. */
export const SPLIT_BYTES = 1_000;
export const IDS = idsTo(30);
export const WHOLE = wholeFile(IDS, splitLineOf);
export const LENGTHS = [800, 800, 800, WHOLE.length - 2_400];

export interface Left {
  readonly disk: MemoryDisk;
  readonly store: MemoryStore;
}

/** A store that sends each file in three parts, or with one request. */
export function nothing(partBytes = 300): Left {
  return { disk: memoryDisk(), store: memoryStore(partBytes) };
}

export interface Given {
  readonly plan?: Partial<ExportPlan>;
  readonly hooks?: StoreHooks;
  readonly destination?: Partial<Destination>;
  /** Called after each record is on the disk. */
  readonly onRecord?: () => void;
  readonly signal?: AbortSignal;
  readonly confirm?: Parameters<typeof runProcess>[0]['parts']['confirm'];
}

/** One process that exports; splits unless the plan says otherwise. */
export function run({ disk, store }: Left, given: Given = {}) {
  const { plan = {}, hooks, destination, onRecord = () => {}, confirm, signal } = given;
  const own = disk.open();
  return runProcess({
    ids: IDS,
    lineOf: splitLineOf,
    disk,
    work: { journal: heard(own.journal, onRecord) },
    plan: {
      key: KEY,
      manifestKey: MANIFEST_KEY,
      target: `store/${KEY}`,
      streaming: false,
      splitBytes: SPLIT_BYTES,
      options: { strategy: 'lines' },
      ...plan,
    },
    ...(signal === undefined ? {} : { signal }),
    parts: {
      destination: { ...store.destination(hooks), ...destination },
      ...(confirm === undefined ? {} : { confirm }),
      ...('splitBytes' in plan ? {} : { format: () => splitLines(SPLIT_BYTES) }),
    },
  });
}

export const PLAIN = { splitBytes: undefined } as const;

function heard(journal: Journal, onRecord: () => void): Journal {
  return {
    records: journal.records,
    async append(record) {
      await journal.append(record);
      onRecord();
    },
    async replace(records) {
      await journal.replace(records);
      onRecord();
    },
  };
}

/** What a kill would leave at each moment of a run: after each record, and around each request that changes the store. */
export async function killedAnywhere(from: Left, given: Given = {}): Promise<readonly Left[]> {
  const left: Left[] = [];
  const snap = () => void left.push({ disk: from.disk.copy(), store: from.store.copy() });
  const { objects } = from.store.destination();
  if (objects === undefined) throw new Error('A store has objects.');
  const remove: typeof objects.remove = async (key, signal) => {
    await objects.remove(key, signal);
    snap();
  };
  const ended = await run(from, {
    ...given,
    onRecord: snap,
    hooks: { part: snap, publish: snap, published: snap },
    destination: { ...given.destination, objects: { ...objects, remove } },
  });
  if (ended.error !== undefined) throw ended.error;
  return left;
}

export const keysOf = ({ store }: Left): readonly string[] => [...store.objects.keys()].sort();
export const partKeysOf = (left: Left): readonly string[] =>
  keysOf(left).filter((key) => isPartKey(key, KEY));
export const textOf = ({ store }: Left, key: string): string =>
  Buffer.from(store.objects.get(key)?.bytes ?? []).toString();
export const manifestOf = (left: Left): Manifest => JSON.parse(textOf(left, MANIFEST_KEY));
export const sha256Of = (text: string): string => new Bun.CryptoHasher('sha256').update(text).digest('hex');
