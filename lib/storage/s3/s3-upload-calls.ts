import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ToolError } from '../../errors.ts';
import type { Limits } from '../attempt.ts';
import { contentTypeOf } from '../content-type.ts';
import { unquoted } from '../etag.ts';
import type { UploadedPart } from '../storage.ts';
import { type BodyCheck, type Condition, conditionFields, isPlain, markFields } from './s3-calls.ts';
import { failureOf, isNoUpload } from './s3-errors.ts';
import type { S3Session } from './s3-sdk.ts';

export interface StoredPart {
  /** As the store gave it: it wants it back that way, quotes or none. */
  readonly rawEtag: string;
  readonly etag: string;
  readonly plainTag: boolean;
  /** The CRC-32 that the store computed, in base64; undefined where it does not know such checksums. */
  readonly crc32: string | undefined;
}

export type CompletedPart = Pick<UploadedPart, 'number' | 'etag' | 'crc32'>;

/** A part as the store lists it. */
export interface ListedPart {
  readonly number: number;
  /** Undefined where the store tells none. */
  readonly bytes: number | undefined;
  /** Without quotes. */
  readonly etag: string;
  /** When it was stored, where the store tells. */
  readonly modified: Date | undefined;
  /** Undefined where the store tells none. */
  readonly crc32: string | undefined;
}

export interface PartsPage {
  readonly parts: readonly ListedPart[];
  /** The number behind which the next page begins; undefined after the last. */
  readonly next: string | undefined;
}

/** The calls of a multipart upload, one attempt each; every rejection is a ToolError (s3-errors.ts). */
export interface UploadCalls {
  /**
   * Resolves to the UploadId. With `crc32` every part must carry its CRC-32; with a mark, the object that it becomes
   * carries that.
   */
  createUpload(
    key: string,
    told: { readonly crc32: boolean; readonly mark?: string | undefined },
    limits: Limits,
  ): Promise<string>;
  putPart(
    key: string,
    uploadId: string,
    number: number,
    body: Uint8Array,
    check: BodyCheck,
    limits: Limits,
  ): Promise<StoredPart>;
  /** Resolves to the object's entity tag without quotes, '' where the store gave none. */
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
  /** A page of what the store has of it, from behind part `after`. */
  listParts(key: string, uploadId: string, after: string | undefined, limits: Limits): Promise<PartsPage>;
}

/** `failed` begins the error about a key: `Cannot write s3://bucket/key`. */
export function uploadCalls(session: S3Session, failed: (key: string) => string): UploadCalls {
  const { client, bucket: Bucket } = session;
  const send = <T>(key: string, limits: Limits, run: (abortSignal: AbortSignal) => Promise<T>) =>
    session.send(failed(key), limits, run);
  return {
    createUpload: (key, { crc32, mark }, limits) =>
      send(key, limits, async (abortSignal) => {
        const command = new CreateMultipartUploadCommand({
          Bucket,
          Key: key,
          ContentType: contentTypeOf(key),
          ...markFields(mark),
          ...(crc32 ? { ChecksumAlgorithm: 'CRC32', ChecksumType: 'COMPOSITE' } : {}),
        });
        const { UploadId } = await client.send(command, { abortSignal });
        if (UploadId === undefined || UploadId === '') {
          const text = `${failed(key)}: the store began no multipart upload. Is it an S3 service?`;
          throw new ToolError('store', text);
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
          const text = `${failed(key)}: the store answered part ${number} without an ETag.`;
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
        const command = new CompleteMultipartUploadCommand({
          Bucket,
          Key: key,
          UploadId: uploadId,
          MultipartUpload: {
            Parts: parts.map(({ number, etag, crc32 }) => ({
              PartNumber: number,
              ETag: etag,
              ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
            })),
          },
          ...conditionFields(condition),
        });
        return unquoted((await client.send(command, { abortSignal })).ETag);
      }),
    abortUpload: (key, uploadId, limits) =>
      send(key, limits, async (abortSignal) => {
        try {
          const command = new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: uploadId });
          await client.send(command, { abortSignal });
        } catch (error) {
          if (!isNoUpload(error)) throw error;
        }
      }),
    hasParts: (key, uploadId, limits) =>
      send(key, limits, async (abortSignal) => {
        try {
          const command = new ListPartsCommand({ Bucket, Key: key, UploadId: uploadId, MaxParts: 1 });
          return ((await client.send(command, { abortSignal })).Parts?.length ?? 0) > 0;
        } catch (error) {
          // Who may write need not be allowed to list: then the answer to the abort has to do.
          const { status } = failureOf(error);
          if (isNoUpload(error) || status === 403 || status === 404) return false;
          throw error;
        }
      }),
    listParts: (key, uploadId, after, limits) =>
      send(key, limits, async (abortSignal) => {
        const command = new ListPartsCommand({
          Bucket,
          Key: key,
          UploadId: uploadId,
          ...(after === undefined ? {} : { PartNumberMarker: after }),
        });
        const answer = await client.send(command, { abortSignal });
        return {
          parts: (answer.Parts ?? []).map((part) => ({
            number: part.PartNumber ?? 0,
            bytes: part.Size,
            etag: unquoted(part.ETag),
            crc32: part.ChecksumCRC32,
            modified: part.LastModified,
          })),
          next: answer.IsTruncated === true ? answer.NextPartNumberMarker : undefined,
        };
      }),
  };
}
