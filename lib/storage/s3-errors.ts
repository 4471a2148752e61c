import { type ErrorCode, messageOf, type Remedy, ToolError } from '../errors.ts';
import { parseRetryAfter } from '../retry.ts';

/** What an error needs to know about the store to be of use to people. */
export interface StoreWords {
  /** `Cannot write s3://bucket/key`. */
  readonly failed: string;
  readonly bucket: string;
  /** The address as configured, or undefined where the SDK finds it (AWS itself). */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  /** False where the SDK's own credential chain is at work. */
  readonly ownKeys: boolean;
}

/** What can be relied on in a failed request: texts of stores differ, some send none. */
export interface Failure {
  readonly status: number | undefined;
  /** S3's error code, or the system's for a connection that failed. */
  readonly code: string | undefined;
}

const AGAIN_CODES: ReadonlySet<string> = new Set([
  'SlowDown',
  'RequestTimeout', // comes with 400
  'InternalError',
  'ServiceUnavailable',
  'TooManyRequests',
  'Throttling',
  'ThrottlingException',
  'OperationAborted', // comes with 409: another request for the key is at work
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
const REGION_CODES: ReadonlySet<string> = new Set([
  'AuthorizationHeaderMalformed',
  'PermanentRedirect',
  'TemporaryRedirect',
  'InvalidRegion',
  'InvalidRegionName',
  'IllegalLocationConstraintException',
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

function isTlsCode(code: string): boolean {
  return code === 'EPROTO' || /CERT|TLS|SSL|LEAF_SIGNATURE/.test(code);
}

function explain(
  thrown: unknown,
  { status, code }: Failure,
  words: StoreWords,
): { readonly code: ErrorCode; readonly text: string } {
  const at = words.endpoint ?? 'AWS S3';
  const found = [status, code].filter((part) => part !== undefined).join(' ');
  const names = namesOf(words);
  const store = (text: string) => ({ code: 'store' as const, text });
  if (code === 'CredentialsProviderError') {
    return { code: 'usage', text: `no credentials were found. Set ${names.keys}.` };
  }
  // The SDK's own, and without a code: nobody has said where the store is.
  if (messageOf(thrown) === 'Region is missing') {
    return {
      code: 'usage',
      text: `neither a store nor a region was named. Set ${names.keys} and AWS_REGION.`,
    };
  }
  if (code === 'InvalidBucketName') {
    return { code: 'usage', text: `"${words.bucket}" is not a bucket name (${found}). Check R2_BUCKET.` };
  }
  if (code === 'NoSuchBucket') {
    return store(
      `there is no bucket "${words.bucket}" at ${at} (${found}). Check R2_BUCKET${names.andEndpoint}.`,
    );
  }
  // The last is versitygw's.
  if (code === 'InvalidAccessKeyId' || status === 401 || code === 'XAdminUserNotFound') {
    return store(`${at} does not know the access key (${found}). Check ${names.id}.`);
  }
  if (code === 'SignatureDoesNotMatch') {
    return store(
      `${at} refused the signature (${found}), so the secret key is wrong. Check ${names.secret}.`,
    );
  }
  if (code === 'RequestTimeTooSkewed') {
    return store(`the clock of this machine is too far from that of ${at} (${found}). Set the clock.`);
  }
  if ((code !== undefined && REGION_CODES.has(code)) || status === 301 || status === 307) {
    return store(`the region "${words.region ?? ''}" is not the bucket's (${found}). Check ${names.region}.`);
  }
  if (status === 403) {
    return store(
      `the credentials may not do that in bucket "${words.bucket}" (${found}). Check the permissions of the key, ` +
        `R2_BUCKET and ${names.keys}.`,
    );
  }
  if (status === undefined && code !== undefined) {
    return store(
      words.endpoint === undefined
        ? `no connection to ${at} (${code}). Check the network.`
        : connectionText(code, words.endpoint, thrown),
    );
  }
  if (code === undefined && status !== undefined && status < 500) {
    return store(`${at} does not answer like an S3 service (HTTP ${status})${names.check}.`);
  }
  return store(found === '' ? `${messageOf(thrown)}` : `the store answered ${found}: ${messageOf(thrown)}`);
}

/** What a connection's code means, without the texts of Bun's fetch, which speak to programmers. */
function connectionText(code: string, endpoint: string, thrown: unknown): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens on ${endpoint} (${code}). Check R2_ENDPOINT.`;
    case 'ENOTFOUND':
      return `there is no host of the name in ${endpoint} (${code}). Check the network and R2_ENDPOINT.`;
    case 'ECONNRESET':
    case 'EPIPE': {
      const tls = endpoint.startsWith('http:') ? ' If it expects TLS, use https:// in R2_ENDPOINT.' : '';
      return `${endpoint} closed the connection (${code}).${tls}`;
    }
    case 'EPROTO':
      return `${endpoint} does not speak TLS (${code}). Check R2_ENDPOINT.`;
    default:
      return isTlsCode(code)
        ? `the certificate of ${endpoint} is not trusted (${code}: ${messageOf(thrown)}).`
        : `no connection to ${endpoint} (${code}: ${messageOf(thrown)}). Check the network and R2_ENDPOINT.`;
  }
}

function namesOf(words: StoreWords) {
  const own = words.ownKeys;
  return {
    id: own ? 'R2_ACCESS_KEY_ID' : 'AWS_ACCESS_KEY_ID or the AWS profile',
    secret: own ? 'R2_SECRET_ACCESS_KEY' : 'AWS_SECRET_ACCESS_KEY or the AWS profile',
    keys: own
      ? 'R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY'
      : 'R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_ENDPOINT, or the AWS credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE, …)',
    region: own ? 'R2_REGION' : 'R2_REGION or AWS_REGION',
    andEndpoint: words.endpoint === undefined ? '' : ' and R2_ENDPOINT',
    check: words.endpoint === undefined ? '' : '. Check R2_ENDPOINT',
  };
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
