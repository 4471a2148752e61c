import { isDatedKey } from '../dated-keys.ts';
import type { ExportPlan } from '../plan.ts';
import { folderOfPart, isPartKey } from '../split-keys.ts';
import type { Objects } from '../storage/storage.ts';
import { namedFiles, readManifest } from './read-manifest.ts';
import type { ReplacedFile } from './run-state.ts';

/** Objects that are removed at once. */
const AT_ONCE = 8;

export interface Removal {
  /** Keys of the objects that are gone. */
  readonly removed: readonly string[];
  /** Why not all that should be are. */
  readonly problem: { readonly error: unknown } | undefined;
}

type Place = Pick<ExportPlan, 'key' | 'manifestKey'>;

/**
 * Removes those of the files that are this tool's by their keys, that no manifest beside the export names (but for the
 * one with the key `except`), and that still have the entity tags given: the newest manifest binds the files that are
 * the export, dated ones those of older exports. A run that writes one of the keys just now, with the very same
 * bytes, is the one thing that this cannot see; it finds its file gone when it writes its manifest beside it. Never rejects.
 */
export async function removeUnnamed(
  objects: Objects,
  place: Place,
  files: readonly ReplacedFile[],
  signal: AbortSignal,
  except?: string,
): Promise<Removal> {
  const removed: string[] = [];
  try {
    // As many as a split export has files at most.
    const wanted = new Map<string, string>();
    for (const { key, etag } of files) if (isOwnKey(key, place)) wanted.set(key, etag);
    if (wanted.size === 0) return { removed, problem: undefined };
    for await (const manifestKey of manifestsBeside(objects, place, signal)) {
      if (manifestKey === except) continue;
      for (const { key } of namedFiles(await readManifest(objects, manifestKey, signal))) wanted.delete(key);
    }
    const there = await stillThere(objects, wanted, signal);
    for (let from = 0; from < there.length; from += AT_ONCE) {
      const some = there.slice(from, from + AT_ONCE);
      const ends = await Promise.allSettled(some.map((key) => objects.remove(key, signal)));
      removed.push(...some.filter((_, index) => ends[index]?.status === 'fulfilled'));
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) return { removed, problem: { error: failed.reason } };
    }
    return { removed, problem: undefined };
  } catch (error) {
    return { removed, problem: { error } };
  }
}

/** The export itself, or a file of a split one, beside which the manifests of `place` are. */
export function isOwnKey(key: string, place: Pick<Place, 'key'>): boolean {
  return key === place.key || isPartKey(key, place.key);
}

async function* manifestsBeside(
  objects: Objects,
  { manifestKey }: Place,
  signal: AbortSignal,
): AsyncGenerator<string> {
  yield manifestKey;
  for (const key of await datedManifests(objects, manifestKey, signal)) yield key;
}

/** Keys of the dated manifests, oldest first: some 30 letters for each copy that is kept. */
export async function datedManifests(
  objects: Objects,
  manifestKey: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const folder = manifestKey.slice(0, manifestKey.lastIndexOf('/') + 1);
  const found: string[] = [];
  for await (const { key } of objects.list(folder, signal)) if (isDatedKey(key, manifestKey)) found.push(key);
  // Their names sort by time.
  return found.sort();
}

/** Keys of those that have the entity tags wanted now. */
async function stillThere(
  objects: Objects,
  wanted: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const keys = [...wanted.keys()];
  // The files of one run are listed together.
  const prefixes = new Set(keys.map((key) => (/\/part-\d+\.parquet$/.test(key) ? folderOfPart(key) : key)));
  const there: string[] = [];
  for (const prefix of prefixes) {
    for await (const { key, etag } of objects.list(prefix, signal)) {
      if (wanted.get(key) === etag) there.push(key);
    }
  }
  return there;
}
