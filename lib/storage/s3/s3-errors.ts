import { type Remedy, ToolError } from '../../errors.ts';
import { parseRetryAfter } from '../../retry.ts';
import { explain, isTlsCode } from './s3-explain.ts';
import type { Failure, StoreWords } from './s3-words.ts';

const AGAIN_CODES: ReadonlySet<string> = new Set([
  'SlowDown',
  'RequestTimeout', // comes with 400
  'InternalError',
  'ServiceUnavailable',
  'TooManyRequests',
  'Throttling',
  'ThrottlingException',
  'OperationAborted', // comes with 409: another request for the key is at work
  'ResourceLocked', // Supabase's, with 423: the same
  'IncompleteBody', // comes with 400: the connection was cut
  'BadDigest', // comes with 400: the bytes were damaged on the way
]);
const THROTTLE_CODES: ReadonlySet<string> = new Set([
  'SlowDown',
  'ServiceUnavailable',
  'TooManyRequests',
  'Throttling',
  'ThrottlingException',
]);
/** Codes with which stores that do not know conditional writes refuse the header. */
const UNKNOWN_HEADER_CODES: ReadonlySet<string> = new Set([
  'NotImplemented',
  'InvalidArgument',
  'InvalidRequest',
  'BadRequest',
  'InvalidHeader',
]);

/** Turns what the SDK threw into the error that a user sees and `retry` understands. */
export function s3Error(thrown: unknown, words: StoreWords): ToolError {
  const failure = readFailure(thrown);
  const { code, text } = explain(thrown, failure, words);
  return new ToolError(code, `${words.failed}: ${text}`, {
    cause: thrown,
    remedy: isClockCorrected(thrown, failure) ? 'again' : remedyOf(failure),
    retryAfterMs: retryAfterOf(thrown),
  });
}

/** Status and code of anything that `s3Error` made, or of what the SDK threw. */
export function failureOf(error: unknown): Failure {
  return readFailure(error instanceof ToolError ? error.cause : error);
}

export function isThrottle(error: unknown): boolean {
  const { status, code } = failureOf(error);
  return status === 429 || status === 503 || (code !== undefined && THROTTLE_CODES.has(code));
}

/**
 * The upload is not, or no longer, there. `S3Error` is what Supabase calls any error of the store behind it.
 */
export function isNoUpload(error: unknown): boolean {
  const { status, code } = failureOf(error);
  return code === 'NoSuchUpload' || (code === 'S3Error' && status === 404);
}

/** The object under the key is not the one that the condition names. */
export function isConflict(error: unknown): boolean {
  const { status, code } = failureOf(error);
  return status === 412 || code === 'ConditionalRequestConflict' || code === 'NoSuchKey';
}

/** The store does not know the condition, whatever the state of the object. */
export function refusesHeader(error: unknown): boolean {
  const { status, code } = failureOf(error);
  return status === 501 || (status === 400 && code !== undefined && UNKNOWN_HEADER_CODES.has(code));
}

function remedyOf({ status, code }: Failure): Remedy {
  if (code !== undefined && AGAIN_CODES.has(code)) return 'again';
  // No answer at all: again, unless the two ends cannot ever agree on TLS.
  if (status === undefined)
    return code !== undefined && !isTlsCode(code) && /^E[A-Z]+$/.test(code) ? 'again' : 'none';
  // 52x are what Cloudflare, in front of R2, says when the store behind it does not answer.
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505)
    ? 'again'
    : 'none';
}

/**
 * A clock that was set while the run goes on: the SDK has taken the store's time from this answer and signs with it from
 * now on. HeadObject answers have no code.
 */
function isClockCorrected(thrown: unknown, { status, code }: Failure): boolean {
  const isSkewed = code === 'RequestTimeTooSkewed' || (status === 403 && code === undefined);
  return isSkewed && (thrown as Thrown).$metadata?.clockSkewCorrected === true;
}

/** The parts of an SDK error, a connection error or a credentials error that this module reads. */
interface Thrown {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  readonly $fault?: unknown;
  readonly $metadata?: { readonly clockSkewCorrected?: unknown; readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

function readFailure(thrown: unknown): Failure {
  if (typeof thrown !== 'object' || thrown === null) return { status: undefined, code: undefined };
  const error = thrown as Thrown;
  const status = error.$metadata?.httpStatusCode;
  if (typeof error.Code === 'string') return { status, code: error.Code };
  if (typeof error.code === 'string') return { status, code: error.code };
  const name = typeof error.name === 'string' ? error.name : '';
  if (name.endsWith('ProviderError')) return { status, code: 'CredentialsProviderError' };
  // Without a body (HeadObject) the SDK makes names up: NotFound, UnknownError, 403.
  return { status, code: undefined };
}

function retryAfterOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  return parseRetryAfter((thrown as Thrown).$response?.headers?.['retry-after']);
}
