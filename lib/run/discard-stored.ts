import { messageOf } from '../errors.ts';
import type { ExportParts, ExportPlan } from '../plan.ts';
import { isPartKey, partKey } from '../split-keys.ts';
import type { Destination, Objects } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { filesText } from './files-text.ts';
import { readManifest } from './read-manifest.ts';
import { removeUnnamed } from './remove-unnamed.ts';
import type { ReplacedFile, RunState } from './run-state.ts';

/**
 * Removes what an export that is given up, or failed for good, has in the store: the files on record of a split one, and the
 * one that was being published when its process ended; and those that its manifest, if it came as far as that, took the
 * place of. What a manifest names stays. Never rejects; tells what remains.
 */
export async function discardStored(
  state: RunState,
  plan: ExportPlan,
  { destination, emit }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  signal: AbortSignal,
): Promise<void> {
  const { header, stored, replacing } = state;
  const underWay = state.publishing?.key;
  // An export that is not split has one name, and what is there is the newest.
  const publishing = underWay !== undefined && isPartKey(underWay, plan.key) ? state.publishing : undefined;
  if (stored.size === 0 && publishing === undefined && replacing.length === 0) return;
  const keyOf = (number: number) => partKey(plan.key, new Date(header.exportedAt), header.id, number);
  const replaced = new Set(replacing.map(({ key }) => key));
  const locations = () => filesText([...[...stored.keys()].map(keyOf), ...replaced], destination);
  if (header.identity.target !== plan.target) {
    if (stored.size === 0) return;
    const text = `Its files in the other store, ${header.identity.target}, stay there: ${[...stored.values()].map(({ location }) => location).join(', ')}.`;
    emit({ kind: 'warning', text });
    return;
  }
  const { objects } = destination;
  if (objects === undefined) return;
  const own = await filesOf({ stored, publishing }, keyOf, destination, signal);
  const before = await replacedNow(replacing, objects, plan, signal);
  const unsure = own.problem ?? before.problem;
  const files = [...own.files, ...before.files];
  const { removed, problem = unsure } = await removeUnnamed(objects, plan, files, signal);
  const tell = (what: string, keys: readonly string[]) => {
    if (keys.length === 0) return;
    emit({ kind: 'note', text: `${what} is removed: ${filesText(keys, destination)}.` });
  };
  tell(
    'What it had in the store',
    removed.filter((key) => !replaced.has(key)),
  );
  tell(
    'The export that it took the place of',
    removed.filter((key) => replaced.has(key)),
  );
  if (problem !== undefined) {
    const text = `Not all that it had in the store could be removed, ${locations()}: ${messageOf(problem.error)}`;
    emit({ kind: 'warning', text });
  }
}

interface Found {
  readonly files: readonly ReplacedFile[];
  readonly problem: { readonly error: unknown } | undefined;
}

async function filesOf(
  { stored, publishing }: Pick<RunState, 'stored' | 'publishing'>,
  keyOf: (number: number) => string,
  { uploads }: Destination,
  signal: AbortSignal,
): Promise<Found> {
  const files = [...stored].flatMap(([number, { etag }]) =>
    etag === undefined ? [] : [{ key: keyOf(number), etag }],
  );
  if (publishing?.key === undefined) return { files, problem: undefined };
  try {
    const receipt = await uploads?.published(publishing.key, publishing, signal);
    if (receipt?.etag !== undefined) files.push({ key: publishing.key, etag: receipt.etag });
    return { files, problem: undefined };
  } catch (error) {
    return { files, problem: { error } };
  }
}

/** Without any manifest nothing has taken their place. */
async function replacedNow(
  replacing: readonly ReplacedFile[],
  objects: Objects,
  { manifestKey }: ExportPlan,
  signal: AbortSignal,
): Promise<Found> {
  if (replacing.length === 0) return { files: [], problem: undefined };
  try {
    const manifest = await readManifest(objects, manifestKey, signal);
    return { files: manifest === undefined ? [] : replacing, problem: undefined };
  } catch (error) {
    return { files: [], problem: { error } };
  }
}
