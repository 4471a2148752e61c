import { afterEach, describe, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { PointSet } from '../../lib/qdrant/transport.ts';
import type { RetryNotice } from '../../lib/retry.ts';
import { askersOf } from '../support/qdrant-double/asker.ts';
import {
  type QdrantDouble,
  type QdrantDoubleOptions,
  startQdrantDouble,
} from '../support/qdrant-double/qdrant-double.ts';
import { refusalOf } from '../support/qdrant-double/refused.ts';
import { makeTestCertificates, tlsSkipReason } from '../support/tls.ts';

const signal = new AbortController().signal;
const SET: PointSet = { collection: 'c', shardKey: undefined, filter: undefined };
/** Pauses of up to 20 ms, and enough of them for a machine that is busy. */
const STUBBORN = { attempts: 1_000, baseMs: 20, capMs: 20 };

let double: QdrantDouble;

async function start(options: QdrantDoubleOptions = {}): Promise<void> {
  double = await startQdrantDouble({ generated: [{ name: 'c', points: 100, dimensions: 4 }], ...options });
}

afterEach(() => double.stop());

async function refusesConnections(url: string): Promise<boolean> {
  const error = await fetch(url).then(
    () => undefined,
    (thrown: unknown) => thrown as { code?: string },
  );
  return error?.code === 'ConnectionRefused' || error?.code === 'ECONNREFUSED';
}

function transportOf(protocol: 'grpc' | 'rest', onRetry: (notice: RetryNotice) => void = () => {}) {
  return connectQdrant(protocol, {
    url: new URL(protocol === 'grpc' ? double.grpcUrl : double.restUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: STUBBORN,
    onRetry,
  });
}

describe('a double that goes down', () => {
  test('listens on neither port, and on both of them again once it is back', async () => {
    await start();
    const { grpcPort, grpcUrl, restPort, restUrl } = double;
    for (let time = 0; time < 3; time++) {
      await double.pause();
      expect(await refusesConnections(restUrl)).toBe(true);
      expect(await refusesConnections(grpcUrl)).toBe(true);
      await double.resume();
      expect(double).toMatchObject({ grpcPort, grpcUrl, restPort, restUrl });
      for (const asker of askersOf(double)) {
        expect(await asker.count({ collection: 'c' })).toBe(100);
        asker.close();
      }
    }
  });

  test('keeps changes, counters and faults', async () => {
    await start();
    double.change('c', { kind: 'deletePoints', ids: ['1'] });
    double.setFaults(({ method }) =>
      method === 'scroll' ? { kind: 'status', http: 500, grpc: 13, message: 'still' } : undefined,
    );
    await double.pause();
    await double.resume();
    for (const asker of askersOf(double)) {
      expect(await asker.count({ collection: 'c' })).toBe(99);
      expect((await refusalOf(asker.scroll({ collection: 'c' }))).message).toBe('still');
      asker.close();
    }
    expect(double.stats.requests).toMatchObject({ count: 2, scroll: 2 });
    expect(double.stats.inFlight).toBe(0);
  });

  test('goes down once, comes back once, and stops whether it is up or down', async () => {
    await start();
    await expect(double.resume()).rejects.toThrow('The double is not down');
    await double.pause();
    await expect(double.pause()).rejects.toThrow('The double is down already');
    await double.stop();
    expect(await refusesConnections(double.restUrl)).toBe(true);
  });

  test('says when another has taken its port meanwhile', async () => {
    await start();
    await double.pause();
    const other = Bun.listen({ hostname: '127.0.0.1', port: double.grpcPort, socket: { data() {} } });
    await expect(double.resume()).rejects.toThrow(/EADDRINUSE|in use/);
    await double.stop();
    other.stop(true);
    await double.resume();
    expect(await refusesConnections(double.grpcUrl)).toBe(false);
  });

  for (const protocol of ['grpc', 'rest'] as const) {
    test(`cuts off what is under way over ${protocol}; who asks again is answered once it is back`, async () => {
      await start();
      const standing = Promise.withResolvers<void>();
      const failed = Promise.withResolvers<RetryNotice>();
      const transport = await transportOf(protocol, (notice) => failed.resolve(notice));
      try {
        await transport.describe('c', signal);
        double.setFaults(({ method }) => {
          if (method !== 'retrieve') return undefined;
          standing.resolve();
          return { kind: 'stallMidway' };
        });
        const batch = new PointBatch({ rows: 3, vectors: [], fields: [] });
        const answered = transport.retrieve(SET, ['1', '4', '7'], batch, signal);
        await standing.promise;
        await double.pause();
        const { error } = await failed.promise;
        expect(error.message).toMatch(/reset|closed|cut off/);
        double.setFaults(undefined);
        await double.resume();
        await answered;
        expect(batch.ids).toEqual(['1', '4', '7']);
      } finally {
        transport.close();
      }
    });
  }

  test.skipIf(tlsSkipReason() !== undefined)('comes back with TLS on both ports', async () => {
    const certificates = makeTestCertificates();
    const { ca, cert, key } = certificates;
    await start({ tls: { key, cert } });
    await double.pause();
    await double.resume();
    const rest = await fetch(`${double.restUrl}/healthz`, { tls: { ca } });
    expect(await rest.text()).toBe('healthz check passed');
    const transport = await connectQdrant('grpc', {
      url: new URL(double.grpcUrl),
      apiKey: undefined,
      caCertificate: ca,
      timeoutSeconds: 5,
    });
    expect(await transport.count(SET, signal)).toBe(100);
    transport.close();
    certificates.remove();
  });
});
