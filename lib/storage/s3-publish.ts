import { messageOf, ToolError } from '../errors.ts';
import { type RetryNotice, type RetryPolicy, retry } from '../retry.ts';
import type { Limits } from './attempt.ts';
import { cleanUp, type Patience } from './patience.ts';
import type { Condition, S3Calls, StoredObject } from './s3-calls.ts';
import { failureOf, isConflict, refusesHeader } from './s3-errors.ts';
import type { UploadCalls } from './s3-upload-calls.ts';
import type { ExpectedObject } from './storage.ts';

export interface Publication {
  readonly calls: S3Calls & UploadCalls;
  readonly key: string;
  readonly location: string;
  readonly policy: RetryPolicy;
  readonly onRetry: (notice: RetryNotice) => void;
  /** For requests that the run's signal may cut at any time. */
  readonly limits: Limits;
  /** For requests after which the store has something it had not: they outlive the signal for a while. */
  readonly decisive: Limits;
  readonly patience: Patience;
}

/** How often a HeadObject right after the write may answer "nothing there" (stores that settle late). */
const SETTLING: RetryPolicy = { attempts: 5, baseMs: 200, capMs: 2_000 };

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
 * Whether the key holds exactly what was sent, though the answer to the publication said otherwise; one of
 * `steps` of what is done after that failure. Never rejects.
 */
export async function isPublished(
  expected: ExpectedObject,
  to: Publication,
  steps: number,
): Promise<boolean> {
  // Without a tag that tells something about the bytes, nothing is proven.
  if (expected.etag === undefined) return false;
  try {
    const found = await cleanUp(to.patience, to.limits.signal, steps, (limits) =>
      retry(() => to.calls.head(to.key, limits), limits.signal, SETTLING),
    );
    return found !== undefined && isExpected(found, expected);
  } catch {
    return false;
  }
}

/** Size and entity tag are those; an entity tag that nobody could foretell proves nothing. */
export function isExpected(found: StoredObject, expected: ExpectedObject): boolean {
  return expected.etag !== undefined && found.bytes === expected.bytes && found.etag === expected.etag;
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
    throw new ToolError(
      'store',
      `Wrote ${to.location} but could not read back its size and ETag to compare them: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const sameTag = found.etag === expected.etag || !isComparable(found, expected);
  if (found.bytes === expected.bytes && sameTag) return found.etag;
  throw new ToolError(
    'integrity',
    `${to.location} is not what was sent: ${found.bytes} bytes with ETag ${found.etag} are there, ` +
      `${expected.bytes} bytes with ETag ${expected.etag ?? 'unknown'} were sent. Another writer may have replaced it; export again.`,
  );
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
