import { datedKeys, isDatedKey } from '../dated-keys.ts';
import { messageOf, ToolError } from '../errors.ts';
import { type Manifest, manifestBytes } from '../manifest.ts';
import type { ExportedData, ExportedFile, ExportParts, ExportPlan, ExportReport } from '../plan.ts';
import { isPartKey } from '../split-keys.ts';
import type { Destination, Objects } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { filesText } from './files-text.ts';
import { compareStored } from './read-back.ts';
import { isOfSame, type NamedFile, namedFiles, readManifest } from './read-manifest.ts';
import { datedManifests, removeUnnamed } from './remove-unnamed.ts';
import { besideOf, manifestFile, oneChunk } from './write-manifest.ts';

/**
 * Copies the export and its manifest, within the store, to keys with the time of the export, and removes the
 * copies beyond the newest `keep`: only objects beside which a manifest says that this tool wrote them. Of a split export,
 * whose files have names of their own already, the dated manifest alone is the copy: it names the same files.
 */
export async function keepCopies(
  plan: ExportPlan,
  parts: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  manifest: Manifest,
  exported: ExportedData,
  exportedAt: Date,
  signal: AbortSignal,
): Promise<ExportReport['copies']> {
  const { destination } = parts;
  const { objects } = destination;
  if (plan.keep === undefined || objects === undefined) return { made: [], removed: [] };
  try {
    const to = datedKeys(plan.key, plan.manifestKey, exportedAt);
    const copied =
      plan.splitBytes === undefined
        ? [await copyOf(parts, objects, exported, to.key, signal)]
        : exported.files;
    const files = copied.map(manifestFile);
    const bytes = manifestBytes({ ...manifest, files });
    await destination.put({
      key: to.manifestKey,
      body: oneChunk(bytes),
      estimatedBytes: bytes.length,
      bytes: bytes.length,
      signal,
      // Another run of the same second copies to the same key.
      beside: besideOf(copied),
    });
    const made =
      plan.splitBytes === undefined
        ? copied.map(({ location }) => location)
        : [destination.locate(to.manifestKey)];
    return { made, removed: await removeOlder(plan, destination, objects, manifest, signal) };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    throw new ToolError(
      error.code,
      `The export is published as ${exported.location}, but its dated copies are not as --keep ${plan.keep} wants them: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function copyOf(
  { emit, destination }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  objects: Objects,
  { files: [file] }: ExportedData,
  key: string,
  signal: AbortSignal,
): Promise<ExportedFile> {
  if (file === undefined) throw new Error('There is no export to copy.');
  emit({ kind: 'phase', phase: 'copy', total: file.bytes });
  const copy = await objects.copy(file.key, key, file, signal);
  emit({ kind: 'progress', rows: 0, bytes: copy.bytes });
  // A store that does not compare what it was sent is not taken at its word for what it copied either.
  await compareStored({ emit, destination }, key, copy, file.sha256, signal);
  return { ...file, ...copy, key };
}

/** Resolves to the locations of the copies that were removed. */
async function removeOlder(
  plan: ExportPlan,
  destination: Destination,
  objects: Objects,
  latest: Manifest,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const removed: string[] = [];
  let kept = 0;
  for (const manifestKey of (await datedManifests(objects, plan.manifestKey, signal)).toReversed()) {
    const found = await readManifest(objects, manifestKey, signal);
    const files = namedFiles(found);
    if (found === undefined || !isOfSame(found, latest) || !isDatedCopy(files, manifestKey, plan)) continue;
    if (++kept <= (plan.keep ?? 0)) continue;
    // In this order: without its manifest a copy would be nobody's.
    removed.push(await removeCopy(plan, destination, objects, files, manifestKey, signal));
    await objects.remove(manifestKey, signal);
  }
  return removed;
}

/** Resolves to its location. */
async function removeCopy(
  plan: ExportPlan,
  destination: Destination,
  objects: Objects,
  files: readonly NamedFile[],
  manifestKey: string,
  signal: AbortSignal,
): Promise<string> {
  const [{ key } = { key: manifestKey }] = files;
  if (isDatedKey(key, plan.key)) {
    await objects.remove(key, signal);
    return destination.locate(key);
  }
  const known = files.flatMap((file) =>
    file.etag === undefined ? [] : [{ key: file.key, etag: file.etag }],
  );
  const { removed, problem } = await removeUnnamed(objects, plan, known, signal, manifestKey);
  if (problem !== undefined) throw problem.error;
  return removed.length === 0 ? destination.locate(manifestKey) : filesText(removed, destination);
}

/** Whether a dated manifest's export is the dated copy beside it, or a split one's files, and nothing else that it could name. */
function isDatedCopy(files: readonly NamedFile[], manifestKey: string, plan: ExportPlan): boolean {
  const [first] = files;
  if (first === undefined) return false;
  if (files.every(({ key }) => isPartKey(key, plan.key))) return true;
  const stem = (text: string) => text.slice(0, text.lastIndexOf('.'));
  return files.length === 1 && isDatedKey(first.key, plan.key) && stem(first.key) === stem(manifestKey);
}
