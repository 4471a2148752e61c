import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import type { Limits } from '../attempt.ts';
import { withLeftover } from '../leftover.ts';
import type { Receipt } from '../storage.ts';
import { failureOf, isNoUpload, refusesHeader } from './s3-errors.ts';
import type { ByteRange } from './s3-object-calls.ts';
import type { Publication } from './s3-publish.ts';
import { removeUpload } from './s3-remove.ts';
import type { S3Session } from './s3-sdk.ts';
import type { CompletedPart } from './s3-upload-calls.ts';

const MIB = 1024 * 1024;

export interface CopyLimits {
  /** Larger objects are copied part by part. Default 5 GiB, S3's and R2's limit of one copy. */
  readonly wholeBytes: number;
  /** Size of such parts, more where 10,000 do not suffice. Default 512 MiB: one takes the store seconds. */
  readonly partBytes: number;
}

export const COPY_LIMITS: CopyLimits = { wholeBytes: 5 * 1024 * MIB, partBytes: 512 * MIB };

/** Parts that the store copies at once. No bytes of them come here. */
const PARTS_IN_FLIGHT = 4;
const MAX_PARTS = 10_000;

export interface CopyRequest {
  readonly session: S3Session;
  readonly from: string;
  /** What is there, checked just now. */
  readonly source: Receipt;
  readonly to: Publication;
  readonly limits: CopyLimits;
}

/** The source as the SDK wants it. */
interface CopySource {
  readonly CopySource: string;
  readonly CopySourceIfMatch?: string;
}

/**
 * Copies within the store while the source has the receipt's entity tag, where the store knows that
 * condition. Leaves no unfinished upload.
 */
export async function copyObject(request: CopyRequest): Promise<void> {
  const { source, limits } = request;
  const copy = source.bytes <= limits.wholeBytes ? copyWhole : copyParts;
  const plain = { CopySource: copySourceOf(request.session.bucket, request.from) };
  try {
    if (source.etag === undefined) return await copy(request, plain);
    return await copy(request, { ...plain, CopySourceIfMatch: `"${source.etag}"` });
  } catch (error) {
    if (failureOf(error).status === 412) throw sourceChanged(request, error);
    if (source.etag === undefined || !refusesHeader(error)) throw error;
    return await copy(request, plain);
  }
}

/** A header: percent-encoded UTF-8, the slashes of the key as they are. */
function copySourceOf(bucket: string, key: string): string {
  return `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

function failedOf({ source, to }: CopyRequest): string {
  return `Cannot copy ${source.location} to ${to.location}`;
}

/** The error for a source that is not, or no longer, what the receipt says. */
export function sourceChanged(request: CopyRequest, cause?: unknown): ToolError {
  const text = `${failedOf(request)}: it is no longer the object that was written, another run replaced it.`;
  return new ToolError('store', text, { cause });
}

async function copyWhole(request: CopyRequest, source: CopySource): Promise<void> {
  const { session, to } = request;
  const limits = { ...to.decisive, timeoutMs: to.patience.completeMs };
  const attempt = () =>
    session.send(failedOf(request), limits, async (abortSignal) => {
      const command = new CopyObjectCommand({ Bucket: session.bucket, Key: to.key, ...source });
      await session.client.send(command, { abortSignal });
    });
  await retry(attempt, to.limits.signal, to.policy, to.onRetry);
}

/** An upload whose parts the store takes from the source itself. */
async function copyParts(request: CopyRequest, source: CopySource): Promise<void> {
  const { to } = request;
  const create = () => to.calls.createUpload(to.key, { crc32: false }, to.decisive);
  const uploadId = await retry(create, to.limits.signal, to.policy, to.onRetry);
  try {
    const parts = await copyRanges(request, source, uploadId);
    const limits = { ...to.decisive, timeoutMs: to.patience.completeMs };
    const complete = async () => {
      try {
        await to.calls.completeUpload(to.key, uploadId, parts, { kind: 'none' }, limits);
      } catch (error) {
        // So it is after a lost answer: the look at the copy decides.
        if (!isNoUpload(error)) throw error;
      }
    };
    await retry(complete, to.limits.signal, to.policy, to.onRetry);
  } catch (error) {
    throw withLeftover(error, await removeUpload(to, uploadId));
  }
}

async function copyRanges(
  request: CopyRequest,
  source: CopySource,
  uploadId: string,
): Promise<readonly CompletedPart[]> {
  const ranges = rangesOf(request.source.bytes, request.limits.partBytes);
  const { limits, policy, onRetry, patience } = request.to;
  const stop = new AbortController();
  const signal = AbortSignal.any([limits.signal, stop.signal]);
  const parts: CompletedPart[] = [];
  let next = 0;
  const work = async () => {
    for (let at = next++; at < ranges.length; at = next++) {
      const partLimits = { signal, timeoutMs: patience.completeMs };
      const attempt = () => copyRange(request, source, uploadId, at + 1, ranges[at] as ByteRange, partLimits);
      const etag = await retry(attempt, signal, policy, onRetry);
      parts[at] = { number: at + 1, etag, crc32: undefined };
    }
  };
  let failure: { readonly error: unknown } | undefined;
  const failed = (error: unknown) => {
    failure ??= { error };
    stop.abort(error);
  };
  // All have ended before anything is removed.
  await Promise.all(Array.from({ length: PARTS_IN_FLIGHT }, () => work().catch(failed)));
  if (failure !== undefined) throw failure.error;
  return parts;
}

/** Equal ranges but for the last, at most 10,000. */
function rangesOf(total: number, wanted: number): readonly ByteRange[] {
  const bytes = Math.max(wanted, Math.ceil(total / MAX_PARTS / MIB) * MIB);
  return Array.from({ length: Math.ceil(total / bytes) }, (_, at) => ({
    from: at * bytes,
    to: Math.min(total, (at + 1) * bytes) - 1,
    total,
  }));
}

function copyRange(
  request: CopyRequest,
  source: CopySource,
  uploadId: string,
  number: number,
  range: ByteRange,
  limits: Limits,
): Promise<string> {
  const { session, to } = request;
  return session.send(failedOf(request), limits, async (abortSignal) => {
    const command = new UploadPartCopyCommand({
      Bucket: session.bucket,
      Key: to.key,
      UploadId: uploadId,
      PartNumber: number,
      CopySourceRange: `bytes=${range.from}-${range.to}`,
      ...source,
    });
    const etag = (await session.client.send(command, { abortSignal })).CopyPartResult?.ETag;
    if (etag !== undefined && etag !== '') return etag;
    const text = `${failedOf(request)}: the store answered part ${number} without an ETag.`;
    throw new ToolError('store', text, { remedy: 'again' });
  });
}
