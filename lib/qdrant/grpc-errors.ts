import { messageOf, type Remedy, ToolError } from '../errors.ts';
import { parseRetryAfter } from '../retry.ts';
import type { AnswerProblem, Headers, UnaryCall } from './grpc-call.ts';
import { refusal } from './refusals.ts';

/** gRPC status codes that are spoken of here (grpc/grpc, doc/statuscodes.md). */
const STATUS_NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

type StatusName = (typeof STATUS_NAMES)[number];

/** The error that an answer's status stands for, or undefined when it is OK. */
export function grpcStatusError(call: UnaryCall, url: URL, headers: Headers): ToolError | undefined {
  const httpStatus = Number(headers[':status'] ?? 0);
  const grpcStatus = headers['grpc-status'];
  if (grpcStatus === undefined) return withoutGrpcStatus(call, url, httpStatus, headers);
  const name = STATUS_NAMES[Number(grpcStatus)] ?? 'UNKNOWN';
  if (name === 'OK') return undefined;
  const text = decodeMessage(String(headers['grpc-message'] ?? ''));
  const cause = new GrpcStatus(name);
  const refused =
    call.points !== undefined && (name === 'INVALID_ARGUMENT' || name === 'NOT_FOUND')
      ? refusal({ purpose: call.purpose, points: call.points, said: text, cause }, isAboutFilter)
      : undefined;
  if (refused !== undefined) return refused;
  const retryAfterMs = parseRetryAfter(headerText(headers['retry-after']));
  const remedy = remedyFor(name, text, retryAfterMs !== undefined, call.divisible);
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: Qdrant answered ${name}${text === '' ? '' : ` ("${text}")`}.${advice(call, url, name)}`,
    { cause, remedy, retryAfterMs },
  );
}

/** The cause of an error that stands for a gRPC status. */
export class GrpcStatus extends Error {
  override readonly name = 'GrpcStatus';
  readonly status: StatusName;

  constructor(status: StatusName) {
    super(`gRPC status ${status}`);
    this.status = status;
  }
}

/** Whether Qdrant answered so. */
export function hasGrpcStatus(error: unknown, status: StatusName): boolean {
  return error instanceof ToolError && error.cause instanceof GrpcStatus && error.cause.status === status;
}

/** An answer without grpc-status: cut off before its trailers, or not from a gRPC server at all. */
function withoutGrpcStatus(call: UnaryCall, url: URL, httpStatus: number, headers: Headers): ToolError {
  const grpc = String(headers['content-type'] ?? '').startsWith('application/grpc');
  if (httpStatus === 0 || (httpStatus === 200 && grpc)) {
    return unexpectedAnswer(call, url, { kind: 'cut off', bytes: 0 });
  }
  const passing = [408, 429, 500, 502, 503, 504].includes(httpStatus);
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: ${url.host} answered HTTP ${httpStatus} instead of a gRPC answer. Check QDRANT_URL; for Qdrant's REST API use --http.`,
    {
      remedy: passing ? 'again' : 'none',
      retryAfterMs: parseRetryAfter(headerText(headers['retry-after'])),
    },
  );
}

function remedyFor(name: StatusName, text: string, toldWhen: boolean, divisible: boolean): Remedy {
  const smaller: Remedy = divisible ? 'smaller' : 'again';
  // Qdrant reports its own time-outs as INTERNAL or CANCELLED; only the text tells.
  if (/timeout error|timed out|timeout expired/i.test(text)) return smaller;
  switch (name) {
    case 'DEADLINE_EXCEEDED':
      return smaller;
    case 'RESOURCE_EXHAUSTED':
      if (toldWhen) return 'again';
      // Waiting does not help against a request larger than the limiter's capacity, or than the message limit.
      if (/larger than rate limiter capacity|message.*(too large|larger than)/i.test(text)) {
        return divisible ? 'smaller' : 'none';
      }
      return 'none';
    case 'OUT_OF_RANGE':
      // What tonic answers when a message is over its limit.
      return /message.*too large/i.test(text) && divisible ? 'smaller' : 'none';
    case 'UNAVAILABLE':
    case 'INTERNAL':
    case 'UNKNOWN':
    case 'ABORTED':
    case 'CANCELLED':
      return 'again';
    default:
      return 'none';
  }
}

function advice(call: UnaryCall, url: URL, name: StatusName): string {
  switch (name) {
    case 'UNAUTHENTICATED':
      return ' Check QDRANT_API_KEY.';
    case 'PERMISSION_DENIED':
      return ` QDRANT_API_KEY needs to be allowed to ${call.points === undefined ? 'do that' : 'read this collection'}.`;
    case 'UNIMPLEMENTED':
      return ` ${url.host} does not know this call: is it a Qdrant of version 1.9 or later?`;
    default:
      return '';
  }
}

/** Nothing answered in time. */
export function deadlineError(call: UnaryCall, url: URL): ToolError {
  return new ToolError(
    'qdrant',
    `Cannot ${call.purpose}: ${url.host} did not answer within ${Math.round(call.deadlineMs / 1000)} s. See --timeout.`,
    { remedy: call.divisible ? 'smaller' : 'again' },
  );
}

/** An answer that is not one whole uncompressed message. */
export function unexpectedAnswer(call: UnaryCall, url: URL, problem: AnswerProblem): ToolError {
  switch (problem.kind) {
    case 'compressed':
      return new ToolError(
        'qdrant',
        `Cannot ${call.purpose}: ${url.host} sent a compressed answer that was not asked for. Is a proxy in between?`,
      );
    case 'too large':
      return new ToolError(
        'qdrant',
        `Cannot ${call.purpose}: the answer would have ${problem.bytes} bytes. Use a smaller --retrieve-batch.`,
        { remedy: call.divisible ? 'smaller' : 'none' },
      );
    case 'more than one message':
      return new ToolError(
        'qdrant',
        `Cannot ${call.purpose}: ${url.host} sent more than the one message it announced.`,
      );
    case 'cut off':
      return new ToolError('qdrant', `Cannot ${call.purpose}: the answer of ${url.host} was cut off.`, {
        remedy: 'again',
      });
  }
}

/** No connection, or one that broke. `contacted`: the server has spoken HTTP/2 before. */
export function connectionError(purpose: string, url: URL, error: unknown, contacted: boolean): ToolError {
  if (error instanceof ToolError) return error;
  const code = errorCode(error);
  const known = CONNECTION_ERRORS[code];
  if (known !== undefined) {
    return new ToolError('qdrant', `Cannot ${purpose}: ${known.found(url, contacted)}`, {
      cause: error,
      remedy: known.remedy,
    });
  }
  // What OpenSSL says of an answer in plain text.
  if (/WRONG_VERSION_NUMBER/.test(`${code} ${messageOf(error)}`)) {
    return new ToolError(
      'qdrant',
      `Cannot ${purpose}: ${url.host} does not speak TLS. Use an http:// address, or the port that does.`,
      { cause: error },
    );
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL/.test(code)) {
    return new ToolError(
      'qdrant',
      `Cannot ${purpose}: the certificate of ${url.host} is not trusted (${messageOf(error)}). For a private authority use --ca-cert FILE.`,
      { cause: error },
    );
  }
  return new ToolError(
    'qdrant',
    `Cannot ${purpose}: the connection to ${url.host} failed (${messageOf(error)}).`,
    {
      cause: error,
      remedy: 'again',
    },
  );
}

const CONNECTION_ERRORS: Readonly<
  Record<
    string,
    { readonly remedy: Remedy; readonly found: (url: URL, contacted: boolean) => string } | undefined
  >
> = {
  ECONNREFUSED: {
    remedy: 'again',
    found: (url) => `nothing listens on ${url.host}. Check QDRANT_URL; gRPC is usually port 6334.`,
  },
  ENOTFOUND: {
    remedy: 'none',
    found: (url) => `there is no host named ${url.hostname}. Check QDRANT_URL.`,
  },
  EAI_AGAIN: { remedy: 'again', found: (url) => `the name ${url.hostname} could not be looked up.` },
  ETIMEDOUT: { remedy: 'again', found: (url) => `${url.host} did not accept a connection in time.` },
  ECONNRESET: {
    remedy: 'again',
    found: (url, contacted) => `the connection to ${url.host} was reset.${tlsHint(url, contacted)}`,
  },
};

function tlsHint(url: URL, contacted: boolean): string {
  return contacted || url.protocol !== 'http:' ? '' : ' If it expects TLS, use an https:// address.';
}

function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

function headerText(value: Headers[string]): string | undefined {
  if (value === undefined) return undefined;
  return Array.isArray(value) ? value[0] : String(value);
}

/** grpc-message is percent-encoded (grpc/grpc, doc/PROTOCOL-HTTP2.md, "Percent-Encoded"). */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whatever else is in the request is ours and well-formed, so what is malformed is the filter's. */
function isAboutFilter(said: string): boolean {
  return /\b(filter|condition|index required|malformed|json ?path|unable to parse uuid|wrong input)\b/i.test(
    said,
  );
}
