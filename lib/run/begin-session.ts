import { randomBytes } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../errors.ts';
import type { ExportParts, ExportPlan } from '../plan.ts';
import type { WorkFolder } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { discardStored } from './discard-stored.ts';
import { checkRoom, type Growth } from './disk-room.ts';
import type { Prepared } from './prepare.ts';
import type { RunIdentity } from './run-identity.ts';
import { RunJournal } from './run-journal.ts';
import { type RunHeader, type RunState, stateOf } from './run-state.ts';
import { type Kept, MEMORY_FILE, type Session } from './session.ts';

/** What is decided before the first point is read. */
export interface Beginning<Unit extends EncodedUnit> {
  readonly plan: ExportPlan;
  readonly parts: ExportParts<Unit>;
  readonly prepared: Prepared<Unit>;
  readonly identity: RunIdentity;
  readonly left: RunState | undefined;
  readonly run: AbortController;
  readonly startedAt: Date;
}

/** Goes on with the run that was left, or begins one of its own and removes what was left. */
export async function beginSession<Unit extends EncodedUnit>(
  beginning: Beginning<Unit>,
): Promise<Session<Unit>> {
  const { plan, parts, prepared, left, run } = beginning;
  const { work, emit } = parts;
  const kept = work && { work, journal: new RunJournal(work.journal) };
  if (left !== undefined && kept !== undefined) {
    kept.journal.goOn();
    emit({ kind: 'note', text: goingOnText(left, prepared.summary.points) });
    return { plan, parts, prepared, run, header: left.header, left, kept };
  }
  const header = await newHeader(beginning);
  if (kept !== undefined) {
    if (plan.resume)
      emit({ kind: 'note', text: 'There is no interrupted run to go on with: this one begins anew.' });
    else await removeLeft(beginning, kept);
    await begin(beginning, kept, header);
  }
  return { plan, parts, prepared, run, header, left: undefined, kept };
}

async function begin<Unit extends EncodedUnit>(
  { prepared, parts }: Beginning<Unit>,
  { work, journal }: Kept,
  header: RunHeader,
): Promise<void> {
  for (const text of checkRoom(await growths(header, prepared, work))) parts.emit({ kind: 'warning', text });
  await journal.begin(header);
}

/** What is to grow on which disk: nothing that counts where all goes straight to the store. */
async function growths<Unit extends EncodedUnit>(
  { files }: RunHeader,
  { converter, dataBytes, summary }: Prepared<Unit>,
  work: WorkFolder,
): Promise<readonly Growth[]> {
  if (files === undefined) return [];
  const parquet = { path: files.parquet, bytes: summary.estimatedBytes };
  const growing = converter === undefined ? [parquet] : [{ path: files.data, bytes: dataBytes }, parquet];
  return Promise.all(
    growing.map(async ({ path, bytes }) => {
      const folder = dirname(path);
      return { folder, bytes, free: await work.freeBytes(path), isWork: folder === work.path };
    }),
  );
}

async function newHeader<Unit extends EncodedUnit>({
  plan,
  parts,
  prepared,
  identity,
  startedAt,
}: Beginning<Unit>): Promise<RunHeader> {
  const id = randomBytes(4).toString('hex');
  return {
    kind: 'run',
    version: 1,
    id,
    identity,
    startedAt: startedAt.toISOString(),
    exportedAt: plan.exportedAt.toISOString(),
    before: prepared.before,
    sample: prepared.sample,
    files: plan.streaming ? undefined : await filesOf(plan, parts, prepared, id),
  };
}

async function filesOf<Unit extends EncodedUnit>(
  plan: ExportPlan,
  { work, destination }: ExportParts<Unit>,
  { converter }: Prepared<Unit>,
  id: string,
): Promise<RunHeader['files']> {
  if (work === undefined) return undefined;
  const strategy = String(plan.options.strategy);
  // A local file grows beside its name, so that it gets that in one step.
  const part = await destination.local?.part(plan.key, id);
  // The run may be gone on with from another folder.
  const local = part === undefined ? undefined : resolve(part);
  const parquet = local ?? work.file(`${strategy}.parquet`);
  if (converter !== undefined) return { data: work.file(`${strategy}.ndjson.gz`), parquet };
  return { data: local ?? work.file(`${strategy}.parquet.part`), parquet };
}

function goingOnText({ header, safe, data, parquet, published, stored }: RunState, points: number): string {
  const since = `Going on with the run of ${header.startedAt.replace(/\.\d+Z$/, 'Z')}`;
  const files = parquet?.parts?.length;
  if (published !== undefined || (files !== undefined && stored.size === files))
    return `${since}: the export is published, its manifest is not.`;
  if (files !== undefined)
    return `${since}: ${grouped(stored.size)} of ${grouped(files)} files are in the store.`;
  if (parquet !== undefined) return `${since}: the Parquet file is whole.`;
  if (data !== undefined) return `${since}: all ${grouped(data.encoded.rows)} rows are read.`;
  return `${since}: ${grouped(safe?.point.rows ?? 0)} of about ${grouped(points)} rows are safe.`;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

/** Removes what an interrupted run left, as this one was not told to go on with it. */
async function removeLeft<Unit extends EncodedUnit>(
  { plan, parts, run }: Beginning<Unit>,
  { work }: Kept,
): Promise<void> {
  const { emit, destination } = parts;
  let old: RunState | undefined;
  try {
    old = stateOf(work.journal.records);
  } catch (error) {
    emit({
      kind: 'note',
      text: `What an interrupted run left cannot be read, and this one starts over: ${messageOf(error)}`,
    });
  }
  if (old === undefined) return;
  const { header, upload, published } = old;
  emit({
    kind: 'note',
    text: `The interrupted run of ${header.startedAt.replace(/\.\d+Z$/, 'Z')} is given up, and this one starts over; --resume would have gone on with it.`,
  });
  if (upload !== undefined && published === undefined) {
    const remains =
      header.identity.target === plan.target
        ? await destination.uploads?.remove(upload, run.signal)
        : `The unfinished upload ${upload.id} of ${upload.key} stays in the other store, ${header.identity.target}, and may cost storage until that drops it.`;
    if (remains !== undefined) emit({ kind: 'warning', text: remains });
  }
  await discardStored(old, plan, parts, run.signal);
  // First: a journal of files that are gone would be gone on with.
  await work.journal.replace([]);
  const paths = [header.files?.data, header.files?.parquet, work.file(MEMORY_FILE)];
  for (const path of paths) if (path !== undefined) await work.remove(path);
}

/**
 * Removes what this run has kept so far, files of a split export in the store included: nothing that could be gone
 * on with. Never rejects; tells what remains. `signal` is the user's: the run's own is aborted by now.
 */
export async function clearKept<Unit extends EncodedUnit>(
  session: Session<Unit>,
  signal: AbortSignal,
): Promise<void> {
  const { kept, header, parts, plan, run } = session;
  if (kept === undefined) return;
  const { work, journal } = kept;
  const tell = (remains: string) => parts.emit({ kind: 'warning', text: remains });
  const upload = journal.upload;
  if (upload !== undefined) {
    const remains = await parts.destination.uploads?.remove(upload, run.signal);
    if (remains !== undefined) tell(remains);
  }
  const { state } = journal;
  if (state !== undefined) await discardStored(state, plan, parts, signal);
  await work.clear().catch((error: unknown) => tell(messageOf(error)));
  const outside = Object.values(header.files ?? {}).filter((path) => dirname(path) !== work.path);
  for (const path of new Set(outside)) {
    await work.remove(path).catch((error: unknown) => tell(messageOf(error)));
  }
}
