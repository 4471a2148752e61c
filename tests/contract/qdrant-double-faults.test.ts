import { afterEach, describe, expect, test } from 'bun:test';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CountResponseSchema, GetPointsSchema, GetResponseSchema } from '@qdrant/js-client-grpc';
import { type JsonObject, parseExactJson } from '../support/qdrant-double/exact-json.ts';
import type { Fault, RequestFacts } from '../support/qdrant-double/fault.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { callGrpc, connectGrpc, type GrpcExchange } from '../support/qdrant-double/grpc-exchange.ts';
import {
  type QdrantDouble,
  type QdrantDoubleOptions,
  startQdrantDouble,
} from '../support/qdrant-double/qdrant-double.ts';
import {
  type SeenPoint,
  seenJsonPoint,
  seenPoint,
  seenProtoPoint,
} from '../support/qdrant-double/seen-point.ts';
import { makeTestCertificates, tlsSkipReason } from '../support/tls.ts';

let double: QdrantDouble;
let session: ClientHttp2Session;

async function start(options: QdrantDoubleOptions = {}): Promise<void> {
  double = await startQdrantDouble({ generated: [{ name: 'c', points: 1000, dimensions: 16 }], ...options });
  session = connectGrpc(double.grpcUrl);
}

afterEach(async () => {
  session.destroy();
  await double.stop();
});

const FIFTY = Array.from({ length: 50 }, (_, at) => 1 + 3 * at);

/** For an answer that has to come: who waits so long waits for ever. */
const PATIENT_MS = 10_000;
/** For half an answer that has to come, and another that must not. */
const MIDWAY_MS = 2_000;
/** For an answer that must not come. */
const NEVER_MS = 300;

function retrieveGrpc(timeoutMs = PATIENT_MS): Promise<GrpcExchange> {
  const enable = { selectorOptions: { case: 'enable', value: true } } as const;
  const request = create(GetPointsSchema, {
    collectionName: 'c',
    ids: FIFTY.map((id) => ({ pointIdOptions: { case: 'num' as const, value: BigInt(id) } })),
    withPayload: enable,
    withVectors: enable,
  });
  return callGrpc(session, 'qdrant.Points/Get', toBinary(GetPointsSchema, request), { timeoutMs });
}

interface RestOutcome {
  readonly status: number | undefined;
  readonly retryAfter: string | null;
  readonly text: string | undefined;
  /** `timed out` when it did not end in time. */
  readonly error: string | undefined;
}

async function retrieveRest(timeoutMs = PATIENT_MS): Promise<RestOutcome> {
  let response: Response | undefined;
  const outcome = (text: string | undefined, error: string | undefined): RestOutcome => ({
    status: response?.status,
    retryAfter: response?.headers.get('retry-after') ?? null,
    text,
    error,
  });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    response = await fetch(`${double.restUrl}/collections/c/points`, {
      method: 'POST',
      headers: { 'accept-encoding': 'identity' },
      body: JSON.stringify({ ids: FIFTY, with_payload: true, with_vector: true }),
      signal,
    });
    return outcome(await response.text(), undefined);
  } catch (error) {
    return outcome(undefined, signal.aborted ? 'timed out' : String((error as Error).message));
  }
}

/** The first request of a protocol suffers; later ones do not. */
function once(fault: Fault): (request: RequestFacts) => Fault | undefined {
  const struck = new Set<string>();
  return ({ protocol }) => {
    if (struck.has(protocol)) return undefined;
    struck.add(protocol);
    return fault;
  };
}

describe('a fault strikes the requests it is given for, and only those:', () => {
  test('status answers as a Qdrant in trouble, with retry-after in both protocols', async () => {
    const fault: Fault = {
      kind: 'status',
      http: 429,
      grpc: 8,
      message: 'Rate limiting exceeded: %',
      retryAfterSeconds: 7,
    };
    await start({ faults: once(fault) });
    const grpc = await retrieveGrpc();
    expect(grpc.headers).toMatchObject({
      'grpc-status': '8',
      'grpc-message': 'Rate%20limiting%20exceeded:%20%25',
      'retry-after': '7',
    });
    const rest = await retrieveRest();
    expect(rest).toMatchObject({ status: 429, retryAfter: '7', error: undefined });
    expect(JSON.parse(rest.text ?? '').status.error).toBe('Rate limiting exceeded: %');
    await expectHealthy();
  });

  test('timeout answers the recorded error', async () => {
    await start({ faults: once({ kind: 'timeout' }) });
    expect((await retrieveGrpc()).headers['grpc-status']).toBe('13');
    expect(await retrieveRest()).toMatchObject({ status: 500 });
    await expectHealthy();
  });

  test.each([false, true])('reset cuts before the answer (the whole connection: %p)', async (connection) => {
    await start({ faults: once({ kind: 'reset', connection }) });
    const grpc = await retrieveGrpc();
    expect(grpc.error).toBeDefined();
    expect(grpc.headers).toEqual({});
    if (connection) session = connectGrpc(double.grpcUrl);
    // fetch asks once more by itself after a reset: two of them show.
    let left = 2;
    double.setFaults(() => (left-- > 0 ? { kind: 'reset' } : undefined));
    expect(await retrieveRest()).toMatchObject({ status: undefined, text: undefined });
    double.setFaults(undefined);
    await expectHealthy();
  });

  test('resetMidway cuts after half of the answer', async () => {
    await start({ faults: once({ kind: 'resetMidway' }) });
    const grpc = await retrieveGrpc();
    expect(grpc.headers[':status']).toBe('200');
    expect(grpc.body.length).toBeGreaterThan(1000);
    expect(grpc.messages).toEqual([]);
    expect(grpc.error?.message).toMatch(/RST_STREAM|INTERNAL/);
    const rest = await retrieveRest();
    expect(rest.status).toBe(200);
    expect(rest.text).toBeUndefined();
    expect(rest.error).not.toBe('timed out');
    await expectHealthy();
  });

  test('stall never answers', async () => {
    await start({ faults: once({ kind: 'stall' }) });
    const grpc = await retrieveGrpc(NEVER_MS);
    expect(grpc.error?.message).toBe('timed out');
    expect(grpc.headers).toEqual({});
    expect(await retrieveRest(NEVER_MS)).toMatchObject({ status: undefined, error: 'timed out' });
    await expectHealthy();
  });

  test('stallMidway stops after half of the answer', async () => {
    await start({ faults: once({ kind: 'stallMidway' }) });
    const grpc = await retrieveGrpc(MIDWAY_MS);
    expect(grpc.error?.message).toBe('timed out');
    expect(grpc.body.length).toBeGreaterThan(1000);
    expect(await retrieveRest(MIDWAY_MS)).toMatchObject({ status: 200, error: 'timed out' });
    await expectHealthy();
  });

  test('slow keeps to its bytes a second and delivers all of them', async () => {
    await start();
    const quick = await retrieveGrpc();
    const bytesPerSecond = quick.body.length * 5;
    double.setFaults(() => ({ kind: 'slow', bytesPerSecond }));
    const startedAt = performance.now();
    const slow = await retrieveGrpc();
    expect(slow.body).toEqual(quick.body);
    expect(slow.trailers).toEqual({ 'grpc-status': '0' });
    expect(performance.now() - startedAt).toBeGreaterThan(150);
    double.setFaults(() => ({ kind: 'slow', bytesPerSecond: bytesPerSecond * 10 }));
    expect(await retrieveRest()).toMatchObject({ status: 200, error: undefined });
    double.setFaults(undefined);
    await expectHealthy();
  });

  test('oversized declares more than it sends and goes on waiting', async () => {
    await start({ faults: once({ kind: 'oversized', declaredBytes: 3_000_000_000 }) });
    const grpc = await retrieveGrpc(MIDWAY_MS);
    expect(grpc.body.readUInt32BE(1)).toBe(3_000_000_000);
    expect(grpc.error?.message).toBe('timed out');
    expect(await retrieveRest(MIDWAY_MS)).toMatchObject({ status: 200, error: 'timed out' });
    await expectHealthy();
  });

  test('earlyClose ends cleanly in the middle', async () => {
    await start({ faults: once({ kind: 'earlyClose' }) });
    const grpc = await retrieveGrpc();
    expect(grpc.error).toBeUndefined();
    expect(grpc.trailers).toEqual({});
    expect(grpc.messages).toEqual([]);
    expect(grpc.body.length).toBeGreaterThan(1000);
    const rest = await retrieveRest();
    expect(rest.status).toBe(200);
    expect(() => JSON.parse(rest.text ?? '')).toThrow();
    expect(rest.error).not.toBe('timed out');
    await expectHealthy();
  });

  test('truncated frames half of the contents as if they were all', async () => {
    await start({ faults: once({ kind: 'truncated' }) });
    const grpc = await retrieveGrpc();
    expect(grpc.trailers).toEqual({ 'grpc-status': '0' });
    expect(grpc.messages).toHaveLength(1);
    expect(() => fromBinary(GetResponseSchema, grpc.messages[0]?.data as Buffer)).toThrow();
    const rest = await retrieveRest();
    expect(rest).toMatchObject({ status: 200, error: undefined });
    expect(() => JSON.parse(rest.text ?? '')).toThrow();
    await expectHealthy();
  });

  test('delay answers late', async () => {
    await start({ faults: once({ kind: 'delay', milliseconds: 100 }) });
    const startedAt = performance.now();
    expect((await retrieveGrpc()).error).toBeUndefined();
    expect(performance.now() - startedAt).toBeGreaterThan(90);
    expect(await retrieveRest()).toMatchObject({ status: 200 });
    expect(performance.now() - startedAt).toBeGreaterThan(190);
    await expectHealthy();
  });

  async function expectHealthy(): Promise<void> {
    const grpc = await retrieveGrpc();
    expect(grpc.error).toBeUndefined();
    const { result } = fromBinary(GetResponseSchema, grpc.messages[0]?.data as Buffer);
    expect(result).toHaveLength(FIFTY.length);
    const rest = await retrieveRest();
    expect(JSON.parse(rest.text ?? '').result).toHaveLength(FIFTY.length);
  }
});

describe('the double', () => {
  test('tells a fault what is asked for, and counts', async () => {
    const seen: RequestFacts[] = [];
    await start({
      faults: (request) => {
        seen.push(request);
        return undefined;
      },
    });
    await retrieveGrpc();
    await retrieveRest();
    await fetch(`${double.restUrl}/collections/c/points/scroll`, {
      method: 'POST',
      body: '{"limit":20,"with_payload":false}',
    });
    await fetch(`${double.restUrl}/collections/c`);
    expect(seen).toEqual([
      { protocol: 'grpc', method: 'retrieve', collection: 'c', points: 50, index: 0 },
      { protocol: 'rest', method: 'retrieve', collection: 'c', points: 50, index: 1 },
      { protocol: 'rest', method: 'scroll', collection: 'c', points: 20, index: 2 },
      { protocol: 'rest', method: 'describe', collection: 'c', points: 0, index: 3 },
    ]);
    expect(double.stats).toMatchObject({
      requests: { retrieve: 2, scroll: 1, describe: 1, count: 0 },
      requestsByProtocol: { grpc: 1, rest: 3 },
      pointsSent: 120,
      idPages: 1,
      inFlight: 0,
      retrievesInFlight: 0,
    });
    expect(double.stats.bytesSent).toBeGreaterThan(50 * 500);
  });

  test('counts how many retrieves overlap', async () => {
    await start({ latencyMs: 30 });
    await Promise.all(Array.from({ length: 5 }, () => retrieveGrpc()));
    expect(double.stats.maxRetrievesInFlight).toBe(5);
    await Promise.all(Array.from({ length: 3 }, () => retrieveRest()));
    expect(double.stats).toMatchObject({ maxRetrievesInFlight: 5, retrievesInFlight: 0, inFlight: 0 });
  });

  test('paces REST vectors as a real server would', async () => {
    await start({ pointsPerSecond: 500 });
    const startedAt = performance.now();
    await Promise.all([retrieveRest(), retrieveRest()]);
    expect(performance.now() - startedAt).toBeGreaterThan(190);
  });

  test('compresses for clients that allow it, in both protocols', async () => {
    await start();
    const plain = await retrieveGrpc();
    const request = Buffer.from('0a0163', 'hex');
    const metadata = { 'grpc-accept-encoding': 'gzip' };
    const packed = await callGrpc(session, 'qdrant.Points/Count', request, { metadata });
    expect(plain.headers['grpc-encoding']).toBeUndefined();
    expect(packed.headers['grpc-encoding']).toBe('gzip');
    const [message] = packed.messages;
    expect(message?.compressed).toBe(1);
    const count = fromBinary(CountResponseSchema, Bun.gunzipSync(new Uint8Array(message?.data ?? [])));
    expect(count.result?.count).toBe(1000n);
    const rest = await fetch(`${double.restUrl}/collections/c`, { headers: { 'accept-encoding': 'gzip' } });
    expect(rest.headers.get('content-encoding')).toBe('gzip');
    expect(await rest.json()).toMatchObject({ result: { points_count: 1000 } });
  });

  test('answers gRPC on the REST port as an HTTP/1.1 server, which a gRPC client cannot use', async () => {
    await start();
    session.destroy();
    session = connectGrpc(double.restUrl);
    const answer = await retrieveGrpc();
    expect(answer.error).toBeDefined();
    expect(answer.error?.message).not.toBe('timed out');
    expect(answer.headers).toEqual({});
    expect(await sendRaw(double.restPort, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).toStartWith('HTTP/1.1 400 ');
  });

  test('answers no HTTP/1.1 on the gRPC port', async () => {
    await start();
    const text = await sendRaw(double.grpcPort, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(text).not.toContain('HTTP/1.1 2');
    await expect(fetch(`${double.grpcUrl}/`)).rejects.toThrow();
  });

  test('keeps answers apart that overlap and outgrow the window', async () => {
    const collection = { name: 'wide', points: 4000, dimensions: 512 };
    await start({ generated: [collection] });
    session.destroy();
    // HTTP/2's default window of 64 KiB: every answer waits for the client many times over.
    session = connectHttp2(double.grpcUrl);
    const first = [...Array.from({ length: 24 }).keys()].map((at) => at * 100);
    const pages = await Promise.all(first.map((at) => retrieveRange('wide', at, 100)));
    const rest = await Promise.all(first.map((at) => retrieveRangeRest('wide', at, 100)));
    first.forEach((at, page) => {
      const expected = Array.from({ length: 100 }, (_, row) =>
        seenPoint(generatedPoint(collection, at + row)),
      );
      expect(pages[page]).toEqual(expected);
      expect(rest[page]).toEqual(expected);
    });
  }, 60_000);

  test('takes requests of some megabytes in both protocols', async () => {
    await start();
    const ids = Array.from(
      { length: 100_000 },
      (_, at) => `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`,
    );
    const request = create(GetPointsSchema, {
      collectionName: 'c',
      ids: [...ids.map((value) => ({ pointIdOptions: { case: 'uuid' as const, value } })), numberId(1)],
    });
    const message = toBinary(GetPointsSchema, request);
    const answer = await callGrpc(session, 'qdrant.Points/Get', message);
    expect(fromBinary(GetResponseSchema, answer.messages[0]?.data as Buffer).result).toHaveLength(1);
    const body = JSON.stringify({ ids: [...ids, 1] });
    const rest = await fetch(`${double.restUrl}/collections/c/points`, { method: 'POST', body });
    expect(await rest.json()).toMatchObject({ result: [{ id: 1 }] });
  });

  test('stops while requests are stalled, and cuts them off', async () => {
    let stalled = 0;
    const both = Promise.withResolvers<void>();
    await start({
      faults: () => {
        if (++stalled === 2) both.resolve();
        return { kind: 'stall' };
      },
    });
    const waiting = Promise.all([retrieveGrpc(), retrieveRest()]);
    await both.promise;
    await double.stop();
    // It cut them off and did not wait until they gave up.
    const [grpc, rest] = await waiting;
    expect(grpc).toMatchObject({ headers: {}, messages: [] });
    expect(grpc.error?.message).not.toBe('timed out');
    expect(rest).toMatchObject({ status: undefined, text: undefined });
    expect(rest.error).not.toBe('timed out');
  });

  test.skipIf(tlsSkipReason() !== undefined)('speaks TLS on both ports', async () => {
    const certificates = makeTestCertificates();
    const { ca, cert, key } = certificates;
    await start({ tls: { key, cert } });
    session.destroy();
    session = connectGrpc(double.grpcUrl, ca);
    expect((await retrieveGrpc()).trailers).toEqual({ 'grpc-status': '0' });
    expect(session.alpnProtocol).toBe('h2');
    const rest = await fetch(`${double.restUrl}/healthz`, { tls: { ca } });
    expect(await rest.text()).toBe('healthz check passed');
    await expect(fetch(`${double.restUrl}/healthz`)).rejects.toThrow(/certificate/);
    certificates.remove();
  });
});

function numberId(id: number) {
  return { pointIdOptions: { case: 'num' as const, value: BigInt(id) } };
}

async function retrieveRange(collectionName: string, from: number, count: number): Promise<SeenPoint[]> {
  const enable = { selectorOptions: { case: 'enable', value: true } } as const;
  const ids = Array.from({ length: count }, (_, at) => numberId(1 + 3 * (from + at)));
  const request = create(GetPointsSchema, { collectionName, ids, withPayload: enable, withVectors: enable });
  const answer = await callGrpc(session, 'qdrant.Points/Get', toBinary(GetPointsSchema, request));
  return fromBinary(GetResponseSchema, answer.messages[0]?.data as Buffer).result.map(seenProtoPoint);
}

async function retrieveRangeRest(collection: string, from: number, count: number): Promise<SeenPoint[]> {
  const ids = Array.from({ length: count }, (_, at) => 1 + 3 * (from + at));
  const body = JSON.stringify({ ids, with_payload: true, with_vector: true });
  const headers = { 'accept-encoding': 'identity' };
  const url = `${double.restUrl}/collections/${collection}/points`;
  const response = await fetch(url, { method: 'POST', headers, body });
  const { result } = parseExactJson(await response.text()) as { result: JsonObject[] };
  return result.map(seenJsonPoint);
}

/** Sends text over TCP and returns what came until the other side closed, at most half a second. */
function sendRaw(port: number, text: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = '';
  const socket = connect(port, '127.0.0.1', () => socket.write(text));
  const done = (): void => {
    socket.destroy();
    resolve(received);
  };
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
  });
  socket.on('close', done);
  socket.on('error', done);
  setTimeout(done, 500);
  return promise;
}
