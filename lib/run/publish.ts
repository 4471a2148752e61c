import { abortReason, ToolError } from '../errors.ts';
import { streamOf } from '../pipeline/stream-of.ts';
import { startSha256 } from '../sha256.ts';
import type {
  Destination,
  LocalFiles,
  OpenUpload,
  Receipt,
  UploadLog,
  WorkFolder,
} from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { hashFile } from './hash-stream.ts';
import type { ParquetRecord, RunState } from './run-journal.ts';
import type { Kept, Session } from './session.ts';

/** Makes the whole Parquet file appear under its key; resolves when it is there and that is on record. */
export async function publish<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
  file: ParquetRecord,
): Promise<Receipt> {
  const { parts } = session;
  const { local } = parts.destination;
  if (local !== undefined) return await adopted(session, kept, path, file, local);
  const receipt = await uploaded(session, kept, path, file);
  await kept.journal.append({ kind: 'published', receipt });
  return receipt;
}

async function adopted<Unit extends EncodedUnit>(
  { plan: { key }, run: { signal }, left }: Session<Unit>,
  { work, journal }: Kept,
  path: string,
  { bytes, sha256 }: ParquetRecord,
  local: LocalFiles,
): Promise<Receipt> {
  const isThere = (at: string) => isFile(work, at, bytes, sha256, signal);
  const before = left?.published;
  // A local file has no entity tag that its manifest could hold on to.
  if (before !== undefined && !(await isThere(key))) {
    throw new ToolError(
      'integrity',
      `Cannot go on with the export to "${key}": what is there is not the file that was exported. Run the export again.`,
    );
  }
  if (before !== undefined) return before;
  let receipt: Receipt | undefined;
  if (left?.parquet !== undefined) {
    // An earlier run may have given the file its name and not have lived to say so.
    const isNamed = (await work.size(path)) === undefined && (await isThere(key));
    if (isNamed) receipt = { location: key, bytes, etag: undefined };
    else if (!(await isThere(path))) throw otherFile(path, bytes);
  }
  receipt ??= await local.adopt(path, key, bytes, signal);
  await journal.append({ kind: 'published', receipt });
  return receipt;
}

async function isFile(
  work: WorkFolder,
  path: string,
  bytes: number,
  sha256: string,
  signal: AbortSignal,
): Promise<boolean> {
  return (await work.size(path)) === bytes && (await hashFile(work, path, bytes, signal)) === sha256;
}

function otherFile(path: string, bytes: number): ToolError {
  return new ToolError(
    'integrity',
    `Cannot publish "${path}": it is not the file of ${bytes} bytes that was written. Run the export again without --resume.`,
  );
}

async function uploaded<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
  file: ParquetRecord,
): Promise<Receipt> {
  const { plan, parts, run } = session;
  const { destination, emit } = parts;
  const from = await leftUpload(session, kept);
  if (from.kind === 'published') return from.receipt;
  if ((await kept.work.size(path)) !== file.bytes) throw otherFile(path, file.bytes);
  emit({ kind: 'phase', phase: 'upload', total: file.bytes });
  let done = from.upload?.parts.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0;
  if (done > 0) emit({ kind: 'progress', rows: 0, bytes: done });
  return await destination.put({
    key: plan.key,
    body: streamOf(checkedBytes(kept, path, file, done, run.signal), 0),
    estimatedBytes: file.bytes,
    signal: run.signal,
    log: uploadLog(kept, file),
    from: from.upload,
    onProgress: (bytes) => {
      done += bytes;
      emit({ kind: 'progress', rows: 0, bytes: done });
    },
  });
}

/**
 * The file's bytes from `from` on. Hashes all of them, and throws in the place of their end when they are not those
 * that were written: then the object never appears.
 */
async function* checkedBytes(
  { work }: Kept,
  path: string,
  { bytes, sha256 }: ParquetRecord,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const hash = startSha256(bytes);
  let offset = 0;
  try {
    for await (const chunk of work.read(path)) {
      if (signal.aborted) throw abortReason(signal);
      await hash.update(chunk);
      const start = Math.max(0, from - offset);
      offset += chunk.length;
      if (start < chunk.length) yield chunk.subarray(start);
    }
    if ((await hash.digest()) !== sha256) throw otherFile(path, bytes);
  } finally {
    hash.close();
  }
}

type LeftUpload =
  | { readonly kind: 'published'; readonly receipt: Receipt }
  | { readonly kind: 'open'; readonly upload: OpenUpload | undefined };

/** What an earlier run had uploaded; what the store no longer has is forgotten. */
async function leftUpload<Unit extends EncodedUnit>(
  { plan, parts, run, left }: Session<Unit>,
  { journal }: Kept,
): Promise<LeftUpload> {
  const { destination } = parts;
  const receipt = await publishedBefore(left, destination, plan.key, run.signal);
  if (receipt !== undefined) return { kind: 'published', receipt };
  if (left?.upload === undefined) return { kind: 'open', upload: undefined };
  const upload = await destination.uploads?.find(left.upload, run.signal);
  if (upload === undefined) await journal.forgetUpload();
  return { kind: 'open', upload };
}

/** An object that was published by a run that did not live to hear of it. */
export async function publishedBefore(
  left: RunState | undefined,
  { uploads }: Destination,
  key: string,
  signal: AbortSignal,
): Promise<Receipt | undefined> {
  const expected = left?.published ?? left?.publishing;
  if (expected === undefined) return undefined;
  // Looked at even where it is on record: beside another run's export no manifest of this one would ever be written.
  return await uploads?.published(key, { bytes: expected.bytes, etag: expected.etag }, signal);
}

/** Puts the steps of an upload of a file on record. */
function uploadLog({ journal }: Kept, { bytes }: ParquetRecord): UploadLog {
  let failure: { readonly error: unknown } | undefined;
  return {
    begun: (upload) => journal.append({ kind: 'upload', ...upload }),
    confirmed: (part) => {
      // A part that is not on record is sent again; that nothing can be recorded is told at the end.
      journal.append({ kind: 'part', ...part }).catch((error: unknown) => {
        failure ??= { error };
      });
    },
    async publishing(expected) {
      if (expected.bytes !== bytes) {
        throw new ToolError(
          'integrity',
          `Cannot publish the file: the store has ${expected.bytes} bytes of it, and ${bytes} were written.`,
        );
      }
      await journal.append({ kind: 'publishing', ...expected });
      if (failure !== undefined) throw failure.error;
    },
  };
}
