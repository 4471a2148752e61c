import { retry } from '../../retry.ts';
import { bodyTimeoutMs } from '../patience.ts';
import type { OpenUpload, OpenUploads, UploadedPart } from '../storage.ts';
import { objectInfo } from './supabase-info.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { failedWrite, resumableState, type TusState } from './supabase-tus-calls.ts';
import { readTusId } from './supabase-tus-id.ts';
import { removeResumable } from './supabase-tus-remove.ts';
import { isOfUpload } from './supabase-tus-verify.ts';

/** Resumable uploads that an earlier process left. */
export function supabaseUploads(
  publicationOf: (key: string, signal: AbortSignal) => SupabasePublication,
): OpenUploads {
  return {
    find: (left, signal) => findUpload(left, publicationOf(left.key, signal)),
    remove: ({ key, id }, signal) => removeResumable(publicationOf(key, signal), id),
    async published(key, { bytes, etag }, signal) {
      // A resumable upload has no entity tag before it is finished; `find` knows it again by its id.
      if (etag === undefined) return undefined;
      const to = publicationOf(key, signal);
      const found = await lookAt(to);
      if (found === undefined || found.bytes !== bytes || found.etag !== etag) return undefined;
      return { location: to.location, bytes, etag };
    },
  };
}

/**
 * The store tells one number, the offset up to which it has the bytes: the parts are what lies before it. A finished
 * upload is found while its object is there; one whose object was replaced counts as gone.
 */
async function findUpload(left: OpenUpload, to: SupabasePublication): Promise<OpenUpload | undefined> {
  const id = readTusId(left.id);
  if (id !== undefined && id.path !== `${to.session.bucket}/${left.key}`) return undefined;
  // A request of the process that began it may still be at work, and is waited for.
  const limits = { ...to.limits, timeoutMs: bodyTimeoutMs(left.partBytes, to.patience) };
  const look = () => resumableState(to, left.id, limits);
  const state = await retry(look, limits.signal, to.policy, to.onRetry);
  if (state === undefined) return undefined;
  if (state.offset === state.length) {
    const object = await lookAt(to);
    if (object === undefined || !isOfUpload(object, { id: left.id, bytes: state.length })) return undefined;
  }
  return { ...left, parts: partsOf(state, left.partBytes) };
}

function partsOf({ offset, length }: TusState, partBytes: number): readonly UploadedPart[] {
  const count = offset === length ? Math.ceil(offset / partBytes) : Math.floor(offset / partBytes);
  return Array.from({ length: count }, (_, at) => ({
    number: at + 1,
    bytes: Math.min(partBytes, offset - at * partBytes),
    etag: '',
    crc32: undefined,
    md5: undefined,
  }));
}

function lookAt(to: SupabasePublication) {
  const look = () => objectInfo(to.session, to.key, failedWrite(to), to.limits);
  return retry(look, to.limits.signal, to.policy, to.onRetry);
}
