import { messageOf, ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { withLeftover } from '../leftover.ts';
import { cleanUp } from '../patience.ts';
import { SETTLING } from '../publication.ts';
import type { StoredObject } from './s3-calls.ts';
import type { Publication } from './s3-publish.ts';

/** Bytes that are read back at a time. */
const READ_BYTES = 1024 * 1024;

/** Rejects with 'integrity', and removes it, where the object with that entity tag is not the body. */
export async function compareBack(body: Uint8Array, etag: string, to: Publication): Promise<void> {
  const { limits, policy, onRetry } = to;
  const buffer = new Uint8Array(Math.min(READ_BYTES, body.length));
  for (let from = 0; from < body.length; from += buffer.length) {
    const wanted = body.subarray(from, from + buffer.length);
    const into = buffer.subarray(0, wanted.length);
    const range = { from, to: from + into.length - 1, total: body.length };
    await retry(() => to.objects.read(to.key, etag, range, into, limits), limits.signal, policy, onRetry);
    if (Buffer.compare(into, wanted) === 0) continue;
    const where = `bytes ${range.from}-${range.to}`;
    const text = `${to.location} is not what was sent: read back, ${where} of it are others. Export again.`;
    const left = await removeWhere((found) => found.etag === etag, to, 1);
    throw withLeftover(new ToolError('integrity', text), left);
  }
}

/**
 * Removes what lies under the key where `isOurs` holds of it, as one of `steps` of what is done after a failure;
 * resolves to what remains, for people. Never rejects.
 */
export async function removeWhere(
  isOurs: (found: StoredObject) => boolean,
  to: Publication,
  steps: number,
): Promise<string | undefined> {
  try {
    await cleanUp(to.patience, to.limits.signal, steps, async (limits) => {
      const found = await retry(() => to.calls.head(to.key, limits), limits.signal, SETTLING);
      if (found === undefined || !isOurs(found)) return;
      await retry(() => to.objects.remove(to.key, limits), limits.signal, SETTLING);
    });
    return undefined;
  } catch (error) {
    return `What arrived of it may lie there and could not be removed (${messageOf(error)}): delete it by hand.`;
  }
}
