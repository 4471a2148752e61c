import { datedKeys } from '../dated-keys.ts';
import { abortReason, messageOf, ToolError } from '../errors.ts';
import type { Manifest } from '../manifest.ts';
import type { ExportedData, ExportParts, ExportPlan } from '../plan.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { filesText } from './files-text.ts';
import { isOfSame, namedFiles, readManifest } from './read-manifest.ts';
import { isOwnKey, removeUnnamed } from './remove-unnamed.ts';
import type { ReplacedFile } from './run-state.ts';
import type { Session } from './session.ts';

/**
 * The files that the manifests name which are about to be written over, and the new one does not: those of the last split
 * export, or `latest.parquet` when that one was not split. Only of a manifest that this tool wrote, of the collection that
 * was asked for now. They are on record when this resolves. A manifest that cannot be read is no reason to
 * fail: credentials may be allowed to write only.
 */
export async function replacedFiles(
  { plan, parts, left, kept, run, header }: Session<EncodedUnit>,
  manifest: Manifest,
): Promise<readonly ReplacedFile[]> {
  const { objects } = parts.destination;
  if (objects === undefined) return [];
  // What another process found already, whose manifest may be the one that is there now.
  const replaced = new Map((left?.replacing ?? []).map(({ key, etag }) => [key, etag]));
  try {
    // A run of the same second, or one whose time SOURCE_DATE_EPOCH pins, has the dated manifest's name too.
    const dated = datedKeys(plan.key, plan.manifestKey, new Date(header.exportedAt)).manifestKey;
    for (const manifestKey of plan.keep === undefined ? [plan.manifestKey] : [plan.manifestKey, dated]) {
      const found = await readManifest(objects, manifestKey, run.signal);
      if (found === undefined || !isOfSame(found, manifest)) continue;
      for (const { key, etag } of namedFiles(found)) {
        if (etag !== undefined && isOwnKey(key, plan)) replaced.set(key, etag);
      }
    }
  } catch (error) {
    if (run.signal.aborted) throw abortReason(run.signal);
    const text = `Which files the export before this one had cannot be read, so that any which are of no use now stay: ${messageOf(error)}`;
    parts.emit({ kind: 'note', text });
  }
  for (const { key } of manifest.files) replaced.delete(key);
  const files = [...replaced].map(([key, etag]) => ({ key, etag }));
  if (files.length > 0) await kept?.journal.append({ kind: 'replacing', files });
  return files;
}

/**
 * Removes them, now that the new manifest is there. What stays is worth a warning, and no failure: the export is whole. Rejects
 * only where the run is stopped meanwhile.
 */
export async function removeReplaced(
  plan: ExportPlan,
  { destination, emit }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  files: readonly ReplacedFile[],
  published: Pick<ExportedData, 'location'>,
  signal: AbortSignal,
): Promise<void> {
  const { objects } = destination;
  if (objects === undefined) return;
  if (files.length > 0) {
    const { removed, problem } = await removeUnnamed(objects, plan, files, signal);
    if (removed.length > 0) {
      const text = `The export that this one takes the place of is removed: ${filesText(removed, destination)}.`;
      emit({ kind: 'note', text });
    }
    if (problem !== undefined && signal.aborted) {
      // Whoever goes on with the run removes them: they are on record.
      const text = `The export is whole and published as ${published.location}, but not all files of the one before it are removed: the run was stopped.`;
      throw new ToolError('cancelled', text, { cause: signal.reason });
    }
    if (problem !== undefined) {
      const text = `Not all files of the export that this one takes the place of could be removed: ${messageOf(problem.error)}`;
      emit({ kind: 'warning', text });
    }
  }
  if (plan.splitBytes === undefined) return;
  try {
    for await (const { key } of objects.list(plan.key, signal)) {
      if (key !== plan.key) continue;
      const text = `${destination.locate(key)} stays there, which is an older export: readers of that name do not get this one.`;
      emit({ kind: 'warning', text });
    }
  } catch (error) {
    const text = `Whether there is an older export at ${destination.locate(plan.key)} cannot be told: ${messageOf(error)}`;
    emit({ kind: 'note', text });
  }
}
