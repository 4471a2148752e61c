import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import type { PutRequest } from '../storage.ts';
import { wholeBody } from '../whole-body.ts';
import { objectInfo } from './supabase-info.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { type PutStandard, putStandard, STANDARD_BYTES } from './supabase-standard.ts';
import { putResumable } from './supabase-tus.ts';

export interface SupabaseBesideRequest {
  readonly request: PutRequest;
  readonly beside: { readonly key: string; readonly etag: string };
  readonly to: SupabasePublication;
  /** Where the object is, for people. */
  readonly besideLocation: string;
}

/** What lies beside an object is small: it is held whole, so that it can be sent again and compared. */
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * Writes the body beside an object, as part of a pair. Supabase writes under no condition, so the object is looked at
 * before and after: a run whose object was replaced meanwhile hears of it, though its body may be what is there.
 */
export async function putSupabaseBeside(work: SupabaseBesideRequest): Promise<PutStandard> {
  const { request, to } = work;
  const body = await wholeBody(request, MOST_BYTES, () => {
    const text = `it has more than the ${MOST_BYTES} bytes that may lie beside an object.`;
    return new ToolError('store', `Cannot write ${to.location}: ${text}`);
  });
  await mustBeOurs(work, (what) => `Cannot write ${to.location}: ${what}`);
  const put = await sent(body, work);
  // Who cancelled does not wait for this second look.
  if (to.limits.signal.aborted) return put;
  await mustBeOurs(
    work,
    (what) => `Wrote ${to.location}, which may not belong to what it lies beside: ${what}`,
  );
  return put;
}

async function sent(
  body: Uint8Array<ArrayBuffer>,
  { request, to }: SupabaseBesideRequest,
): Promise<PutStandard> {
  if (body.length > STANDARD_BYTES) {
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull(controller) {
          controller.enqueue(body);
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return await putResumable({ ...request, body: stream, bytes: body.length, from: undefined }, to);
  }
  const put = await putStandard(body, to, request.log);
  request.onProgress?.(body.length);
  return put;
}

/** Rejects when the object is not, or no longer, the one that the body belongs to. */
async function mustBeOurs(
  { beside, to, besideLocation }: SupabaseBesideRequest,
  sentence: (what: string) => string,
): Promise<void> {
  const { session, limits, policy, onRetry } = to;
  const look = () => objectInfo(session, beside.key, `Cannot read ${besideLocation}`, limits);
  const found = await retry(look, limits.signal, policy, onRetry);
  if (found?.etag === beside.etag) return;
  const did = found === undefined ? 'removed' : 'replaced';
  const figures = `it has ETag ${found?.etag ?? 'none'} where ${beside.etag} was written`;
  throw new ToolError('store', sentence(`another run ${did} ${besideLocation} meanwhile; ${figures}.`));
}
