import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { bodyTimeoutMs } from '../patience.ts';
import { RANGES_AT_ONCE, rangedStream } from '../ranged-stream.ts';
import type { ByteStream, ObjectInfo, Objects, Receipt } from '../storage.ts';
import type { S3Calls, StoredObject } from './s3-calls.ts';
import { type CopyLimits, copyObject, sourceChanged } from './s3-copy.ts';
import type { ObjectCalls } from './s3-object-calls.ts';
import { looksLikeMd5, type Publication, settledHead } from './s3-publish.ts';
import type { S3Session } from './s3-sdk.ts';

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

/** Bytes of one request of `open`. */
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

function opened(
  { calls, readBytes }: ObjectsParts,
  at: Publication,
  etag: string,
  total: number,
): ByteStream {
  const { key, limits, policy, onRetry, patience } = at;
  const timeoutMs = bodyTimeoutMs(readBytes * RANGES_AT_ONCE, patience);
  return rangedStream({
    total,
    rangeBytes: readBytes,
    signal: limits.signal,
    read: (from, into, signal) => {
      const range = { from, to: from + into.length - 1, total };
      const attempt = () => calls.read(key, etag, range, into, { signal, timeoutMs });
      return retry(attempt, signal, policy, onRetry);
    },
  });
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
  const looked = async () => {
    const there = await retry(() => head(from, to.limits), signal, to.policy, to.onRetry);
    const same = there?.bytes === source.bytes && (source.etag === undefined || there.etag === source.etag);
    if (there === undefined || !same) throw sourceChanged(request);
    return there;
  };
  const there = await looked();
  await copyObject(request);
  const found = await settledHead(to);
  if (found.bytes !== source.bytes) {
    throw wrongCopy(source, to, `${found.bytes} bytes are there and not ${source.bytes}`);
  }
  if (to.unverified && !isCopyOf(there, found)) {
    if (looksLikeMd5(found.etag) && looksLikeMd5(there.etag)) {
      throw wrongCopy(source, to, `ETag ${found.etag} is there and not ${there.etag}`);
    }
    // A store behind the store may tag what it joined and what it copied in ways that cannot be compared.
    await looked();
  }
  return { location: to.location, bytes: found.bytes, etag: found.etag };
}

/** Whatever the time at which the store read the source: entity tag or mark are the source's. */
function isCopyOf(source: StoredObject, copy: StoredObject): boolean {
  return copy.etag === source.etag || (source.mark !== undefined && copy.mark === source.mark);
}

function wrongCopy(source: Receipt, to: Publication, found: string): ToolError {
  return new ToolError('store', `Copied ${source.location} to ${to.location}, but ${found}.`);
}
