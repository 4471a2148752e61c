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
import { compareStored } from './read-back.ts';
import type { ParquetRecord, RunState } from './run-state.ts';
import type { Kept, Session } from './session.ts';

/**
 * Makes the whole Parquet file appear under its key; resolves when it is there, was compared, and that is on record.
 */
export async function publish<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
  file: ParquetRecord,
): Promise<Receipt> {
  const { parts, plan, left } = session;
  const { local } = parts.destination;
  if (local !== undefined) return await adopted(session, kept, path, file, local);
  const slice: Slice = { key: plan.key, start: 0, bytes: file.bytes, sha256: file.sha256 };
  const before = await publishedBefore(left, parts.destination, plan.key, session.run.signal);
  const receipt = before ?? (await uploadSlice(session, kept, { path, slice, file, left: left?.upload }));
  // On record is only what was compared.
  if (before !== undefined && left?.published !== undefined) return before;
  await compareStored(parts, plan.key, receipt, file.sha256, session.run.signal);
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

/** Bytes of the file that become an object of their own. */
export interface Slice {
  readonly key: string;
  /** Offset in the file. */
  readonly start: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface SliceUpload {
  readonly path: string;
  readonly slice: Slice;
  /** The whole file. */
  readonly file: ParquetRecord;
  /** What an earlier process had begun of it. */
  readonly left: OpenUpload | undefined;
}

/** Uploads it, from where an earlier process was. */
export async function uploadSlice<Unit extends EncodedUnit>(
  { parts: { destination, emit }, run: { signal } }: Session<Unit>,
  kept: Kept,
  { path, slice, file, left }: SliceUpload,
): Promise<Receipt> {
  const from = left && (await destination.uploads?.find(left, signal));
  // What the store no longer has is forgotten.
  if (left !== undefined && from === undefined) await kept.journal.forgetUpload();
  if ((await kept.work.size(path)) !== file.bytes) throw otherFile(path, file.bytes);
  const sent = from?.parts.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0;
  // Slices are sent in the order of the file, but for the one that an earlier process was about.
  let done = slice.start + sent;
  emit({ kind: 'phase', phase: 'upload', total: file.bytes });
  if (done > 0) emit({ kind: 'progress', rows: 0, bytes: done });
  return await destination.put({
    key: slice.key,
    body: streamOf(checkedBytes(kept, path, file, slice, sent, signal), 0),
    estimatedBytes: slice.bytes,
    bytes: slice.bytes,
    signal,
    log: uploadLog(kept, slice),
    from,
    onProgress: (bytes) => {
      done += bytes;
      emit({ kind: 'progress', rows: 0, bytes: done });
    },
  });
}

/**
 * The slice's bytes from `from` on. Hashes all of them, and throws in the place of their end when they are not those
 * that were written: then the object never appears.
 */
async function* checkedBytes(
  { work }: Kept,
  path: string,
  file: ParquetRecord,
  { start, bytes, sha256 }: Slice,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const hash = startSha256(bytes);
  let offset = 0;
  try {
    for await (const read of work.read(path, start)) {
      if (signal.aborted) throw abortReason(signal);
      const chunk = read.subarray(0, bytes - offset);
      await hash.update(chunk);
      const skipped = Math.max(0, from - offset);
      offset += chunk.length;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
      if (offset === bytes) break;
    }
    if ((await hash.digest()) !== sha256) throw otherFile(path, file.bytes);
  } finally {
    hash.close();
  }
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
  const { bytes, etag } = expected;
  const mark = 'mark' in expected ? expected.mark : undefined;
  return await uploads?.published(key, { bytes, etag, mark }, signal);
}

/** Puts the steps of an upload of a file on record. */
function uploadLog({ journal }: Kept, { key, bytes }: Slice): UploadLog {
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
      await journal.append({ kind: 'publishing', key, ...expected });
      if (failure !== undefined) throw failure.error;
    },
  };
}
