import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { ToolError } from '../../errors.ts';
import type { Limits } from '../attempt.ts';
import { unquoted } from '../etag.ts';
import { fillRange, wrongLength } from '../fill-range.ts';
import type { ObjectInfo } from '../storage.ts';
import { failureOf } from './s3-errors.ts';
import type { S3Session } from './s3-sdk.ts';

export interface ObjectsPage {
  readonly objects: readonly ObjectInfo[];
  /** What the next page is asked for with; undefined after the last. */
  readonly next: string | undefined;
}

/** Bytes `from` to `to`, that one included, of an object of `total`. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
  readonly total: number;
}

/** Calls about objects that are there, one attempt each; every rejection is a ToolError (s3-errors.ts). */
export interface ObjectCalls {
  list(
    prefix: string,
    after: string | undefined,
    pageKeys: number | undefined,
    limits: Limits,
  ): Promise<ObjectsPage>;
  /**
   * Fills `into`, of the range's size, while the object has the entity tag ('' = any) and the range's total;
   * else rejects with 'integrity'.
   */
  read(key: string, etag: string, range: ByteRange, into: Uint8Array, limits: Limits): Promise<void>;
  /** Resolves too when it is not there. */
  remove(key: string, limits: Limits): Promise<void>;
}

export function objectCalls(session: S3Session, locate: (key: string) => string): ObjectCalls {
  const { client, bucket: Bucket } = session;
  return {
    list: (prefix, after, pageKeys, limits) => {
      const failed = `Cannot list ${locate(prefix)}`;
      return session.send(failed, limits, async (abortSignal) => {
        const command = new ListObjectsV2Command({
          Bucket,
          Prefix: prefix,
          // XML cannot hold every character that a key can.
          EncodingType: 'url',
          ...(after === undefined ? {} : { ContinuationToken: after }),
          ...(pageKeys === undefined ? {} : { MaxKeys: pageKeys }),
        });
        const answer = await client.send(command, { abortSignal });
        const encoded = answer.EncodingType === 'url';
        const objects = (answer.Contents ?? []).map(({ Key, Size, ETag, LastModified }) => {
          if (Key === undefined || Size === undefined || LastModified === undefined) {
            throw new ToolError('store', `${failed}: the store names an object without key, size or time.`);
          }
          const key = encoded ? decodedKey(Key, failed) : Key;
          return { key, bytes: Size, etag: unquoted(ETag), modified: LastModified };
        });
        if (answer.IsTruncated !== true) return { objects, next: undefined };
        const next = answer.NextContinuationToken;
        if (next === undefined || next === '' || next === after) {
          const text = 'the store says that there are more objects, but not how to go on.';
          throw new ToolError('store', `${failed}: ${text}`);
        }
        return { objects, next };
      });
    },
    read: (key, etag, range, into, limits) => {
      const failed = `Cannot read ${locate(key)}`;
      return session.send(failed, limits, async (abortSignal) => {
        const command = new GetObjectCommand({
          Bucket,
          Key: key,
          Range: `bytes=${range.from}-${range.to}`,
          ...(etag === '' ? {} : { IfMatch: `"${etag}"` }),
        });
        const answer = await client.send(command, { abortSignal }).catch((error: unknown) => {
          const { status, code } = failureOf(error);
          // The range was within the object that was there.
          const gone = status === 412 || status === 416 || (status === 404 && code !== 'NoSuchBucket');
          throw gone ? changed(failed, error) : error;
        });
        try {
          checkAnswer(answer, etag, range, failed);
          await fillRange(into, bodyOf(answer), failed, () => abortSignal.aborted);
        } catch (error) {
          await endBody(answer);
          throw error;
        }
      });
    },
    remove: (key, limits) =>
      session.send(`Cannot remove ${locate(key)}`, limits, async (abortSignal) => {
        try {
          await client.send(new DeleteObjectCommand({ Bucket, Key: key }), { abortSignal });
        } catch (error) {
          if (failureOf(error).code !== 'NoSuchKey') throw error;
        }
      }),
  };
}

/** S3 writes a space as "+", others as "%20"; a plus is "%2B" in both. */
function decodedKey(key: string, failed: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch (error) {
    throw new ToolError('store', `${failed}: the store names an object by a key that is no text, "${key}".`, {
      cause: error,
    });
  }
}

function changed(failed: string, cause: unknown): ToolError {
  return new ToolError('integrity', `${failed}: the object was replaced or removed while it was read.`, {
    cause,
  });
}

/** That it is the same object, and the bytes that were asked for. */
function checkAnswer(answer: GetObjectCommandOutput, etag: string, range: ByteRange, failed: string): void {
  const found = unquoted(answer.ETag);
  if (etag !== '' && found !== '' && found !== etag) throw changed(failed, undefined);
  const length = range.to - range.from + 1;
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.ContentRange ?? '') ?? [];
  if (total !== undefined && total !== '*' && Number(total) !== range.total) throw changed(failed, undefined);
  // Without a range in the answer it is the whole object.
  const rightPlace =
    from === undefined ? length === range.total : Number(from) === range.from && Number(to) === range.to;
  if (!rightPlace) {
    const given = answer.ContentRange ?? `all ${answer.ContentLength ?? ''} bytes`;
    const text = `the store was asked for bytes ${range.from}-${range.to} and gave ${given}.`;
    throw new ToolError('store', `${failed}: ${text} Is it an S3 service?`);
  }
  if (answer.ContentLength !== undefined && answer.ContentLength !== length) {
    throw wrongLength(failed, answer.ContentLength, length);
  }
}

function bodyOf(answer: GetObjectCommandOutput): ReadableStream<Uint8Array> {
  return answer.Body?.transformToWebStream() ?? new Blob([]).stream();
}

/** Lets go of what is left of an answer that nobody wants, so that its connection is free. */
async function endBody(answer: GetObjectCommandOutput): Promise<void> {
  const body = answer.Body;
  if (body instanceof ReadableStream && !body.locked) await body.cancel().catch(() => {});
}
