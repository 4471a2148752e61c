import http2, {
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';

/** What came back for one unary call, as it was on the wire. */
export interface GrpcExchange {
  readonly headers: Readonly<Record<string, string>>;
  readonly messages: readonly { readonly compressed: number; readonly data: Buffer }[];
  readonly trailers: Readonly<Record<string, string>>;
  /** How the stream ended when it did not end well. */
  readonly error: Error | undefined;
  /** All bytes of the body, whole messages or not. */
  readonly body: Buffer;
}

/** A session with a large window, closed by the caller. */
export function connectGrpc(url: string, ca?: string): ClientHttp2Session {
  const session = http2.connect(url, {
    settings: { initialWindowSize: 16 * 1024 * 1024 },
    ...(ca === undefined ? {} : { ca }),
  });
  session.on('error', () => {});
  return session;
}

export interface GrpcCallOptions {
  readonly metadata?: OutgoingHttpHeaders;
  readonly compressed?: boolean;
  /** Gives up after so many milliseconds: the error is then "timed out". */
  readonly timeoutMs?: number;
}

/** One unary call without any client library: the bytes of a message out, everything that came back in. */
export function callGrpc(
  session: ClientHttp2Session,
  method: string,
  message: Uint8Array,
  { compressed = false, metadata = {}, timeoutMs = 30_000 }: GrpcCallOptions = {},
): Promise<GrpcExchange> {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...metadata,
  });
  const { promise, resolve } = Promise.withResolvers<GrpcExchange>();
  const chunks: Buffer[] = [];
  let headers: Record<string, string> = {};
  let trailers: Record<string, string> = {};
  const settle = (error: Error | undefined): void => {
    clearTimeout(timer);
    const body = Buffer.concat(chunks);
    resolve({ headers, trailers, error, body, messages: cutMessages(body) });
  };
  const timer = setTimeout(() => {
    settle(new Error('timed out'));
    stream.close();
  }, timeoutMs);
  stream.on('response', (received) => {
    headers = plain(received);
  });
  stream.on('trailers', (received) => {
    trailers = plain(received);
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', (error) => settle(error));
  stream.on('close', () =>
    settle(stream.rstCode === 0 ? undefined : new Error(`RST_STREAM ${stream.rstCode}`)),
  );
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
  return promise;
}

/** Headers as text, without the date. */
function plain(headers: IncomingHttpHeaders): Record<string, string> {
  const entries = Object.entries(headers).filter(([name]) => name !== 'date');
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}

function cutMessages(body: Buffer): { compressed: number; data: Buffer }[] {
  const messages: { compressed: number; data: Buffer }[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const length = body.readUInt32BE(at + 1);
    if (at + 5 + length > body.length) break;
    messages.push({ compressed: body[at] as number, data: body.subarray(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return messages;
}
