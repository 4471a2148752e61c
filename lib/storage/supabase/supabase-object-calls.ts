import { ToolError } from '../../errors.ts';
import type { Limits } from '../attempt.ts';
import { unquoted } from '../etag.ts';
import { fillRange } from '../fill-range.ts';
import type { ObjectInfo } from '../storage.ts';
import { isNoSuchObject, refusalIn } from './supabase-errors.ts';
import { objectInfo, pathOf, type SupabaseObject } from './supabase-info.ts';
import type { SupabaseSession } from './supabase-session.ts';

export interface SupabasePage {
  readonly objects: readonly ObjectInfo[];
  /** What the next page is asked for with; undefined after the last. */
  readonly next: string | undefined;
}

/** Calls about objects that are there, one attempt each; every rejection is a ToolError (supabase-errors.ts). */
export interface SupabaseObjectCalls {
  list(
    prefix: string,
    after: string | undefined,
    pageKeys: number | undefined,
    limits: Limits,
  ): Promise<SupabasePage>;
  /** Rejects where the credentials see no such bucket. */
  seeBucket(prefix: string, limits: Limits): Promise<void>;
  /**
   * Fills `into` with the bytes from `from` on, all of them within the object, while that is the one described;
   * else rejects with 'integrity'.
   */
  read(
    key: string,
    object: SupabaseObject,
    from: number,
    into: Uint8Array<ArrayBuffer>,
    limits: Limits,
  ): Promise<void>;
  /** Replaces what the other key holds. */
  copy(from: string, to: string, limits: Limits): Promise<void>;
  /** Resolves too when it is not there. */
  remove(key: string, limits: Limits): Promise<void>;
}

export function supabaseObjectCalls(session: SupabaseSession): SupabaseObjectCalls {
  const { bucket, locate } = session;
  const cannotList = (prefix: string) => `Cannot list ${locate(prefix)}`;
  return {
    async list(prefix, after, pageKeys, limits) {
      const failed = cannotList(prefix);
      const wanted = {
        prefix,
        with_delimiter: false,
        ...(after === undefined ? {} : { cursor: after }),
        ...(pageKeys === undefined ? {} : { limit: pageKeys }),
      };
      const page = await session.call<ListedPage>(failed, limits, (storage) =>
        storage.from(bucket).listV2(wanted),
      );
      return pageOf(page, after, failed);
    },
    seeBucket: (prefix, limits) => {
      const path = `/bucket/${encodeURIComponent(bucket)}`;
      return session.send(cannotList(prefix), limits, { method: 'GET', path }, drained);
    },
    read: (key, object, from, into, limits) => readRange(session, key, object, from, into, limits),
    copy: (from, to, limits) => {
      const copied = { bucketId: bucket, sourceKey: from, destinationKey: to };
      const request = {
        method: 'POST',
        path: '/object/copy',
        headers: { 'content-type': 'application/json', 'x-upsert': 'true' },
        body: new TextEncoder().encode(JSON.stringify(copied)),
      } as const;
      return session.send(`Cannot copy ${locate(from)} to ${locate(to)}`, limits, request, drained);
    },
    // Not supabase-js's remove: without the right to do it, that one's answer is an empty list.
    async remove(key, limits) {
      const path = `/object/${pathOf(bucket, key)}`;
      try {
        await session.send(`Cannot remove ${locate(key)}`, limits, { method: 'DELETE', path }, drained);
      } catch (error) {
        if (!isNoSuchObject(error)) throw error;
      }
    },
  };
}

/** To the end of the answer, so that its connection is free. */
async function drained(answer: Response): Promise<void> {
  await answer.arrayBuffer();
}

interface ListedPage {
  readonly hasNext: boolean;
  readonly nextCursor?: string;
  readonly objects: readonly {
    readonly name: string;
    readonly updated_at: string | null;
    readonly metadata: Readonly<Record<string, unknown>> | null;
  }[];
}

function pageOf(page: ListedPage, after: string | undefined, failed: string): SupabasePage {
  const objects = page.objects.map(({ name, updated_at, metadata }): ObjectInfo => {
    const { size, eTag } = metadata ?? {};
    if (typeof size !== 'number' || typeof eTag !== 'string' || typeof updated_at !== 'string') {
      throw new ToolError('store', `${failed}: the store names "${name}" without size, ETag or time.`);
    }
    return { key: name, bytes: size, etag: unquoted(eTag), modified: new Date(updated_at) };
  });
  if (!page.hasNext) return { objects, next: undefined };
  const next = page.nextCursor;
  if (next === undefined || next === '' || next === after) {
    const text = 'the store says that there are more objects, but not how to go on.';
    throw new ToolError('store', `${failed}: ${text}`);
  }
  return { objects, next };
}

async function readRange(
  session: SupabaseSession,
  key: string,
  object: SupabaseObject,
  from: number,
  into: Uint8Array<ArrayBuffer>,
  limits: Limits,
): Promise<void> {
  const failed = `Cannot read ${session.locate(key)}`;
  const range = `bytes=${from}-${from + into.length - 1}`;
  // Each version has an address of its own, so that no cache answers with one that was written over.
  const path = `/object/${pathOf(session.bucket, key)}?cacheNonce=${encodeURIComponent(object.version)}`;
  let otherObject = false;
  let over = false;
  try {
    await session.send(failed, limits, { method: 'GET', path, headers: { range } }, async (answer) => {
      otherObject = unquoted(answer.headers.get('etag')) !== object.etag;
      if (otherObject) throw await notIt(answer, failed);
      const wrong = wrongRange(answer, range, `${range.replace('=', ' ')}/${object.bytes}`, failed);
      if (wrong !== undefined) throw await letGo(answer, wrong);
      await fillRange(into, answer.body ?? new Blob([]).stream(), failed, () => over);
    });
  } catch (error) {
    // Neither is sure before the store was asked: a cache may have answered, and a range behind the end is a 416
    // or, where Supabase stores in S3, a 500.
    const status = refusalIn(error)?.status;
    if (!otherObject && status !== 404 && status !== 416 && status !== 500) throw error;
    const now = await objectInfo(session, key, failed, limits);
    if (now?.etag === object.etag && now.bytes === object.bytes) throw error;
    const text = `${failed}: the object was replaced or removed while it was read.`;
    throw new ToolError('integrity', text, { cause: error });
  } finally {
    over = true;
  }
}

function notIt(answer: Response, failed: string): Promise<ToolError> {
  const given = answer.headers.get('etag') ?? 'none';
  const text = `${failed}: the store answered with an object that it has no longer, of ETag ${given}.`;
  return letGo(answer, new ToolError('store', text, { remedy: 'again' }));
}

function wrongRange(answer: Response, asked: string, wanted: string, failed: string): ToolError | undefined {
  const given =
    answer.headers.get('content-range') ?? `all ${answer.headers.get('content-length') ?? ''} bytes`;
  if (given === wanted) return undefined;
  return new ToolError('store', `${failed}: the store was asked for ${asked} and gave ${given}.`);
}

/** Lets go of an answer that nobody wants, so that its connection is free. */
async function letGo<E>(answer: Response, error: E): Promise<E> {
  await answer.body?.cancel().catch(() => {});
  return error;
}
