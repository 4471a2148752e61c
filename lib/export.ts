import { encodedFile } from './encoded-file.ts';
import { abortReason, messageOf, ToolError } from './errors.ts';
import { keyFindings, vectorNotes } from './findings.ts';
import { type Manifest, manifestBytes, manifestOf } from './manifest.ts';
import { streamOf } from './pipeline/stream-of.ts';
import type { ExportCounts, ExportParts, ExportPlan, ExportReport } from './plan.ts';
import { type Prepared, prepare } from './prepare.ts';
import { type Sha256, startSha256 } from './sha256.ts';
import type { ByteStream, Destination, Receipt, WorkFile } from './storage/storage.ts';
import type { EncodedUnit } from './writers/format.ts';

/**
 * Exports one collection: looks at it, decides, and then moves it from Qdrant to the destination in one
 * stream. Resolves when the file is there and was compared; whatever fails, nothing is published.
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
  try {
    const prepared = await prepare(plan, parts, run.signal);
    parts.emit({ kind: 'plan', plan: prepared.summary });
    if (plan.dryRun) return dryRunReport(prepared, startedAt);
    const sha256 = startSha256(prepared.summary.estimatedBytes);
    try {
      return await move(plan, parts, prepared, run, startedAt, sha256);
    } finally {
      sha256.close();
    }
  } catch (error) {
    throw whatEnded(run.signal, error);
  } finally {
    signal.removeEventListener('abort', stop);
    run.abort(new ToolError('cancelled', 'The run is over.'));
  }
}

function dryRunReport(prepared: Prepared<EncodedUnit>, startedAt: Date): ExportReport {
  const { before, summary } = prepared;
  return {
    plan: summary,
    startedAt,
    finishedAt: new Date(),
    counts: { before, after: before, idsSeen: 0, rows: 0, missing: 0, emptyVectors: {}, keys: undefined },
    file: undefined,
    warnings: [],
    notes: [],
    manifest: undefined,
    seconds: { export: 0, upload: 0, total: secondsSince(startedAt) },
  };
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

async function move<Unit extends EncodedUnit>(
  plan: ExportPlan,
  parts: ExportParts<Unit>,
  prepared: Prepared<Unit>,
  run: AbortController,
  startedAt: Date,
  sha256: Sha256,
): Promise<ExportReport> {
  const { summary } = prepared;
  const { emit, destination } = parts;
  const { signal } = run;
  const { body, encoded } = encodedFile(plan, parts, prepared, run, sha256);
  emit({ kind: 'phase', phase: 'export', total: summary.points });
  const exportStart = new Date();
  const { estimatedBytes } = summary;
  const workFile = plan.streaming ? undefined : parts.workFile;
  const receipt =
    workFile === undefined
      ? await destination.put({ key: plan.key, body, estimatedBytes, signal })
      : await putFromWorkFile(workFile, body, estimatedBytes, plan.key, parts, signal);
  const { bytes, sha256: hash, endedAt, file, look, ...found } = encoded;
  if (receipt.bytes !== bytes || hash === undefined || file === undefined || look === undefined) {
    throw new ToolError(
      'integrity',
      `The file was encoded with ${bytes} bytes, but ${receipt.location} has ${receipt.bytes}.`,
    );
  }
  const counts: ExportCounts = {
    before: prepared.before,
    after: look.after,
    ...found,
    emptyVectors: file.emptyVectors,
    keys: file.keys,
  };
  const warnings = [...look.warnings, ...keyFindings(file.keys)];
  const notes = [...vectorNotes(summary.shape.vectors), ...file.notes];
  const stored = { ...receipt, sha256: hash, rowGroups: file.rowGroups };
  const exportSeconds = (endedAt.getTime() - exportStart.getTime()) / 1000;
  const uploadSeconds = secondsSince(exportStart) - exportSeconds;
  const finishedAt = new Date();
  const manifest = manifestOf({
    shape: summary.shape,
    tool: parts.tool,
    options: plan.options,
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
    counts: manifestCounts(counts),
    files: [manifestFile(plan.key, stored, counts.rows)],
    warnings: [...warnings, ...notes],
  });
  // Before the manifest is written: the export is published and they hold, whatever becomes of that.
  for (const text of warnings) emit({ kind: 'warning', text });
  for (const text of notes) emit({ kind: 'note', text });
  await putManifest(manifest, plan.manifestKey, receipt, destination, signal);
  return {
    plan: summary,
    startedAt,
    finishedAt,
    counts,
    file: stored,
    warnings,
    notes,
    manifest,
    seconds: { export: exportSeconds, upload: uploadSeconds, total: secondsSince(startedAt) },
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
  key: string,
  exported: Receipt,
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  const bytes = manifestBytes(manifest);
  async function* body(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    yield bytes;
  }
  try {
    await destination.put({ key, body: streamOf(body(), 0), estimatedBytes: bytes.length, signal });
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // What a signal says of the run, that nothing was published, no longer holds.
    const why = error.code === 'cancelled' ? 'the run was stopped.' : messageOf(error);
    throw new ToolError(
      error.code,
      `The export is whole and published as ${exported.location}, but its manifest is not: ${why}`,
      { cause: error },
    );
  }
}

/** Writes the bytes to the work file, then uploads that; it is gone afterwards, whatever happened. */
async function putFromWorkFile(
  workFile: WorkFile,
  body: ByteStream,
  estimatedBytes: number,
  key: string,
  { destination, emit }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  signal: AbortSignal,
): Promise<Receipt> {
  try {
    const written = await workFile.destination.put({ key: workFile.path, body, estimatedBytes, signal });
    emit({ kind: 'phase', phase: 'upload', total: written.bytes });
    let uploaded = 0;
    return await destination.put({
      key,
      body: workFile.open(),
      estimatedBytes: written.bytes,
      signal,
      onProgress: (bytes) => {
        uploaded += bytes;
        emit({ kind: 'progress', rows: 0, bytes: uploaded });
      },
    });
  } finally {
    await workFile.remove();
  }
}

function secondsSince(start: Date): number {
  return (Date.now() - start.getTime()) / 1000;
}
