import http2, { type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import { releaseBuffer } from './byte-writer.ts';
import { type Fault, faultStatus } from './fault.ts';
import { frameOf, type GrpcAnswer, type GrpcCall, PREFIX_BYTES } from './grpc-frame.ts';
import { routeGrpc } from './grpc-methods.ts';
import { type GrpcRefusal, refuse, sendAnswer } from './grpc-sending.ts';
import { Pacer } from './pacer.ts';
import { authorise, type RunningServer, type ServerContext } from './server-context.ts';
import { ServiceError } from './service-error.ts';

/**
 * Megabytes of answers that may wait in a session. From the default of 10 on, node refuses new requests of the
 * session (ENHANCE_YOUR_CALM), which a Qdrant never does.
 */
const SESSION_MEGABYTES = 4096;

/** Lets uploads of many ids come in one go; the default of 64 KiB makes a client wait for every window. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** Port 0 is any. */
export async function startGrpcServer(context: ServerContext, port: number): Promise<RunningServer> {
  const settings = { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: 1024 };
  const options = { settings, maxSessionMemory: SESSION_MEGABYTES };
  const { tls } = context;
  const server =
    tls === undefined
      ? http2.createServer(options)
      : http2.createSecureServer({ ...options, key: tls.key, cert: tls.cert, allowHTTP1: false });
  const pacer = new Pacer(context.pointsPerSecond);
  // A session keeps its socket to itself, and destroy() closes it too gently to look like a broken network.
  const sessions = new Map<Http2Session, Socket>();
  let newest: Socket | undefined;
  server.prependListener(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    newest = socket;
  });
  server.on('session', (session) => {
    context.recorder.stats.connections++;
    if (newest !== undefined) sessions.set(session, newest);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const socket = stream.session === undefined ? undefined : sessions.get(stream.session);
    receive({ context, pacer, stream, headers, cutConnection: () => socket?.resetAndDestroy() });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions.keys()) session.destroy();
      // A server that waits for a connection of no session (a half-open one) must not hold the tests up.
      await Promise.race([closed, Bun.sleep(200)]);
    },
  };
}

/** A request that is being answered. */
interface Exchange {
  readonly context: ServerContext;
  readonly pacer: Pacer;
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** Resets the connection under the stream, and all that go through it. */
  readonly cutConnection: () => void;
}

function receive(exchange: Exchange): void {
  const { stream } = exchange;
  const chunks: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () =>
    respond(exchange, chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)),
  );
}

/** Not async: most answers go out in the very turn in which their requests come in. */
function respond(exchange: Exchange, body: Buffer): void {
  const { context, headers, pacer, stream } = exchange;
  const call = callOf(context, String(headers[':path']), headers, body);
  const { asked, collection, method, points } = call;
  const affinity = headerText(headers, 'x-qdrant-route-affinity');
  const details = affinity === undefined ? asked : { ...asked, routeAffinity: affinity };
  const running = context.recorder.begin({ protocol: 'grpc', method, collection, points }, details);
  const { fault } = running;
  if (stream.destroyed) running.end();
  else stream.on('close', running.end);
  const paced = method === 'retrieve' ? pacer.delayMs(points) : 0;
  const wait = context.latencyMs + paced + (fault?.kind === 'delay' ? fault.milliseconds : 0);
  const patience = grpcTimeoutMs(headers['grpc-timeout']);
  const answer = (): void => {
    if (stream.destroyed) return;
    const wrong = faultStatus(fault);
    if (wait > patience) refuse(stream, context, new ServiceError('cancelled', 'Timeout expired'));
    else if (wrong !== undefined) refuse(stream, context, refusalOf(wrong));
    else send(exchange, call, fault);
  };
  if (wait === 0) answer();
  else setTimeout(answer, Math.min(wait, patience + 1));
}

function refusalOf(wrong: { grpc: number; message: string; retryAfterSeconds?: number }): GrpcRefusal {
  const { grpc: grpcStatus, message, retryAfterSeconds } = wrong;
  return { grpcStatus, message, retryAfterSeconds };
}

function send(exchange: Exchange, call: GrpcCall, fault: Fault | undefined): void {
  const { context, cutConnection, headers, stream } = exchange;
  let answer: GrpcAnswer;
  try {
    answer = call.answer(fault?.kind === 'contents' ? fault : undefined);
  } catch (error) {
    const refusal = error instanceof ServiceError ? error : new ServiceError('internal', String(error));
    refuse(stream, context, refusal);
    return;
  }
  const { writer } = answer;
  if (writer !== undefined) stream.on('close', () => releaseBuffer(writer.bytes));
  const isCompressed = acceptsGzip(headers);
  // As a real server does, which is what makes clients slow that leave compression on.
  const frame = isCompressed
    ? frameOf(gzipSync(answer.frame.subarray(PREFIX_BYTES), { level: 3 }), true).frame
    : answer.frame;
  context.recorder.stats.bytesSent += frame.length;
  sendAnswer(stream, frame, isCompressed, fault, cutConnection);
}

function callOf(context: ServerContext, path: string, headers: IncomingHttpHeaders, body: Buffer): GrpcCall {
  const failed = (error: unknown): GrpcCall => ({
    method: 'other',
    collection: '',
    points: 0,
    answer: () => {
      throw error;
    },
  });
  try {
    if (path !== '/qdrant.Qdrant/HealthCheck') authorise(context, (name) => headerText(headers, name));
    return routeGrpc(context, path, messageOf(headers, body));
  } catch (error) {
    return failed(error);
  }
}

/** The request's message without its prefix, unpacked where it came packed. */
function messageOf(headers: IncomingHttpHeaders, body: Buffer): Uint8Array {
  const message = body.subarray(PREFIX_BYTES);
  if (body[0] !== 1) return message;
  const encoding = headerText(headers, 'grpc-encoding');
  if (encoding === 'gzip') return gunzipSync(message);
  throw new ServiceError('unimplemented', `Content is compressed with \`${encoding}\` which isn't supported`);
}

function acceptsGzip(headers: IncomingHttpHeaders): boolean {
  return /\bgzip\b/.test(headerText(headers, 'grpc-accept-encoding') ?? '');
}

function headerText(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return value === undefined ? undefined : String(value);
}

const TIMEOUT_UNITS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000001,
};

function grpcTimeoutMs(header: string | readonly string[] | undefined): number {
  const match = /^(\d{1,8})([HMSmun])$/.exec(String(header ?? ''));
  return match === null
    ? Number.POSITIVE_INFINITY
    : Number(match[1]) * (TIMEOUT_UNITS[match[2] as string] as number);
}
