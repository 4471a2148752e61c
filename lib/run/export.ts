import { abortReason, messageOf, ToolError } from '../errors.ts';
import { type Manifest, manifestBytes, manifestOf } from '../manifest.ts';
import type { ExportCounts, ExportParts, ExportPlan, ExportReport } from '../plan.ts';
import type { Destination, Receipt } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { beginSession, clearKept } from './begin-session.ts';
import { keyFindings, vectorNotes } from './findings.ts';
import { keepCopies, oneChunk } from './kept-copies.ts';
import { move } from './move.ts';
import { type Prepared, prepare } from './prepare.ts';
import { refuseOther, runIdentity } from './run-identity.ts';
import { type RunState, stateOf } from './run-journal.ts';
import type { Session } from './session.ts';

/**
 * Exports one collection: looks at it, decides, and then moves it from Qdrant to the destination. Resolves when the
 * file is there and was compared; whatever fails, nothing is published, and what a later run can go on with is kept.
 */
export async function exportCollection<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  signal: AbortSignal,
): Promise<ExportReport> {
  const startedAt = new Date();
  // The first failure stops every stage with its reason.
  const run = new AbortController();
  const stop = () => run.abort(abortReason(signal));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  let left: RunState | undefined;
  let session: Session<Unit> | undefined;
  try {
    left = plan.resume && parts.work !== undefined ? stateOf(parts.work.journal.records) : undefined;
    const prepared = await prepare(plan, parts, run.signal, left?.header);
    const identity = runIdentity(plan, prepared.summary, parts.tool);
    if (left !== undefined) refuseOther(left.header.identity, identity);
    parts.emit({ kind: 'plan', plan: prepared.summary });
    if (plan.dryRun) return dryRunReport(prepared, startedAt);
    session = await beginSession({ plan, parts, prepared, identity, left, run, startedAt });
    return await carryOut(session, startedAt);
  } catch (error) {
    const why = whatEnded(run.signal, error);
    if (session !== undefined) await keepOrClear(session, why);
    // What was left is as it was; settings that differ from its own are another matter.
    else if (left !== undefined && !isUsage(why)) parts.emit({ kind: 'resumable' });
    throw why;
  } finally {
    signal.removeEventListener('abort', stop);
    run.abort(new ToolError('cancelled', 'The run is over.'));
  }
}

/** What was aborted first is what happened, and not the errors that follow from it. */
function whatEnded(signal: AbortSignal, error: unknown): unknown {
  if (!signal.aborted) return error;
  const reason: unknown = signal.reason;
  // Whoever stopped reading without a word has thrown what there is to say.
  if (reason instanceof DOMException) return error;
  // One that was made of it says more: what could not be cleaned up.
  if (error instanceof ToolError && reason instanceof ToolError && error.cause === reason) return error;
  return reason;
}

function isUsage(error: unknown): boolean {
  return error instanceof ToolError && error.code === 'usage';
}

/** A run whose points do not agree leaves nothing that could be gone on with. */
async function keepOrClear(session: Session<EncodedUnit>, why: unknown): Promise<void> {
  if (session.kept === undefined) return;
  if (why instanceof ToolError && why.code === 'integrity') await clearKept(session);
  else session.parts.emit({ kind: 'resumable' });
}

function dryRunReport({ before, summary }: Prepared<EncodedUnit>, startedAt: Date): ExportReport {
  return {
    plan: summary,
    startedAt,
    finishedAt: new Date(),
    counts: { before, after: before, idsSeen: 0, rows: 0, missing: 0, emptyVectors: {}, keys: undefined },
    file: undefined,
    warnings: [],
    notes: [],
    manifest: undefined,
    copies: { made: [], removed: [] },
    workFiles: [],
    seconds: { export: 0, convert: 0, upload: 0, total: secondsBetween(startedAt, new Date()) },
  };
}

async function carryOut<Unit extends EncodedUnit>(
  session: Session<Unit>,
  startedAt: Date,
): Promise<ExportReport> {
  const { plan, parts, header, run } = session;
  const { summary } = session.prepared;
  const { emit, destination } = parts;
  const begun = new Date();
  const { receipt, data, sha256, rowGroups, times } = await move(session);
  const { encoded } = data;
  const { look, file } = encoded;
  const counts: ExportCounts = {
    before: header.before,
    after: look.after,
    idsSeen: encoded.idsSeen,
    rows: encoded.rows,
    missing: encoded.missing,
    emptyVectors: file.emptyVectors,
    keys: file.keys,
  };
  const warnings = [...look.warnings, ...keyFindings(file.keys)];
  const notes = [...vectorNotes(summary.shape.vectors), ...file.notes];
  const stored = { ...receipt, sha256, rowGroups };
  const manifest = manifestOf({
    shape: summary.shape,
    tool: parts.tool,
    options: plan.options,
    startedAt: header.startedAt,
    finishedAt: times[2].toISOString(),
    counts: manifestCounts(counts),
    files: [manifestFile(plan.key, stored, counts.rows)],
    warnings: [...warnings, ...notes],
  });
  // Before the manifest is written: the export is published and they hold, whatever becomes of that.
  for (const text of warnings) emit({ kind: 'warning', text });
  for (const text of notes) emit({ kind: 'note', text });
  await putManifest(manifest, plan, receipt, destination, run.signal);
  const exportedAt = new Date(header.exportedAt);
  const copies = await keepCopies(plan, parts, manifest, receipt, exportedAt, run.signal);
  return {
    plan: summary,
    startedAt,
    finishedAt: times[2],
    counts,
    file: stored,
    warnings,
    notes,
    manifest,
    copies,
    workFiles: await endKept(session),
    seconds: {
      export: secondsBetween(begun, times[0]),
      convert: secondsBetween(times[0], times[1]),
      upload: secondsBetween(times[1], times[2]),
      total: secondsBetween(startedAt, new Date()),
    },
  };
}

function manifestCounts({ keys, ...counts }: ExportCounts): Manifest['counts'] {
  return {
    ...counts,
    keysFromPayload: keys?.fromPayload ?? null,
    duplicateKeys: keys?.duplicates ?? null,
    duplicateKeysExact: keys?.exact ?? null,
  };
}

function manifestFile(
  key: string,
  { bytes, sha256, rowGroups, etag }: NonNullable<ExportReport['file']>,
  rows: number,
): Manifest['files'][number] {
  return { key, bytes, sha256, rows, rowGroups, etag: etag ?? null };
}

/** Beside the export, after it: who reads in between finds a manifest whose entity tag or hash is another's. */
async function putManifest(
  manifest: Manifest,
  { key: exportKey, manifestKey: key }: ExportPlan,
  { etag, location }: Receipt,
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  const bytes = manifestBytes(manifest);
  const beside = etag === undefined ? undefined : { key: exportKey, etag };
  try {
    await destination.put({ key, body: oneChunk(bytes), estimatedBytes: bytes.length, signal, beside });
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // What a signal says of the run, that nothing was published, no longer holds.
    const why = error.code === 'cancelled' ? 'the run was stopped.' : messageOf(error);
    throw new ToolError(
      error.code,
      `The export is whole and published as ${location}, but its manifest is not: ${why}`,
      { cause: error },
    );
  }
}

/** Removes the work files of a run that went well, or resolves to the paths of those that --debug keeps. */
async function endKept({ plan, kept, header, parts }: Session<EncodedUnit>): Promise<readonly string[]> {
  if (kept === undefined) return [];
  const { work } = kept;
  try {
    // Either way there is nothing to go on with any more.
    if (plan.debug) await work.journal.replace([]);
    else await work.clear();
  } catch (error) {
    // The export is there, whole: that is no failure.
    parts.emit({ kind: 'warning', text: `Not all work files could be removed: ${messageOf(error)}` });
  }
  if (!plan.debug) return [];
  const paths = [...new Set(Object.values(header.files ?? {}))];
  const sizes = await Promise.all(paths.map((path) => work.size(path)));
  return paths.filter((_, index) => sizes[index] !== undefined);
}

function secondsBetween(start: Date, end: Date): number {
  return (end.getTime() - start.getTime()) / 1000;
}
