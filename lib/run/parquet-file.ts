import { ToolError } from '../errors.ts';
import type { WorkFolder } from '../storage/storage.ts';
import type { Converter } from '../writers/converter.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { beforeAbort } from './before-abort.ts';
import { hashFile } from './hash-stream.ts';
import type { DataRecord, ParquetRecord } from './run-journal.ts';
import type { Kept, Session } from './session.ts';

/** Name of a converter's own files, in the work folder. */
const SCRATCH = 'scratch';

/** The whole Parquet file, of the whole data file: the same one, or converted. Resolves when it is on record. */
export async function makeParquetFile<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  paths: { readonly data: string; readonly parquet: string },
  data: DataRecord,
): Promise<ParquetRecord> {
  const { converter } = session.prepared;
  const record =
    converter === undefined
      ? await renamed(kept, paths, data)
      : await converted(session, kept, paths, data, converter);
  await kept.journal.append(record);
  // The Parquet file has it all.
  if (converter !== undefined && !session.plan.debug) await kept.work.remove(paths.data);
  return record;
}

async function renamed(
  { work }: Kept,
  paths: { readonly data: string; readonly parquet: string },
  { encoded, sha256 }: DataRecord,
): Promise<ParquetRecord> {
  if (sha256 === undefined) throw new Error('A Parquet file was written without a hash.');
  // An earlier run may have come this far.
  const isRenamed = paths.data === paths.parquet || (await work.size(paths.data)) === undefined;
  if (!isRenamed) await work.rename(paths.data, paths.parquet);
  return { kind: 'parquet', bytes: encoded.bytes, sha256, rowGroups: encoded.file.rowGroups };
}

async function converted<Unit extends EncodedUnit>(
  { parts, run, plan }: Session<Unit>,
  { work }: Kept,
  paths: { readonly data: string; readonly parquet: string },
  { encoded }: DataRecord,
  converter: Converter,
): Promise<ParquetRecord> {
  const { rows, file } = encoded;
  const found = await work.size(paths.data);
  if (found !== encoded.bytes) {
    throw new ToolError(
      'integrity',
      `Cannot convert "${paths.data}": it has ${found ?? 'no'} bytes, and ${encoded.bytes} were written. Run the export again without --resume.`,
    );
  }
  const scratch = work.file(SCRATCH);
  const part = paths.parquet.endsWith('.part') ? paths.parquet : `${paths.parquet}.part`;
  await work.remove(scratch);
  await work.remove(part);
  // Batches, answers and buffers of the phase before are only garbage now, but 100 MB of it.
  Bun.gc(true);
  parts.emit({ kind: 'phase', phase: 'convert', total: rows });
  await converter.convert(
    {
      from: paths.data,
      to: part,
      scratch,
      rows,
      longestRow: file.longestRow ?? 0,
      onProgress: (done, bytes) => parts.emit({ kind: 'progress', rows: done, bytes }),
    },
    run.signal,
  );
  const summary = await converter.summary(part);
  if (summary.rows !== rows) {
    throw new ToolError(
      'integrity',
      `Cannot publish what ${converter.description} made of "${paths.data}": it has ${summary.rows} rows, and ${rows} were exported.`,
    );
  }
  if (!plan.debug) await work.remove(scratch);
  const stored = await hashed(part, work, run.signal);
  if (part !== paths.parquet) await work.rename(part, paths.parquet);
  return { kind: 'parquet', ...stored, rowGroups: summary.rowGroups };
}

/** Puts the file on the disk, and reads its size and hash from there. */
async function hashed(
  path: string,
  work: WorkFolder,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const file = await work.grow(path, (await work.size(path)) ?? 0);
  // A disk may take long to write gigabytes: a run that is stopped leaves it to that.
  const isSafe = file.sync().finally(() => file.close());
  await beforeAbort(isSafe, signal);
  return { bytes: file.length, sha256: await hashFile(work, path, file.length, signal) };
}
