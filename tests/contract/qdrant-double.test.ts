import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ClientHttp2Session } from 'node:http2';
import type { DescMessage } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import type { QdrantVersion } from '../support/qdrant-double/collection.ts';
import { comparableBody, comparableMessage } from '../support/qdrant-double/comparable-answer.ts';
import { callGrpc, connectGrpc } from '../support/qdrant-double/grpc-exchange.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import type { RecordedServer } from '../support/qdrant-double/recorded-collections.ts';
import {
  type GrpcExchangeRecording,
  type RestExchange,
  readRecording,
} from '../support/qdrant-double/recorded-exchanges.ts';
import { sendRest } from '../support/qdrant-double/send-rest.ts';

/*
 * Every exchange that was recorded, sent again over real sockets, in the recorded order. None is exempt; what
 * a comparison lets vary stands in comparable-answer.ts.
 */

const SERVERS: readonly RecordedServer[] = ['standalone', 'cluster', 'auth'];

function serverOf(exchange: string): RecordedServer {
  if (exchange.startsWith('auth ')) return 'auth';
  return /^(tenants|same ids)/.test(exchange) ? 'cluster' : 'standalone';
}

async function startAll(version: QdrantVersion): Promise<Map<RecordedServer, QdrantDouble>> {
  const doubles = new Map<RecordedServer, QdrantDouble>();
  for (const server of SERVERS) {
    const keys = server === 'auth' ? { apiKey: 'secret', readOnlyKey: 'readonly' } : {};
    doubles.set(server, await startQdrantDouble({ version, recorded: [server], ...keys }));
  }
  return doubles;
}

const versions: readonly QdrantVersion[] = ['1.16.3', '1.18.3'];

describe.each(versions)('the double answers as Qdrant %s did over REST', (version) => {
  let doubles = new Map<RecordedServer, QdrantDouble>();
  beforeAll(async () => {
    doubles = await startAll(version);
  });
  afterAll(() => Promise.all([...doubles.values()].map((double) => double.stop())));

  for (const { name, request, response } of readRecording<RestExchange[]>(version, 'rest.json')) {
    test(name, async () => {
      const answer = await sendRest(doubles.get(serverOf(name)) as QdrantDouble, request);
      const body = comparableBody(response.body);
      expect(answer).toEqual({
        status: response.status,
        contentType: response.headers['content-type'] ?? null,
        hasRetryAfter: 'retry-after' in response.headers,
        // Which of two equal ids is shown varied from request to request: the double settled on one.
        body: name.includes('shows only 2') ? shownFrom(body, answer.body) : body,
      });
    });
  }
});

/** The recorded body as it would be from the shard key that an answer shows. */
function shownFrom(body: string, answer: string): string {
  const shown = /"shard_key":("[ab]")/.exec(answer)?.[1] ?? 'none';
  return body.replaceAll(/"[ab]"/g, shown);
}

const RESPONSES: Readonly<Record<string, DescMessage>> = {
  'qdrant.Qdrant/HealthCheck': schemas.HealthCheckReplySchema,
  'qdrant.Collections/Get': schemas.GetCollectionInfoResponseSchema,
  'qdrant.Collections/List': schemas.ListCollectionsResponseSchema,
  'qdrant.Collections/ListShardKeys': schemas.ListShardKeysResponseSchema,
  'qdrant.Points/Get': schemas.GetResponseSchema,
  'qdrant.Points/Scroll': schemas.ScrollResponseSchema,
  'qdrant.Points/Count': schemas.CountResponseSchema,
};

describe.each(versions)('the double answers as Qdrant %s did over gRPC', (version) => {
  let doubles = new Map<RecordedServer, QdrantDouble>();
  const sessions = new Map<RecordedServer, ClientHttp2Session>();
  beforeAll(async () => {
    doubles = await startAll(version);
    for (const [server, double] of doubles) sessions.set(server, connectGrpc(double.grpcUrl));
  });
  afterAll(async () => {
    for (const session of sessions.values()) session.destroy();
    await Promise.all([...doubles.values()].map((double) => double.stop()));
  });

  for (const { method, name, request, response } of readRecording<GrpcExchangeRecording[]>(
    version,
    'grpc.json',
  )) {
    test(name, async () => {
      const session = sessions.get(serverOf(name)) as ClientHttp2Session;
      const metadata = request.metadata ?? {};
      const answer = await callGrpc(session, method, Buffer.from(request.base64, 'base64'), { metadata });
      expect(comparableHeaders(answer.headers)).toEqual(comparableHeaders(response.headers));
      expect(answer.trailers).toEqual(response.trailers);
      expect(answer.error).toBeUndefined();
      expect(comparableMessages(method, answer.messages)).toEqual(
        comparableMessages(
          method,
          response.messages.map(({ compressed, data }) => ({
            compressed,
            data: Buffer.from(data, 'base64'),
          })),
        ),
      );
    });
  }
});

function comparableHeaders(headers: Readonly<Record<string, string | number>>): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    name === 'retry-after' ? 'seconds' : String(value).replace(/after(%20| )[0-9.]+(ms|s)/, 'after a while'),
  ]);
  return Object.fromEntries(entries);
}

function comparableMessages(
  method: string,
  messages: readonly { compressed: number; data: Buffer }[],
): unknown[] {
  return messages.map(({ compressed, data }) => [
    compressed,
    comparableMessage(RESPONSES[method] as DescMessage, data),
  ]);
}

describe('the double answers as Qdrant 1.18.3 did when', () => {
  const recorded = readRecording<Record<string, GrpcExchangeRecording & RestExchange>>(
    '1.18.3',
    'timeouts.json',
  );
  const scroll = Buffer.from('CgVwbGFpbiAKMgIIADoCCAA=', 'base64');
  let double: QdrantDouble;
  let session: ClientHttp2Session;
  beforeAll(async () => {
    double = await startQdrantDouble({ recorded: ['standalone'] });
    session = connectGrpc(double.grpcUrl);
  });
  afterAll(async () => {
    session.destroy();
    await double.stop();
  });

  test('a REST request runs out of its time', async () => {
    double.setFaults(() => ({ kind: 'timeout' }));
    const { response } = recorded.rest as RestExchange;
    const body = '{"limit":1}';
    const answer = await sendRest(double, {
      method: 'POST',
      path: '/collections/plain/points/scroll?timeout=1',
      body,
    });
    expect(answer).toEqual({
      status: response.status,
      contentType: response.headers['content-type'] ?? null,
      hasRetryAfter: false,
      body: comparableBody(response.body),
    });
  });

  test('a gRPC request runs out of the time of its own field', async () => {
    double.setFaults(() => ({ kind: 'timeout' }));
    const answer = await callGrpc(session, 'qdrant.Points/Scroll', scroll);
    const { response } = recorded['grpc: timeout field of the request'] as GrpcExchangeRecording;
    expect(comparableHeaders(answer.headers)).toEqual(comparableHeaders(response.headers));
  });

  test('a gRPC request runs out of its grpc-timeout', async () => {
    double.setFaults(() => ({ kind: 'delay', milliseconds: 1000 }));
    const metadata = { 'grpc-timeout': '30m' };
    const answer = await callGrpc(session, 'qdrant.Points/Scroll', scroll, { metadata });
    const { response } = recorded['grpc: grpc-timeout header'] as GrpcExchangeRecording;
    expect(answer.headers).toEqual(comparableHeaders(response.headers));
  });

  test('a gRPC request is compressed in a way it does not know', async () => {
    double.setFaults(undefined);
    const options = { compressed: true, metadata: { 'grpc-encoding': 'zstd' } };
    const answer = await callGrpc(session, 'qdrant.Points/Scroll', scroll, options);
    const { response } = recorded['grpc: unknown compression'] as GrpcExchangeRecording;
    expect(answer.headers).toEqual(comparableHeaders(response.headers));
  });
});
