import { ToolError } from '../errors.ts';
import type { ExportedFile } from '../plan.ts';
import { partsPattern } from '../split-keys.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { writeDataFile } from './data-file.ts';
import { makeParquetFile } from './parquet-file.ts';
import { publish, publishedBefore } from './publish.ts';
import { publishParts } from './publish-parts.ts';
import { compareRead, compareStored } from './read-back.ts';
import { crc32Of } from './rolling-check.ts';
import type { DataRecord, ParquetRecord } from './run-state.ts';
import type { Kept, Session } from './session.ts';
import { type Streamed, streamToStore } from './streamed-upload.ts';

/** An export that is there, whatever way it took. */
export interface Moved {
  /** One, or with --split-size as many as it took; in the order of their rows. */
  readonly files: readonly ExportedFile[];
  readonly data: DataRecord;
  /** When the data, the Parquet file and the publication were done. */
  readonly times: readonly [Date, Date, Date];
}

/** Moves all points from Qdrant to the destination; resolves when they are published. */
export async function move<Unit extends EncodedUnit>(session: Session<Unit>): Promise<Moved> {
  const { plan, kept } = session;
  if (
    plan.splitBytes !== undefined &&
    (plan.streaming || kept === undefined || session.parts.destination.local !== undefined)
  ) {
    throw new Error('Only an export by work files into a store can be split.');
  }
  return plan.streaming || kept === undefined ? await moveAsStream(session) : await moveByFile(session, kept);
}

/** Rows to read, and those that an earlier run has read. */
function beginExport({ parts, prepared, left }: Session<EncodedUnit>): void {
  parts.emit({ kind: 'phase', phase: 'export', total: prepared.summary.points });
  const done = left?.data?.encoded ?? left?.safe?.point;
  if (done !== undefined) parts.emit({ kind: 'progress', rows: done.rows, bytes: done.bytes });
}

async function moveAsStream<Unit extends EncodedUnit>(session: Session<Unit>): Promise<Moved> {
  const { plan, parts, left, kept, run } = session;
  beginExport(session);
  const before = left?.data && (await publishedBefore(left, parts.destination, plan.key, run.signal));
  const streamed =
    before !== undefined && left?.data !== undefined
      ? { receipt: before, data: left.data, endedAt: new Date() }
      : await streamToStore(session);
  const { receipt, data, endedAt } = streamed;
  const published = new Date();
  if (receipt.bytes !== data.encoded.bytes) {
    throw new ToolError(
      'integrity',
      `The file was encoded with ${data.encoded.bytes} bytes, but ${receipt.location} has ${receipt.bytes}.`,
    );
  }
  const sha256 = await provenSha256(session, streamed);
  await kept?.journal.append({ kind: 'published', receipt });
  const { rows, file } = data.encoded;
  const exported = { key: plan.key, ...receipt, sha256, rows, rowGroups: file.rowGroups };
  return { files: [exported], data, times: [endedAt, endedAt, published] };
}

/** The stream's hash, compared with what the store has, where that compares nothing itself. */
async function provenSha256<Unit extends EncodedUnit>(
  { plan, parts, run, left }: Session<Unit>,
  { receipt, data: { sha256, check } }: Streamed,
): Promise<string> {
  if (sha256 === undefined) {
    // No process has seen all bytes; each has gone on with the CRC-32 of those before its own.
    const proof = { kind: 'crc32', crc32: crc32Of(check) } as const;
    return await compareRead(parts, plan.key, receipt, proof, run.signal);
  }
  // On record is only what was compared.
  if (left?.published?.etag === undefined || left.published.etag !== receipt.etag)
    await compareStored(parts, plan.key, receipt, sha256, run.signal);
  return sha256;
}

async function moveByFile<Unit extends EncodedUnit>(session: Session<Unit>, kept: Kept): Promise<Moved> {
  const { left, header } = session;
  const { files } = header;
  if (files === undefined) throw new Error('A run by files has no paths for them.');
  beginExport(session);
  const data = left?.data ?? (await writeDataFile(session, kept, files.data));
  const exportedAt = new Date();
  const file = left?.parquet ?? (await makeParquetFile(session, kept, files, data));
  const made = new Date();
  if (left?.published === undefined) await confirmed(session, files.parquet, file);
  const exported = await published(session, kept, files.parquet, file, data);
  return { files: exported, data, times: [exportedAt, made, new Date()] };
}

async function published<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
  file: ParquetRecord,
  { encoded }: DataRecord,
): Promise<readonly ExportedFile[]> {
  const { parts } = file;
  if (parts !== undefined) return await publishParts(session, kept, path, { ...file, parts });
  const receipt = await publish(session, kept, path, file);
  if (receipt.bytes !== file.bytes) {
    throw new ToolError(
      'integrity',
      `The file has ${file.bytes} bytes, but ${receipt.location} has ${receipt.bytes}.`,
    );
  }
  const { sha256, rowGroups } = file;
  return [{ key: session.plan.key, ...receipt, sha256, rows: encoded.rows, rowGroups }];
}

/** With --debug: rejects when the file is not to be uploaded. */
async function confirmed(
  { plan, parts, header }: Session<EncodedUnit>,
  path: string,
  { bytes, parts: split }: ParquetRecord,
): Promise<void> {
  if (!plan.debug || parts.confirm === undefined || parts.destination.local !== undefined) return;
  const key = split === undefined ? plan.key : partsPattern(plan.key, new Date(header.exportedAt), header.id);
  const location = parts.destination.locate(key);
  if (await parts.confirm({ path, bytes, files: split?.length ?? 1, location })) return;
  throw new ToolError('cancelled', `Not uploaded, as you said: the export is in ${path}.`);
}
