import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { Limits } from '../attempt.ts';
import { contentTypeOf } from '../content-type.ts';
import { unquoted } from '../etag.ts';
import { UPLOAD_MARK } from '../upload-mark.ts';
import { failureOf } from './s3-errors.ts';
import type { S3Session } from './s3-sdk.ts';

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
  /** What the upload that made it was marked with; undefined where it was not. */
  readonly mark: string | undefined;
}

/** What the store is to check a body against, in base64; one of the two or both. */
export interface BodyCheck {
  readonly md5?: string;
  readonly crc32?: string;
}

/** The calls about a whole object, one attempt each; every rejection is a ToolError (s3-errors.ts). */
export interface S3Calls {
  /** Undefined when the key holds nothing. */
  head(key: string, limits: Limits): Promise<StoredObject | undefined>;
  /** Resolves to the entity tag without quotes, '' where the store gave none. */
  putWhole(
    key: string,
    body: Uint8Array,
    told: { readonly md5: string; readonly mark: string | undefined },
    condition: Condition,
    limits: Limits,
  ): Promise<string>;
}

/** `failed` begins the error about a key: `Cannot write s3://bucket/key`. */
export function s3Calls(session: S3Session, failed: (key: string) => string): S3Calls {
  const { client, bucket: Bucket } = session;
  return {
    head: (key, limits) =>
      session.send(failed(key), limits, async (abortSignal) => {
        try {
          const answer = await client.send(new HeadObjectCommand({ Bucket, Key: key }), { abortSignal });
          return {
            bytes: answer.ContentLength ?? 0,
            etag: unquoted(answer.ETag),
            plainTag: isPlain(answer),
            mark: answer.Metadata?.[UPLOAD_MARK],
          };
        } catch (error) {
          if (failureOf(error).status === 404) return undefined;
          throw error;
        }
      }),
    putWhole: (key, body, { md5, mark }, condition, limits) =>
      session.send(failed(key), limits, async (abortSignal) => {
        const command = new PutObjectCommand({
          Bucket,
          Key: key,
          Body: body,
          ContentMD5: md5,
          ContentType: contentTypeOf(key),
          ...markFields(mark),
          ...conditionFields(condition),
        });
        return unquoted((await client.send(command, { abortSignal })).ETag);
      }),
  };
}

export function conditionFields(condition: Condition): { IfNoneMatch?: string; IfMatch?: string } {
  switch (condition.kind) {
    case 'none':
      return {};
    case 'absent':
      return { IfNoneMatch: '*' };
    case 'etag':
      return { IfMatch: `"${condition.etag}"` };
  }
}

/** What the store is to keep with an object, by which it is known again. */
export function markFields(mark: string | undefined): { Metadata?: Record<string, string> } {
  return mark === undefined ? {} : { Metadata: { [UPLOAD_MARK]: mark } };
}

/** Entity tags of objects encrypted with KMS or customer keys look like an MD5 but are none. */
export function isPlain(answer: {
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
}): boolean {
  const { ServerSideEncryption: sse, SSECustomerAlgorithm: own } = answer;
  return own === undefined && (sse === undefined || sse === 'AES256');
}
