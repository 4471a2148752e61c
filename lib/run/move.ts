import { ToolError } from '../errors.ts';
import type { Receipt } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { writeDataFile } from './data-file.ts';
import { makeParquetFile } from './parquet-file.ts';
import { publish, publishedBefore } from './publish.ts';
import { readBack } from './read-back.ts';
import type { DataRecord } from './run-journal.ts';
import type { Kept, Session } from './session.ts';
import { streamToStore } from './streamed-upload.ts';

/** An export that is there, whatever way it took. */
export interface Moved {
  readonly receipt: Receipt;
  readonly data: DataRecord;
  readonly sha256: string;
  readonly rowGroups: number;
  /** When the data, the Parquet file and the publication were done. */
  readonly times: readonly [Date, Date, Date];
}

/** Moves all points from Qdrant to the destination; resolves when they are published. */
export async function move<Unit extends EncodedUnit>(session: Session<Unit>): Promise<Moved> {
  const { plan, kept } = session;
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
  await kept?.journal.append({ kind: 'published', receipt });
  const published = new Date();
  if (receipt.bytes !== data.encoded.bytes) {
    throw new ToolError(
      'integrity',
      `The file was encoded with ${data.encoded.bytes} bytes, but ${receipt.location} has ${receipt.bytes}.`,
    );
  }
  const sha256 = data.sha256 ?? (await readBack(parts, plan.key, receipt, run.signal));
  const { rowGroups } = data.encoded.file;
  return { receipt, data, sha256, rowGroups, times: [endedAt, endedAt, published] };
}

async function moveByFile<Unit extends EncodedUnit>(session: Session<Unit>, kept: Kept): Promise<Moved> {
  const { left, header } = session;
  const { files } = header;
  if (files === undefined) throw new Error('A run by files has no paths for them.');
  beginExport(session);
  const data = left?.data ?? (await writeDataFile(session, kept, files.data));
  const exported = new Date();
  const file = left?.parquet ?? (await makeParquetFile(session, kept, files, data));
  const made = new Date();
  if (left?.published === undefined) await confirmed(session, files.parquet, file.bytes);
  const receipt = await publish(session, kept, files.parquet, file);
  if (receipt.bytes !== file.bytes) {
    throw new ToolError(
      'integrity',
      `The file has ${file.bytes} bytes, but ${receipt.location} has ${receipt.bytes}.`,
    );
  }
  const { sha256, rowGroups } = file;
  return { receipt, data, sha256, rowGroups, times: [exported, made, new Date()] };
}

/** With --debug: rejects when the file is not to be uploaded. */
async function confirmed({ plan, parts }: Session<EncodedUnit>, path: string, bytes: number): Promise<void> {
  if (!plan.debug || parts.confirm === undefined || parts.destination.local !== undefined) return;
  const location = parts.destination.locate(plan.key);
  if (await parts.confirm({ path, bytes, location })) return;
  throw new ToolError('cancelled', `Not uploaded, as you said: the export is in ${path}.`);
}
