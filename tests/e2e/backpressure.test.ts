import { afterAll, describe, expect, test } from 'bun:test';
import { exportCollection } from '../../lib/export.ts';
import type { ExportPlan, PlanSummary } from '../../lib/plan.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import { Secret } from '../../lib/secret.ts';
import { s3Destination } from '../../lib/storage/s3.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import { parquetFormat } from '../../lib/writers/parquet.ts';
import { MIB } from '../support/byte-body.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { startS3Server } from '../support/s3-server.ts';

/*
 * Back-pressure by counting: what the server has sent, of which the destination has not taken anything yet,
 * against the figure that the plan states. The double counts every point that it writes into an answer.
 */

/** Points of 64 dimensions and no payload: 256 bytes of vectors each. */
const MANY: GeneratedCollection = { name: 'many', points: 3_000, dimensions: 64, payloadBytes: 0 };
/** 4 KiB a point: 24 MB. */
const WIDE: GeneratedCollection = { name: 'wide', points: 6_000, dimensions: 1024, payloadBytes: 0 };
/** A megabyte of payload a point. */
const HEAVY: GeneratedCollection = { name: 'heavy', points: 120, dimensions: 8, payloadBytes: 1_000_000 };
/** What unit-gate.ts lets into memory. */
const POINT_BYTES_IN_MEMORY = 96 * MIB;

const double = await startQdrantDouble({ generated: [MANY, WIDE, HEAVY] });
const store = await startS3Server();
const proxy = store && (await startFaultProxy(store.endpoint));

afterAll(async () => {
  await proxy?.stop();
  await store?.stop();
  await double.stop();
});

interface Wanted {
  readonly collection: string;
  readonly protocol: 'grpc' | 'rest';
  readonly passes: 'one' | 'two';
  readonly rowGroupRows: number;
  readonly parallel: number;
  readonly destination: Destination;
  readonly signal?: AbortSignal;
  readonly onPlan?: (plan: PlanSummary) => void;
}

async function run(wanted: Wanted) {
  const { collection, protocol, passes, parallel, rowGroupRows, destination, onPlan } = wanted;
  const plan: ExportPlan = {
    collection,
    batchSize: 1_000,
    retrieveBatch: undefined,
    parallel,
    passes,
    key: `${collection}/latest.parquet`,
    streaming: true,
    dryRun: false,
  };
  const transport = await connectQdrant(protocol, {
    url: new URL(protocol === 'grpc' ? double.grpcUrl : double.restUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 30,
  });
  try {
    return await exportCollection(
      plan,
      {
        transport,
        format: (shape, payloadBytes) =>
          parquetFormat(shape, {
            strategy: 'parquet-med',
            rowGroupRows,
            compression: 'none',
            vectorEncoding: 'plain',
            keyField: 'key',
            createdBy: 'test',
            exportedAt: new Date(0),
            payloadBytes,
          }),
        destination,
        workFile: undefined,
        emit: (event) => {
          if (event.kind === 'plan') onPlan?.(event.plan);
        },
      },
      wanted.signal ?? new AbortController().signal,
    );
  } finally {
    transport.close();
  }
}

/** Points with payload and vectors that the double has sent for a run: all but ids and the plan's sample. */
function sentCounter(passes: 'one' | 'two') {
  const { stats } = double;
  const before = stats.pointsSent;
  let ahead = 0;
  return {
    /** What was sent so far is the plan's look at a few points. */
    afterPlan() {
      ahead = stats.pointsSent - before;
    },
    sent: (idsSent: number) => stats.pointsSent - before - ahead - (passes === 'two' ? idsSent : 0),
  };
}

/** Resolves when nothing more comes by itself: round trips through the same server bring no further point. */
async function untilQuiet({ stats, restUrl }: QdrantDouble): Promise<void> {
  for (let quiet = 0; quiet < 25; ) {
    const before = stats.pointsSent;
    await (await fetch(restUrl)).arrayBuffer();
    // The double counts this very request out once its answer is gone.
    await new Promise((resolve) => setImmediate(resolve));
    quiet = stats.pointsSent === before && stats.inFlight === 0 ? quiet + 1 : 0;
  }
}

const CASES = (['grpc', 'rest'] as const).flatMap((protocol) =>
  (['two', 'one'] as const).map((passes) => ({ protocol, passes })),
);

for (const { protocol, passes } of CASES) {
  describe(`exportCollection() over ${protocol} in ${passes} ${passes === 'one' ? 'pass' : 'passes'}`, () => {
    test('reads exactly as many points ahead of a store that stands still as the plan states', async () => {
      const counter = sentCounter(passes);
      let stated = 0;
      let taken = 0;
      const stalls: number[] = [];
      const vectorBytes = MANY.dimensions * 4;
      const report = await run({
        collection: MANY.name,
        protocol,
        passes,
        rowGroupRows: 100,
        parallel: 2,
        onPlan: (plan) => {
          stated = plan.pointsInMemory;
          counter.afterPlan();
        },
        destination: {
          locate: (key) => key,
          check: async () => {},
          async put({ body }) {
            let bytes = 0;
            for await (const chunk of body) {
              bytes += chunk.length;
              // Pages of keys and payloads and headers are smaller than a unit's vectors.
              if (chunk.length >= 100 * vectorBytes) {
                await untilQuiet(double);
                // This unit is being written: none of it is accepted.
                stalls.push(counter.sent(MANY.points) - taken);
                taken += 100;
              }
            }
            return { location: 'here', bytes, etag: undefined };
          },
        },
      });
      expect(report.counts.rows).toBe(MANY.points);
      expect(stalls).toHaveLength(30);
      for (const ahead of stalls) expect(ahead).toBeLessThanOrEqual(stated);
      // Not less either, or the figure would be no bound but a guess.
      expect(Math.max(...stalls)).toBe(stated);
      expect(stated).toBe(500);
    });

    test('holds no more large payloads in memory than the gate has room for', async () => {
      const counter = sentCounter(passes);
      let stated = 0;
      let most = 0;
      const stop = new AbortController();
      const ended = run({
        collection: HEAVY.name,
        protocol,
        passes,
        rowGroupRows: 8,
        parallel: 16,
        signal: stop.signal,
        onPlan: (plan) => {
          stated = plan.pointsInMemory;
          counter.afterPlan();
        },
        destination: {
          locate: (key) => key,
          check: async () => {},
          async put({ body }) {
            const reader = body.getReader();
            await reader.read();
            // The magic number, and the first page's header.
            await reader.read();
            await untilQuiet(double);
            most = counter.sent(HEAVY.points);
            stop.abort();
            await reader.cancel(stop.signal.reason);
            throw stop.signal.reason;
          },
        },
      });
      await ended.catch(() => {});
      expect(most).toBeLessThanOrEqual(stated);
      expect(most * 1_000_000).toBeLessThanOrEqual(POINT_BYTES_IN_MEMORY);
      // The gate, and not the end of the collection, is what held it.
      expect(most).toBeGreaterThan(POINT_BYTES_IN_MEMORY / 1_000_000 / 2);
    });
  });
}

describe.skipIf(store === undefined)('exportCollection() straight into a store of 1 MB/s', () => {
  const server = store as NonNullable<typeof store>;
  const front = proxy as NonNullable<typeof proxy>;
  const PART = 5 * MIB;
  const BUFFERS = 2;

  for (const { protocol, passes } of [CASES[0], CASES[3]] as typeof CASES) {
    test(`has no more points under way over ${protocol} in ${passes} than the plan and the part buffers hold`, async () => {
      front.reset();
      const counter = sentCounter(passes);
      let stated = 0;
      let idsSent = 0;
      const vectorBytes = WIDE.dimensions * 4;
      // The first part comes in at 1 MB/s; then it is known, and the rest need not.
      front.faults = (request) =>
        request.operation === 'UploadPart' && request.query.get('partNumber') === '1'
          ? { kind: 'slow', bytesPerSecond: 1_000_000 }
          : undefined;
      const ahead: { points: number; bound: number; accepted: number }[] = [];
      const look = setInterval(() => {
        if (stated === 0) return;
        // Ids are counted as points too, and come in pages of 1,000.
        if (passes === 'two') idsSent = Math.min(WIDE.points, double.stats.idPages * 1_000 - idPagesBefore);
        const accepted = front.acceptedBytes;
        ahead.push({
          accepted,
          points: counter.sent(idsSent) - Math.floor(accepted / vectorBytes),
          bound: stated + Math.ceil((BUFFERS * PART) / vectorBytes),
        });
      }, 10);
      const idPagesBefore = double.stats.idPages * 1_000;
      const report = await run({
        collection: WIDE.name,
        protocol,
        passes,
        rowGroupRows: 500,
        parallel: 2,
        onPlan: (plan) => {
          stated = plan.pointsInMemory;
          counter.afterPlan();
        },
        destination: s3Destination({
          endpoint: front.endpoint,
          region: server.region,
          bucket: server.bucket,
          accessKeyId: new Secret(server.accessKeyId),
          secretAccessKey: new Secret(server.secretAccessKey),
          partBytes: PART,
          partsInFlight: BUFFERS - 1,
        }),
      }).finally(() => clearInterval(look));
      expect(report.counts.rows).toBe(WIDE.points);
      expect((await server.head(`${WIDE.name}/latest.parquet`))?.bytes).toBe(report.file?.bytes ?? 0);
      for (const { points, bound } of ahead) expect(points).toBeLessThanOrEqual(bound);
      // The store was looked at while it was slow, and the export was ahead of it as far as it may be.
      const slow = ahead.filter(({ accepted }) => accepted < PART);
      expect(slow.length).toBeGreaterThan(20);
      const most = Math.max(...slow.map(({ points }) => points));
      expect(most).toBeGreaterThan(0.7 * (slow[0]?.bound ?? Number.POSITIVE_INFINITY));
    }, 30_000);
  }
});
