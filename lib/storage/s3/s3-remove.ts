import { messageOf, ToolError } from '../../errors.ts';
import { type RetryPolicy, retry } from '../../retry.ts';
import { cleanUp } from '../patience.ts';
import type { Publication } from './s3-publish.ts';

/** Rounds of abort and look: parts that were on their way may still be arriving. */
const REMOVE_POLICY: RetryPolicy = { attempts: 30, baseMs: 100, capMs: 1_000 };

/**
 * Removes the upload and looks whether it is gone, as one of `steps` of what is done after a failure;
 * resolves to what remains, for people. Never rejects.
 */
export async function removeUpload(
  to: Publication,
  uploadId: string,
  steps = 1,
): Promise<string | undefined> {
  let last: unknown;
  let aborted = false;
  try {
    await cleanUp(to.patience, to.limits.signal, steps, async (limits) => {
      const round = async () => {
        try {
          await to.calls.abortUpload(to.key, uploadId, limits);
          aborted = true;
          if (!(await to.calls.hasParts(to.key, uploadId, limits))) return;
        } catch (error) {
          last ??= error;
          throw error;
        }
        aborted = false;
        throw new ToolError('store', 'the store still lists parts of it', { remedy: 'again' });
      };
      await retry(round, limits.signal, REMOVE_POLICY);
    });
    return undefined;
  } catch (error) {
    const why = messageOf(last ?? error);
    return aborted
      ? `The unfinished upload ${uploadId} was aborted, but not whether all of it is gone could be seen (${why}): ` +
          'what is left of it may cost storage until the store drops it.'
      : `The unfinished upload ${uploadId} could not be removed (${why}) and may cost storage ` +
          'until the store drops it: abort it by hand.';
  }
}
