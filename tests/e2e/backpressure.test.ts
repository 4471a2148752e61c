import { afterAll, describe, expect, test } from 'bun:test';
import type { PlanSummary } from '../../lib/plan.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import { exportCollection } from '../../lib/run/export.ts';
import { Secret } from '../../lib/secret.ts';
import { s3Destination } from '../../lib/storage/s3/s3.ts';
import type { Destination, PutRequest } from '../../lib/storage/storage.ts';
import { parquetFormat } from '../../lib/writers/parquet/parquet.ts';
import { MIB } from '../support/byte-body.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { planOf } from '../support/plans.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { startS3Server } from '../support/s3-server.ts';

/*
 * Back-pressure by counting: what the server has sent, of which the destination has not taken anything yet,
 * against the figure that the plan states. The double counts every point that it writes into an answer.
 */

/** Points of 4 KiB and no payload: 6 MB. */
const MANY: GeneratedCollection = { name: 'many', points: 1_500, dimensions: 1024, payloadBytes: 0 };
/** 64 KiB a point, so that a work unit has 64: 52 MB. */
const LONG: GeneratedCollection = { name: 'long', points: 800, dimensions: 16_384, payloadBytes: 0 };
/** 4 KiB a point: 33 MB. */
const WIDE: GeneratedCollection = { name: 'wide', points: 8_000, dimensions: 1024, payloadBytes: 0 };
/** A megabyte of payload a point. */
const HEAVY: GeneratedCollection = { name: 'heavy', points: 240, dimensions: 8, payloadBytes: 1_000_000 };
/** No page of keys or payloads and no footer has as many: these points have no payloads. */
const VECTOR_PAGE_BYTES = 32 * 1024;
/** Ids a page. */
const BATCH_SIZE = 1_000;
/** What unit-gate.ts lets into memory. */
const POINT_BYTES_IN_MEMORY = 96 * MIB;
/** What parquet-assemble.ts collects of a row group. */
const ROW_GROUP_BYTES = 80 * MIB;

const double = await startQdrantDouble({ generated: [MANY, LONG, WIDE, HEAVY] });
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
  const plan = planOf({
    collection,
    batchSize: BATCH_SIZE,
    parallel,
    passes,
    key: `${collection}/latest.parquet`,
    manifestKey: `${collection}/latest.json`,
  });
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
        format: (shape, sample) =>
          parquetFormat(shape, {
            strategy: 'parquet-med',
            rowGroupRows,
            splitBytes: undefined,
            compression: 'none',
            vectorEncoding: 'plain',
            schema: 'keyed',
            keyField: 'key',
            metadataField: undefined,
            createdBy: 'test',
            exportedAt: new Date(0),
            sample,
          }),
        destination,
        converter: undefined,
        work: undefined,
        confirm: undefined,
        tool: { name: 'test', version: '0' },
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
function sentCounter(collection: GeneratedCollection) {
  const { stats } = double;
  const before = stats.pointsSent;
  const idPagesBefore = stats.idPages;
  let sample = 0;
  return {
    /** What was sent so far is the plan's look at a few points. */
    afterPlan() {
      sample = stats.pointsSent - before;
    },
    get sent() {
      // Ids are counted as points too.
      const ids = Math.min(collection.points, (stats.idPages - idPagesBefore) * BATCH_SIZE);
      return stats.pointsSent - before - sample - ids;
    },
  };
}

/**
 * A store that stands still at every page of vectors, until the export has read as far ahead as it does. `ahead` is
 * how many points were then sent and not taken.
 */
function standingStore(vectorBytes: number, counter: { readonly sent: number }) {
  const store = {
    ahead: [] as number[],
    /** Points whose vectors were accepted. */
    taken: 0,
    destination: {
      locate: (key: string) => key,
      check: async () => {},
      async put({ body }: PutRequest) {
        let bytes = 0;
        for await (const chunk of body) {
          bytes += chunk.length;
          if (chunk.length < VECTOR_PAGE_BYTES) continue;
          await untilQuiet(double);
          // None of this page is accepted yet.
          store.ahead.push(counter.sent - store.taken);
          // What a page has beside its vectors is less than one of them.
          store.taken += Math.floor(chunk.length / vectorBytes);
        }
        return { location: 'here', bytes, etag: undefined };
      },
    },
  };
  return store;
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
    for (const [what, collection, rowGroupRows, wanted] of [
      // The plan's five units, and one that is a row group.
      ['units that are row groups', MANY, 100, 5 * 100 + 100],
      ['row groups of three units', LONG, 192, 5 * 64 + 192],
    ] as const) {
      test(`reads exactly as many points ahead of a store that stands still as the plan states, in ${what}`, async () => {
        const counter = sentCounter(collection);
        let stated = 0;
        const store = standingStore(collection.dimensions * 4, counter);
        const report = await run({
          collection: collection.name,
          protocol,
          passes,
          rowGroupRows,
          parallel: 2,
          onPlan: (plan) => {
            stated = plan.pointsInMemory;
            counter.afterPlan();
          },
          destination: store.destination,
        });
        expect(report.counts.rows).toBe(collection.points);
        expect(store.taken).toBe(collection.points);
        for (const ahead of store.ahead) expect(ahead).toBeLessThanOrEqual(stated);
        // Not less either, or the figure would be no bound but a guess.
        expect(Math.max(...store.ahead)).toBe(stated);
        expect(stated).toBe(wanted);
      });
    }

    test('holds no more large payloads in memory than the gate and a row group have room for', async () => {
      const counter = sentCounter(HEAVY);
      let stated = 0;
      let most = 0;
      const stop = new AbortController();
      const ended = run({
        collection: HEAVY.name,
        protocol,
        passes,
        rowGroupRows: 10_000,
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
            // The magic number, and the first page's header: the row group is whole.
            await reader.read();
            await reader.read();
            await untilQuiet(double);
            most = counter.sent;
            stop.abort();
            await reader.cancel(stop.signal.reason);
            throw stop.signal.reason;
          },
        },
      });
      await ended.catch(() => {});
      expect(most).toBeLessThanOrEqual(stated);
      const bound = (POINT_BYTES_IN_MEMORY + ROW_GROUP_BYTES) / 1_000_000;
      expect(most).toBeLessThanOrEqual(bound);
      // They, and not the end of the collection, are what held it.
      expect(most).toBeGreaterThan(0.9 * bound);
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
      const counter = sentCounter(WIDE);
      let stated = 0;
      const vectorBytes = WIDE.dimensions * 4;
      // The first part comes in at 1 MB/s; then it is known, and the rest need not.
      front.faults = (request) =>
        request.operation === 'UploadPart' && request.query.get('partNumber') === '1'
          ? { kind: 'slow', bytesPerSecond: 1_000_000 }
          : undefined;
      const ahead: { points: number; bound: number; accepted: number }[] = [];
      const look = setInterval(() => {
        if (stated === 0) return;
        const accepted = front.acceptedBytes;
        ahead.push({
          accepted,
          points: counter.sent - Math.floor(accepted / vectorBytes),
          bound: stated + Math.ceil((BUFFERS * PART) / vectorBytes),
        });
      }, 10);
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
