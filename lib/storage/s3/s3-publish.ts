import { messageOf, ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { cleanUp } from '../patience.ts';
import { SETTLING, type StorePublication } from '../publication.ts';
import type { ExpectedObject } from '../storage.ts';
import type { Condition, S3Calls, StoredObject } from './s3-calls.ts';
import { failureOf, isConflict, refusesHeader } from './s3-errors.ts';
import type { ObjectCalls } from './s3-object-calls.ts';
import type { UploadCalls } from './s3-upload-calls.ts';

export interface Publication extends StorePublication {
  readonly calls: S3Calls & UploadCalls;
  /**
   * The store compares nothing with what it is sent and knows no conditions: whoever writes compares, and what it
   * makes carries a mark, by which it is known again.
   */
  readonly unverified: boolean;
  /** To compare and remove what was written there. */
  readonly objects: Pick<ObjectCalls, 'read' | 'remove'>;
}

/**
 * The condition under which a later publication replaces exactly what is there now. Credentials that may not
 * look at the key publish without one.
 */
export async function conditionNow(to: Publication): Promise<Condition> {
  try {
    const found = await retry(
      () => to.calls.head(to.key, to.limits),
      to.limits.signal,
      to.policy,
      to.onRetry,
    );
    if (found === undefined) return { kind: 'absent' };
    return found.etag === '' ? { kind: 'none' } : { kind: 'etag', etag: found.etag };
  } catch (error) {
    // Without the right to list, S3 answers 403 for a key that holds nothing.
    if (failureOf(error).status === 403) return { kind: 'none' };
    throw error;
  }
}

/**
 * Sends the request that makes the object visible, under `condition`, or once more without it where the store
 * does not know conditions. A rejection does not prove that nothing was published: see `isPublished`.
 */
export async function publishOn(
  condition: Condition,
  send: (condition: Condition) => Promise<string>,
  to: Publication,
): Promise<string> {
  const sent = (under: Condition) => retry(() => send(under), to.limits.signal, to.policy, to.onRetry);
  try {
    return await sent(condition);
  } catch (error) {
    if (condition.kind === 'none' || !refusesHeader(error)) throw error;
    return await sent({ kind: 'none' });
  }
}

/**
 * What the key holds if that is just what was sent, though the answer to the publication said otherwise; one of
 * `steps` of what is done after that failure. Never rejects.
 */
export async function findPublished(
  expected: ExpectedObject,
  to: Publication,
  steps: number,
): Promise<StoredObject | undefined> {
  // Without anything by which it would be known, nothing is proven.
  if (expected.etag === undefined && expected.mark === undefined) return undefined;
  try {
    const found = await cleanUp(to.patience, to.limits.signal, steps, (limits) =>
      retry(() => to.calls.head(to.key, limits), limits.signal, SETTLING),
    );
    return found !== undefined && isExpected(found, expected) ? found : undefined;
  } catch {
    return undefined;
  }
}

/**
 * It has the size, and the entity tag, or the mark of the upload and no entity tag that tells of other bytes.
 * What nobody could foretell proves nothing.
 */
export function isExpected(found: StoredObject, expected: ExpectedObject): boolean {
  if (found.bytes !== expected.bytes) return false;
  if (expected.etag !== undefined && found.etag === expected.etag) return true;
  return isMarked(found, expected) && !isComparable(found, expected);
}

/** The upload that is spoken of made it. */
export function isMarked(found: StoredObject, { mark }: ExpectedObject): boolean {
  return mark !== undefined && found.mark === mark;
}

/** The error for a publication that was refused because the object changed since `conditionNow`. */
export function conflictOr(error: unknown, condition: Condition, to: Publication): unknown {
  if (condition.kind === 'none' || !isConflict(error)) return error;
  const { status, code } = failureOf(error);
  return new ToolError(
    'store',
    `Cannot write ${to.location}: another run replaced the object meanwhile ` +
      `(${[status, code].filter((part) => part !== undefined).join(' ')}). What is there was left as it is.`,
    { cause: error },
  );
}

/**
 * Compares what the store holds with what was sent. `answered` is the entity tag of the publication's answer,
 * '' when it had none. Resolves to the entity tag; rejects with code 'integrity' and both figures.
 */
export async function verify(answered: string, expected: ExpectedObject, to: Publication): Promise<string> {
  let found: StoredObject;
  try {
    found = await settledHead(to);
  } catch (error) {
    if (answered !== '' && answered === expected.etag) return answered;
    if (to.limits.signal.aborted) {
      // It is published, most likely: a run that is stopped has the time for one more look.
      const there = await findPublished(expected, to, 1);
      if (there !== undefined) return there.etag;
      throw error;
    }
    throw new ToolError(
      'store',
      `Wrote ${to.location} but could not read back its size and ETag to compare them: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const sameTag = found.etag === expected.etag || !isComparable(found, expected);
  if (found.bytes === expected.bytes && sameTag && isSameUpload(found, expected, answered)) return found.etag;
  throw new ToolError(
    'integrity',
    `${to.location} is not what was sent: ${found.bytes} bytes with ETag ${found.etag} are there, ` +
      `${expected.bytes} bytes with ETag ${expected.etag ?? 'unknown'} were sent. Another writer may have replaced it; export again.`,
  );
}

/**
 * Another mark is another writer's. A store that keeps none still names the object by its entity tag, both in the answer
 * and afterwards.
 */
function isSameUpload(found: StoredObject, expected: ExpectedObject, answered: string): boolean {
  if (expected.mark === undefined || isMarked(found, expected)) return true;
  if (found.mark !== undefined) return false;
  return found.etag === expected.etag || (answered !== '' && found.etag === answered);
}

/** What was just written, some time allowed for stores that settle late. */
export function settledHead(to: Publication): Promise<StoredObject> {
  const attempt = async () => {
    const found = await to.calls.head(to.key, to.limits);
    if (found !== undefined) return found;
    throw new ToolError('store', `${to.location} is not there.`, { remedy: 'again' });
  };
  return retry(attempt, to.limits.signal, SETTLING);
}

/**
 * An entity tag that tells something about the bytes: other stores give versions or checksums of their own.
 */
export function looksLikeMd5(etag: string): boolean {
  return /^[0-9a-f]{32}$/.test(etag);
}

function isComparable(found: StoredObject, expected: ExpectedObject): boolean {
  if (!found.plainTag || expected.etag === undefined) return false;
  const [md5 = '', parts] = found.etag.split('-');
  // A store that kept its own way of cutting (or none) tells nothing about these bytes.
  return looksLikeMd5(md5) && parts === expected.etag.split('-')[1];
}
