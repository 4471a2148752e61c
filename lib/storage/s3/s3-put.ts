import { abortReason, ToolError } from '../../errors.ts';
import { withLeftover } from '../leftover.ts';
import { type PartSource, partSource } from '../part-source.ts';
import { bodyTimeoutMs } from '../patience.ts';
import type { ExpectedObject, OpenUpload, PutRequest } from '../storage.ts';
import type { Condition } from './s3-calls.ts';
import { isFinal, putParts } from './s3-multipart.ts';
import { type PartPlan, type PartWishes, partPool, planParts } from './s3-parts.ts';
import { conditionNow, conflictOr, type Publication } from './s3-publish.ts';
import { putWhole } from './s3-put-whole.ts';
import { removeUpload } from './s3-remove.ts';

export interface PutWishes extends PartWishes {
  /** Publish only if nobody else wrote the key since the put began. */
  readonly ifUnchanged: boolean;
}

/**
 * Sends the body in parts, or with one request what fits a part, and publishes it.
 *
 * Going on with an upload, the body begins behind the last byte of `from.parts`. All of them are full, so
 * that is at `from.parts.length * from.partBytes`; only where every part was confirmed is the last one
 * shorter, and then the body has to be empty. Parts keep size and numbers, and the object is what one
 * uninterrupted put of all bytes had made, entity tag included. The condition is taken anew. `onProgress` and
 * the body's bytes are those of this put alone, the result's are the object's.
 */
export async function putObject(
  request: PutRequest,
  to: Publication,
  wishes: PutWishes,
): Promise<ExpectedObject> {
  const { signal, from } = request;
  const stop = new AbortController();
  const onAbort = () => stop.abort(abortReason(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const source = partSource(request.body, stop.signal);
  let handedOver = false;
  try {
    if (from !== undefined) checkParts(from, to);
    const condition: Condition = wishes.ifUnchanged ? await conditionNow(to) : { kind: 'none' };
    const plan = planFor(request, wishes);
    const pool = partPool(plan.partBytes, plan.inFlight + 1, stop.signal);
    const first = await firstPart(source, await pool.take(), from, to);
    if (from === undefined && first.isAll) {
      const whole = await putWholeBody(first.buffer.subarray(0, first.length), condition, request, to);
      pool.give(first.buffer);
      pool.clear();
      return whole;
    }
    handedOver = true;
    const object = await putParts({
      to,
      condition,
      source,
      plan,
      pool,
      first,
      from,
      log: request.log,
      stop,
      partTimeoutMs: bodyTimeoutMs(plan.partBytes * plan.inFlight, to.patience),
      onProgress: request.onProgress ?? (() => {}),
    });
    // Not after a failure: a request that was cut may still look at its part.
    pool.clear();
    return object;
  } catch (error) {
    await source.cancel(error);
    if (from === undefined || handedOver || (request.log !== undefined && !isFinal(error))) throw error;
    throw withLeftover(error, await removeUpload(to, from.id));
  } finally {
    signal.removeEventListener('abort', onAbort);
    stop.abort();
  }
}

/** All parts of an upload are equal, so one that was begun decides their size. */
function planFor({ estimatedBytes, from }: PutRequest, wishes: PutWishes): PartPlan {
  return planParts(estimatedBytes, from === undefined ? wishes : { ...wishes, partBytes: from.partBytes });
}

async function firstPart(
  source: PartSource,
  buffer: Uint8Array<ArrayBuffer>,
  from: OpenUpload | undefined,
  to: Publication,
) {
  const length = await source.fill(buffer);
  const last = from?.parts.at(-1);
  if (from !== undefined && last !== undefined && last.bytes < from.partBytes && length > 0) {
    throw cannotGoOn(to, from, `part ${last.number} has ${last.bytes} bytes, and more bytes come behind it`);
  }
  return { buffer, length, isAll: length < buffer.length || (await source.ended()) };
}

/** In order, without a gap, all full but the last. */
function checkParts(from: OpenUpload, to: Publication): void {
  if (from.key !== to.key) throw cannotGoOn(to, from, `it is of "${from.key}"`);
  from.parts.forEach((part, at) => {
    if (part.number !== at + 1)
      throw cannotGoOn(to, from, `part ${part.number} is the ${at + 1}. of its parts`);
    const isFull = part.bytes === from.partBytes;
    const isLast = at === from.parts.length - 1 && part.bytes < from.partBytes;
    if (!isFull && !isLast) {
      throw cannotGoOn(to, from, `part ${part.number} has ${part.bytes} bytes and not ${from.partBytes}`);
    }
  });
}

function cannotGoOn(to: Publication, { id }: OpenUpload, why: string): ToolError {
  return new ToolError('integrity', `Cannot go on with the upload ${id} of ${to.location}: ${why}.`);
}

async function putWholeBody(
  body: Uint8Array,
  condition: Condition,
  { log, onProgress }: PutRequest,
  to: Publication,
): Promise<ExpectedObject> {
  try {
    const { object } = await putWhole(body, condition, to, log);
    onProgress?.(body.length);
    return object;
  } catch (error) {
    throw conflictOr(error, condition, to);
  }
}
