import { abortReason, messageOf, ToolError } from '../errors.ts';
import { type Manifest, manifestOf } from '../manifest.ts';
import type {
  ExportCounts,
  ExportedData,
  ExportedFile,
  ExportParts,
  ExportPlan,
  ExportReport,
} from '../plan.ts';
import { partsPattern } from '../split-keys.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { beginSession, clearKept } from './begin-session.ts';
import type { Encoded } from './encoded-file.ts';
import { keyFindings, vectorNotes } from './findings.ts';
import { keepCopies } from './kept-copies.ts';
import { move } from './move.ts';
import { type Prepared, prepare } from './prepare.ts';
import { removeReplaced } from './replaced-files.ts';
import { refuseOther, runIdentity } from './run-identity.ts';
import { type RunState, stateOf } from './run-state.ts';
import type { Session } from './session.ts';
import { manifestFile, writeManifest } from './write-manifest.ts';

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
    for (const text of prepared.warnings) parts.emit({ kind: 'warning', text });
    if (plan.dryRun) return dryRunReport(prepared, startedAt);
    session = await beginSession({ plan, parts, prepared, identity, left, run, startedAt });
    return await carryOut(session, startedAt);
  } catch (error) {
    const why = whatEnded(run.signal, error);
    if (session !== undefined) await keepOrClear(session, why, signal);
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

/** A run whose points do not agree, or do not fit what was asked, leaves nothing that could be gone on with. */
async function keepOrClear(session: Session<EncodedUnit>, why: unknown, signal: AbortSignal): Promise<void> {
  if (session.kept === undefined) return;
  const doNotAgree = why instanceof ToolError && why.code === 'integrity';
  if (doNotAgree || (isUsage(why) && isMakingFile(session))) await clearKept(session, signal);
  else session.parts.emit({ kind: 'resumable' });
}

/**
 * Whether the Parquet file is still being made, with no store involved: what is wrong with the settings then is wrong with
 * those that --resume takes no others for. Those of a store can be put right.
 */
function isMakingFile({ header, kept }: Session<EncodedUnit>): boolean {
  return header.files !== undefined && kept?.journal.state?.parquet === undefined;
}

function dryRunReport({ before, summary, warnings }: Prepared<EncodedUnit>, startedAt: Date): ExportReport {
  return {
    plan: summary,
    startedAt,
    finishedAt: new Date(),
    counts: { before, after: before, idsSeen: 0, rows: 0, missing: 0, emptyVectors: {}, keys: undefined },
    file: undefined,
    warnings,
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
  const { emit } = parts;
  const begun = new Date();
  const { files, data, times } = await move(session);
  const { encoded } = data;
  const { look, file } = encoded;
  const counts = countsOf(header.before, encoded);
  const warnings = [...look.warnings, ...keyFindings(file.keys)];
  const notes = [...vectorNotes(summary.shape.vectors), ...file.notes];
  const exported = exportedData(session, files);
  const manifest = manifestOf({
    shape: summary.shape,
    tool: parts.tool,
    options: plan.options,
    startedAt: header.startedAt,
    finishedAt: times[2].toISOString(),
    counts: manifestCounts(counts),
    files: files.map(manifestFile),
    warnings: [...warnings, ...notes],
  });
  // Before the manifest is written: the export is published and they hold, whatever becomes of that.
  for (const text of warnings) emit({ kind: 'warning', text });
  for (const text of notes) emit({ kind: 'note', text });
  const replaced = await writeManifest(session, manifest, exported);
  const exportedAt = new Date(header.exportedAt);
  const copies = await keepCopies(plan, parts, manifest, exported, exportedAt, run.signal);
  // After the copies: what a dated manifest names stays.
  await removeReplaced(plan, parts, replaced, exported, run.signal);
  return {
    plan: summary,
    startedAt,
    finishedAt: times[2],
    counts,
    file: exported,
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

function countsOf(before: number, { look, idsSeen, rows, missing, file }: Encoded): ExportCounts {
  const { emptyVectors, keys } = file;
  return { before, after: look.after, idsSeen, rows, missing, emptyVectors, keys };
}

function manifestCounts({ keys, ...counts }: ExportCounts): Manifest['counts'] {
  return {
    ...counts,
    keysFromPayload: keys?.fromPayload ?? null,
    duplicateKeys: keys?.duplicates ?? null,
    duplicateKeysExact: keys?.exact ?? null,
  };
}

function exportedData(
  { plan, parts, header }: Session<EncodedUnit>,
  files: readonly ExportedFile[],
): ExportedData {
  const { locate } = parts.destination;
  const sum = (of: 'bytes' | 'rowGroups') => files.reduce((total, file) => total + file[of], 0);
  const pattern = partsPattern(plan.key, new Date(header.exportedAt), header.id);
  const isOne = plan.splitBytes === undefined;
  return {
    key: isOne ? plan.key : pattern,
    location: isOne ? (files[0]?.location ?? locate(plan.key)) : locate(pattern),
    manifestLocation: locate(plan.manifestKey),
    bytes: sum('bytes'),
    rowGroups: sum('rowGroups'),
    files,
  };
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
