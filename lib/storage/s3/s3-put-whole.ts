import { ToolError } from '../../errors.ts';
import { withLeftover } from '../leftover.ts';
import { bodyTimeoutMs } from '../patience.ts';
import type { ExpectedObject, UploadLog } from '../storage.ts';
import type { Condition, StoredObject } from './s3-calls.ts';
import { base64Of, hexOf, md5Of } from './s3-checksums.ts';
import { compareBack, removeWhere } from './s3-compare-back.ts';
import { damaged, isDamage, limitDamage } from './s3-damage.ts';
import {
  findPublished,
  isExpected,
  isMarked,
  looksLikeMd5,
  type Publication,
  publishOn,
  verify,
} from './s3-publish.ts';

export interface PutWhole {
  readonly object: ExpectedObject;
  /** False where the store did not know the condition, so that it was written over whatever was there. */
  readonly underCondition: boolean;
}

/**
 * One request for a body that is small, checked by its MD5. A rejection because of the condition is passed on
 * as the store gave it (`isConflict`). Where the store compares nothing, this side does, and does not leave under the
 * key what it wrote and is not the body.
 */
export async function putWhole(
  body: Uint8Array,
  condition: Condition,
  to: Publication,
  log: UploadLog | undefined,
): Promise<PutWhole> {
  const md5 = md5Of(body);
  const mark = to.unverified ? crypto.randomUUID() : undefined;
  const expected = { bytes: body.length, etag: hexOf(md5), ...(mark === undefined ? {} : { mark }) };
  const told = { md5: base64Of(md5), mark };
  const limits = { ...to.decisive, timeoutMs: bodyTimeoutMs(body.length, to.patience) };
  await log?.publishing(expected);
  let sent: Condition | undefined;
  const send = limitedSend(expected.etag, to, (under) => {
    sent = under;
    return to.calls.putWhole(to.key, body, told, under, limits);
  });
  const written = async (etag: string): Promise<PutWhole> => {
    if (to.unverified && etag !== expected.etag) await compareBack(body, etag, to);
    return {
      object: { bytes: body.length, etag },
      underCondition: sent !== undefined && sent.kind !== 'none',
    };
  };
  try {
    const answered = await publishOn(condition, send, to);
    return await written(await verify(answered, expected, to));
  } catch (error) {
    if (sent === undefined) throw error;
    const isOther = error instanceof ToolError && error.code === 'integrity';
    // A lost answer looks like a failure, or like another writer when the request was sent again.
    const found = isOther ? undefined : await findPublished(expected, to, to.unverified ? 2 : 1);
    if (found !== undefined) return await written(found.etag);
    if (!to.unverified) throw error;
    const isDamaged = (there: StoredObject) => isMarked(there, expected) && !isExpected(there, expected);
    const left = await removeWhere(isDamaged, to, 2);
    // Of a store that does not answer nobody knows whether it holds anything.
    throw isOther || isDamage(error) ? withLeftover(error, left) : error;
  }
}

/** Where the store compares nothing: the entity tag of its answer, where that is an MD5, is of what it holds. */
function limitedSend(
  md5: string,
  to: Publication,
  send: (under: Condition) => Promise<string>,
): (under: Condition) => Promise<string> {
  if (!to.unverified) return send;
  return limitDamage(async (under: Condition) => {
    const answered = await send(under);
    if (!looksLikeMd5(answered) || answered === md5) return answered;
    throw damaged(to.location, 'it', `MD5 ${answered} where ${md5} was sent`);
  });
}
