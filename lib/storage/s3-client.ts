import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { FetchHttpHandler } from '@smithy/fetch-http-handler';
import { abortReason, ToolError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { failureOf, type StoreWords, s3Error } from './s3-errors.ts';

export interface S3Address {
  /** Undefined: AWS itself. */
  readonly endpoint?: string | undefined;
  /** Undefined: the SDK's own chain (AWS_REGION, profile). */
  readonly region?: string | undefined;
  readonly bucket: string;
  /** Both absent: the SDK's own chain (AWS_*, profiles, roles). */
  readonly accessKeyId?: Secret | undefined;
  readonly secretAccessKey?: Secret | undefined;
  /** Default: true when an endpoint is given. */
  readonly forcePathStyle?: boolean | undefined;
}

/** How long one attempt of a request may take, and how long it outlives its signal. Milliseconds. */
export interface Limits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /**
   * For requests that must not be cut in the middle because the store may have acted on them: how long they
   * may still run once the signal aborts. Default 0.
   */
  readonly graceMs?: number;
}

/** Publishes only if the key holds nothing, or exactly this entity tag. */
export type Condition =
  | { readonly kind: 'none' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'etag'; readonly etag: string };

export interface StoredObject {
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** False where the store encrypts with keys of its own, so that entity tags are no MD5. */
  readonly plainTag: boolean;
}

export interface StoredPart {
  /** As the store gave it: it wants it back that way, quotes or none. */
  readonly rawEtag: string;
  readonly etag: string;
  readonly plainTag: boolean;
  /** The CRC-32 that the store computed, in base64; undefined where it does not know such checksums. */
  readonly crc32: string | undefined;
}

export interface CompletedPart {
  readonly number: number;
  readonly rawEtag: string;
  readonly crc32: string | undefined;
}

/** What the store is to check a body against, in base64; one of the two or both. */
export interface BodyCheck {
  readonly md5?: string;
  readonly crc32?: string;
}

/** What an export needs of S3, one attempt a call; every rejection is a ToolError (s3-errors.ts). */
export interface S3Calls {
  /** Undefined when the key holds nothing. */
  head(key: string, limits: Limits): Promise<StoredObject | undefined>;
  /** Resolves to the entity tag without quotes, '' where the store gave none. */
  putWhole(key: string, body: Uint8Array, md5: string, condition: Condition, limits: Limits): Promise<string>;
  /** Resolves to the UploadId. With `crc32` every part must carry its CRC-32. */
  createUpload(key: string, crc32: boolean, limits: Limits): Promise<string>;
  putPart(
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    check: BodyCheck,
    limits: Limits,
  ): Promise<StoredPart>;
  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly CompletedPart[],
    condition: Condition,
    limits: Limits,
  ): Promise<string>;
  /** Resolves too when there is no such upload (any more). */
  abortUpload(key: string, uploadId: string, limits: Limits): Promise<void>;
  /** Whether the store still keeps parts of the upload. */
  hasParts(key: string, uploadId: string, limits: Limits): Promise<boolean>;
}

const CONTENT_TYPE = 'application/vnd.apache.parquet';

export function s3Calls(address: S3Address, words: (key: string) => StoreWords): S3Calls {
  const client = makeClient(address);
  const Bucket = address.bucket;
  const send = <T>(key: string, limits: Limits, run: (abortSignal: AbortSignal) => Promise<T>) =>
    attempt(run, limits, words(key));
  return {
    head: (key, limits) =>
      send(key, limits, async (abortSignal) => {
        try {
          const answer = await client.send(new HeadObjectCommand({ Bucket, Key: key }), { abortSignal });
          return {
            bytes: answer.ContentLength ?? 0,
            etag: unquoted(answer.ETag),
            plainTag: isPlain(answer),
          };
        } catch (error) {
          if (failureOf(error).status === 404) return undefined;
          throw error;
        }
      }),
    putWhole: (key, body, md5, condition, limits) =>
      send(key, limits, async (abortSignal) => {
        const answer = await client.send(
          new PutObjectCommand({
            Bucket,
            Key: key,
            Body: body,
            ContentMD5: md5,
            ContentType: CONTENT_TYPE,
            ...conditionFields(condition),
          }),
          { abortSignal },
        );
        return unquoted(answer.ETag);
      }),
    createUpload: (key, crc32, limits) =>
      send(key, limits, async (abortSignal) => {
        const command = new CreateMultipartUploadCommand({
          Bucket,
          Key: key,
          ContentType: CONTENT_TYPE,
          ...(crc32 ? { ChecksumAlgorithm: 'CRC32', ChecksumType: 'COMPOSITE' } : {}),
        });
        const { UploadId } = await client.send(command, { abortSignal });
        if (UploadId === undefined || UploadId === '') {
          throw new ToolError(
            'store',
            `${words(key).failed}: the store began no multipart upload. Is it an S3 service?`,
          );
        }
        return UploadId;
      }),
    putPart: (key, uploadId, number, body, check, limits) =>
      send(key, limits, async (abortSignal) => {
        const answer = await client.send(
          new UploadPartCommand({
            Bucket,
            Key: key,
            UploadId: uploadId,
            PartNumber: number,
            Body: body,
            ...(check.md5 === undefined ? {} : { ContentMD5: check.md5 }),
            ...(check.crc32 === undefined ? {} : { ChecksumCRC32: check.crc32 }),
          }),
          { abortSignal },
        );
        if (answer.ETag === undefined || answer.ETag === '') {
          const text = `${words(key).failed}: the store answered part ${number} without an ETag.`;
          throw new ToolError('store', text, { remedy: 'again' });
        }
        return {
          rawEtag: answer.ETag,
          etag: unquoted(answer.ETag),
          plainTag: isPlain(answer),
          crc32: answer.ChecksumCRC32,
        };
      }),
    completeUpload: (key, uploadId, parts, condition, limits) =>
      send(key, limits, async (abortSignal) => {
        const answer = await client.send(
          new CompleteMultipartUploadCommand({
            Bucket,
            Key: key,
            UploadId: uploadId,
            MultipartUpload: {
              Parts: parts.map(({ number, rawEtag, crc32 }) => ({
                PartNumber: number,
                ETag: rawEtag,
                ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
              })),
            },
            ...conditionFields(condition),
          }),
          { abortSignal },
        );
        return unquoted(answer.ETag);
      }),
    abortUpload: (key, uploadId, limits) =>
      send(key, limits, async (abortSignal) => {
        try {
          const command = new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: uploadId });
          await client.send(command, { abortSignal });
        } catch (error) {
          if (failureOf(error).code !== 'NoSuchUpload') throw error;
        }
      }),
    hasParts: (key, uploadId, limits) =>
      send(key, limits, async (abortSignal) => {
        try {
          const command = new ListPartsCommand({ Bucket, Key: key, UploadId: uploadId, MaxParts: 1 });
          return ((await client.send(command, { abortSignal })).Parts?.length ?? 0) > 0;
        } catch (error) {
          // Who may write need not be allowed to list: then the answer to the abort has to do.
          const { status, code } = failureOf(error);
          if (code === 'NoSuchUpload' || status === 403 || status === 404) return false;
          throw error;
        }
      }),
  };
}

function makeClient(address: S3Address): S3Client {
  const { accessKeyId, secretAccessKey } = address;
  const client = new S3Client({
    ...(address.endpoint === undefined ? {} : { endpoint: address.endpoint }),
    ...(address.region === undefined ? {} : { region: address.region }),
    forcePathStyle: address.forcePathStyle ?? address.endpoint !== undefined,
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : { credentials: { accessKeyId: accessKeyId.reveal(), secretAccessKey: secretAccessKey.reveal() } }),
    // The SDK's three attempts are over in 150 ms and its token bucket runs dry: lib/retry.ts does it.
    maxAttempts: 1,
    // On the client, not the command: the default CRC trailers mean aws-chunked bodies, which R2 refused.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // No requestTimeout here: it rejects without ending the request. `attempt` below cuts it.
    requestHandler: new FetchHttpHandler(),
  });
  // A body is signed by its SHA-256 otherwise, most of the SDK's CPU. Our own checksum is a signed header, so
  // the store still checks every byte of what it takes, over plain HTTP too.
  // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body?: unknown; headers: Record<string, string> };
      if (request.body instanceof Uint8Array) request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'unsignedPayload' },
  );
  // After signing, because proxies change it: a store that compressed its answer to HEAD would send neither
  // the length nor the entity tag of the object.
  client.middlewareStack.add(
    (next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers['accept-encoding'] = 'identity';
      return next(args);
    },
    { step: 'deserialize', priority: 'low', name: 'identityAnswers' },
  );
  return client;
}

async function attempt<T>(
  run: (abortSignal: AbortSignal) => Promise<T>,
  limits: Limits,
  words: StoreWords,
): Promise<T> {
  const { signal, timeoutMs, graceMs = 0 } = limits;
  if (signal.aborted) throw abortReason(signal);
  const cut = new AbortController();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    cut.abort();
  }, timeoutMs);
  let graceTimer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = () => {
    if (graceMs === 0) cut.abort();
    else graceTimer = setTimeout(() => cut.abort(), graceMs);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await run(cut.signal);
  } catch (error) {
    if (timedOut) {
      const text = `${words.failed}: the store did not answer within ${Math.round(timeoutMs / 1000)} s.`;
      throw new ToolError('store', text, { cause: error, remedy: 'again' });
    }
    if (cut.signal.aborted) throw abortReason(signal);
    throw error instanceof ToolError ? error : s3Error(error, words);
  } finally {
    clearTimeout(timer);
    clearTimeout(graceTimer);
    signal.removeEventListener('abort', onAbort);
  }
}

function conditionFields(condition: Condition): { IfNoneMatch?: string; IfMatch?: string } {
  switch (condition.kind) {
    case 'none':
      return {};
    case 'absent':
      return { IfNoneMatch: '*' };
    case 'etag':
      return { IfMatch: `"${condition.etag}"` };
  }
}

/** Entity tags of objects encrypted with KMS or customer keys look like an MD5 but are none. */
function isPlain(answer: {
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
}): boolean {
  const { ServerSideEncryption: sse, SSECustomerAlgorithm: own } = answer;
  return own === undefined && (sse === undefined || sse === 'AES256');
}

function unquoted(etag: string | undefined): string {
  return (etag ?? '').replace(/^W\//, '').replaceAll('"', '');
}
