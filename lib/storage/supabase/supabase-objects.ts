import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { bodyTimeoutMs } from '../patience.ts';
import { RANGES_AT_ONCE, rangedStream } from '../ranged-stream.ts';
import type { ByteStream, ObjectInfo, Objects, Receipt } from '../storage.ts';
import { isTaken } from './supabase-errors.ts';
import { objectInfo, type SupabaseObject } from './supabase-info.ts';
import { supabaseObjectCalls } from './supabase-object-calls.ts';
import type { SupabasePublication } from './supabase-publication.ts';

type PublicationOf = (key: string, signal: AbortSignal) => SupabasePublication;

/** Bytes of one request of `open`. */
const READ_BYTES = 8 * 1024 * 1024;

/**
 * What is in the bucket, by REST. `pageKeys` is how many objects a page of `list` is asked for: the store's own
 * default, 1,000, unless told.
 */
export function supabaseObjects(
  publicationOf: PublicationOf,
  readBytes: number = READ_BYTES,
  pageKeys?: number,
): Objects {
  return {
    list: (prefix, signal) => listed(publicationOf(prefix, signal), pageKeys),
    async open(key, etag, signal) {
      const at = publicationOf(key, signal);
      const failed = `Cannot read ${at.location}`;
      const found = await infoOf(at, key, failed);
      if (found === undefined) return undefined;
      if (etag !== undefined && found.etag !== etag) {
        const text = `the object with ETag ${etag} was asked for, and the one there has ${found.etag}.`;
        throw new ToolError('integrity', `${failed}: ${text}`);
      }
      return opened(at, found, readBytes);
    },
    copy: (from, to, source, signal) => copied(from, source, publicationOf(to, signal)),
    async remove(key, signal) {
      const at = publicationOf(key, signal);
      const calls = supabaseObjectCalls(at.session);
      await retry(() => calls.remove(key, at.limits), signal, at.policy, at.onRetry);
    },
  };
}

function infoOf(at: SupabasePublication, key: string, failed: string): Promise<SupabaseObject | undefined> {
  const { session, limits, policy, onRetry } = at;
  return retry(() => objectInfo(session, key, failed, limits), limits.signal, policy, onRetry);
}

/** One page at a time, 1,000 objects at most. */
async function* listed(
  { session, key: prefix, limits, policy, onRetry }: SupabasePublication,
  pageKeys: number | undefined,
): AsyncGenerator<ObjectInfo> {
  const calls = supabaseObjectCalls(session);
  const tried = <T>(attempt: () => Promise<T>) => retry(attempt, limits.signal, policy, onRetry);
  let after: string | undefined;
  let first = true;
  do {
    const from = after;
    const page = await tried(() => calls.list(prefix, from, pageKeys, limits));
    // So it is answered too where there is no such bucket, or none that the credentials may see.
    if (first && page.objects.length === 0) await tried(() => calls.seeBucket(prefix, limits));
    first = false;
    yield* page.objects;
    after = page.next;
  } while (after !== undefined);
}

function opened(at: SupabasePublication, object: SupabaseObject, readBytes: number): ByteStream {
  const { session, key, limits, policy, onRetry, patience } = at;
  const calls = supabaseObjectCalls(session);
  const timeoutMs = bodyTimeoutMs(readBytes * RANGES_AT_ONCE, patience);
  // A range that begins at the end, any range of an empty object among them, is refused: none is asked for.
  return rangedStream({
    total: object.bytes,
    rangeBytes: readBytes,
    signal: limits.signal,
    read: (from, into, signal) => {
      const attempt = () => calls.read(key, object, from, into, { signal, timeoutMs });
      return retry(attempt, signal, policy, onRetry);
    },
  });
}

/** The store knows no condition for a copy: the source is looked at before and after. */
async function copied(from: string, source: Receipt, to: SupabasePublication): Promise<Receipt> {
  const failed = `Cannot copy ${source.location} to ${to.location}`;
  const before = await infoOf(to, from, failed);
  const same = before?.bytes === source.bytes && (source.etag === undefined || before.etag === source.etag);
  if (!same) throw sourceChanged(failed);
  await copy(from, to);
  if ((await infoOf(to, from, failed))?.version !== before.version) throw sourceChanged(failed);
  const found = await infoOf(to, to.key, failed);
  if (found === undefined || found.bytes !== source.bytes || !sameContent(found.etag, before.etag)) {
    const there = found === undefined ? 'nothing is' : `${found.bytes} bytes with ETag ${found.etag} are`;
    throw new ToolError(
      'store',
      `Copied ${source.location} to ${to.location}, but ${there} there and not ${source.bytes} bytes with ETag ${before.etag}.`,
    );
  }
  return { location: to.location, bytes: found.bytes, etag: found.etag };
}

async function copy(from: string, to: SupabasePublication): Promise<void> {
  const { session, key, policy, onRetry, patience } = to;
  const calls = supabaseObjectCalls(session);
  const limits = { ...to.decisive, timeoutMs: patience.completeMs };
  const tried = (attempt: () => Promise<void>) => retry(attempt, limits.signal, policy, onRetry);
  try {
    await tried(() => calls.copy(from, key, limits));
  } catch (error) {
    if (!isTaken(error)) throw error;
    // Releases that do not replace a copy's target.
    await tried(() => calls.remove(key, limits));
    await tried(() => calls.copy(from, key, limits));
  }
}

/** Where Supabase stores in S3, the copy of an object that was uploaded in parts has an entity tag of another kind. */
function sameContent(one: string, other: string): boolean {
  const isMd5 = (etag: string) => /^[0-9a-f]{32}$/.test(etag);
  return one === other || !isMd5(one) || !isMd5(other);
}

function sourceChanged(failed: string): ToolError {
  return new ToolError(
    'store',
    `${failed}: it is no longer the object that was written, another run replaced it.`,
  );
}
