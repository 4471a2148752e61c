import { messageOf, type Remedy, ToolError } from '../errors.ts';
import { parseRetryAfter } from '../retry.ts';
import { refusal } from './refusals.ts';
import type { PointSet } from './transport.ts';

/** What an error says of the request it belongs to. */
export interface RequestPurpose {
  /** What the request is for, in words that follow "Cannot". */
  readonly purpose: string;
  /** Whether the caller can ask for fewer points instead. */
  readonly divisible: boolean;
  /** Of reads of points: which. */
  readonly points?: PointSet;
}

/** Characters of a server's own text that an error repeats at most. */
const QUOTED = 300;

/** The error that an answer other than 200 stands for. `body` is its text, or the beginning of it. */
export function statusError(call: RequestPurpose, url: URL, response: Response, body: string): ToolError {
  const { status } = response;
  if (status >= 300 && status < 400) return redirected(call, url, response);
  const qdrantText = errorText(body);
  const isHtml = /^\s*</.test(body);
  const said = qdrantText ?? (isHtml ? '' : body.trim());
  const cause = new HttpStatus(status);
  const refused =
    call.points &&
    refusal({ purpose: call.purpose, points: call.points, said, cause }, (words) =>
      isAboutFilter(status, words),
    );
  if (refused !== undefined) return refused;
  const quoted = said === '' ? '' : ` ("${said.replace(/\s+/g, ' ').slice(0, QUOTED)}")`;
  const statusText = response.statusText === '' ? '' : ` ${response.statusText}`;
  // Qdrant answers wrong keys in plain text; HTML comes from something in between.
  const who = isHtml ? `${url.host}, which is not Qdrant itself,` : 'Qdrant';
  const message = `Cannot ${call.purpose}: ${who} answered ${status}${statusText}${quoted}.`;
  return new ToolError('qdrant', message + advice(call, url, status, qdrantText === undefined), {
    cause,
    remedy: remedyFor(status, said, call.divisible),
    retryAfterMs: parseRetryAfter(response.headers.get('retry-after')),
  });
}

/** The cause of an error that stands for an HTTP status. */
export class HttpStatus extends Error {
  override readonly name = 'HttpStatus';
  readonly status: number;

  constructor(status: number) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

/** `{"status": {"error": "…"}, "time": …}` is how Qdrant says what is wrong. */
function errorText(body: string): string | undefined {
  try {
    const answer = JSON.parse(body) as { status?: { error?: unknown } } | null;
    const text = answer?.status?.error;
    return typeof text === 'string' ? text : undefined;
  } catch {
    return undefined;
  }
}

function remedyFor(status: number, text: string, divisible: boolean): Remedy {
  // Where the request cannot be divided, a time-out is worth another try; a size that is too large is not.
  const slow: Remedy = divisible ? 'smaller' : 'again';
  const large: Remedy = divisible ? 'smaller' : 'none';
  switch (status) {
    case 408:
      return slow;
    case 413:
      return large;
    case 400:
      // What Qdrant 1.16 to 1.18 answer to a request body above 32 MiB.
      return /is larger than allowed/i.test(text) ? large : 'none';
    case 429:
      // Above the limiter's capacity no waiting helps.
      return /larger than rate limiter capacity/i.test(text) ? large : 'again';
    case 500:
      // Qdrant reports its own time-outs as 500; only the text tells.
      return /timeout error|timed out|timeout expired/i.test(text) ? slow : 'again';
    case 502:
    case 503:
    case 504:
      return 'again';
    default:
      return 'none';
  }
}

function advice(call: RequestPurpose, url: URL, status: number, notQdrants: boolean): string {
  switch (status) {
    case 401:
      return ' Check QDRANT_API_KEY.';
    case 403:
      return ` QDRANT_API_KEY needs to be allowed to ${call.points === undefined ? 'do that' : 'read this collection'}.`;
    case 404:
    case 405:
      return notQdrants ? ` Is ${url.host}${url.pathname} a Qdrant? Check QDRANT_URL.` : '';
    default:
      return '';
  }
}

function redirected(call: RequestPurpose, url: URL, response: Response): ToolError {
  const target = response.headers.get('location');
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: ${url.host} answered ${response.status} and redirects${target === null ? '' : ` to ${target.slice(0, QUOTED)}`}; redirects are not followed. Check QDRANT_URL.`,
    { cause: new HttpStatus(response.status) },
  );
}

/** An answer that is 200 and yet not Qdrant's JSON: a login page, another server. */
export function notQdrant(call: RequestPurpose, url: URL, contentType: string | null): ToolError {
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: ${url.host} answered ${contentType ?? 'without a content type'} instead of Qdrant's JSON. Check QDRANT_URL.`,
  );
}

export function tooLarge(call: RequestPurpose, bytes: number): ToolError {
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: the answer has ${bytes} bytes or more. Use a smaller --retrieve-batch.`,
    { remedy: call.divisible ? 'smaller' : 'none' },
  );
}

/** Nothing answered in time, or not all of it. */
export function deadlineError(call: RequestPurpose, url: URL, ms: number): ToolError {
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: ${url.host} did not answer within ${Math.round(ms / 100) / 10} s. See --timeout.`,
    { remedy: call.divisible ? 'smaller' : 'again' },
  );
}

/** What a reader found wrong with an answer, with what it was wanted for. */
export function unreadable(call: RequestPurpose, error: ToolError): ToolError {
  return new ToolError(error.code, `Cannot ${call.purpose}: ${error.message}.`, {
    cause: error,
    remedy: error.remedy === 'smaller' && !call.divisible ? 'none' : error.remedy,
  });
}

/**
 * No connection, or one that broke. The names are those of Bun's fetch. A server that has not answered yet and
 * does not speak the protocol never will; one that has (`contacted`) may be on its way down or up.
 */
export function connectionError(
  call: RequestPurpose,
  url: URL,
  error: unknown,
  contacted: boolean,
): ToolError {
  const code = errorCode(error);
  const found = FOUND[code];
  const isCertificate = found === undefined && /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL/.test(code);
  const remedy: Remedy = isCertificate || (!contacted && FINAL_AT_FIRST.has(code)) ? 'none' : 'again';
  const sentence = isCertificate
    ? `the certificate of ${url.host} is not trusted (${messageOf(error)}). For a private authority use --ca-cert FILE.`
    : (found?.(url, contacted) ?? `the connection to ${url.host} failed (${messageOf(error)}).`);
  return new ToolError('qdrant', `Cannot ${call.purpose}: ${sentence}`, { cause: error, remedy });
}

/** What does not pass by itself before a server has answered at all. */
const FINAL_AT_FIRST = new Set(['Malformed_HTTP_Response', 'EPROTO', 'ENOTFOUND']);

const FOUND: Readonly<Record<string, ((url: URL, contacted: boolean) => string) | undefined>> = {
  ECONNREFUSED: (url) => `nothing listens on ${url.host}. Check QDRANT_URL; REST is usually port 6333.`,
  ENOTFOUND: (url) => `there is no host named ${url.hostname}. Check QDRANT_URL.`,
  EAI_AGAIN: (url) => `the name ${url.hostname} could not be looked up.`,
  ETIMEDOUT: (url) => `${url.host} did not accept a connection in time.`,
  ECONNRESET: (url, contacted) =>
    `the connection to ${url.host} was closed before the answer was whole.${tlsHint(url, contacted)}`,
  EPROTO: (url) => `${url.host} does not speak TLS. Use an http:// address, or the port that does.`,
  Malformed_HTTP_Response: (url) => `what listens on ${url.host} does not speak HTTP/1.1. Check QDRANT_URL.`,
};

function tlsHint(url: URL, contacted: boolean): string {
  return contacted || url.protocol !== 'http:' ? '' : ' If it expects TLS, use an https:// address.';
}

function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** Whatever else is in the body is ours and well-formed, so errors in the body are the filter's. */
function isAboutFilter(status: number, said: string): boolean {
  if (status !== 400 && status !== 422) return false;
  return (
    /^(format|deserialize|validation|content type) error in json body/i.test(said) ||
    /filter|condition|index required|wrong input/i.test(said)
  );
}
