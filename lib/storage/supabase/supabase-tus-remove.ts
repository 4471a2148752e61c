import { messageOf } from '../../errors.ts';
import { type RetryPolicy, retry } from '../../retry.ts';
import { cleanUp } from '../patience.ts';
import type { SupabasePublication } from './supabase-publication.ts';
import { deleteResumable, resumableState } from './supabase-tus-calls.ts';

/** `cleanUp` ends them earlier. */
const REMOVE_POLICY: RetryPolicy = { attempts: 30, baseMs: 100, capMs: 1_000 };

/**
 * Removes an upload that is not finished, as one of `steps` of what is done after a failure; a finished one is an
 * object and stays. Once this resolves no request can finish it. Resolves to what remains, for people. Never rejects.
 */
export async function removeResumable(
  to: SupabasePublication,
  id: string,
  steps = 1,
): Promise<string | undefined> {
  let last: unknown;
  try {
    await cleanUp(to.patience, to.limits.signal, steps, (limits) => {
      const round = async () => {
        try {
          const state = await resumableState(to, id, limits);
          if (state === undefined || state.offset === state.length) return;
          await deleteResumable(to, id, limits);
        } catch (error) {
          last ??= error;
          throw error;
        }
      };
      return retry(round, limits.signal, REMOVE_POLICY);
    });
    return undefined;
  } catch (error) {
    return (
      `The unfinished upload ${id} could not be removed (${messageOf(last ?? error)}): ` +
      'the store drops it by itself, a hosted project after 24 hours.'
    );
  }
}
