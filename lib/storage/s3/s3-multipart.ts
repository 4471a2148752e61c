import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { withLeftover } from '../leftover.ts';
import type { PartSource } from '../part-source.ts';
import type { ExpectedObject, OpenUpload, UploadedPart, UploadLog } from '../storage.ts';
import type { Condition } from './s3-calls.ts';
import { etagOfParts } from './s3-checksums.ts';
import { failureOf, isNoUpload, refusesHeader } from './s3-errors.ts';
import { isOutgrown, type PartPlan, type PartPool, requestGate, tooManyParts } from './s3-parts.ts';
import { conflictOr, findPublished, type Publication, publishOn, verify } from './s3-publish.ts';
import { removeUpload } from './s3-remove.ts';
import { type PartSender, sendPart } from './s3-send-part.ts';

// Why not `Upload` of @aws-sdk/lib-storage, measured under Bun: its abort() returns at once while parts go on
// and the Abort request follows in the background, so that a process that ends then leaves an upload that is
// paid for; it never cancels the source; it has no time-out (a stalled part hung for more than 25 s); and its
// retries are the SDK's, over after 150 ms. Bun's own S3 writer buffers without bound and completes a cut-off
// object. None of that can be set from outside.

export interface MultipartRequest {
  readonly to: Publication;
  readonly condition: Condition;
  readonly source: PartSource;
  readonly plan: PartPlan;
  readonly pool: PartPool;
  /** The first bytes of the source: a whole part, or, going on with an upload, as many as there are. */
  readonly first: { readonly buffer: Uint8Array<ArrayBuffer>; readonly length: number };
  /** The upload to go on with: its parts lie before the source's bytes. */
  readonly from: OpenUpload | undefined;
  readonly log: UploadLog | undefined;
  /** Ends source, pool and requests; aborted by the run's signal and by the first failure. */
  readonly stop: AbortController;
  /** How long one attempt at a part may take. */
  readonly partTimeoutMs: number;
  readonly onProgress: (bytes: number) => void;
}

/** How far an upload has come, for what is to be done when it fails. */
interface Progress {
  /** The log knows of it, so that another process can go on. */
  onRecord: boolean;
  /** What the request that publishes was sent for. */
  publishing: ExpectedObject | undefined;
  published: boolean;
}

/**
 * Sends the source as a multipart upload and publishes it. When anything fails it stops all requests, waits
 * for them and rejects. Without a log, or where going on makes no sense, it removes the upload first; the
 * error names the upload if it could not be removed.
 */
export async function putParts(request: MultipartRequest): Promise<ExpectedObject> {
  const { to, log } = request;
  // An attempt that is cut after the store acted leaves an upload whose id nobody here knows. It holds no
  // parts, so it costs nothing, and stores drop it (R2 after 7 days). Looking for it in the list of uploads
  // would find those of another run of the same key just as well, so it is left alone.
  const upload = request.from ?? { ...(await createUpload(to, request.plan.partBytes)), parts: [] };
  const progress: Progress = {
    onRecord: request.from !== undefined,
    publishing: undefined,
    published: false,
  };
  try {
    if (!progress.onRecord) {
      const { parts: _, ...begun } = upload;
      await log?.begun(begun);
      progress.onRecord = true;
    }
    const sent = await sendParts(request, upload);
    await log?.publishing(sent.object);
    return await complete(request, upload, sent, progress);
  } catch (error) {
    if (progress.published) throw error;
    return await afterFailure(error, request, upload, progress);
  }
}

async function complete(
  { to, condition }: MultipartRequest,
  { id }: OpenUpload,
  { parts, object }: SentParts,
  progress: Progress,
): Promise<ExpectedObject> {
  // S3 may take minutes to join many parts.
  const limits = { ...to.decisive, timeoutMs: to.patience.completeMs };
  const send = (under: Condition) => {
    progress.publishing = object;
    return to.calls.completeUpload(to.key, id, parts, under, limits);
  };
  const answered = await publishOn(condition, send, to);
  progress.published = true;
  return { bytes: object.bytes, etag: await verify(answered, object, to) };
}

/** Resolves to the object if it is there all the same. */
async function afterFailure(
  error: unknown,
  { to, condition, log }: MultipartRequest,
  upload: OpenUpload,
  { onRecord, publishing }: Progress,
): Promise<ExpectedObject> {
  const kept = log !== undefined && onRecord && !isFinal(error);
  const steps = publishing === undefined || kept ? 1 : 2;
  const left = kept ? undefined : await removeUpload(to, upload.id, steps);
  if (publishing === undefined) throw withLeftover(error, left);
  // Lost answers look like failures: a second Complete finds no upload, or the condition no longer true.
  // Where the upload is removed that comes first, because no Complete can be at work after it.
  const found = await findPublished(publishing, to, steps);
  if (found !== undefined) return { ...publishing, etag: found.etag };
  const doubt =
    kept && !isRefused(error) ? 'The request that publishes it was sent and may still take effect.' : left;
  throw withLeftover(conflictOr(error, condition, to), doubt);
}

/**
 * The store said no, so that nothing is under way; an upload that it does not know may have been published.
 */
function isRefused(error: unknown): boolean {
  const { status } = failureOf(error);
  return status !== undefined && status >= 400 && status < 500 && !isNoUpload(error);
}

/** Going on with the upload makes no sense: the bytes are wrong, or too many for its parts. */
export function isFinal(error: unknown): boolean {
  return error instanceof ToolError && (error.code === 'integrity' || isOutgrown(error));
}

/**
 * Begins an upload whose parts are checked by CRC-32, where the store knows that: MD5 costs 1.3 s of CPU a
 * gigabyte on this side and as much again on the store's, CRC-32 0.02 s.
 */
async function createUpload(to: Publication, partBytes: number): Promise<Omit<OpenUpload, 'parts'>> {
  const marked = to.unverified ? { mark: crypto.randomUUID() } : {};
  const create = async (crc32: boolean) => {
    const attempt = () => to.calls.createUpload(to.key, { crc32, ...marked }, to.decisive);
    const id = await retry(attempt, to.limits.signal, to.policy, to.onRetry);
    return { key: to.key, id, partBytes, crc32, ...marked };
  };
  // It would take a checksum without a look; the MD5 that it gives as a part's entity tag is of what it holds.
  if (to.unverified) return await create(false);
  try {
    return await create(true);
  } catch (error) {
    if (!refusesHeader(error)) throw error;
    return await create(false);
  }
}

interface SentParts {
  readonly parts: readonly UploadedPart[];
  /** Its entity tag is undefined where nobody can foretell it. */
  readonly object: ExpectedObject;
}

/** Resolves when every part is confirmed; settles only after the last request has. */
async function sendParts(request: MultipartRequest, upload: OpenUpload): Promise<SentParts> {
  const { to, pool, stop, plan, log } = request;
  const { id: uploadId, crc32 } = upload;
  const gate = requestGate(plan.inFlight, stop.signal);
  const timeoutMs = request.partTimeoutMs;
  const sender: PartSender = { to, uploadId, signal: stop.signal, timeoutMs, gate, crc32, md5: !crc32 };
  const parts: UploadedPart[] = [...upload.parts];
  const underway = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    stop.abort(error);
  };
  const send = async ({ number, buffer, length }: FilledPart) => {
    const part = await sendPart(sender, number, buffer.subarray(0, length));
    parts[number - 1] = part;
    log?.confirmed(part);
    pool.give(buffer);
    request.onProgress(length);
  };
  try {
    for await (const part of filledParts(request)) {
      const sending = send(part)
        .catch(fail)
        .finally(() => underway.delete(sending));
      underway.add(sending);
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(underway);
  if (failure !== undefined) throw failure.error;
  return { parts, object: objectOf(parts, upload, to) };
}

/** What the parts make when they are joined. */
function objectOf(
  parts: readonly UploadedPart[],
  { mark }: OpenUpload,
  { unverified }: Publication,
): ExpectedObject {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  // Its entity tag depends on what lies behind the store.
  if (unverified) return { bytes, etag: undefined, ...(mark === undefined ? {} : { mark }) };
  const digests = parts.flatMap(({ md5 }) => (md5 === undefined ? [] : [Buffer.from(md5, 'hex')]));
  return { bytes, etag: digests.length === parts.length ? etagOfParts(digests) : undefined };
}

interface FilledPart {
  readonly number: number;
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly length: number;
}

async function* filledParts(request: MultipartRequest): AsyncGenerator<FilledPart> {
  const { source, pool, plan, to } = request;
  let { buffer, length } = request.first;
  for (let number = (request.from?.parts.length ?? 0) + 1; ; number++) {
    // An upload without any part cannot be completed: one of no bytes is its first.
    if (length === 0 && number > 1) return pool.give(buffer);
    if (number > plan.maxParts) throw tooManyParts(to.location, plan);
    yield { number, buffer, length };
    if (length < buffer.length) return;
    buffer = await pool.take();
    length = await source.fill(buffer);
  }
}
