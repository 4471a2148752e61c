import { afterAll, expect, test } from 'bun:test';
import http2 from 'node:http2';
import net from 'node:net';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import { restTransport } from '../../lib/qdrant/rest.ts';
import { MAX_ANSWER_BYTES, type Transport, type TransportSettings } from '../../lib/qdrant/transport.ts';
import type { RetryNotice } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { pointsOf } from '../support/point-sets.ts';
import type { Fault, Faults } from '../support/qdrant-double/fault.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { selfSigned } from './self-signed.ts';

const signal = new AbortController().signal;
const QUICK = { attempts: 3, toldPauses: 2, baseMs: 1, capMs: 2 };
const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

function connect(url: string, settings: Partial<TransportSettings> = {}): Transport {
  const transport = restTransport({
    url: new URL(url),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: QUICK,
    ...settings,
  });
  stops.push(() => transport.close());
  return transport;
}

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

/** A server that answers every request with the same bytes, or whatever `serve` does with a connection. */
async function rawServer(serve: string | ((socket: net.Socket) => void)): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    if (typeof serve === 'function') serve(socket);
    else socket.on('data', () => socket.write(serve));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

function httpAnswer(status: string, type: string, body: string): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

const double = await startQdrantDouble({ recorded: ['standalone'] });
stops.push(() => double.stop());

/** What reading the `plain` collection gives under a fault for the first `times` requests. */
async function underFault(fault: Fault, times: number, settings: Partial<TransportSettings> = {}) {
  const notices: RetryNotice[] = [];
  const transport = connect(double.restUrl, { ...settings, onRetry: (notice) => notices.push(notice) });
  const { vectors } = await transport.describe('plain', signal);
  const batch = new PointBatch({ rows: 50, vectors, fields: [] });
  let left = times;
  const faults: Faults = () => (left-- > 0 ? fault : undefined);
  double.setFaults(faults);
  try {
    await transport.scroll(pointsOf('plain'), { offset: undefined, limit: 50 }, batch, signal);
    return { batch, notices, error: undefined };
  } catch (error) {
    return { batch, notices, error: error as ToolError };
  } finally {
    double.setFaults(undefined);
  }
}

const PASSING: readonly Fault[] = [
  { kind: 'status', http: 500, grpc: 13, message: 'Service internal error' },
  { kind: 'status', http: 502, grpc: 14, message: 'no' },
  { kind: 'status', http: 503, grpc: 14, message: 'no' },
  { kind: 'status', http: 504, grpc: 14, message: 'no' },
  { kind: 'status', http: 429, grpc: 8, message: 'Rate limiting exceeded', retryAfterSeconds: 0.05 },
  // Twice: Bun's fetch repeats a request on a kept-alive connection that was cut by itself.
  { kind: 'reset' },
  { kind: 'resetMidway' },
  { kind: 'earlyClose' },
  { kind: 'truncated' },
];

for (const fault of PASSING) {
  const name = fault.kind === 'status' ? `status ${fault.http}` : fault.kind;
  test(`${name} passes: the same request is sent again and every row comes once`, async () => {
    const { batch, notices, error } = await underFault(fault, 2);
    expect(error).toBeUndefined();
    expect(batch.rowCount).toBe(28);
    expect(notices.length).toBeGreaterThanOrEqual(1);
    for (const notice of notices)
      expect(notice.error.message).toStartWith('Cannot read points of collection');
  });

  test(`${name} that stays ends the request, with no rows`, async () => {
    const { batch, error } = await underFault(fault, 1_000);
    expect([error?.code, error?.remedy]).toEqual(['qdrant', 'again']);
    expect(batch.rowCount + batch.payload.length).toBe(0);
  });
}

test('a Retry-After is obeyed', async () => {
  const fault = { kind: 'status', http: 429, grpc: 8, message: 'wait', retryAfterSeconds: 1 } as const;
  const { notices } = await underFault(fault, 1);
  expect(notices[0]?.waitMs).toBeGreaterThanOrEqual(1000);
});

test("the server's own time-out asks for a smaller batch and is not sent again", async () => {
  const { error, notices } = await underFault({ kind: 'timeout' }, 1_000);
  expect(error?.remedy).toBe('smaller');
  expect(error?.message).toContain('timed out after');
  expect(notices).toEqual([]);
  const slow = { kind: 'status', http: 408, grpc: 4, message: 'Timeout' } as const;
  expect((await underFault(slow, 1_000)).error?.remedy).toBe('smaller');
});

test('an answer that stops coming ends at the deadline and asks for a smaller batch', async () => {
  for (const fault of [{ kind: 'stall' }, { kind: 'stallMidway' }] as const) {
    const { error, notices } = await underFault(fault, 1_000, { timeoutSeconds: 1 });
    expect([error?.code, error?.remedy]).toEqual(['qdrant', 'smaller']);
    expect(error?.message).toContain('did not answer within 2 s');
    expect(notices).toEqual([]);
  }
});

test('an answer that is announced larger than the limit is not read', async () => {
  const { error } = await underFault({ kind: 'oversized' }, 1_000);
  expect(error?.remedy).toBe('smaller');
  expect(error?.message).toContain('Use a smaller --retrieve-batch.');
});

test('an answer of no announced length ends at the limit too', async () => {
  const part = 'a'.repeat(1024 * 1024);
  const url = await rawServer((socket) => {
    let open = true;
    socket.on('close', () => {
      open = false;
    });
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n');
      const more = () => {
        while (open && socket.write(`100000\r\n${part}\r\n`));
      };
      socket.on('drain', more);
      more();
    });
  });
  const error = await errorOf(connect(url).scrollIds(pointsOf('c'), { offset: undefined, limit: 1 }, signal));
  expect(error.remedy).toBe('smaller');
  expect(Number(/has (\d+) bytes/.exec(error.message)?.[1])).toBeGreaterThan(MAX_ANSWER_BYTES);
});

test('an answer in chunks is read like one of known length', async () => {
  const url = await rawServer((socket) =>
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n');
      for (const text of ['{"result":{"points":[{"i', 'd":1}],"next_page_o', 'ffset":2}}'])
        socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
      socket.write('0\r\n\r\n');
    }),
  );
  expect(await connect(url).scrollIds(pointsOf('c'), { offset: undefined, limit: 1 }, signal)).toEqual({
    ids: ['1'],
    next: '2',
  });
});

test('cancelling ends a request under way at once, with the reason', async () => {
  const stop = new AbortController();
  const reason = new ToolError('cancelled', 'Stopped by Ctrl+C.');
  const url = await rawServer((socket) => socket.once('data', () => stop.abort(reason)));
  // Nothing but the signal ends it before the test's own limit.
  const error = await errorOf(connect(url, { timeoutSeconds: 3_600 }).count(pointsOf('c'), stop.signal));
  expect(error).toBe(reason);
});

test('the prefix of an address, the name of a collection, key and time limit reach the server as they are', async () => {
  const seen: { path: string; headers: Headers; body: string }[] = [];
  const server = Bun.serve({
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      seen.push({ path: pathname + search, headers: request.headers, body: await request.text() });
      return Response.json({ result: { count: 3 } });
    },
  });
  stops.push(() => server.stop(true));
  const transport = connect(`http://127.0.0.1:${server.port}/some/prefix/`, {
    apiKey: new Secret('s3cret'),
    timeoutSeconds: 7,
  });
  expect(await transport.count(pointsOf('ünï #1%?&co'), signal)).toBe(3);
  expect(seen[0]?.path).toBe(
    '/some/prefix/collections/%C3%BCn%C3%AF%20%231%25%3F%26co/points/count?timeout=7',
  );
  expect(seen[0]?.headers.get('api-key')).toBe('s3cret');
  expect(seen[0]?.headers.get('accept-encoding')).toBe('identity');
  expect(seen[0]?.body).toBe('{"exact":true}');
});

test("strict mode's limit on time-outs is kept after describe()", async () => {
  const transport = connect(double.restUrl, { timeoutSeconds: 60 });
  const page = { offset: undefined, limit: 1 };
  const error = await errorOf(transport.scrollIds(pointsOf('strict'), page, signal));
  expect(error.message).toContain('Limit exceeded 60 > 30');
  await transport.describe('strict', signal);
  expect((await transport.scrollIds(pointsOf('strict'), page, signal)).ids).toHaveLength(1);
});

test('answers that are not a Qdrant’s are told as such', async () => {
  const count = (url: string) => errorOf(connect(url).count(pointsOf('c'), signal));
  const page = await count(await rawServer(httpAnswer('200 OK', 'text/html', '<html>login</html>')));
  expect(page.message).toMatch(/answered text\/html instead of Qdrant's JSON\. Check QDRANT_URL\.$/);
  const proxy = await count(await rawServer(httpAnswer('502 Bad Gateway', 'text/html', '<html>x</html>')));
  expect(proxy.message).toMatch(/127\.0\.0\.1:\d+, which is not Qdrant itself, answered 502 Bad Gateway\.$/);
  const other = await errorOf(
    connect(await rawServer(httpAnswer('200 OK', 'application/json', '{"hello":1}'))).describe('c', signal),
  );
  expect(other.message).toContain('what answers there is not Qdrant. Check QDRANT_URL.');
  const moved = await count(
    await rawServer('HTTP/1.1 301 Moved\r\nlocation: https://elsewhere/\r\ncontent-length: 0\r\n\r\n'),
  );
  expect(moved.message).toContain(
    'answered 301 and redirects to https://elsewhere/; redirects are not followed.',
  );
  expect([page, proxy, other, moved].map(({ remedy }) => remedy)).toEqual(['none', 'again', 'none', 'none']);
});

test('a gRPC port is recognised', async () => {
  const server = http2.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const urls = [`http://127.0.0.1:${port}`, double.grpcUrl];
  for (const url of urls) {
    const error = await errorOf(connect(url).describe('plain', signal));
    expect(error.message).toMatch(
      /^Cannot reach Qdrant over REST: .* is Qdrant's gRPC port\. Leave out --http, or use port 6333\.$/,
    );
  }
});

test('no server, no host, no TLS: each a sentence, and soon', async () => {
  const told = async (url: string) => (await errorOf(connect(url).describe('c', signal))).message;
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  expect(await told(`http://127.0.0.1:${port}`)).toBe(
    `Cannot reach Qdrant: nothing listens on 127.0.0.1:${port}. Check QDRANT_URL; REST is usually port 6333.`,
  );
  expect(await told('http://no-such-host.invalid:6333')).toBe(
    'Cannot reach Qdrant: there is no host named no-such-host.invalid. Check QDRANT_URL.',
  );
  const plain = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('') });
  stops.push(() => plain.stop(true));
  expect(await told(`https://127.0.0.1:${plain.port}`)).toContain(
    'does not speak TLS. Use an http:// address',
  );
});

test('a first contact gives up after three attempts, a server that answered once is waited for longer', async () => {
  const noticed: number[] = [];
  const { retryPolicy: _, ...settings } = {
    url: new URL('http://127.0.0.1:1'),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: undefined,
    onRetry: ({ attempt }: RetryNotice) => noticed.push(attempt),
  };
  await errorOf(restTransport(settings).describe('c', signal));
  expect(noticed).toEqual([1, 2]);
});

test('a key that no header can carry, and a certificate that is none, are usage errors that do not print them', async () => {
  for (const settings of [{ apiKey: new Secret('a\nb-secret') }, { caCertificate: 'b-secret' }]) {
    const error = await errorOf((async () => connect('http://127.0.0.1:1', settings))());
    expect(error.code).toBe('usage');
    expect(error.message).not.toContain('b-secret');
  }
});

test('a collection whose name an URL would swallow is refused', async () => {
  expect((await errorOf(connect(double.restUrl).count(pointsOf('..'), signal))).message).toContain(
    'Use gRPC',
  );
});

test('over TLS a private authority is trusted where it is given, and no other certificate is', async () => {
  const [own, foreign] = [selfSigned(), selfSigned()];
  const secure = await startQdrantDouble({ recorded: ['standalone'], tls: own });
  stops.push(() => secure.stop());
  const trusting = connect(secure.restUrl, { caCertificate: own.cert });
  expect((await trusting.describe('plain', signal)).vectors).toHaveLength(1);
  expect(await trusting.count(pointsOf('plain'), signal)).toBe(28);
  for (const settings of [{}, { caCertificate: foreign.cert }]) {
    const error = await errorOf(connect(secure.restUrl, settings).describe('plain', signal));
    expect(error.message).toMatch(
      /^Cannot reach Qdrant: the certificate of 127\.0\.0\.1:\d+ is not trusted \(.*For a private authority use --ca-cert FILE\.$/,
    );
    expect(error.remedy).toBe('none');
  }
  const cleartext = await errorOf(
    connect(secure.restUrl.replace('https:', 'http:')).describe('plain', signal),
  );
  expect(cleartext.message).toContain('use an https:// address');
});
