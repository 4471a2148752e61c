import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import type { Limits } from '../attempt.ts';
import type { UploadedPart } from '../storage.ts';
import type { BodyCheck } from './s3-calls.ts';
import { base64Of, crc32Of, hexOf, md5Of } from './s3-checksums.ts';
import { damaged, isDamage, limitDamage } from './s3-damage.ts';
import { failureOf, isNoUpload, isThrottle } from './s3-errors.ts';
import type { Gate } from './s3-parts.ts';
import { looksLikeMd5, type Publication } from './s3-publish.ts';
import type { StoredPart } from './s3-upload-calls.ts';

export interface PartSender {
  readonly to: Publication;
  readonly uploadId: string;
  /** Ends every attempt. */
  readonly signal: AbortSignal;
  /** How long one attempt may take. */
  readonly timeoutMs: number;
  readonly gate: Gate;
  /** Whether parts carry their CRC-32. */
  readonly crc32: boolean;
  /** Whether they carry their MD5: where the store knows no CRC-32, or turns out to ignore it. */
  md5: boolean;
}

/** Resolves when the store has confirmed the part; sends it again where it was damaged on the way. */
export async function sendPart(sender: PartSender, number: number, body: Uint8Array): Promise<UploadedPart> {
  const crc32 = sender.crc32 ? { crc32: crc32Of(body) } : {};
  if (!sender.md5) {
    const stored = await storePart(sender, number, body, crc32);
    if (stored.crc32 !== undefined) {
      // The store computed its tag from bytes whose CRC-32 it had compared.
      const md5 = stored.plainTag && looksLikeMd5(stored.etag) ? stored.etag : undefined;
      return { number, bytes: body.length, etag: stored.rawEtag, crc32: stored.crc32, md5 };
    }
    // It took the header without a look: this part is sent again, and the others at once, with their MD5.
    sender.md5 = true;
  }
  const md5 = md5Of(body);
  const stored = await storePart(sender, number, body, { ...crc32, md5: base64Of(md5) });
  return { number, bytes: body.length, etag: stored.rawEtag, crc32: crc32.crc32, md5: hexOf(md5) };
}

async function storePart(
  sender: PartSender,
  number: number,
  body: Uint8Array,
  check: BodyCheck,
): Promise<StoredPart> {
  const { to, uploadId, gate, signal, timeoutMs } = sender;
  const limits: Limits = { signal, timeoutMs };
  const attempt = async () => {
    const leave = await gate.enter();
    try {
      const stored = await to.calls.putPart(to.key, uploadId, number, body, check, limits);
      const problem = differenceOf(stored, check);
      if (problem !== undefined) throw damaged(to.location, `part ${number}`, problem);
      return stored;
    } catch (error) {
      // Before its place is given to the next.
      if (isThrottle(error)) gate.narrow();
      throw error;
    } finally {
      leave();
    }
  };
  try {
    return await retry(limitDamage(attempt), signal, to.policy, to.onRetry);
  } catch (error) {
    throw (await goneUpload(error, sender)) ?? error;
  }
}

/**
 * A store that refuses a part before it has read all of it may close the connection, and its answer is lost each time:
 * the error that it gives to a question about the upload, where that is gone.
 */
async function goneUpload(
  error: unknown,
  { to, uploadId, signal }: PartSender,
): Promise<ToolError | undefined> {
  const { status } = failureOf(error);
  if (status !== undefined || isDamage(error) || signal.aborted) return undefined;
  try {
    await to.calls.listParts(to.key, uploadId, undefined, { signal, timeoutMs: to.patience.requestMs });
    return undefined;
  } catch (told) {
    return told instanceof ToolError && isNoUpload(told) ? told : undefined;
  }
}

/** What the store says it holds, where that is not what was sent. */
function differenceOf(stored: StoredPart, check: BodyCheck): string | undefined {
  if (check.crc32 !== undefined && stored.crc32 !== undefined && stored.crc32 !== check.crc32) {
    return `CRC-32 ${stored.crc32} where ${check.crc32} was sent`;
  }
  if (check.md5 === undefined || !stored.plainTag || !looksLikeMd5(stored.etag)) return undefined;
  const wanted = hexOf(Buffer.from(check.md5, 'base64'));
  return stored.etag === wanted ? undefined : `MD5 ${stored.etag} where ${wanted} was sent`;
}
