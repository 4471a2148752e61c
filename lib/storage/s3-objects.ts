import { ToolError } from '../errors.ts';
import { retry } from '../retry.ts';
import { bodyTimeoutMs } from './patience.ts';
import type { S3Calls } from './s3-calls.ts';
import { type CopyLimits, copyObject, sourceChanged } from './s3-copy.ts';
import type { ObjectCalls } from './s3-object-calls.ts';
import { type Publication, settledHead } from './s3-publish.ts';
import type { S3Session } from './s3-sdk.ts';
import type { ByteStream, ObjectInfo, Objects, Receipt } from './storage.ts';

export interface ObjectsParts {
  readonly session: S3Session;
  readonly calls: ObjectCalls;
  /** With words about reading. */
  readonly head: S3Calls['head'];
  readonly publicationOf: (key: string, signal: AbortSignal) => Publication;
  readonly readBytes: number;
  readonly pageKeys: number | undefined;
  readonly copyLimits: CopyLimits;
}

/** Bytes of one request of `open`, and of the one buffer that it fills. */
export const READ_BYTES = 8 * 1024 * 1024;

/** What is in the bucket. */
export function s3Objects(parts: ObjectsParts): Objects {
  const { calls, head, publicationOf } = parts;
  return {
    list: (prefix, signal) => listed(parts, prefix, signal),
    async open(key, etag, signal) {
      const at = publicationOf(key, signal);
      const found = await retry(() => head(key, at.limits), signal, at.policy, at.onRetry);
      if (found === undefined) return undefined;
      if (etag !== undefined && found.etag !== etag) {
        const text = `the object with ETag ${etag} was asked for, and the one there has ${found.etag || 'none'}.`;
        throw new ToolError('integrity', `Cannot read ${at.location}: ${text}`);
      }
      return opened(parts, at, found.etag, found.bytes);
    },
    copy: (from, to, source, signal) => copied(parts, from, to, source, signal),
    async remove(key, signal) {
      const at = publicationOf(key, signal);
      await retry(() => calls.remove(key, at.limits), signal, at.policy, at.onRetry);
    },
  };
}

/** One page at a time, 1,000 objects at most. */
async function* listed(
  { calls, publicationOf, pageKeys }: ObjectsParts,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo> {
  const { limits, policy, onRetry } = publicationOf(prefix, signal);
  let after: string | undefined;
  do {
    const from = after;
    const page = await retry(() => calls.list(prefix, from, pageKeys, limits), signal, policy, onRetry);
    yield* page.objects;
    after = page.next;
  } while (after !== undefined);
}

/** One request of `readBytes` at a time, begun when somebody reads. */
function opened(
  { calls, readBytes }: ObjectsParts,
  at: Publication,
  etag: string,
  total: number,
): ByteStream {
  const { key, limits, policy, onRetry, patience } = at;
  const cancelled = new AbortController();
  const signal = AbortSignal.any([limits.signal, cancelled.signal]);
  const buffer = new Uint8Array(Math.min(readBytes, total));
  const readLimits = { signal, timeoutMs: bodyTimeoutMs(buffer.length, patience) };
  let given = 0;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        if (given === total) return controller.close();
        const into = buffer.subarray(0, Math.min(buffer.length, total - given));
        const range = { from: given, to: given + into.length - 1, total };
        await retry(() => calls.read(key, etag, range, into, readLimits), signal, policy, onRetry);
        given += into.length;
        controller.enqueue(into);
      },
      cancel(reason) {
        cancelled.abort(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

async function copied(
  { session, head, publicationOf, copyLimits }: ObjectsParts,
  from: string,
  key: string,
  source: Receipt,
  signal: AbortSignal,
): Promise<Receipt> {
  const to = publicationOf(key, signal);
  const request = { session, from, source, to, limits: copyLimits };
  // Some stores ignore the condition of a copy.
  const there = await retry(() => head(from, to.limits), signal, to.policy, to.onRetry);
  const same = there?.bytes === source.bytes && (source.etag === undefined || there.etag === source.etag);
  if (!same) throw sourceChanged(request);
  await copyObject(request);
  const found = await settledHead(to);
  if (found.bytes === source.bytes) return { location: to.location, bytes: found.bytes, etag: found.etag };
  throw new ToolError(
    'store',
    `Copied ${source.location} to ${to.location}, but ${found.bytes} bytes are there and not ${source.bytes}.`,
  );
}
