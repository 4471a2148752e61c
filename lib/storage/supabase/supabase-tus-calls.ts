import { ToolError } from '../../errors.ts';
import type { Limits } from '../attempt.ts';
import { isUploadGone, refusalIn } from './supabase-errors.ts';
import type { SupabasePublication } from './supabase-publication.ts';

/*
 * Resumable uploads as Supabase Storage speaks TUS 1.0.0 (https://tus.io/protocols/resumable-upload). One attempt each;
 * all reject with a ToolError.
 */

const PATH = '/upload/resumable';

/**
 * The upload that belongs to a key is refused as soon as there is an object, unless each request of it says that it
 * may be replaced: the one that removes it too.
 */
const HEADERS = { 'tus-resumable': '1.0.0', 'x-upsert': 'true' } as const;

/** An upload as the store tells of it. */
export interface TusState {
  readonly offset: number;
  /** As it was said when the upload was begun. */
  readonly length: number;
}

/** Begins an upload of exactly so many bytes; one of none is published by that. Resolves to its id. */
export function createResumable(
  to: SupabasePublication,
  bytes: number,
  contentType: string,
  limits: Limits,
): Promise<string> {
  const failed = failedWrite(to);
  const metadata = {
    bucketName: to.session.bucket,
    objectName: to.key,
    contentType,
    // The key may be written again at any time, and a cache would go on giving what was there before.
    cacheControl: '0',
  };
  const headers = {
    ...HEADERS,
    'upload-length': String(bytes),
    'upload-metadata': Object.entries(metadata)
      .map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`)
      .join(','),
  };
  return to.session.send(failed, limits, { method: 'POST', path: PATH, headers }, async (answer) => {
    const id = lastSegment(answer.headers.get('location') ?? '');
    if (id === undefined) throw unlikeSupabase(failed, to, 'it began an upload and did not say where it is');
    return id;
  });
}

/**
 * What the store has of the upload; undefined when it does not know it. Waits while another request writes to it,
 * so it may take as long as that.
 */
export async function resumableState(
  to: SupabasePublication,
  id: string,
  limits: Limits,
): Promise<TusState | undefined> {
  const failed = failedWrite(to);
  const request = { method: 'HEAD', path: `${PATH}/${id}`, headers: HEADERS } as const;
  try {
    return await to.session.send(failed, limits, request, async (answer) => {
      const offset = numberIn(answer, 'upload-offset');
      const length = numberIn(answer, 'upload-length');
      if (offset === undefined || length === undefined) {
        throw unlikeSupabase(failed, to, 'it did not say how much it has of an upload');
      }
      return { offset, length };
    });
  } catch (error) {
    if (isUploadGone(error)) return undefined;
    if (refusalIn(error)?.status !== 400) throw error;
    // An answer without a body: an id that is none, or a key that is no longer valid, and then this says so.
    const path = `/bucket/${encodeURIComponent(to.session.bucket)}`;
    await to.session.send(failed, limits, { method: 'GET', path }, async () => {});
    return undefined;
  }
}

/** Sends bytes that begin at `offset` of the object; resolves to the offset behind what the store took of them. */
export function patchResumable(
  to: SupabasePublication,
  id: string,
  offset: number,
  body: Uint8Array<ArrayBuffer>,
  limits: Limits,
): Promise<number> {
  const failed = failedWrite(to);
  const headers = {
    ...HEADERS,
    'content-type': 'application/offset+octet-stream',
    'upload-offset': String(offset),
  };
  const request = { method: 'PATCH', path: `${PATH}/${id}`, headers, body } as const;
  return to.session.send(failed, limits, request, async (answer) => {
    const now = numberIn(answer, 'upload-offset');
    if (now === undefined) throw unlikeSupabase(failed, to, 'it did not say how much it has of an upload');
    return now;
  });
}

/** Removes an unfinished upload; resolves too when it is not there. Not for finished ones: they are objects. */
export async function deleteResumable(to: SupabasePublication, id: string, limits: Limits): Promise<void> {
  const request = { method: 'DELETE', path: `${PATH}/${id}`, headers: HEADERS } as const;
  try {
    await to.session.send(failedWrite(to), limits, request, async () => {});
  } catch (error) {
    if (!isUploadGone(error)) throw error;
  }
}

/** Beginning of every error about writing the key. */
export function failedWrite(to: SupabasePublication): string {
  return `Cannot write ${to.location}`;
}

/** The address itself may have the scheme and host that a proxy in between told the store. */
function lastSegment(location: string): string | undefined {
  const id = location.split(/[?#]/, 1)[0]?.split('/').at(-1) ?? '';
  return /^[\w.~%-]+$/.test(id) && !/^\.+$/.test(id) ? id : undefined;
}

function numberIn(answer: Response, header: string): number | undefined {
  const text = answer.headers.get(header) ?? '';
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

function unlikeSupabase(failed: string, { session }: SupabasePublication, what: string): ToolError {
  return new ToolError('store', `${failed}: ${session.url} does not answer like Supabase Storage, ${what}.`);
}
