import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Fault } from './fault.ts';
import { PREFIX_BYTES, writePrefix } from './grpc-frame.ts';
import type { ServerContext } from './server-context.ts';

export interface GrpcRefusal {
  readonly grpcStatus: number;
  readonly message: string;
  readonly retryAfterSeconds?: number | undefined;
}

const UNAUTHENTICATED = 16;

/** An error: headers only, the status among them, as tonic answers when it has sent nothing yet. */
export function refuse(stream: ServerHttp2Stream, { version }: ServerContext, refusal: GrpcRefusal): void {
  const { grpcStatus, message, retryAfterSeconds } = refusal;
  const headers: OutgoingHttpHeaders = {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': String(grpcStatus),
  };
  if (message !== '') headers['grpc-message'] = percentEncode(message);
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds);
  if (message.startsWith('Content is compressed')) headers['grpc-accept-encoding'] = 'gzip,identity';
  // What stands before Qdrant's own services (the key check) never had this header.
  if (version === '1.16.3' && grpcStatus !== UNAUTHENTICATED) headers['content-length'] = '0';
  stream.respond(headers, { endStream: true });
}

/** tonic's set of characters that grpc-message escapes: controls, space, " # % < > ` ? { } and all non-ASCII. */
function percentEncode(text: string): string {
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte);
    const isPlain = byte > 0x20 && byte < 0x7f && !'"#%<>`?{}'.includes(char);
    encoded += isPlain ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Sends a message and status 0, or what the fault makes of it. */
export function sendAnswer(
  stream: ServerHttp2Stream,
  frame: Buffer,
  isCompressed: boolean,
  fault: Fault | undefined,
  cutConnection: () => void,
): void {
  const half = frame.subarray(0, frame.length >> 1);
  switch (fault?.kind) {
    case undefined:
    case 'status':
    case 'timeout':
    case 'delay':
    case 'contents':
      start(stream, isCompressed, true);
      stream.end(frame);
      return;
    case 'reset':
      cut(stream, fault.connection, cutConnection);
      return;
    case 'resetMidway':
      start(stream, isCompressed, false);
      // A reset drops what the session has not written yet, so it waits a little.
      stream.write(half, () => setTimeout(() => cut(stream, fault.connection, cutConnection), 20));
      return;
    case 'stall':
      return;
    case 'stallMidway':
      start(stream, isCompressed, false);
      stream.write(half);
      return;
    case 'slow':
      start(stream, isCompressed, true);
      sendSlowly(stream, frame, fault.bytesPerSecond);
      return;
    case 'oversized':
      start(stream, isCompressed, false);
      writePrefix(frame, fault.declaredBytes ?? 2 ** 31, isCompressed);
      stream.write(frame);
      return;
    case 'earlyClose':
      start(stream, isCompressed, false);
      stream.end(half);
      return;
    case 'truncated': {
      const cutShort = Buffer.from(frame.subarray(0, PREFIX_BYTES + ((frame.length - PREFIX_BYTES) >> 1)));
      writePrefix(cutShort, cutShort.length - PREFIX_BYTES, isCompressed);
      start(stream, isCompressed, true);
      stream.end(cutShort);
      return;
    }
  }
}

const STATUS_OK = { 'grpc-status': '0' };

function start(stream: ServerHttp2Stream, isCompressed: boolean, withTrailers: boolean): void {
  const headers: OutgoingHttpHeaders = { ':status': 200, 'content-type': 'application/grpc' };
  if (isCompressed) headers['grpc-encoding'] = 'gzip';
  stream.respond(headers, { waitForTrailers: withTrailers });
  if (withTrailers) stream.on('wantTrailers', () => stream.sendTrailers(STATUS_OK));
}

function cut(stream: ServerHttp2Stream, connection: boolean | undefined, cutConnection: () => void): void {
  if (connection === true) cutConnection();
  // Bun's close() ends the stream politely whatever its code; an error makes it RST_STREAM INTERNAL_ERROR.
  else stream.destroy(new Error('reset on purpose'));
}

function sendSlowly(stream: ServerHttp2Stream, frame: Buffer, bytesPerSecond: number): void {
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    if (stream.destroyed) return clearInterval(timer);
    const due = Math.min(frame.length, Math.ceil(((performance.now() - startedAt) / 1000) * bytesPerSecond));
    if (due > sent) stream.write(frame.subarray(sent, due));
    sent = Math.max(sent, due);
    if (sent < frame.length) return;
    clearInterval(timer);
    stream.end();
  }, 20);
}
