import { messageOf, ToolError } from '../errors.ts';
import { type RetryPolicy, retry } from '../retry.ts';
import type { CompletedPart, Condition, Limits, StoredPart } from './s3-client.ts';
import { failureOf, isThrottle } from './s3-errors.ts';
import { base64Of, etagOfParts, hexOf, md5Of } from './s3-md5.ts';
import { type Gate, type PartPlan, type PartPool, requestGate, tooManyParts } from './s3-parts.ts';
import {
  cleanupLimits,
  conflictOr,
  type Expected,
  isPublished,
  looksLikeMd5,
  type Publication,
  publishOn,
  verify,
} from './s3-publish.ts';
import type { PartSource } from './s3-source.ts';

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
  /** The first part, full, and known not to be the only one. */
  readonly first: Uint8Array<ArrayBuffer>;
  /** Ends source, pool and requests; aborted by the run's signal and by the first failure. */
  readonly stop: AbortController;
  /** How long one attempt at a part may take. */
  readonly partTimeoutMs: number;
  readonly onProgress: (bytes: number) => void;
}

/** Damaged in transit this often, a part is not sent again. */
const DAMAGED_ATTEMPTS = 3;
/** Rounds of abort and look: parts that were on their way may still be arriving. */
const REMOVE_POLICY: RetryPolicy = { attempts: 30, baseMs: 100, capMs: 1_000 };

/**
 * Sends the source as a multipart upload and publishes it. When anything fails it stops all requests, waits
 * for them, removes the upload and rejects; the error names the upload if it could not be removed.
 */
export async function putParts(request: MultipartRequest): Promise<Expected> {
  const { to } = request;
  // An attempt that is cut after the store acted leaves an upload whose id nobody here knows. It holds no
  // parts, so it costs nothing, and stores drop it (R2 after 7 days). Looking for it in the list of uploads
  // would find those of another run of the same key just as well, so it is left alone.
  const uploadId = await retry(
    () => to.calls.createUpload(to.key, to.decisive),
    to.limits.signal,
    to.policy,
    to.onRetry,
  );
  // S3 may take minutes to join many parts.
  const limits = { ...to.decisive, timeoutMs: to.completeMs };
  let completing: Expected | undefined;
  let published = false;
  try {
    const sent = await sendParts(request, uploadId);
    completing = { bytes: sent.bytes, etag: etagOfParts(sent.digests) };
    const answered = await publishOn(
      request.condition,
      (under) => to.calls.completeUpload(to.key, uploadId, sent.parts, under, limits),
      to,
    );
    published = true;
    return { bytes: sent.bytes, etag: await verify(answered, completing, to) };
  } catch (error) {
    if (published) throw error;
    const left = await removeUpload(to, uploadId);
    // Lost answers look like failures: a second Complete finds no upload, or the condition no longer true.
    // Asked only after the abort, when no Complete can still be at work.
    if (completing !== undefined && (await isPublished(completing, to))) return completing;
    throw withLeftover(conflictOr(error, request.condition, to), left);
  }
}

interface SentParts {
  readonly parts: readonly CompletedPart[];
  readonly digests: readonly Uint8Array[];
  readonly bytes: number;
}

/** Resolves when every part is confirmed; settles only after the last request has. */
async function sendParts(request: MultipartRequest, uploadId: string): Promise<SentParts> {
  const { pool, stop, plan } = request;
  const gate = requestGate(plan.inFlight, stop.signal);
  const parts: CompletedPart[] = [];
  const digests: Uint8Array[] = [];
  const underway = new Set<Promise<void>>();
  let bytes = 0;
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    stop.abort(error);
  };
  const send = async (number: number, buffer: Uint8Array<ArrayBuffer>, length: number) => {
    const body = buffer.subarray(0, length);
    const md5 = md5Of(body);
    digests[number - 1] = md5;
    const stored = await sendPart(request, { uploadId, number, body, md5 }, gate);
    parts[number - 1] = { number, rawEtag: stored.rawEtag };
    pool.give(buffer);
    request.onProgress(length);
  };
  try {
    for await (const { number, buffer, length } of filledParts(request)) {
      bytes += length;
      const sending = send(number, buffer, length)
        .catch(fail)
        .finally(() => underway.delete(sending));
      underway.add(sending);
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(underway);
  if (failure !== undefined) throw failure.error;
  return { parts, digests, bytes };
}

interface FilledPart {
  readonly number: number;
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly length: number;
}

async function* filledParts(request: MultipartRequest): AsyncGenerator<FilledPart> {
  const { source, pool, plan, first, to } = request;
  yield { number: 1, buffer: first, length: first.length };
  for (let number = 2; ; number++) {
    const buffer = await pool.take();
    const length = await source.fill(buffer);
    if (length === 0) return;
    if (number > plan.maxParts) throw tooManyParts(to.location, plan);
    yield { number, buffer, length };
    if (length < buffer.length) return;
  }
}

interface PartToSend {
  readonly uploadId: string;
  readonly number: number;
  readonly body: Uint8Array;
  readonly md5: Uint8Array;
}

async function sendPart(request: MultipartRequest, part: PartToSend, gate: Gate): Promise<StoredPart> {
  const { to, stop, partTimeoutMs } = request;
  const { uploadId, number, body } = part;
  const header = base64Of(part.md5);
  const wanted = hexOf(part.md5);
  const limits: Limits = { signal: stop.signal, timeoutMs: partTimeoutMs };
  let damaged = 0;
  const attempt = async () => {
    const leave = await gate.enter();
    try {
      const stored = await to.calls.putPart(to.key, uploadId, number, body, header, limits);
      if (stored.plainTag && looksLikeMd5(stored.etag) && stored.etag !== wanted) {
        throw damagedPart(request, number, stored.etag, wanted);
      }
      return stored;
    } catch (error) {
      // Before its place is given to the next.
      if (isThrottle(error)) gate.narrow();
      if (isDamage(error) && ++damaged >= DAMAGED_ATTEMPTS) throw final(error);
      throw error;
    } finally {
      leave();
    }
  };
  return retry(attempt, stop.signal, to.policy, to.onRetry);
}

class DamagedPart extends Error {}

function damagedPart(request: MultipartRequest, number: number, found: string, wanted: string): ToolError {
  return new ToolError(
    'store',
    `Cannot write ${request.to.location}: part ${number} was damaged on the way, the store holds one with ` +
      `MD5 ${found} where ${wanted} was sent.`,
    { remedy: 'again', cause: new DamagedPart(found) },
  );
}

function isDamage(error: unknown): error is ToolError {
  if (!(error instanceof ToolError)) return false;
  return error.cause instanceof DamagedPart || failureOf(error).code === 'BadDigest';
}

function final(error: ToolError): ToolError {
  return new ToolError(error.code, `${error.message} That happened ${DAMAGED_ATTEMPTS} times.`, {
    cause: error.cause,
  });
}

/** Removes the upload and looks whether it is gone; resolves to what remains, for people. Never rejects. */
export async function removeUpload(to: Publication, uploadId: string): Promise<string | undefined> {
  const limits = cleanupLimits(to);
  let last: unknown;
  const round = async () => {
    try {
      await to.calls.abortUpload(to.key, uploadId, limits);
      if (!(await to.calls.hasParts(to.key, uploadId, limits))) return;
    } catch (error) {
      last ??= error;
      throw error;
    }
    throw new ToolError('store', 'the store still lists parts of it', { remedy: 'again' });
  };
  try {
    await retry(round, limits.signal, REMOVE_POLICY);
    return undefined;
  } catch (error) {
    return (
      `The unfinished upload ${uploadId} could not be removed (${messageOf(last ?? error)}) and may cost storage ` +
      'until the store drops it: abort it by hand.'
    );
  }
}

function withLeftover(error: unknown, left: string | undefined): unknown {
  if (left === undefined) return error;
  const code = error instanceof ToolError ? error.code : 'store';
  return new ToolError(code, `${messageOf(error)} ${left}`, { cause: error });
}
