import { afterAll, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import type { VectorSpec } from '../../lib/model.ts';
import { restTransport } from '../../lib/qdrant/rest.ts';
import type { Transport } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { canonicalOf } from '../unit/qdrant/canonical-oracle.ts';
import { type Exchange, exchangesOf, type RecordedVersion, replay, VERSIONS } from './recorded-rest.ts';

const signal = new AbortController().signal;
const ONCE: RetryPolicy = { attempts: 1, toldPauses: 0, baseMs: 1, capMs: 1 };
const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops) await stop();
});

function connect(url: URL | string, apiKey?: string): Transport {
  const transport = restTransport({
    url: new URL(url),
    apiKey: apiKey === undefined ? undefined : new Secret(apiKey),
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: ONCE,
  });
  stops.push(() => transport.close());
  return transport;
}

function connectReplay(version: RecordedVersion, only?: string, apiKey?: string): Transport {
  const server = replay(version, only);
  stops.push(server.stop);
  return connect(server.url, apiKey);
}

function exchangeOf(version: RecordedVersion, name: string): Exchange {
  const found = exchangesOf(version).find((exchange) => exchange.name === name);
  if (found === undefined) throw new Error(`no exchange ${name}`);
  return found;
}

/** What every point of a batch holds, in plain values to compare. */
function rowsOf(batch: PointBatch) {
  return batch.ids.map((id, row) => ({
    id,
    payload: new TextDecoder().decode(
      batch.payload.bytes.subarray(batch.payload.start(row), batch.payload.end(row)),
    ),
    vectors: batch.vectors.map(({ spec, values, present }) =>
      present[row] === 1 ? [...values.subarray(row * spec.size, (row + 1) * spec.size)] : null,
    ),
  }));
}

interface RecordedPoint {
  readonly id: unknown;
  readonly vector?: unknown;
}

/** The same of a recorded answer, by JSON.parse. Ids and payloads are cut out as they were spelled. */
function recordedRows(body: string, vectors: readonly VectorSpec[]) {
  const spelled = JSON.parse(canonicalOf(body), (_key, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' ? JSON.rawJSON?.(String(context?.source)) : value,
  ) as { result: RecordedPoint[] | { points: RecordedPoint[] } };
  const points = Array.isArray(spelled.result) ? spelled.result : spelled.result.points;
  return points.map((point) => {
    const { id, payload = {}, vector = null } = point as RecordedPoint & { payload?: unknown };
    const plain = JSON.parse(JSON.stringify(vector)) as number[] | Record<string, number[]> | null;
    return {
      id: JSON.stringify(id).replaceAll('"', ''),
      payload: canonicalOf(JSON.stringify(payload)),
      vectors: vectors.map(({ name }) => {
        const values = Array.isArray(plain) ? plain : plain?.[name];
        return values?.map(Math.fround) ?? null;
      }),
    };
  });
}

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

const COLLECTIONS = exchangesOf('1.18.3').flatMap(({ name }) => /^info (?!of)(.*)/.exec(name)?.[1] ?? []);
const KEYED = ['tenants', 'same ids'];

for (const version of VERSIONS) {
  test(`describe() reads the shape of every recorded collection of ${version}`, async () => {
    const transport = connectReplay(version);
    const shapes = await Promise.all(
      [...COLLECTIONS, ...KEYED, 'plain-alias'].map((name) => transport.describe(name, signal)),
    );
    const byName = Object.fromEntries(shapes.map((shape) => [shape.name, shape]));
    const unnamed = { kind: 'dense', name: '', size: 4, distance: 'Dot', datatype: 'float32' } as const;
    const plain = {
      name: 'plain',
      serverVersion: version,
      vectors: [unnamed],
      shardCount: 1,
      sharding: 'auto',
      strictMode: {},
    } as const;
    expect(byName.plain).toEqual(plain);
    expect(byName['plain-alias']).toEqual({ ...plain, name: 'plain-alias' });
    expect(byName['three shards']?.shardCount).toBe(3);
    expect(byName.strict?.strictMode).toEqual({ maxQueryLimit: 10, readRateLimit: 5, maxTimeoutSeconds: 30 });
    expect(byName.tenants?.sharding).toBe('custom');
    expect(byName.cosine?.vectors).toEqual([{ ...unnamed, distance: 'Cosine' }]);
    expect(byName.multi?.vectors).toEqual([{ ...unnamed, kind: 'multi', size: 3, distance: 'Cosine' }]);
    expect(byName.sparse_only?.vectors).toEqual([{ ...unnamed, kind: 'sparse', name: 's', size: 0 }]);
    expect(byName.named?.vectors).toEqual([
      { ...unnamed, kind: 'sparse', name: 'bm25', size: 0 },
      { ...unnamed, kind: 'multi', name: 'colbert', size: 2 },
      { ...unnamed, name: 'half', size: 2, distance: 'Manhattan', datatype: 'float16' },
      { ...unnamed, name: 'image', size: 3, distance: 'Euclid', datatype: 'uint8' },
      { ...unnamed, name: 'text' },
    ]);
  });

  test(`count() and scrollIds() give what ${version} answered`, async () => {
    const server = replay(version);
    stops.push(server.stop);
    const transport = connect(server.url);
    for (const name of COLLECTIONS) {
      if (name === 'strict') continue;
      const all = exchangeOf(version, `scroll everything ${name}`);
      const wanted = recordedRows(all.response.body, []).map(({ id }) => id);
      const ids: string[] = [];
      let offset: string | undefined;
      do {
        const page = await transport.scrollIds(name, { offset, limit: 10 }, signal);
        ids.push(...page.ids);
        offset = page.next;
      } while (offset !== undefined);
      expect(ids).toEqual(wanted);
      expect(await transport.count(name, signal)).toBe(wanted.length);
    }
    expect(await transport.count('same ids', signal)).toBe(4);
    expect(server.asked.filter((name) => name.startsWith('?'))).toEqual([]);
  });

  test(`scroll() and retrieve() read every point that ${version} answered, id, payload and dense vectors`, async () => {
    const server = replay(version);
    stops.push(server.stop);
    const transport = connect(server.url);
    for (const name of [...COLLECTIONS, 'same ids']) {
      if (name === 'strict') continue;
      const { vectors: declared } = await transport.describe(name, signal);
      const vectors = declared.filter(({ kind }) => kind === 'dense');
      const scrollName = name === 'same ids' ? undefined : `scroll everything ${name}`;
      const scrolled = new PointBatch({ rows: 100, vectors, fields: ['key'] });
      if (scrollName !== undefined) {
        const { body } = exchangeOf(version, scrollName).response;
        const next = await transport.scroll(name, { offset: undefined, limit: 1000 }, scrolled, signal);
        expect(next).toBeUndefined();
        expect(rowsOf(scrolled)).toEqual(recordedRows(body, vectors));
      }
      if (name === 'empty') continue;
      const retrieveName =
        name === 'same ids' ? 'same ids in two shard keys: retrieve shows only 2' : `retrieve ${name}`;
      const { request, response } = exchangeOf(version, retrieveName);
      const ids =
        /"ids":\[(.*?)\]/
          .exec(request.body ?? '')?.[1]
          ?.replaceAll('"', '')
          .split(',') ?? [];
      const retrieved = new PointBatch({ rows: 100, vectors, fields: [] });
      await transport.retrieve(name, ids, retrieved, signal);
      expect(rowsOf(retrieved)).toEqual(recordedRows(response.body, vectors));
    }
    expect(server.asked.filter((name) => name.startsWith('?'))).toEqual([]);
  });

  test(`errors of ${version} become sentences with the right remedy`, async () => {
    const scrollOne = (transport: Transport, collection = 'strict') =>
      errorOf(transport.scrollIds(collection, { offset: undefined, limit: 10 }, signal));
    const cases: readonly (readonly [string, string, string, number?])[] = [
      [
        'error: strict retrieve above the rate limiter capacity',
        'smaller',
        'answered 429 Too Many Requests ("Rate limiting exceeded',
      ],
      ['strict scroll 7', 'again', 'answered 429 Too Many Requests ("Rate limiting exceeded', 12_000],
      ['error: body over 32 MiB', 'smaller', 'larger than allowed (limit: 33554432 bytes).").'],
      ['error: strict limit', 'none', 'answered 400 Bad Request ("Bad request: Limit exceeded 11 > 10'],
      ['error: strict timeout', 'none', 'Limit exceeded 31 > 30 for \\"timeout\\"'.replaceAll('\\', '')],
      ['error: limit 0', 'none', 'answered 422 Unprocessable Entity ("Validation error'],
      [
        'auth no key: scroll',
        'none',
        'answered 401 Unauthorized ("Must provide an API key or an Authorization bearer token"). Check QDRANT_API_KEY.',
      ],
      [
        'auth wrong key: scroll',
        'none',
        'answered 401 Unauthorized ("Invalid API key or JWT"). Check QDRANT_API_KEY.',
      ],
      [
        'auth read-only key: delete',
        'none',
        'answered 403 Forbidden ("Forbidden: Global manage access is required"). QDRANT_API_KEY needs',
      ],
      [
        'error: unknown collection scroll',
        'none',
        'answered 404 Not Found ("Not found: Collection `nope` doesn\'t exist!").',
      ],
      ['error: unknown route', 'none', '/ a Qdrant? Check QDRANT_URL.'],
    ];
    for (const [name, remedy, sentence, retryAfterMs] of cases) {
      const { response } = exchangeOf(version, name);
      const { 'content-length': _, ...headers } = response.headers;
      const server = Bun.serve({
        port: 0,
        fetch: () => new Response(response.body, { status: response.status, headers }),
      });
      stops.push(() => server.stop(true));
      const error = await scrollOne(connect(server.url));
      expect([name, error.code, error.remedy, error.retryAfterMs]).toEqual([
        name,
        'qdrant',
        remedy,
        retryAfterMs,
      ]);
      expect(error.message).toStartWith(
        'Cannot read ids of collection `strict` from the first: Qdrant answered',
      );
      expect(error.message).toContain(sentence);
    }
  });

  test(`describe() of an unknown collection of ${version} names those there are`, async () => {
    const error = await errorOf(connectReplay(version).describe('nope', signal));
    expect(error.message).toMatch(/^There is no collection `nope` on 127\.0\.0\.1:\d+; it has `cosine`, /);
    expect(error.remedy).toBe('none');
  });

  test(`a wrong key at ${version} is told as such`, async () => {
    for (const key of ['wrong', undefined]) {
      const error = await errorOf(connectReplay(version, undefined, key).describe('k', signal));
      expect(error.message).toMatch(
        /^Cannot look up collection `k`: Qdrant answered 401 .*Check QDRANT_API_KEY\.$/,
      );
      expect(error.message).not.toContain('wrong');
    }
    const shape = await connectReplay(version, undefined, 'readonly').describe('k', signal);
    expect(shape.vectors).toHaveLength(1);
  });

  test(`the double answers the transport as the real ${version} did`, async () => {
    const double = await startQdrantDouble({ version, recorded: ['standalone'] });
    stops.push(() => double.stop());
    const [imitated, real] = [connect(double.restUrl), connectReplay(version)];
    for (const name of COLLECTIONS) {
      if (name === 'strict') continue;
      const shape = await imitated.describe(name, signal);
      expect(shape).toEqual(await real.describe(name, signal));
      const vectors = shape.vectors.filter(({ kind }) => kind === 'dense');
      const batches = [imitated, real].map(async (transport) => {
        const batch = new PointBatch({ rows: 100, vectors, fields: [] });
        await transport.scroll(name, { offset: undefined, limit: 1000 }, batch, signal);
        return rowsOf(batch);
      });
      expect(await batches[0]).toEqual((await batches[1]) as never);
    }
  });
}

test('both versions give the same canonical payloads, although they spell doubles differently', async () => {
  const rows = await Promise.all(
    VERSIONS.map(async (version) => {
      const transport = connectReplay(version);
      const { vectors } = await transport.describe('plain', signal);
      const batch = new PointBatch({ rows: 100, vectors, fields: [] });
      await transport.scroll('plain', { offset: undefined, limit: 1000 }, batch, signal);
      return rowsOf(batch);
    }),
  );
  expect(rows[0]).toEqual(rows[1] as never);
  expect(exchangeOf('1.16.3', 'scroll everything plain').response.body).toContain('1e21');
  expect(exchangeOf('1.18.3', 'scroll everything plain').response.body).toContain('1e+21');
});

test('retrieve() leaves out what was not answered, and the answer to no ids is no rows', async () => {
  const transport = connectReplay('1.18.3');
  const batch = new PointBatch({ rows: 10, vectors: [], fields: [] });
  await transport.retrieve('plain', [], batch, signal);
  expect(batch.rowCount).toBe(0);
});
