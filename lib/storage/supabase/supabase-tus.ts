import { ToolError } from '../../errors.ts';
import { freeNow } from '../../free-now.ts';
import { retry } from '../../retry.ts';
import { contentTypeOf } from '../content-type.ts';
import { withLeftover } from '../leftover.ts';
import { type PartSource, partSource } from '../part-source.ts';
import type { OpenUpload, PutRequest } from '../storage.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { createResumable, failedWrite } from './supabase-tus-calls.ts';
import { removeResumable } from './supabase-tus-remove.ts';
import { isFinal, isUploadLost, sendChunk, type TusChunk, type TusUpload } from './supabase-tus-send.ts';
import { publishedResumable, verifyResumable } from './supabase-tus-verify.ts';

/** What Supabase asks for, on all plans: https://supabase.com/docs/guides/storage/uploads/resumable-uploads */
export const CHUNK_BYTES = 6 * 1024 * 1024;

/** How often an upload that the store lost is begun again while all that was sent of it is at hand. */
const RESTARTS = 3;

export type ResumableRequest = PutRequest & { readonly bytes: number };

export interface ResumableObject {
  readonly bytes: number;
  readonly etag: string;
}

/** A put under way. */
interface Sending {
  readonly request: ResumableRequest;
  readonly to: SupabasePublication;
  readonly source: PartSource;
  readonly chunkBytes: number;
  /** Undefined until it is begun. */
  upload: TusUpload | undefined;
  /** The log knows of it, so that another process can go on. */
  isOnRecord: boolean;
  /** Up to where `onProgress` knows. */
  reported: number;
}

/**
 * Sends the body in chunks of `chunkBytes` (those of `request.from` where there is one), one after the other, which
 * publishes it with the last one. Holds one chunk, and what `fetch` copies of it: 12 MiB.
 *
 * Going on with an upload, the body begins behind the last byte of `from.parts`; of it, what the store has beyond that
 * is not sent again. All parts are full, but for the last of an upload that was finished; then the body has to be empty.
 * Rejects with 'integrity' where the body has not exactly `request.bytes` bytes, and with 'store' where another
 * writer has replaced the object since.
 */
export async function putResumable(
  request: ResumableRequest,
  to: SupabasePublication,
  chunkBytes: number = CHUNK_BYTES,
): Promise<ResumableObject> {
  const { from, signal } = request;
  const source = partSource(request.body, signal);
  const sending: Sending = {
    request,
    to,
    source,
    chunkBytes: from?.partBytes ?? chunkBytes,
    upload: undefined,
    isOnRecord: from !== undefined,
    reported: 0,
  };
  try {
    if (from !== undefined) sending.upload = uploadOf(from, request, to);
    sending.reported = sending.upload?.offset ?? 0;
    const upload = await sendBody(sending);
    return await verifyResumable(upload, to);
  } catch (error) {
    await source.cancel(error);
    return await afterFailure(error, sending);
  } finally {
    await source.cancel(undefined);
  }
}

/** In order, without a gap, all full but the last of a finished upload. */
function uploadOf(from: OpenUpload, { bytes }: ResumableRequest, to: SupabasePublication): TusUpload {
  const cannot = (why: string) =>
    new ToolError('integrity', `Cannot go on with the upload ${from.id} of ${to.location}: ${why}.`);
  if (from.key !== to.key) throw cannot(`it is of "${from.key}"`);
  if (!(from.partBytes > 0)) throw cannot(`its parts have ${from.partBytes} bytes`);
  let offset = 0;
  from.parts.forEach((part, at) => {
    offset += part.bytes;
    if (part.number !== at + 1) throw cannot(`part ${part.number} is the ${at + 1}. of its parts`);
    if (part.bytes === from.partBytes) return;
    if (offset === bytes && part.bytes < from.partBytes && at === from.parts.length - 1) return;
    throw cannot(`part ${part.number} has ${part.bytes} bytes and not ${from.partBytes}`);
  });
  if (offset > bytes) throw cannot(`it has ${offset} bytes, and ${bytes} are to be written`);
  // The process that began it may have sent more than it lived to hear of.
  const isUnsure = offset < bytes;
  return { id: from.id, bytes, offset, sentTo: bytes, isUnsure, isPublishing: false };
}

async function sendBody(sending: Sending): Promise<TusUpload> {
  const { request, chunkBytes } = sending;
  for await (const chunk of chunksOf(sending)) {
    await sendWhole(sending, chunk);
    request.log?.confirmed({
      number: chunk.start / chunkBytes + 1,
      bytes: chunk.bytes.length,
      etag: '',
      crc32: undefined,
      md5: undefined,
    });
  }
  if (sending.upload !== undefined) return sending.upload;
  // Without a byte there is nothing to send: it is finished when it is begun.
  await request.log?.publishing({ bytes: 0, etag: undefined });
  const upload = await begin(sending);
  upload.isPublishing = true;
  return upload;
}

/** The body, chunk by chunk, all in the same buffer; the last one only once the body has ended behind it. */
async function* chunksOf({ request, source, chunkBytes, upload, to }: Sending): AsyncGenerator<TusChunk> {
  const { bytes: total } = request;
  let start = upload?.offset ?? 0;
  const buffer = new Uint8Array(Math.min(chunkBytes, total - start));
  for (;;) {
    const bytes = buffer.subarray(0, Math.min(chunkBytes, total - start));
    const filled = await source.fill(bytes);
    if (filled < bytes.length) throw otherLength(to, total, `ended after ${start + filled}`);
    const isLast = start + filled === total;
    if (isLast && !(await source.ended())) throw otherLength(to, total, 'has more');
    if (filled > 0) yield { start, bytes };
    // The store has all of it: nobody looks at it any more.
    if (isLast) return freeNow(buffer);
    start += filled;
  }
}

function otherLength(to: SupabasePublication, total: number, what: string): ToolError {
  return new ToolError(
    'integrity',
    `${failedWrite(to)}: ${total} bytes were to be written, and what was given ${what}.`,
  );
}

/** Where the store has lost the upload, all that it had of it may still be at hand: then it is begun again. */
async function sendWhole(sending: Sending, chunk: TusChunk): Promise<void> {
  const { request, to } = sending;
  const isLast = chunk.start + chunk.bytes.length === request.bytes;
  for (let restarts = 0; ; restarts++) {
    try {
      sending.upload ??= await begin(sending);
      // Its last request publishes it.
      if (isLast) await request.log?.publishing({ bytes: request.bytes, etag: undefined });
      return await sendChunk(sending.upload, chunk, to, (offset) => report(sending, offset));
    } catch (error) {
      if (!isUploadLost(error)) throw error;
      if (chunk.start > 0 || restarts === RESTARTS) throw lost(error, sending);
      to.onRetry({ error: error as ToolError, attempt: restarts + 1, waitMs: 0 });
      sending.upload = undefined;
    }
  }
}

function lost(error: unknown, { request }: Sending): unknown {
  if (!(error instanceof ToolError)) return error;
  const advice =
    request.log === undefined
      ? 'Run the export again.'
      : 'Run it again with --resume: what was exported is kept, and uploaded from its beginning.';
  const text = `${error.message} It keeps one for a limited time, a hosted project for 24 hours. ${advice}`;
  return new ToolError('store', text, { cause: error.cause });
}

/** An attempt whose answer is lost leaves an upload that nobody can name. It has no bytes, and the store drops it. */
async function begin(sending: Sending): Promise<TusUpload> {
  const { request, to, chunkBytes } = sending;
  const { bytes } = request;
  const create = () => createResumable(to, bytes, contentTypeOf(to.key), to.decisive);
  const id = await retry(create, to.limits.signal, to.policy, to.onRetry);
  sending.isOnRecord = false;
  sending.upload = { id, bytes, offset: 0, sentTo: 0, isUnsure: false, isPublishing: false };
  if (bytes > 0) await request.log?.begun({ key: to.key, id, partBytes: chunkBytes, crc32: false });
  sending.isOnRecord = true;
  return sending.upload;
}

/** Bytes that were there already count: the body gave them. */
function report(sending: Sending, offset: number): void {
  if (offset <= sending.reported) return;
  sending.request.onProgress?.(offset - sending.reported);
  sending.reported = offset;
}

/** Resolves to the object if it is there all the same. */
async function afterFailure(error: unknown, sending: Sending): Promise<ResumableObject> {
  const { request, to, upload } = sending;
  if (upload === undefined) throw error;
  const isFinished = upload.offset === upload.bytes && !upload.isUnsure;
  const isKept = request.log !== undefined && sending.isOnRecord && !isFinal(error);
  const removes = !isFinished && !isKept;
  const steps = removes && upload.isPublishing ? 2 : 1;
  // Comes first: no request can finish the upload after it.
  const left = removes ? await removeResumable(to, upload.id, steps) : undefined;
  if (!upload.isPublishing) throw withLeftover(error, left);
  const published = await publishedResumable(upload, to, steps);
  if (published !== undefined) return published;
  const doubt = isKept && !isFinished && !isUploadLost(error) ? STILL_PUBLISHING : left;
  throw withLeftover(error, doubt);
}

const STILL_PUBLISHING = 'The request that publishes it was sent and may still take effect.';
