import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { bodyTimeoutMs } from '../patience.ts';
import { isOffsetConflict, isTaken, isUploadGone, refusalIn } from './supabase-errors.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { failedWrite, patchResumable, resumableState } from './supabase-tus-calls.ts';

/** An upload on its way. */
export interface TusUpload {
  readonly id: string;
  /** Of the whole object. */
  readonly bytes: number;
  /** Up to where the store is known to have the bytes; never falls. */
  offset: number;
  /** Up to where it may have them: nobody sent it more. */
  sentTo: number;
  /** The last request about it did not end well, or was another process's: `offset` has to be asked for. */
  isUnsure: boolean;
  /** The request that publishes the object was sent. */
  isPublishing: boolean;
}

export interface TusChunk {
  /** Where it begins in the object. */
  readonly start: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Resolves when the store has everything up to the chunk's end; `onOffset` hears how far it has come. Bytes that it has
 * already are not sent again, be they the chunk's first or all. After each failure it is asked what it has: a request
 * that was cut leaves what had arrived. As long as it has more each time, it does not run out of attempts.
 */
export async function sendChunk(
  upload: TusUpload,
  chunk: TusChunk,
  to: SupabasePublication,
  onOffset: (offset: number) => void,
): Promise<void> {
  const end = chunk.start + chunk.bytes.length;
  while (upload.isUnsure || upload.offset < end) {
    await retry(() => advance(upload, chunk, end, to), to.limits.signal, to.policy, to.onRetry);
    onOffset(upload.offset);
  }
}

/** One attempt at having more in the store than before. */
async function advance(
  upload: TusUpload,
  chunk: TusChunk,
  end: number,
  to: SupabasePublication,
): Promise<void> {
  if (upload.isUnsure) {
    const before = upload.offset;
    await askOffset(upload, to, timeoutMs(upload, chunk.bytes.length, to));
    if (upload.offset > before || upload.offset >= end) return;
  }
  const rest = chunk.bytes.subarray(upload.offset - chunk.start);
  const isLast = end === upload.bytes;
  upload.sentTo = Math.max(upload.sentTo, end);
  upload.isUnsure = true;
  const wasPublishing = upload.isPublishing;
  upload.isPublishing ||= isLast;
  const limits = { ...(isLast ? to.decisive : to.limits), timeoutMs: timeoutMs(upload, rest.length, to) };
  try {
    const now = await patchResumable(to, upload.id, upload.offset, rest, limits);
    if (now === upload.offset) throw stuck(upload, to);
    takeOffset(upload, now, to);
  } catch (error) {
    if (isRefused(error)) upload.isPublishing = wasPublishing;
    await afterFailure(error, upload, chunk, to);
  }
}

/** Resolves where the store has all bytes, whatever it answered; otherwise rejects. */
async function afterFailure(
  error: unknown,
  upload: TusUpload,
  chunk: TusChunk,
  to: SupabasePublication,
): Promise<void> {
  if (isUploadGone(error)) throw gone(to, error);
  if (isOffsetConflict(error)) throw again(error);
  if (!isTaken(error)) throw error;
  // Our own bytes, sent twice: the first time they finished the upload.
  await askOffset(upload, to, timeoutMs(upload, chunk.bytes.length, to));
  if (upload.offset === upload.bytes) return;
  throw new ToolError(
    'store',
    `${failedWrite(to)}: the store gave the key to another upload that was finished meanwhile, and refuses this ` +
      'one. What is there was left as it is; run the export again to replace it.',
    { cause: new UploadTaken('The resource already exists', { cause: error }) },
  );
}

async function askOffset(upload: TusUpload, to: SupabasePublication, timeout: number): Promise<void> {
  const state = await resumableState(to, upload.id, { ...to.limits, timeoutMs: timeout });
  if (state === undefined) throw gone(to);
  if (state.length !== upload.bytes) {
    throw notOurs(to, `it is one of ${state.length} bytes, and ${upload.bytes} are to be written`);
  }
  takeOffset(upload, state.offset, to);
}

function takeOffset(upload: TusUpload, offset: number, to: SupabasePublication): void {
  if (offset < upload.offset) {
    throw notOurs(to, `the store has ${offset} bytes of it, and had ${upload.offset} before`);
  }
  if (offset > upload.sentTo) {
    throw notOurs(to, `the store has ${offset} bytes of it, and only ${upload.sentTo} were sent`);
  }
  upload.offset = offset;
  upload.isUnsure = false;
}

/** What arrives last makes the store join what it has, which may take it minutes. */
function timeoutMs(upload: TusUpload, bytes: number, { patience }: SupabasePublication): number {
  return bodyTimeoutMs(bytes, patience) + (upload.isPublishing ? patience.completeMs : 0);
}

/** Nothing is under way: the store said so. A conflict may be one with this very request, sent twice on its way. */
function isRefused(error: unknown): boolean {
  if (!(error instanceof ToolError) || error.remedy !== 'none' || refusalIn(error) === undefined)
    return false;
  return !isOffsetConflict(error) && !isTaken(error) && !isUploadGone(error);
}

class UploadLost extends Error {}
class UploadTaken extends Error {}

/** The store has lost the upload: what was sent has to be sent again, with another one. */
export function isUploadLost(error: unknown): boolean {
  return error instanceof ToolError && error.cause instanceof UploadLost;
}

/** Going on with the upload makes no sense, in this process or another. */
export function isFinal(error: unknown): boolean {
  return error instanceof ToolError && (error.code === 'integrity' || error.cause instanceof UploadTaken);
}

function gone(to: SupabasePublication, cause?: unknown): ToolError {
  return new ToolError('store', `${failedWrite(to)}: the store no longer has the unfinished upload.`, {
    cause: new UploadLost('The upload is gone', { cause }),
  });
}

function notOurs(to: SupabasePublication, why: string): ToolError {
  return new ToolError(
    'integrity',
    `${failedWrite(to)}: somebody else wrote to its unfinished upload (${why}). Run the export again.`,
  );
}

function stuck({ offset }: TusUpload, to: SupabasePublication): ToolError {
  return new ToolError(
    'store',
    `${failedWrite(to)}: the store took none of the bytes behind the first ${offset}.`,
    { remedy: 'again' },
  );
}

function again(error: unknown): unknown {
  if (!(error instanceof ToolError)) return error;
  return new ToolError(error.code, error.message, {
    cause: error.cause,
    remedy: 'again',
    retryAfterMs: error.retryAfterMs,
  });
}
