import { afterAll, describe, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import type { VectorSpec } from '../../lib/model.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { Transport } from '../../lib/qdrant/transport.ts';
import type { RetryNotice, RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import type { VectorColumn } from '../../lib/vector-columns.ts';
import { pointsOf } from '../support/point-sets.ts';
import type { Fault, Faults } from '../support/qdrant-double/fault.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { makeTestCertificates, tlsSkipReason } from '../support/tls.ts';

const signal = new AbortController().signal;
const ONCE: RetryPolicy = { attempts: 1, baseMs: 1, capMs: 1 };
const QUICK: RetryPolicy = { attempts: 4, baseMs: 1, capMs: 1 };
const VERSIONS = ['1.16.3', '1.18.3'] as const;

const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function double(options: QdrantDoubleOptions) {
  const started = await startQdrantDouble(options);
  stops.push(() => started.stop());
  return started;
}

interface Connection {
  readonly apiKey?: string;
  readonly caCertificate?: string;
  readonly retryPolicy?: RetryPolicy;
  readonly timeoutSeconds?: number;
  readonly onRetry?: (notice: RetryNotice) => void;
}

async function connect(
  protocol: 'grpc' | 'rest',
  url: string,
  { apiKey, ...options }: Connection = {},
): Promise<Transport> {
  const transport = await connectQdrant(protocol, {
    url: new URL(url),
    apiKey: apiKey === undefined ? undefined : new Secret(apiKey),
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: ONCE,
    ...options,
  });
  stops.push(() => transport.close());
  return transport;
}

/** What every row of a batch holds; vectors as bits. */
function rowsOf(batch: PointBatch) {
  return batch.ids.map((id, row) => ({
    id,
    payload: new TextDecoder().decode(
      batch.payload.bytes.subarray(batch.payload.start(row), batch.payload.end(row)),
    ),
    key: batch.fields.map(({ starts, ends }) =>
      (starts[row] as number) < 0
        ? null
        : new TextDecoder().decode(batch.payload.bytes.subarray(starts[row], ends[row])),
    ),
    vectors: batch.vectors.map((column) => (column.present[row] === 1 ? bitsOf(column, row) : null)),
  }));
}

function bitsOf(column: VectorColumn, row: number): readonly number[] {
  const { kind, spec, values } = column;
  const start = kind === 'dense' ? row * spec.size : row === 0 ? 0 : (column.ends[row - 1] as number);
  const end = kind === 'dense' ? start + spec.size : (column.ends[row] as number);
  const bits = [...new Uint32Array(values.buffer, start * 4, end - start)];
  return kind === 'sparse' ? [...column.indices.subarray(start, end), ...bits] : bits;
}

function batchFor(vectors: readonly VectorSpec[], rows = 200): PointBatch {
  return new PointBatch({ rows, vectors, fields: ['key'] });
}

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

const COLLECTIONS = [
  'plain',
  'cosine',
  'named',
  'sparse_only',
  'multi',
  'quantized',
  'three shards',
  'empty',
  'ünï #1% &co',
  'plain-alias',
];

type Three = [PointBatch, PointBatch, PointBatch];

for (const version of VERSIONS) {
  describe(`grpcTransport() against ${version}`, () => {
    for (const collection of COLLECTIONS) {
      test(`reads \`${collection}\` as restTransport() does, bit for bit`, async () => {
        const { grpcUrl, restUrl } = await double({ version, recorded: ['standalone'] });
        const grpc = await connect('grpc', grpcUrl);
        const rest = await connect('rest', restUrl);
        const shape = await grpc.describe(collection, signal);
        expect(shape).toEqual(await rest.describe(collection, signal));
        expect(await grpc.count(pointsOf(collection), signal)).toBe(
          await rest.count(pointsOf(collection), signal),
        );

        const page = { offset: undefined, limit: 200 };
        const ids = await grpc.scrollIds(pointsOf(collection), page, signal);
        expect(ids).toEqual(await rest.scrollIds(pointsOf(collection), page, signal));

        const [scrolled, retrieved, expected] = [0, 1, 2].map(() => batchFor(shape.vectors)) as Three;
        expect(await grpc.scroll(pointsOf(collection), page, scrolled, signal)).toBeUndefined();
        if (ids.ids.length > 0) await grpc.retrieve(pointsOf(collection), ids.ids, retrieved, signal);
        await rest.scroll(pointsOf(collection), page, expected, signal);
        expect(rowsOf(scrolled).map(withoutHuge)).toEqual(rowsOf(expected).map(withoutHuge));
        expect(rowsOf(retrieved)).toEqual(rowsOf(scrolled));
      });
    }

    test('gives integers above i64 as the doubles that gRPC carries', async () => {
      const { grpcUrl } = await double({ version, recorded: ['standalone'] });
      const grpc = await connect('grpc', grpcUrl);
      const batch = batchFor([]);
      await grpc.retrieve(pointsOf('plain'), ['10'], batch, signal);
      expect(rowsOf(batch)[0]?.payload).toBe(
        '{"above_i64":9223372036854776000.0,"u64":18446744073709552000.0,"unsafe":9007199254740993}',
      );
    });

    test('pages through every id, one at a time', async () => {
      const { grpcUrl } = await double({ version, recorded: ['standalone'] });
      const grpc = await connect('grpc', grpcUrl);
      const whole = await grpc.scrollIds(pointsOf('plain'), { offset: undefined, limit: 1000 }, signal);
      const ids: string[] = [];
      let offset: string | undefined;
      do {
        const page = await grpc.scrollIds(pointsOf('plain'), { offset, limit: 1 }, signal);
        ids.push(...page.ids);
        offset = page.next;
      } while (offset !== undefined);
      expect(ids).toEqual([...whole.ids]);
    });

    test('leaves out ids that do not exist', async () => {
      const { grpcUrl } = await double({ version, recorded: ['standalone'] });
      const grpc = await connect('grpc', grpcUrl);
      const batch = batchFor([]);
      const asked = ['42', '999999', '18446744073709551615', 'f47ac10b-58cc-4372-a567-0e02b2c3d479'];
      await grpc.retrieve(pointsOf('plain'), asked, batch, signal);
      expect([...batch.ids]).toEqual(asked.filter((id) => id !== '999999'));
    });

    test('names the collections there are when one is not', async () => {
      const { grpcUrl } = await double({ version, recorded: ['standalone'] });
      const grpc = await connect('grpc', grpcUrl);
      const error = await errorOf(grpc.describe('nope', signal));
      expect(error.message).toContain('There is no collection `nope` on 127.0.0.1');
      expect(error.message).toContain('`cosine`');
    });

    test('sends the key, and says what to check when it is wrong', async () => {
      const { grpcUrl } = await double({ version, recorded: ['auth'], apiKey: 'secret', readOnlyKey: 'ro' });
      const right = await connect('grpc', grpcUrl, { apiKey: 'ro' });
      expect((await right.describe('k', signal)).name).toBe('k');
      const wrong = await connect('grpc', grpcUrl, { apiKey: 'wrong' });
      const error = await errorOf(wrong.describe('k', signal));
      expect(error.message).toBe(
        'Cannot look up collection `k`: Qdrant answered UNAUTHENTICATED ("Invalid API key or JWT"). Check QDRANT_API_KEY.',
      );
    });
  });
}

/** Rows without integers above i64, which gRPC carries as doubles only. */
function withoutHuge<Row extends { readonly payload: string }>(row: Row): Row {
  return { ...row, payload: row.payload.replace(/"(above_i64|u64)":[0-9.]+,?/g, '') };
}

const GENERATED: GeneratedCollection = { name: 'g', points: 60, dimensions: 8, ids: 'mixed', keys: true };

describe('grpcTransport() and trouble', () => {
  async function faulty(faults: Faults, connection: Connection = {}): Promise<Transport> {
    const { grpcUrl } = await double({ generated: [GENERATED], faults });
    return connect('grpc', grpcUrl, connection);
  }

  const retrieveAll = async (transport: Transport): Promise<PointBatch> => {
    const shape = await transport.describe('g', signal);
    const { ids } = await transport.scrollIds(pointsOf('g'), { offset: undefined, limit: 100 }, signal);
    const batch = batchFor(shape.vectors);
    await transport.retrieve(pointsOf('g'), ids, batch, signal);
    return batch;
  };

  /** A fault for the first retrieves only. */
  const first = (fault: Fault, times = 1): Faults => {
    let left = times;
    return ({ method }) => (method === 'retrieve' && left-- > 0 ? fault : undefined);
  };

  const status = (grpc: number, message = 'x', retryAfterSeconds?: number): Fault => ({
    kind: 'status',
    http: 500,
    grpc,
    message,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });

  for (const [what, fault] of [
    ['UNAVAILABLE', status(14)],
    ['INTERNAL', status(13)],
    ['RESOURCE_EXHAUSTED with retry-after', status(8, 'slow down', 0)],
    ['a reset stream', { kind: 'reset' }],
    ['a reset connection', { kind: 'reset', connection: true }],
    ['a reset in the middle', { kind: 'resetMidway' }],
    ['a connection cut in the middle', { kind: 'resetMidway', connection: true }],
    ['an answer that ends early', { kind: 'earlyClose' }],
  ] as const satisfies readonly (readonly [string, Fault])[]) {
    test(`asks again after ${what}, and has every row once`, async () => {
      const notices: RetryNotice[] = [];
      const transport = await faulty(first(fault, 2), {
        retryPolicy: QUICK,
        onRetry: (notice) => notices.push(notice),
      });
      const batch = await retrieveAll(transport);
      expect(rowsOf(batch)).toEqual(
        Array.from({ length: GENERATED.points }, (_, index) => {
          const point = generatedPoint(GENERATED, index);
          return {
            id: point.id,
            payload: point.payloadJson,
            key: [JSON.stringify(JSON.parse(point.payloadJson).key)],
            vectors: [[...new Uint32Array(point.vector.buffer, point.vector.byteOffset, 8)]],
          };
        }),
      );
      expect(notices.length).toBe(2);
    });
  }

  for (const [what, fault, remedy] of [
    ['INVALID_ARGUMENT', status(3), 'none'],
    ['NOT_FOUND', status(5), 'none'],
    ['PERMISSION_DENIED', status(7), 'none'],
    ['UNAUTHENTICATED', status(16), 'none'],
    ['RESOURCE_EXHAUSTED without retry-after', status(8, 'out of storage'), 'none'],
    [
      'a request larger than the rate limiter',
      status(8, 'request larger than rate limiter capacity'),
      'smaller',
    ],
    ['DEADLINE_EXCEEDED', status(4), 'smaller'],
    ['an operation that timed out', { kind: 'timeout' }, 'smaller'],
    ['an answer that says it has 2 GiB', { kind: 'oversized' }, 'smaller'],
    ['bytes that are no message', { kind: 'truncated' }, 'none'],
  ] as const satisfies readonly (readonly [string, Fault, string])[]) {
    test(`gives ${what} the remedy \`${remedy}\` and adds no row`, async () => {
      const transport = await faulty(first(fault), { retryPolicy: QUICK });
      const batch = batchFor((await transport.describe('g', signal)).vectors);
      const error = await errorOf(
        transport.retrieve(pointsOf('g'), [generatedPoint(GENERATED, 0).id], batch, signal),
      );
      expect(error.remedy).toBe(remedy);
      expect(batch.rowCount).toBe(0);
      expect(batch.payload.length).toBe(0);
    });
  }

  test('waits as long as the server asks', async () => {
    const notices: RetryNotice[] = [];
    const transport = await faulty(first(status(8, 'x', 1)), {
      retryPolicy: QUICK,
      onRetry: (notice) => notices.push(notice),
    });
    await retrieveAll(transport);
    expect(notices[0]?.error.retryAfterMs).toBe(1000);
    expect(notices[0]?.waitMs).toBeGreaterThanOrEqual(1000);
  });

  for (const kind of ['stall', 'stallMidway'] as const) {
    test(`gives up on a ${kind} at its deadline, asking for fewer points`, async () => {
      const transport = await faulty(first({ kind }), { timeoutSeconds: 1 });
      const error = await errorOf(retrieveAll(transport));
      expect(error.message).toContain('did not answer within 2 s');
      expect(error.remedy).toBe('smaller');
      expect((await retrieveAll(transport)).rowCount).toBe(GENERATED.points);
    });
  }

  test('ends at once with the reason when the run is aborted', async () => {
    let reached = () => {};
    const stalled = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const transport = await faulty(({ method }) => {
      if (method !== 'retrieve') return undefined;
      reached();
      return { kind: 'stall' };
    });
    const controller = new AbortController();
    const retrieving = transport.retrieve(pointsOf('g'), ['1'], batchFor([]), controller.signal);
    await stalled;
    const reason = new ToolError('cancelled', 'stop');
    controller.abort(reason);
    expect(await errorOf(retrieving)).toBe(reason);
  });

  test("says so when it is Qdrant's REST port", async () => {
    const { restUrl } = await double({ generated: [GENERATED] });
    const error = await errorOf((await connect('grpc', restUrl)).describe('g', signal));
    expect(error.message).toContain("is Qdrant's REST port. Use --http, or port 6334.");
  });

  test('says so when nothing listens', async () => {
    const gone = await startQdrantDouble({});
    await gone.stop();
    const error = await errorOf((await connect('grpc', gone.grpcUrl)).describe('g', signal));
    expect(error.message).toContain(`nothing listens on 127.0.0.1:${gone.grpcPort}. Check QDRANT_URL`);
  });
});

describe.skipIf(tlsSkipReason() !== undefined)('grpcTransport() over TLS', () => {
  test('trusts a private authority when told to, and explains when not', async () => {
    const certificates = makeTestCertificates();
    stops.push(() => certificates.remove());
    const { grpcUrl } = await double({ generated: [GENERATED], tls: certificates });
    const trusting = await connect('grpc', grpcUrl, { caCertificate: certificates.ca });
    expect(await trusting.count(pointsOf('g'), signal)).toBe(GENERATED.points);
    const error = await errorOf((await connect('grpc', grpcUrl)).describe('g', signal));
    expect(error.message).toContain('is not trusted');
    expect(error.message).toContain('--ca-cert');
  });
});
