import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { type S3Settings, s3Destination } from '../../lib/storage/s3/s3.ts';
import type { ByteStream, Receipt } from '../../lib/storage/storage.ts';
import { type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { addressOf, startS3Server } from '../support/s3-server.ts';

/**
 * An object and what lies beside it, written by two runs at once: whatever the order, one whole pair is left.
 */

const found = await startS3Server();
const proxies =
  found && (await Promise.all([startFaultProxy(found.endpoint), startFaultProxy(found.endpoint)]));

afterAll(async () => {
  for (const proxy of proxies ?? []) await proxy.stop();
  await found?.stop();
});

describe.skipIf(found === undefined)('put() beside an object', () => {
  const server = found as NonNullable<typeof found>;
  const [frontA, frontB] = proxies as [FaultProxy, FaultProxy];
  const never = new AbortController().signal;
  let folders = 0;
  let object = '';
  let manifest = '';

  beforeEach(() => {
    frontA.reset();
    frontB.reset();
    object = `b${++folders}/latest.parquet`;
    manifest = `b${folders}/latest.json`;
  });

  const destination = (front: FaultProxy, settings: Partial<S3Settings> = {}) =>
    s3Destination({
      ...addressOf(server, front.endpoint),
      retryPolicy: { attempts: 5, baseMs: 1, capMs: 4 },
      ...settings,
    });
  const put = (front: FaultProxy, key: string, text: string, etag?: string, settings = {}) =>
    destination(front, settings).put({
      key,
      body: new Response(text).body as ByteStream,
      estimatedBytes: text.length,
      signal: never,
      beside: etag === undefined ? undefined : { key: object, etag },
    });
  const putObject = async (front: FaultProxy, text: string): Promise<string> =>
    (await put(front, object, text)).etag as string;
  const textAt = async (key: string) => String(Buffer.from((await server.bytes(key)) ?? 'none'));
  const failing = async (work: Promise<unknown>): Promise<ToolError> => {
    const error = await work.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(ToolError);
    return error as ToolError;
  };

  test('put() stores it as JSON, the object as Parquet', async () => {
    const etag = await putObject(frontA, 'object');
    let progress = 0;
    const receipt = await destination(frontA).put({
      key: manifest,
      body: new Response('{}').body as ByteStream,
      estimatedBytes: 2,
      signal: never,
      beside: { key: object, etag },
      onProgress: (bytes) => (progress += bytes),
    });
    expect(progress).toBe(2);
    expect(await server.head(manifest)).toEqual({
      bytes: 2,
      etag: receipt.etag as string,
      contentType: 'application/json',
    });
    expect((await server.head(object))?.contentType).toBe('application/vnd.apache.parquet');
  });

  test('put() writes nothing beside an object that another run replaced, or that is gone', async () => {
    const etag = await putObject(frontA, 'object of A');
    await put(frontA, manifest, 'of A', etag);
    const other = await putObject(frontB, 'object of B');
    const error = await failing(put(frontA, manifest, 'of A again', etag));
    expect(error.code).toBe('store');
    expect(error.message).toContain(`Cannot write s3://${server.bucket}/${manifest}: another run replaced`);
    expect(error.message).toContain(`s3://${server.bucket}/${object}`);
    expect(error.message).toContain(other);
    expect(await textAt(manifest)).toBe('of A');
    await destination(frontA).objects?.remove(object, never);
    const gone = await failing(put(frontB, manifest, 'of B', other));
    expect(gone.message).toContain('another run removed');
    expect(await textAt(manifest)).toBe('of A');
  });

  for (const kind of ['reset', 'resetAfter', 'earlyClose', 'wrongEtag', 'emptyEtag'] as const) {
    test(`put() gets over "${kind}" in the answer to the request that writes it`, async () => {
      const etag = await putObject(frontA, 'object');
      frontA.faults = ({ operation, path, earlier }) =>
        operation === 'PutObject' && path.endsWith('.json') && earlier <= 1 ? { kind } : undefined;
      await put(frontA, manifest, 'of A', etag);
      expect(await textAt(manifest)).toBe('of A');
    });
  }

  test('put() writes it though it may not look at anything', async () => {
    const etag = await putObject(frontA, 'object');
    frontA.faults = ({ operation, earlier }) =>
      operation === 'Head' && earlier < 4 ? { kind: 'status', status: 403, code: '' } : undefined;
    await put(frontA, manifest, 'of A', etag);
    expect(await textAt(manifest)).toBe('of A');
  });

  test('put() says so when it wrote without a condition while the object was replaced', async () => {
    const etag = await putObject(frontA, 'object of A');
    let replaced: Promise<string> | undefined;
    frontA.faults = ({ operation, headers }) => {
      if (operation !== 'PutObject') return undefined;
      if (headers.has('if-none-match')) return { kind: 'status', status: 501, code: 'NotImplemented' };
      replaced ??= putObject(frontB, 'object of B');
      return { kind: 'hold', until: replaced.then(() => {}) };
    };
    expect((await failing(put(frontA, manifest, 'of A', etag))).message).toContain('another run replaced');
  });

  test('put() gives up after ten rounds in which somebody else was faster', async () => {
    const etag = await putObject(frontA, 'object');
    let writes = 0;
    frontA.faults = ({ operation }) => {
      if (operation !== 'PutObject') return undefined;
      return { kind: 'hold', until: server.write(manifest, Buffer.from(`by hand ${++writes}`)) };
    };
    const error = await failing(put(frontA, manifest, 'of A', etag));
    expect(error.message).toContain('another run replaced the object meanwhile');
    expect(writes).toBe(10);
    expect(await textAt(manifest)).toBe('by hand 10');
  });

  test('put() takes no more than is small', async () => {
    const body = new Response(new Uint8Array(17 * 1024 * 1024)).body as ByteStream;
    const beside = { key: object, etag: 'any' };
    const work = destination(frontA).put({ key: manifest, body, estimatedBytes: 0, signal: never, beside });
    expect((await failing(work)).message).toContain('may lie beside an object');
  });

  test('put() of two runs leaves one whole pair, in whatever order their requests come', async () => {
    // A has written its object. B writes its own with one request, and then both write what lies beside:
    // look, look at the object, write, read back. All orders of those 4 and 5 steps; what comes after them is
    // let through.
    const orders = interleavings('AAAA', 'BBBBB');
    expect(orders).toHaveLength(126);
    const winners = new Set<string>();
    for (const order of orders) {
      object = `race/${order}.parquet`;
      manifest = `race/${order}.json`;
      frontA.reset();
      frontB.reset();
      const etag = await putObject(frontA, 'object of A');
      const [a, b] = await inOrder(order, {
        A: [frontA, () => put(frontA, manifest, 'of A', etag)],
        B: [
          frontB,
          async () => put(frontB, manifest, 'of B', await turnOf(frontB, () => writeDirectly('object of B'))),
        ],
      });
      expect([order, await textAt(object), await textAt(manifest)]).toEqual([order, 'object of B', 'of B']);
      expect(b).not.toBeInstanceOf(Error);
      if (a instanceof Error) expect(a.message).toContain('another run replaced');
      winners.add(a instanceof Error ? 'A heard of it' : 'A was done before');
    }
    expect(winners.size).toBe(2);
  });

  async function writeDirectly(text: string): Promise<string> {
    await server.write(object, Buffer.from(text));
    return (await server.head(object))?.etag as string;
  }
});

type Run = 'A' | 'B';
type Turns = Readonly<Record<Run, readonly [front: FaultProxy, work: () => Promise<Receipt>]>>;

/** What waits for its turn at a proxy. */
const waiting = new Map<
  FaultProxy,
  { arrived: PromiseWithResolvers<void>; turn: PromiseWithResolvers<void> }
>();
const free = new Set<FaultProxy>();

function nextTurn(front: FaultProxy): void {
  waiting.set(front, { arrived: Promise.withResolvers(), turn: Promise.withResolvers() });
}

/** Does one step of a run that is no request, in its turn. */
async function turnOf<T>(front: FaultProxy, step: () => Promise<T>): Promise<T> {
  await arrive(front);
  return step();
}

function arrive(front: FaultProxy): Promise<void> {
  const place = waiting.get(front);
  if (free.has(front) || place === undefined) return Promise.resolve();
  place.arrived.resolve();
  return place.turn.promise;
}

/**
 * Lets the steps of both runs happen one at a time, in that order, and then all others; resolves to how they
 * ended.
 */
async function inOrder(order: string, turns: Turns): Promise<readonly [unknown, unknown]> {
  free.clear();
  const over = { A: false, B: false };
  const start = (run: Run): Promise<unknown> => {
    const [front, work] = turns[run];
    nextTurn(front);
    front.faults = (_: SeenRequest) => ({ kind: 'hold', until: arrive(front) });
    return work()
      .catch((error) => error)
      .finally(() => {
        over[run] = true;
      });
  };
  const ends = { A: start('A'), B: start('B') };
  const standing = (run: Run) =>
    Promise.race([
      ends[run],
      (waiting.get(turns[run][0]) as { arrived: PromiseWithResolvers<void> }).arrived.promise,
    ]);
  for (const run of order as Iterable<Run>) {
    await standing(run);
    if (over[run]) continue;
    const place = waiting.get(turns[run][0]);
    nextTurn(turns[run][0]);
    place?.turn.resolve();
    // Until its next step: this one is over then.
    await standing(run);
  }
  for (const run of ['A', 'B'] as const) {
    free.add(turns[run][0]);
    waiting.get(turns[run][0])?.turn.resolve();
  }
  return Promise.all([ends.A, ends.B]);
}

/** All orders of the letters of both that keep each one's own. */
function interleavings(one: string, two: string): readonly string[] {
  if (one === '' || two === '') return [one + two];
  return [
    ...interleavings(one.slice(1), two).map((rest) => one.charAt(0) + rest),
    ...interleavings(one, two.slice(1)).map((rest) => two.charAt(0) + rest),
  ];
}
