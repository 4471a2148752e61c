import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { createResumable, failedWrite } from './supabase-tus-calls.ts';
import { removeResumable } from './supabase-tus-remove.ts';

/**
 * Rejects as the store refuses an upload of so many bytes of that type: because of the bucket, the credentials, the
 * bucket's limits or the project's. Begins one and removes it; none of its bytes are sent.
 */
export async function probeResumable(
  to: SupabasePublication,
  bytes: number,
  contentType: string,
): Promise<void> {
  // One of no bytes would be published by being begun.
  const length = Math.max(1, bytes);
  const begin = () => createResumable(to, length, contentType, to.decisive);
  const id = await retry(begin, to.limits.signal, to.policy, to.onRetry);
  const left = await removeResumable(to, id);
  if (left !== undefined)
    throw new ToolError('store', `${failedWrite(to)}: an upload was tried out. ${left}`);
}
