import { abortReason, ToolError } from '../../errors.ts';
import { BRISK, type RetryNotice, type RetryPolicy, retry } from '../../retry.ts';
import { withLeftover } from '../leftover.ts';
import { FIRST_CONTACT_MS, PATIENCE, type Patience } from '../patience.ts';
import { publicationTo } from '../publication.ts';
import type { Destination, PutRequest, Receipt } from '../storage.ts';
import { putBeside } from './s3-beside.ts';
import { s3Calls } from './s3-calls.ts';
import { COPY_LIMITS, type CopyLimits } from './s3-copy.ts';
import { objectCalls } from './s3-object-calls.ts';
import { READ_BYTES, s3Objects } from './s3-objects.ts';
import type { Publication } from './s3-publish.ts';
import { putObject } from './s3-put.ts';
import { removeUpload } from './s3-remove.ts';
import { type S3Address, s3Session } from './s3-sdk.ts';
import { uploadCalls } from './s3-upload-calls.ts';
import { s3Uploads } from './s3-uploads.ts';
import { r2Names, type StoreNames, type StoreWords } from './s3-words.ts';

export interface S3Settings extends S3Address {
  /** Most parts on their way at once; fewer for parts above 12 MiB (s3-parts.ts). Default 4. */
  readonly partsInFlight?: number | undefined;
  /** Size of the parts instead of one chosen from the estimate: at least 5 MiB, S3's minimum. */
  readonly partBytes?: number | undefined;
  /** Most parts that the store takes. Default 10,000. */
  readonly maxParts?: number | undefined;
  /** Publish only if nobody else wrote the key since `put` began, where the store can. Default true. */
  readonly ifUnchanged?: boolean | undefined;
  /**
   * The store compares nothing with what it is sent, and ignores the conditions of requests: what can be is compared
   * here, objects are known again by a mark in their metadata, and `ifUnchanged` is false. Default false.
   */
  readonly unverified?: boolean | undefined;
  /** How the store and its settings are called. Default R2's. */
  readonly names?: StoreNames | undefined;
  /** For every request. Default PATIENT, and BRISK for the first contact, `check`. */
  readonly retryPolicy?: RetryPolicy | undefined;
  /** Called before each pause of a retry. */
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  readonly patience?: Partial<Patience> | undefined;
  /** Bytes of one request of `objects.open`. Default 8 MiB. */
  readonly readBytes?: number | undefined;
  /** Most objects that a page of `objects.list` is asked for. Default the store's own, 1,000. */
  readonly pageKeys?: number | undefined;
  readonly copyLimits?: Partial<CopyLimits> | undefined;
}

/**
 * A bucket of Cloudflare R2 or any S3 service. Keys are given to it whole, prefix included.
 *
 * `put` uploads in equal parts, or with one request what fits a part; every part is checked by the store
 * (CRC-32, or Content-MD5) and the object afterwards by size and entity tag. The request that publishes is
 * the point of no return: it is not cut when the signal aborts, but given `graceMs`, and if the object is
 * then there, `put` resolves although the run was cancelled.
 */
export function s3Destination(settings: S3Settings): Destination {
  const patience = { ...PATIENCE, ...settings.patience };
  const endpoint = checkedEndpoint(settings);
  const names = namesOf(settings);
  const unverified = settings.unverified ?? false;
  const locate = (key: string) => `${names.scheme}://${settings.bucket}/${key}`;
  const session = s3Session(settings, wordsFor(settings, endpoint));
  const writing = (key: string) => `Cannot write ${locate(key)}`;
  const calls = { ...s3Calls(session, writing), ...uploadCalls(session, writing) };
  const { head } = s3Calls(session, (key) => `Cannot read ${locate(key)}`);
  const objects = objectCalls(session, locate);

  /**
   * Begins a multipart upload and aborts it: asks for exactly the rights that `put` needs, gets an error text
   * with a code (HEAD requests have none), and leaves nothing.
   */
  async function check(key: string, signal: AbortSignal): Promise<void> {
    const timeoutMs = Math.min(FIRST_CONTACT_MS, patience.requestMs);
    const limits = { signal, timeoutMs, graceMs: patience.graceMs };
    const uploadId = await retry(
      () => calls.createUpload(key, { crc32: false }, limits),
      signal,
      settings.retryPolicy ?? BRISK,
    );
    const left = await removeUpload(publicationOf(key, signal), uploadId);
    if (signal.aborted) throw withLeftover(abortReason(signal), left);
    if (left !== undefined) throw new ToolError('store', `Cannot write ${locate(key)} and clean up. ${left}`);
  }

  function publicationOf(key: string, signal: AbortSignal): Publication {
    return { ...publicationTo(key, locate(key), signal, settings), calls, unverified, objects };
  }

  async function put(request: PutRequest): Promise<Receipt> {
    const { key, signal, beside } = request;
    const to = publicationOf(key, signal);
    const ifUnchanged = settings.ifUnchanged ?? !unverified;
    const { bytes, etag } =
      beside === undefined
        ? await putObject(request, to, { ...settings, ifUnchanged })
        : await putBeside({ request, beside, to, head, besideLocation: locate(beside.key), ifUnchanged });
    return { location: locate(key), bytes, etag };
  }

  return {
    locate,
    check,
    put,
    ...(unverified ? { unverified } : {}),
    uploads: s3Uploads(publicationOf),
    objects: s3Objects({
      session,
      calls: objects,
      head,
      publicationOf,
      readBytes: settings.readBytes ?? READ_BYTES,
      pageKeys: settings.pageKeys,
      copyLimits: { ...COPY_LIMITS, ...settings.copyLimits },
    }),
  };
}

function namesOf({ names, accessKeyId }: S3Settings): StoreNames {
  return names ?? r2Names(accessKeyId !== undefined);
}

function wordsFor(settings: S3Settings, endpoint: string | undefined): Omit<StoreWords, 'failed'> {
  return {
    bucket: settings.bucket,
    endpoint,
    region: settings.region,
    names: namesOf(settings),
  };
}

/** Rejects what can only be a slip in the settings; resolves to the address without secrets in it. */
function checkedEndpoint(settings: S3Settings): string | undefined {
  const { endpoint, bucket } = settings;
  const setting = namesOf(settings).settings;
  if (endpoint === undefined) return undefined;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new ToolError('usage', `${setting.endpoint} is not an http(s) address: "${endpoint}".`);
  }
  const url = new URL(endpoint);
  if (url.pathname.replace(/\/+$/, '').split('/').pop() === bucket) {
    throw new ToolError(
      'usage',
      `${setting.endpoint} ends in the bucket's name, "/${bucket}": give the address without it, ${setting.bucket} has the name.`,
    );
  }
  return `${url.origin}${url.pathname === '/' ? '' : url.pathname}`;
}
