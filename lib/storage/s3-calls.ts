import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ToolError } from '../errors.ts';
import { failureOf, type StoreWords } from './s3-errors.ts';
import { attempt, type Limits, makeClient, type S3Address } from './s3-sdk.ts';

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
