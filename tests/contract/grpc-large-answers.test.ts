import { afterAll, describe, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import { pointsOf } from '../support/point-sets.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

const signal = new AbortController().signal;
const double = await startQdrantDouble({
  generated: [{ name: 'heavy', points: 16, dimensions: 4, payloadBytes: 5_000_000 }],
});
afterAll(() => double.stop());

describe('grpcTransport()', () => {
  // Sizes on both sides of every window that was ever set: an answer larger than its window must go on.
  for (const [points, inFlight] of [
    [5, 1],
    [9, 1],
    [16, 1],
    [5, 3],
  ] as const) {
    test(`reads ${inFlight} answers of ${points * 5} MB at once at the first attempt`, async () => {
      const transport = await connectQdrant('grpc', {
        url: new URL(double.grpcUrl),
        apiKey: undefined,
        caCertificate: undefined,
        timeoutSeconds: 15,
        retryPolicy: { attempts: 1, baseMs: 1, capMs: 1 },
      });
      try {
        const { vectors } = await transport.describe('heavy', signal);
        const read = async () => {
          const batch = new PointBatch({ rows: points, vectors, fields: [] });
          await transport.scroll(pointsOf('heavy'), { offset: undefined, limit: points }, batch, signal);
          return batch;
        };
        for (const batch of await Promise.all(Array.from({ length: inFlight }, read))) {
          expect(batch.rowCount).toBe(points);
          expect(batch.payload.length).toBeGreaterThan(points * 4_990_000);
        }
      } finally {
        transport.close();
      }
    }, 20_000);
  }
});
