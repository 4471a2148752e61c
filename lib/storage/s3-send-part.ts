import { ToolError } from '../errors.ts';
import { retry } from '../retry.ts';
import type { Limits } from './attempt.ts';
import type { BodyCheck } from './s3-calls.ts';
import { base64Of, crc32Of, hexOf, md5Of } from './s3-checksums.ts';
import { failureOf, isThrottle } from './s3-errors.ts';
import type { Gate } from './s3-parts.ts';
import { looksLikeMd5, type Publication } from './s3-publish.ts';
import type { StoredPart } from './s3-upload-calls.ts';
import type { UploadedPart } from './storage.ts';

/** Damaged in transit this often, a part is not sent again. */
const DAMAGED_ATTEMPTS = 3;

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
  { to, uploadId, gate, signal, timeoutMs }: PartSender,
  number: number,
  body: Uint8Array,
  check: BodyCheck,
): Promise<StoredPart> {
  const limits: Limits = { signal, timeoutMs };
  let damaged = 0;
  const attempt = async () => {
    const leave = await gate.enter();
    try {
      const stored = await to.calls.putPart(to.key, uploadId, number, body, check, limits);
      const problem = differenceOf(stored, check);
      if (problem !== undefined) throw damagedPart(to, number, problem);
      return stored;
    } catch (error) {
      // Before its place is given to the next.
      if (isThrottle(error)) gate.narrow();
      if (isDamage(error) && ++damaged >= DAMAGED_ATTEMPTS) throw final(error);
      throw error;
    } finally {
      leave();
    }
  };
  return retry(attempt, signal, to.policy, to.onRetry);
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

class DamagedPart extends Error {}

function damagedPart(to: Publication, number: number, problem: string): ToolError {
  return new ToolError(
    'store',
    `Cannot write ${to.location}: part ${number} was damaged on the way, the store holds one with ${problem}.`,
    { remedy: 'again', cause: new DamagedPart(problem) },
  );
}

function isDamage(error: unknown): error is ToolError {
  if (!(error instanceof ToolError)) return false;
  return error.cause instanceof DamagedPart || failureOf(error).code === 'BadDigest';
}

function final(error: ToolError): ToolError {
  return new ToolError(error.code, `${error.message} That happened ${DAMAGED_ATTEMPTS} times.`, {
    cause: error.cause,
  });
}
