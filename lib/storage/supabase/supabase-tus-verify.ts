import { messageOf, ToolError } from '../../errors.ts';
import { type RetryPolicy, retry } from '../../retry.ts';
import { cleanUp } from '../patience.ts';
import { objectInfo, type SupabaseObject } from './supabase-info.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { failedWrite } from './supabase-tus-calls.ts';
import { readTusId } from './supabase-tus-id.ts';

/** A finished upload and what it has to have become. */
export interface FinishedUpload {
  readonly id: string;
  readonly bytes: number;
}

/** `cleanUp` ends them earlier. */
const LOOK_POLICY: RetryPolicy = { attempts: 5, baseMs: 200, capMs: 2_000 };

/**
 * Compares what the key holds with a finished upload: its size, and its version where the store tells both. Rejects
 * with 'integrity' where the size differs, with 'store' where another writer's object is there.
 */
export async function verifyResumable(
  upload: FinishedUpload,
  to: SupabasePublication,
): Promise<{ readonly bytes: number; readonly etag: string }> {
  const found = await settledInfo(to);
  const version = versionOf(upload);
  if (version !== undefined && found.version !== '' && found.version !== version) {
    throw new ToolError(
      'store',
      `${failedWrite(to)}: the upload was finished, but what is there is of another writer, who replaced it ` +
        `(version ${found.version} and not ${version}). It was left as it is; run the export again to replace it.`,
    );
  }
  if (found.bytes !== upload.bytes) {
    throw new ToolError(
      'integrity',
      `${to.location} is not what was sent: ${found.bytes} bytes are there, ${upload.bytes} were sent. ` +
        'Another writer may have replaced it; run the export again.',
    );
  }
  return { bytes: found.bytes, etag: found.etag };
}

/**
 * The object, if it is without doubt that of the upload, though the request that finished it had no good answer; one
 * of `steps` of what is done after that failure. Never rejects.
 */
export async function publishedResumable(
  upload: FinishedUpload,
  to: SupabasePublication,
  steps: number,
): Promise<{ readonly bytes: number; readonly etag: string } | undefined> {
  try {
    const found = await cleanUp(to.patience, to.limits.signal, steps, (limits) =>
      retry(() => objectInfo(to.session, to.key, failedWrite(to), limits), limits.signal, LOOK_POLICY),
    );
    if (found === undefined || found.version === '' || found.version !== versionOf(upload)) return undefined;
    return found.bytes === upload.bytes ? { bytes: found.bytes, etag: found.etag } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether that object can be the upload's: another size or version cannot. */
export function isOfUpload(found: SupabaseObject, upload: FinishedUpload): boolean {
  const version = versionOf(upload);
  const sameVersion = version === undefined || found.version === '' || found.version === version;
  return sameVersion && found.bytes === upload.bytes;
}

function versionOf({ id }: FinishedUpload): string | undefined {
  return readTusId(id)?.version;
}

async function settledInfo(to: SupabasePublication): Promise<SupabaseObject> {
  const { signal } = to.limits;
  const look = async () => {
    const found = await objectInfo(to.session, to.key, failedWrite(to), to.limits);
    if (found !== undefined) return found;
    throw new ToolError('store', 'the store has no such object', { remedy: 'again' });
  };
  try {
    return await retry(look, signal, to.policy, to.onRetry);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ToolError(
      'store',
      `Wrote ${to.location} but could not see it there to compare it: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
