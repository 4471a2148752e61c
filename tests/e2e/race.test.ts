import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { NDJSON, PARQUET, STREAMED, type Way } from '../support/export-ways.ts';
import type { ExporterResult } from '../support/exporter.ts';
import { type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, type Scene } from '../support/long-run-scene.ts';

/*
 * Two runs of one collection into one key, on two machines as it were: with work folders, and a proxy before the store,
 * of their own. The second one exports fewer points, so that their files differ.
 */

const runs = await LongRuns.start();
const FEWER = ['--limit', '2400'];
let others: FaultProxy;

beforeAll(async () => {
  if (runs.hasStore) others = await startFaultProxy(runs.store.endpoint);
});
afterEach(() => {
  runs.reset();
  others?.reset();
});
afterAll(async () => {
  await others?.stop();
  await runs.stop();
});

function isManifest({ operation, path }: SeenRequest): boolean {
  return operation === 'PutObject' && path.endsWith('.json');
}

function isLastStep({ operation }: SeenRequest): boolean {
  return operation === 'Complete';
}

/** Holds such requests until it is told to let them go on. */
function held(proxy: FaultProxy, is: (request: SeenRequest) => boolean) {
  const gate = Promise.withResolvers<void>();
  proxy.faults = (request) => (is(request) ? { kind: 'hold', until: gate.promise } : undefined);
  return { arrived: proxy.arrival(is), release: () => gate.resolve() };
}

interface Two {
  readonly first: Scene;
  readonly second: Scene;
}

function twoRuns(way: Way): Two {
  const first = runs.scene(way);
  const { prefix } = first;
  return { first, second: runs.scene(way, { prefix, env: { R2_ENDPOINT: others.endpoint } }) };
}

/** One whole pair, of the run that won. */
async function expectPairOf(scene: Scene, rows: number): Promise<void> {
  const { bytes, manifest } = await scene.published();
  const head = await runs.store.head(scene.key);
  expect(manifest.counts.rows).toBe(rows);
  expect(manifest.files[0].bytes).toBe(bytes?.length);
  expect(manifest.files[0].etag).toBe(head?.etag);
}

function expectLost(result: ExporterResult): void {
  expect(result.stderr).toMatch(/^Error: .*another run (replaced|removed) /m);
  expect(result.stderr).not.toMatch(/^\s+at /m);
  expect(result.code).toBe(12);
}

describe.skipIf(!runs.hasStore)('two runs that race for one key', () => {
  for (const way of [PARQUET, NDJSON, STREAMED]) {
    test(
      `end with the pair of the second, which came between the first one's export and its manifest (${way.name})`,
      async () => {
        const { first, second } = twoRuns(way);
        const manifest = held(runs.proxy, isManifest);
        const slow = await first.start();
        await manifest.arrived;
        const quick = await second.run(...FEWER);
        expect(quick.code).toBe(0);
        manifest.release();
        expectLost(await slow.result);
        await expectPairOf(second, 2_400);
      },
      2 * LIMIT_MS,
    );

    test(
      `end with the pair of the second, which was published before the first one's last step (${way.name})`,
      async () => {
        const { first, second } = twoRuns(way);
        const last = held(runs.proxy, isLastStep);
        const slow = await first.start();
        await last.arrived;
        const quick = await second.run(...FEWER);
        expect(quick.code).toBe(0);
        last.release();
        const lost = await slow.result;
        expectLost(lost);
        await expectPairOf(second, 2_400);
        // It may be gone on with.
        await runs.store.abortUploads();
      },
      2 * LIMIT_MS,
    );

    for (const order of ['first', 'second'] as const) {
      test(
        `end with the pair of whose export was the last, when the ${order} one's manifest comes first (${way.name})`,
        async () => {
          const { first, second } = twoRuns(way);
          const manifests = [held(runs.proxy, isManifest), held(others, isManifest)] as const;
          const one = await first.start();
          await manifests[0].arrived;
          const two = await second.start(...FEWER);
          await manifests[1].arrived;
          const [lost, won] = order === 'first' ? [0, 1] : [1, 0];
          manifests[lost as 0 | 1].release();
          await (lost === 0 ? one : two).result;
          manifests[won as 0 | 1].release();
          // Whose manifest was on its way before the other's export came does not learn of that.
          if (order === 'second') expectLost(await one.result);
          else expect((await one.result).code).toBe(0);
          expect((await two.result).code).toBe(0);
          await expectPairOf(second, 2_400);
        },
        2 * LIMIT_MS,
      );
    }
  }

  for (const [what, is] of [
    ['its manifest', isManifest],
    ['its last step', isLastStep],
  ] as const) {
    for (const way of [PARQUET, STREAMED]) {
      test(
        `leave a command to the one that lost before ${what}, which ends with a whole pair too (${way.name})`,
        async () => {
          const { first, second } = twoRuns(way);
          const request = held(runs.proxy, is);
          const slow = await first.start();
          await request.arrived;
          expect((await second.run(...FEWER)).code).toBe(0);
          request.release();
          const lost = await slow.result;
          runs.reset();
          const again = await first.goOn(lost);
          expect(again.stderr).toContain('Exported');
          expect(again.code).toBe(0);
          await expectPairOf(first, 3_000);
          expect(first.left).toEqual([]);
          expect(await first.openUploads()).toEqual([]);
        },
        2 * LIMIT_MS,
      );
    }
  }
});
