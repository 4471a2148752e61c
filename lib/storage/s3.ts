import { abortReason, ToolError } from '../errors.ts';
import { BRISK, PATIENT, type RetryNotice, type RetryPolicy, retry } from '../retry.ts';
import { type Condition, s3Calls } from './s3-calls.ts';
import { base64Of, hexOf, md5Of } from './s3-checksums.ts';
import type { StoreWords } from './s3-errors.ts';
import { putParts, removeUpload } from './s3-multipart.ts';
import { partPool, planParts } from './s3-parts.ts';
import {
  conditionNow,
  conflictOr,
  type Expected,
  isPublished,
  type Publication,
  publishOn,
  verify,
} from './s3-publish.ts';
import type { S3Address } from './s3-sdk.ts';
import { partSource } from './s3-source.ts';
import type { Destination, PutRequest, Receipt } from './storage.ts';

export interface S3Settings extends S3Address {
  /** Most parts on their way at once; fewer for parts above 12 MiB (s3-parts.ts). Default 4. */
  readonly partsInFlight?: number | undefined;
  /** Size of the parts instead of one chosen from the estimate: at least 5 MiB, S3's minimum. */
  readonly partBytes?: number | undefined;
  /** Most parts that the store takes. Default 10,000. */
  readonly maxParts?: number | undefined;
  /** Publish only if nobody else wrote the key since `put` began, where the store can. Default true. */
  readonly ifUnchanged?: boolean | undefined;
  /** For every request of `put`. Default PATIENT. */
  readonly retryPolicy?: RetryPolicy | undefined;
  /** Called before each pause of a retry. */
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  readonly patience?: Partial<S3Patience> | undefined;
}

export interface S3Patience {
  /** A request without a body; a body may take as long, or longer by `slowestBytesPerSecond`. Milliseconds. */
  readonly requestMs: number;
  /** A slower connection counts as stalled. All parts in flight share the line. */
  readonly slowestBytesPerSecond: number;
  /** Joining the parts: S3 may take minutes. Milliseconds. */
  readonly completeMs: number;
  /** How long a request that publishes may go on once the run is cancelled. Milliseconds. */
  readonly graceMs: number;
  /** How long each step of cleaning up may take; half of it once the run is cancelled. Milliseconds. */
  readonly cleanupMs: number;
}

const DEFAULT_PATIENCE: S3Patience = {
  requestMs: 30_000,
  slowestBytesPerSecond: 256 * 1024,
  completeMs: 180_000,
  graceMs: 3_000,
  cleanupMs: 10_000,
};

/** A first contact that takes longer will not do as a store. */
const CHECK_MS = 10_000;

/**
 * A bucket of Cloudflare R2 or any S3 service. Keys are given to it whole, prefix included.
 *
 * `put` uploads in equal parts, or with one request what fits a part; every part is checked by the store
 * (CRC-32, or Content-MD5) and the object afterwards by size and entity tag. The request that publishes is the point of
 * no return: it is not cut when the signal aborts, but given `graceMs`, and if the object is then there, `put`
 * resolves although the run was cancelled.
 */
export function s3Destination(settings: S3Settings): Destination {
  const patience = { ...DEFAULT_PATIENCE, ...settings.patience };
  const endpoint = checkedEndpoint(settings);
  const locate = (key: string) => `s3://${settings.bucket}/${key}`;
  const calls = s3Calls(settings, (key) => wordsFor(locate(key), settings, endpoint));

  /**
   * Begins a multipart upload and aborts it: asks for exactly the rights that `put` needs, gets an error text
   * with a code (HEAD requests have none), and leaves nothing.
   */
  async function check(key: string, signal: AbortSignal): Promise<void> {
    const timeoutMs = Math.min(CHECK_MS, patience.requestMs);
    const limits = { signal, timeoutMs, graceMs: patience.graceMs };
    const uploadId = await retry(
      () => calls.createUpload(key, false, limits),
      signal,
      settings.retryPolicy ?? BRISK,
    );
    const left = await removeUpload(publicationOf(key, signal), uploadId);
    if (left !== undefined) throw new ToolError('store', `Cannot write ${locate(key)} and clean up. ${left}`);
    if (signal.aborted) throw abortReason(signal);
  }

  function publicationOf(key: string, signal: AbortSignal): Publication {
    const limits = { signal, timeoutMs: patience.requestMs };
    return {
      calls,
      key,
      location: locate(key),
      policy: settings.retryPolicy ?? PATIENT,
      onRetry: settings.onRetry ?? (() => {}),
      limits,
      decisive: { ...limits, graceMs: patience.graceMs },
      completeMs: patience.completeMs,
      cleanupMs: patience.cleanupMs,
    };
  }

  async function put(request: PutRequest): Promise<Receipt> {
    const { key, signal } = request;
    const stop = new AbortController();
    const onAbort = () => stop.abort(abortReason(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const source = partSource(request.body, stop.signal);
    const to = publicationOf(key, signal);
    try {
      const condition = settings.ifUnchanged === false ? NO_CONDITION : await conditionNow(to);
      const plan = planParts(request.estimatedBytes, settings);
      const pool = partPool(plan.partBytes, plan.inFlight + 1, stop.signal);
      const first = await pool.take();
      const filled = await source.fill(first);
      const onProgress = request.onProgress ?? (() => {});
      const stored = (await source.ended())
        ? await putWhole(first.subarray(0, filled), condition, to, timeoutFor(filled), onProgress)
        : await putParts({
            to,
            condition,
            source,
            plan,
            pool,
            first,
            stop,
            partTimeoutMs: timeoutFor(plan.partBytes * plan.inFlight),
            onProgress,
          });
      return { location: locate(key), bytes: stored.bytes, etag: stored.etag };
    } catch (error) {
      await source.cancel(error);
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      stop.abort();
    }
  }

  function timeoutFor(bytes: number): number {
    return Math.max(patience.requestMs, (bytes / patience.slowestBytesPerSecond) * 1000);
  }

  return { locate, check, put };
}

const NO_CONDITION: Condition = { kind: 'none' };

/** One request for a body that fits one part. */
async function putWhole(
  body: Uint8Array,
  condition: Condition,
  to: Publication,
  timeoutMs: number,
  onProgress: (bytes: number) => void,
): Promise<Expected> {
  const md5 = md5Of(body);
  const expected: Expected = { bytes: body.length, etag: hexOf(md5) };
  const header = base64Of(md5);
  const limits = { ...to.decisive, timeoutMs };
  try {
    const answered = await publishOn(
      condition,
      (under) => to.calls.putWhole(to.key, body, header, under, limits),
      to,
    );
    const etag = await verify(answered, expected, to);
    onProgress(body.length);
    return { bytes: body.length, etag };
  } catch (error) {
    // A lost answer looks like a failure, or like another writer when the request was sent again.
    if (!(error instanceof ToolError && error.code === 'integrity') && (await isPublished(expected, to))) {
      onProgress(body.length);
      return expected;
    }
    throw conflictOr(error, condition, to);
  }
}

function wordsFor(location: string, settings: S3Settings, endpoint: string | undefined): StoreWords {
  return {
    failed: `Cannot write ${location}`,
    bucket: settings.bucket,
    endpoint,
    region: settings.region,
    ownKeys: settings.accessKeyId !== undefined,
  };
}

/** Rejects what can only be a slip in the settings; resolves to the address without secrets in it. */
function checkedEndpoint(settings: S3Settings): string | undefined {
  const { endpoint, bucket } = settings;
  if (endpoint === undefined) return undefined;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new ToolError('usage', `R2_ENDPOINT is not an http(s) address: "${endpoint}".`);
  }
  const url = new URL(endpoint);
  if (url.pathname.replace(/\/+$/, '').split('/').pop() === bucket) {
    throw new ToolError(
      'usage',
      `R2_ENDPOINT ends in the bucket's name, "/${bucket}": give the address without it, R2_BUCKET has the name.`,
    );
  }
  return `${url.origin}${url.pathname === '/' ? '' : url.pathname}`;
}
