import { gzipSync } from 'node:zlib';
import { type Fault, faultStatus } from './fault.ts';
import { BODY_LIMIT, Http1Reader, type Http1Request } from './http1-reader.ts';
import { Pacer } from './pacer.ts';
import { errorAnswer, type RestAnswer, type RestCall, statusAnswer } from './rest-answer.ts';
import { RestConnection } from './rest-connection.ts';
import { routeRest } from './rest-routes.ts';
import { authorise, type RunningServer, type ServerContext } from './server-context.ts';
import { ServiceError } from './service-error.ts';
import type { ContentsFault } from './spoiled-page.ts';

interface Peer {
  readonly connection: RestConnection;
  readonly reader: Http1Reader;
}

/** An HTTP/1.1 server on a bare socket: every byte and every way to end a connection is in its hand. Port 0 is any. */
export function startRestServer(context: ServerContext, port: number): RunningServer {
  const pacer = new Pacer(context.pointsPerSecond);
  const listener = Bun.listen<Peer>({
    hostname: '127.0.0.1',
    port,
    ...(context.tls === undefined ? {} : { tls: { key: context.tls.key, cert: context.tls.cert } }),
    socket: {
      open(socket) {
        context.recorder.stats.connections++;
        socket.data = { connection: new RestConnection(socket), reader: new Http1Reader() };
      },
      data(socket, bytes) {
        const { connection, reader } = socket.data;
        try {
          for (const request of reader.push(Buffer.from(bytes))) {
            connection.inTurn(() => respond(context, pacer, connection, request));
          }
        } catch {
          connection.refuse();
        }
      },
      drain: (socket) => socket.data.connection.onDrain(),
      close: (socket) => socket.data?.connection.onClose(),
      error: (socket) => socket.data?.connection.onClose(),
    },
  });
  return {
    port: listener.port,
    stop: async () => listener.stop(true),
  };
}

async function respond(
  context: ServerContext,
  pacer: Pacer,
  connection: RestConnection,
  request: Http1Request,
): Promise<void> {
  const { recorder, latencyMs } = context;
  const call = callOf(context, request);
  const { asked, collection, method, points } = call;
  const affinity = request.headers.get('x-qdrant-route-affinity');
  const details = affinity === undefined ? asked : { ...asked, routeAffinity: affinity };
  const running = recorder.begin({ protocol: 'rest', method, collection, points }, details);
  const { fault } = running;
  try {
    if (latencyMs > 0) await Bun.sleep(latencyMs);
    if (fault?.kind === 'delay') await Bun.sleep(fault.milliseconds);
    const wrong = faultStatus(fault);
    const computed = wrong
      ? statusAnswer(wrong.http, wrong.message, wrong.retryAfterSeconds)
      : answerOf(call, fault, request.headers.get('accept-encoding'));
    await Bun.sleep(pacer.delayMs(computed.pointsWithVectors ?? 0));
    recorder.stats.bytesSent += computed.body.length;
    const keepAlive = request.headers.get('connection')?.toLowerCase() !== 'close';
    if (!connection.isClosed) await connection.send(computed, fault, keepAlive);
  } finally {
    running.end();
  }
}

function callOf(context: ServerContext, request: Http1Request): RestCall {
  const { body, bodyLength, headers, method, target } = request;
  let access: 'read' | 'manage' = 'read';
  let refusal: ServiceError | undefined;
  try {
    access = authorise(context, (name) => headers.get(name));
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    refusal = error;
  }
  const call = routeRest(context, method, target, body, access);
  // The root and the probes answer without a key.
  if (refusal !== undefined && call.method !== 'version' && call.method !== 'health') {
    const error = refusal;
    return { ...call, answer: () => errorAnswer(error) };
  }
  if (bodyLength <= BODY_LIMIT) return call;
  const prefix = context.version === '1.16.3' ? 'Payload error: ' : '';
  const text = `${prefix}JSON payload (${bodyLength} bytes) is larger than allowed (limit: ${BODY_LIMIT} bytes).`;
  return { ...call, answer: () => statusAnswer(400, text, undefined, '0.0') };
}

function answerOf(call: RestCall, fault: Fault | undefined, acceptEncoding: string | undefined): RestAnswer {
  const answer = plainAnswer(call, fault?.kind === 'contents' ? fault : undefined);
  // A real server compresses for whoever allows it, and that is what makes careless clients slow.
  if (acceptEncoding === undefined || !/\bgzip\b/.test(acceptEncoding) || answer.body.length === 0)
    return answer;
  const { writer: _, ...rest } = answer;
  return { ...rest, contentEncoding: 'gzip', body: gzipSync(answer.body, { level: 3 }) };
}

function plainAnswer(call: RestCall, fault: ContentsFault | undefined): RestAnswer {
  try {
    return call.answer(fault);
  } catch (error) {
    if (error instanceof ServiceError) return errorAnswer(error);
    throw error;
  }
}
