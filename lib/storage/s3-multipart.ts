import { messageOf, ToolError } from '../errors.ts';
import { type RetryPolicy, retry } from '../retry.ts';
import type { BodyCheck, CompletedPart, Condition, StoredPart } from './s3-calls.ts';
import { base64Of, crc32Of, etagOfParts, hexOf, md5Of } from './s3-checksums.ts';
import { failureOf, isThrottle, refusesHeader } from './s3-errors.ts';
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
import type { Limits } from './s3-sdk.ts';
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
  const { uploadId, crc32 } = await createUpload(to);
  // S3 may take minutes to join many parts.
  const limits = { ...to.decisive, timeoutMs: to.completeMs };
  let completing: Expected | undefined;
  let published = false;
  try {
    const sent = await sendParts(request, uploadId, crc32);
    completing = { bytes: sent.bytes, etag: sent.etag };
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

interface NewUpload {
  readonly uploadId: string;
  /** Whether its parts carry a CRC-32. */
  readonly crc32: boolean;
}

/**
 * Begins an upload whose parts are checked by CRC-32, where the store knows that: MD5 costs 1.3 s of CPU a
 * gigabyte on this side and as much again on the store's, CRC-32 0.02 s.
 */
async function createUpload(to: Publication): Promise<NewUpload> {
  const create = async (crc32: boolean): Promise<NewUpload> => {
    const attempt = () => to.calls.createUpload(to.key, crc32, to.decisive);
    return { uploadId: await retry(attempt, to.limits.signal, to.policy, to.onRetry), crc32 };
  };
  try {
    return await create(true);
  } catch (error) {
    if (!refusesHeader(error)) throw error;
    return await create(false);
  }
}

interface SentParts {
  readonly parts: readonly CompletedPart[];
  /** The entity tag that the object will have; undefined where the parts' tags are no MD5s. */
  readonly etag: string | undefined;
  readonly bytes: number;
}

/** Resolves when every part is confirmed; settles only after the last request has. */
async function sendParts(request: MultipartRequest, uploadId: string, crc32: boolean): Promise<SentParts> {
  const { pool, stop, plan } = request;
  const gate = requestGate(plan.inFlight, stop.signal);
  const sender: Sender = { request, uploadId, gate, crc32, md5: !crc32 };
  const parts: ConfirmedPart[] = [];
  const underway = new Set<Promise<void>>();
  let bytes = 0;
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    stop.abort(error);
  };
  const send = async ({ number, buffer, length }: FilledPart) => {
    parts[number - 1] = await sendPart(sender, number, buffer.subarray(0, length));
    pool.give(buffer);
    request.onProgress(length);
  };
  try {
    for await (const part of filledParts(request)) {
      bytes += part.length;
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
  const digests = parts.flatMap(({ md5 }) => md5 ?? []);
  return { parts, etag: digests.length === parts.length ? etagOfParts(digests) : undefined, bytes };
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

interface Sender {
  readonly request: MultipartRequest;
  readonly uploadId: string;
  readonly gate: Gate;
  /** Whether parts carry their CRC-32. */
  readonly crc32: boolean;
  /** Whether they carry their MD5: where the store knows no CRC-32, or turns out to ignore it. */
  md5: boolean;
}

interface ConfirmedPart extends CompletedPart {
  /** MD5 of the part, ours or the store's; undefined where the store's entity tag is none. */
  readonly md5: Uint8Array | undefined;
}

async function sendPart(sender: Sender, number: number, body: Uint8Array): Promise<ConfirmedPart> {
  const crc32 = sender.crc32 ? { crc32: crc32Of(body) } : {};
  if (!sender.md5) {
    const stored = await storePart(sender, number, body, crc32);
    if (stored.crc32 !== undefined) {
      // The store computed its tag from bytes whose CRC-32 it had compared.
      const md5 = stored.plainTag && looksLikeMd5(stored.etag) ? Buffer.from(stored.etag, 'hex') : undefined;
      return { number, rawEtag: stored.rawEtag, crc32: stored.crc32, md5 };
    }
    // It took the header without a look: this part is sent again, and the others at once, with their MD5.
    sender.md5 = true;
  }
  const md5 = md5Of(body);
  const stored = await storePart(sender, number, body, { ...crc32, md5: base64Of(md5) });
  return { number, rawEtag: stored.rawEtag, crc32: crc32.crc32, md5 };
}

async function storePart(
  { request, uploadId, gate }: Sender,
  number: number,
  body: Uint8Array,
  check: BodyCheck,
): Promise<StoredPart> {
  const { to, stop, partTimeoutMs } = request;
  const limits: Limits = { signal: stop.signal, timeoutMs: partTimeoutMs };
  let damaged = 0;
  const attempt = async () => {
    const leave = await gate.enter();
    try {
      const stored = await to.calls.putPart(to.key, uploadId, number, body, check, limits);
      const problem = differenceOf(stored, check);
      if (problem !== undefined) throw damagedPart(request, number, problem);
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

/** What the store says it holds, where that is not what was sent. */
function differenceOf(stored: StoredPart, check: BodyCheck): string | undefined {
  if (check.crc32 !== undefined && stored.crc32 !== undefined && stored.crc32 !== check.crc32) {
    return `CRC-32 ${stored.crc32} where ${check.crc32} was sent`;
  }
  if (check.md5 === undefined || !stored.plainTag || !looksLikeMd5(stored.etag)) return undefined;
  const wanted = hexOf(Buffer.from(check.md5, 'base64'));
  return stored.etag === wanted ? undefined : `MD5 ${stored.etag} where ${wanted} was sent`;
}

class DamagedPart extends Error {}

function damagedPart(request: MultipartRequest, number: number, problem: string): ToolError {
  return new ToolError(
    'store',
    `Cannot write ${request.to.location}: part ${number} was damaged on the way, the store holds one with ${problem}.`,
    { remedy: 'again', cause: new DamagedPart(problem) },
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
