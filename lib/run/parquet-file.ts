import { ToolError } from '../errors.ts';
import type { ExportPlan } from '../plan.ts';
import type { WorkFolder } from '../storage/storage.ts';
import type { Converter } from '../writers/converter.ts';
import type { EncodedUnit, FilePart } from '../writers/format.ts';
import { beforeAbort } from './before-abort.ts';
import { hashFile, hashParts } from './hash-stream.ts';
import type { DataRecord, ParquetRecord, SplitPart } from './run-state.ts';
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
      ? await renamed(session, kept, paths, data)
      : await converted(session, kept, paths, data, converter);
  await kept.journal.append(record);
  // The Parquet file has it all.
  if (converter !== undefined && !session.plan.debug) await kept.work.remove(paths.data);
  return record;
}

async function renamed<Unit extends EncodedUnit>(
  session: Session<Unit>,
  { work }: Kept,
  paths: { readonly data: string; readonly parquet: string },
  { encoded, sha256 }: DataRecord,
): Promise<ParquetRecord> {
  if (sha256 === undefined) throw new Error('A Parquet file was written without a hash.');
  // An earlier run may have come this far.
  const isRenamed = paths.data === paths.parquet || (await work.size(paths.data)) === undefined;
  if (!isRenamed) await work.rename(paths.data, paths.parquet);
  const { bytes, file, rows } = encoded;
  const split = checkedParts(session.plan, { bytes, rows, parts: file.parts });
  const record = { kind: 'parquet', bytes, sha256, rowGroups: file.rowGroups } as const;
  if (split === undefined) return record;
  const { whole, parts } = await hashedParts(session, work, paths.parquet, split);
  if (whole === sha256) return { ...record, parts };
  throw new ToolError(
    'integrity',
    `Cannot publish "${paths.parquet}": it is not the file of ${bytes} bytes that was written. Run the export again without --resume.`,
  );
}

async function converted<Unit extends EncodedUnit>(
  session: Session<Unit>,
  { work }: Kept,
  paths: { readonly data: string; readonly parquet: string },
  { encoded }: DataRecord,
  converter: Converter,
): Promise<ParquetRecord> {
  const { parts, run, plan } = session;
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
  const made = await converter.convert(
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
  const bytes = (await work.size(part)) ?? 0;
  const split = checkedParts(plan, { bytes, rows, parts: made });
  const rowGroups = await checkedSummary(converter, part, rows, split, paths.data);
  if (!plan.debug) await work.remove(scratch);
  await safeOnDisk(part, work, run.signal);
  const hashes =
    split === undefined
      ? { whole: await hashFile(work, part, bytes, run.signal), parts: undefined }
      : await hashedParts(session, work, part, split);
  if (part !== paths.parquet) await work.rename(part, paths.parquet);
  return { kind: 'parquet', bytes, sha256: hashes.whole, rowGroups, parts: hashes.parts };
}

/** Row groups of what was converted, which its footers, one a file, have to say the same of as the converter. */
async function checkedSummary(
  converter: Converter,
  path: string,
  rows: number,
  split: readonly FilePart[] | undefined,
  from: string,
): Promise<number> {
  let found = { rows: 0, rowGroups: 0 };
  if (split === undefined) found = await converter.summary(path);
  let start = 0;
  for (const part of split ?? []) {
    const end = start + part.bytes;
    const summary = await converter.summary(path, { start, end });
    if (summary.rows !== part.rows || summary.rowGroups !== part.rowGroups) {
      throw new ToolError(
        'integrity',
        `Cannot publish what ${converter.description} made of "${from}": a file of it has ${summary.rows} rows in ${summary.rowGroups} row groups, and ${part.rows} in ${part.rowGroups} are wanted.`,
      );
    }
    found = { rows: found.rows + summary.rows, rowGroups: found.rowGroups + summary.rowGroups };
    start = end;
  }
  if (found.rows === rows) return found.rowGroups;
  throw new ToolError(
    'integrity',
    `Cannot publish what ${converter.description} made of "${from}": it has ${found.rows} rows, and ${rows} were exported.`,
  );
}

/** The files that the bytes are, end to end, where the plan asks for several: whole, and none larger than it may be. */
function checkedParts(
  { splitBytes }: ExportPlan,
  {
    bytes,
    rows,
    parts,
  }: { readonly bytes: number; readonly rows: number; readonly parts: readonly FilePart[] | undefined },
): readonly FilePart[] | undefined {
  if (splitBytes === undefined) return undefined;
  const sum = (of: 'bytes' | 'rows') => (parts ?? []).reduce((total, part) => total + part[of], 0);
  const largest = (parts ?? []).reduce((most, part) => Math.max(most, part.bytes), 0);
  if (parts !== undefined && sum('bytes') === bytes && sum('rows') === rows && largest <= splitBytes)
    return parts;
  throw new ToolError(
    'integrity',
    `Cannot split the export into files of at most ${splitBytes} bytes: it has ${bytes} bytes and ${rows} rows, and the files that were made of it have ${sum('bytes')} bytes, ${largest} at most, and ${sum('rows')} rows.`,
  );
}

async function hashedParts(
  { parts: { emit }, run }: Session<EncodedUnit>,
  work: WorkFolder,
  path: string,
  split: readonly FilePart[],
): Promise<{ readonly whole: string; readonly parts: readonly SplitPart[] }> {
  const lengths = split.map(({ bytes }) => bytes);
  emit({ kind: 'phase', phase: 'verify', total: lengths.reduce((sum, length) => sum + length, 0) });
  const { whole, parts } = await hashParts(work, path, lengths, run.signal, (bytes) =>
    emit({ kind: 'progress', rows: 0, bytes }),
  );
  return { whole, parts: split.map((part, index) => ({ ...part, sha256: parts[index] ?? '' })) };
}

async function safeOnDisk(path: string, work: WorkFolder, signal: AbortSignal): Promise<void> {
  const file = await work.grow(path, (await work.size(path)) ?? 0);
  // A disk may take long to write gigabytes: a run that is stopped leaves it to that.
  const isSafe = file.sync().finally(() => file.close());
  await beforeAbort(isSafe, signal);
}
