import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import type { ExpectedObject, PutRequest } from '../storage.ts';
import { wholeBody } from '../whole-body.ts';
import type { Condition, S3Calls } from './s3-calls.ts';
import { failureOf, isConflict } from './s3-errors.ts';
import { conditionNow, conflictOr, type Publication } from './s3-publish.ts';
import { putWhole } from './s3-put-whole.ts';

export interface BesideRequest {
  readonly request: PutRequest;
  readonly beside: { readonly key: string; readonly etag: string };
  readonly to: Publication;
  /** Looks at the object that it lies beside, and where that is, for people. */
  readonly head: S3Calls['head'];
  readonly besideLocation: string;
  readonly ifUnchanged: boolean;
}

/** What lies beside an object is small: it is held whole, so that it can be sent again. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Each further round means that another run wrote the key within the moments of the last one. */
const ROUNDS = 10;

/**
 * Writes the body beside an object, as part of a pair: what is there is remembered first, then the object
 * looked at, and then the body written over what was remembered alone. Whoever's object is the last finds
 * either its own or an older one under the key and writes over that; a run whose object was replaced finds
 * that out in its next round.
 */
export async function putBeside(work: BesideRequest): Promise<ExpectedObject> {
  const { request, to } = work;
  const body = await wholeBody(request, MOST_BYTES, () => {
    const text = `Cannot write ${to.location}: it has more than the ${MOST_BYTES} bytes that may lie beside an object.`;
    return new ToolError('store', text);
  });
  for (let round = 1; ; round++) {
    const condition: Condition = work.ifUnchanged ? await conditionNow(to) : { kind: 'none' };
    await mustBeOurs(work);
    try {
      // What it will be is the same in every round.
      const log = round === 1 ? request.log : undefined;
      const { object, underCondition } = await putWhole(body, condition, to, log);
      // Without a condition, another run's may just have been written over.
      if (!underCondition) await mustBeOurs(work);
      request.onProgress?.(body.length);
      return object;
    } catch (error) {
      // Not what was sent: the next run's pair is made, or its run is about to find out that it has lost.
      const overtaken = isConflict(error) || (error instanceof ToolError && error.code === 'integrity');
      if (!overtaken || round === ROUNDS) throw conflictOr(error, condition, to);
    }
  }
}

/** Rejects when the object is not, or no longer, the one that the body belongs to. */
async function mustBeOurs({ beside, to, head, besideLocation }: BesideRequest): Promise<void> {
  let found: Awaited<ReturnType<S3Calls['head']>>;
  try {
    found = await retry(() => head(beside.key, to.limits), to.limits.signal, to.policy, to.onRetry);
  } catch (error) {
    // Credentials that may only write cannot tell.
    if (failureOf(error).status === 403) return;
    throw error;
  }
  if (found?.etag === beside.etag) return;
  const what = found === undefined ? 'removed' : 'replaced';
  throw new ToolError(
    'store',
    `Cannot write ${to.location}: another run ${what} ${besideLocation} meanwhile; ` +
      `it has ETag ${found?.etag ?? 'none'} where ${beside.etag} was written.`,
  );
}
