import { ToolError } from '../../errors.ts';
import { BRISK, PATIENT, type RetryPolicy } from '../../retry.ts';
import { contentTypeOf } from '../content-type.ts';
import { FIRST_CONTACT_MS, PATIENCE } from '../patience.ts';
import { type PublicationSettings, publicationTo } from '../publication.ts';
import type { Destination, PutRequest, Receipt } from '../storage.ts';
import { wholeBody } from '../whole-body.ts';
import { putSupabaseBeside } from './supabase-beside.ts';
import { supabaseObjects } from './supabase-objects.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import type { SupabaseSession } from './supabase-session.ts';
import { type PutStandard, putStandard, STANDARD_BYTES } from './supabase-standard.ts';
import { putResumable } from './supabase-tus.ts';
import { probeResumable } from './supabase-tus-probe.ts';
import { supabaseUploads } from './supabase-uploads.ts';

export interface SupabaseRest extends Destination {
  /** Rejects as the store refuses so many bytes under the key; leaves nothing. */
  probe(key: string, bytes: number, signal: AbortSignal): Promise<void>;
}

/** What is small by one request, everything else by a resumable upload. */
export function supabaseRest(session: SupabaseSession, settings: PublicationSettings): SupabaseRest {
  const { locate } = session;
  const patience = { ...PATIENCE, ...settings.patience };

  function publicationOf(
    key: string,
    signal: AbortSignal,
    policy: RetryPolicy = PATIENT,
  ): SupabasePublication {
    return { ...publicationTo(key, locate(key), signal, settings, policy), session };
  }

  async function probe(key: string, bytes: number, signal: AbortSignal): Promise<void> {
    const to = publicationOf(key, signal, BRISK);
    const timeoutMs = Math.min(FIRST_CONTACT_MS, patience.requestMs);
    const brisk = { ...to, limits: { ...to.limits, timeoutMs }, decisive: { ...to.decisive, timeoutMs } };
    await probeResumable(brisk, bytes, contentTypeOf(key));
  }

  async function put(request: PutRequest): Promise<Receipt> {
    const { key, signal, beside } = request;
    const to = publicationOf(key, signal);
    const { bytes, etag } =
      beside === undefined
        ? await putAlone(request, to)
        : await putSupabaseBeside({ request, beside, to, besideLocation: locate(beside.key) });
    return { location: to.location, bytes, etag };
  }

  return {
    locate,
    check: (key, signal) => probe(key, 1, signal),
    door: (estimatedBytes) =>
      estimatedBytes <= STANDARD_BYTES
        ? 'standard upload (one request, up to 6 MiB)'
        : 'resumable upload (TUS, above 6 MiB; the S3 endpoint, by SUPABASE_S3_ACCESS_KEY_ID, is faster)',
    put,
    uploads: supabaseUploads(publicationOf),
    objects: supabaseObjects(publicationOf),
    probe,
  };
}

async function putAlone(request: PutRequest, to: SupabasePublication): Promise<PutStandard> {
  const { bytes, body, from, log, onProgress } = request;
  if (bytes === undefined) {
    const error = unknownLength(to.location);
    await body.cancel(error).catch(() => {});
    throw error;
  }
  // What another process began as a resumable upload ends as one.
  if (from !== undefined || bytes > STANDARD_BYTES) return await putResumable({ ...request, bytes }, to);
  const otherLength = (found: string) =>
    new ToolError(
      'integrity',
      `Cannot write ${to.location}: ${found} bytes came where ${bytes} were promised.`,
    );
  const whole = await wholeBody(request, bytes, () => otherLength(`more than ${bytes}`));
  if (whole.length !== bytes) throw otherLength(`${whole.length}`);
  const put = await putStandard(whole, to, log);
  onProgress?.(bytes);
  return put;
}

function unknownLength(location: string): ToolError {
  return new ToolError(
    'usage',
    `Cannot write ${location}: Supabase takes a stream, whose length nobody knows beforehand, through its S3 endpoint ` +
      'only. Set SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY (dashboard: Storage, S3 access keys), or ' +
      'leave --stream-upload out.',
  );
}
