import { ToolError } from '../errors.ts';
import { bodyTimeoutMs } from './patience.ts';
import type { Condition } from './s3-calls.ts';
import { base64Of, hexOf, md5Of } from './s3-checksums.ts';
import { isPublished, type Publication, publishOn, verify } from './s3-publish.ts';
import type { ExpectedObject, UploadLog } from './storage.ts';

export interface PutWhole {
  readonly object: ExpectedObject;
  /** False where the store did not know the condition, so that it was written over whatever was there. */
  readonly underCondition: boolean;
}

/**
 * One request for a body that is small, checked by its MD5. A rejection because of the condition is passed on
 * as the store gave it (`isConflict`).
 */
export async function putWhole(
  body: Uint8Array,
  condition: Condition,
  to: Publication,
  log: UploadLog | undefined,
): Promise<PutWhole> {
  const md5 = md5Of(body);
  const expected: ExpectedObject = { bytes: body.length, etag: hexOf(md5) };
  const header = base64Of(md5);
  const limits = { ...to.decisive, timeoutMs: bodyTimeoutMs(body.length, to.patience) };
  await log?.publishing(expected);
  let sent: Condition | undefined;
  const send = (under: Condition) => {
    sent = under;
    return to.calls.putWhole(to.key, body, header, under, limits);
  };
  const written = (object: ExpectedObject): PutWhole => ({
    object,
    underCondition: sent !== undefined && sent.kind !== 'none',
  });
  try {
    const answered = await publishOn(condition, send, to);
    return written({ bytes: body.length, etag: await verify(answered, expected, to) });
  } catch (error) {
    if (sent === undefined || (error instanceof ToolError && error.code === 'integrity')) throw error;
    // A lost answer looks like a failure, or like another writer when the request was sent again.
    if (await isPublished(expected, to, 1)) return written(expected);
    throw error;
  }
}
