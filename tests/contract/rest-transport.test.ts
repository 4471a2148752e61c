import { afterAll, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import { restTransport } from '../../lib/qdrant/rest.ts';
import type { Transport } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { pointsOf } from '../support/point-sets.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { rowsOf, rowsOfAnswer, specOf } from '../unit/qdrant/batch-rows.ts';
import { type Exchange, exchangesOf, type RecordedVersion, replay, VERSIONS } from './recorded-rest.ts';
import { recordedAnswer, scriptedRest } from './scripted-rest.ts';

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

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

const COLLECTIONS = exchangesOf('1.18.3').flatMap(({ name }) => /^info (?!of)(.*)/.exec(name)?.[1] ?? []);
/** Custom-sharded ones, whose exchanges have names of their own. */
const POINT_EXCHANGES: Readonly<Record<string, readonly [scroll: string, retrieve: string]>> = {
  tenants: ['tenants: scroll all', 'tenants: retrieve'],
  'same ids': [
    'same ids in two shard keys: scroll shows only 2',
    'same ids in two shard keys: retrieve shows only 2',
  ],
};
const KEYED = Object.keys(POINT_EXCHANGES);

for (const version of VERSIONS) {
  test(`count() and scrollIds() give what ${version} answered`, async () => {
    const server = replay(version);
    stops.push(server.stop);
    const transport = connect(server.url);
    for (const name of COLLECTIONS) {
      if (name === 'strict') continue;
      const all = exchangeOf(version, `scroll everything ${name}`);
      const wanted = rowsOfAnswer(all.response.body, []).map(({ id }) => id);
      const ids: string[] = [];
      let offset: string | undefined;
      do {
        const page = await transport.scrollIds(pointsOf(name), { offset, limit: 10 }, signal);
        ids.push(...page.ids);
        offset = page.next;
      } while (offset !== undefined);
      expect(ids).toEqual(wanted);
      expect(await transport.count(pointsOf(name), signal)).toBe(wanted.length);
    }
    expect(await transport.count(pointsOf('same ids'), signal)).toBe(4);
    expect(server.asked.filter((name) => name.startsWith('?'))).toEqual([]);
  });

  test(`scroll() and retrieve() read every point that ${version} answered: id, payload and all vectors`, async () => {
    const server = replay(version);
    stops.push(server.stop);
    const transport = connect(server.url);
    for (const name of [...COLLECTIONS, ...KEYED]) {
      if (name === 'strict') continue;
      const { vectors } = await transport.describe(name, signal);
      const [scroll, retrieve] = POINT_EXCHANGES[name] ?? [`scroll everything ${name}`, `retrieve ${name}`];
      const scrolled = new PointBatch({ rows: 100, vectors, fields: ['key'] });
      const limit = Number(/"limit":(\d+)/.exec(exchangeOf(version, scroll).request.body ?? '')?.[1]);
      const next = await transport.scroll(pointsOf(name), { offset: undefined, limit }, scrolled, signal);
      expect(next).toBeUndefined();
      const all = rowsOfAnswer(exchangeOf(version, scroll).response.body, vectors);
      expect(rowsOf(scrolled)).toEqual(all);
      if (name === 'empty') continue;
      const { request, response } = exchangeOf(version, retrieve);
      const ids = (/"ids":\[(.*?)\]/.exec(request.body ?? '')?.[1] ?? '').replaceAll('"', '').split(',');
      const retrieved = new PointBatch({ rows: 100, vectors, fields: [] });
      await transport.retrieve(pointsOf(name), ids, retrieved, signal);
      expect(rowsOf(retrieved)).toEqual(rowsOfAnswer(response.body, vectors));
      expect(retrieved.rowCount).toBe(all.length);
    }
    expect(server.asked.filter((name) => name.startsWith('?'))).toEqual([]);
  });

  test(`a part of the vectors is read where ${version} was asked for it alone`, async () => {
    const name = 'scroll vectors by name';
    const answer = recordedAnswer(version, name);
    const server = scriptedRest({ 'POST /collections/named/points/scroll': answer });
    stops.push(server.stop);
    const vectors = [specOf('sparse', 'bm25', 0), specOf('dense', 'text', 4)];
    const batch = new PointBatch({ rows: 100, vectors, fields: [] });
    await connect(server.url).scroll(pointsOf('named'), { offset: undefined, limit: 100 }, batch, signal);
    expect(server.seen[0]?.body).toContain('"with_vector":["bm25","text"]');
    expect(rowsOf(batch)).toEqual(rowsOfAnswer(exchangeOf(version, name).response.body, vectors));
  });

  test(`errors of ${version} become sentences with the right remedy`, async () => {
    const scrollOne = (transport: Transport, collection = 'strict') =>
      errorOf(transport.scrollIds(pointsOf(collection), { offset: undefined, limit: 10 }, signal));
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
      const { vectors } = shape;
      const batches = [imitated, real].map(async (transport) => {
        const batch = new PointBatch({ rows: 100, vectors, fields: [] });
        await transport.scroll(pointsOf(name), { offset: undefined, limit: 1000 }, batch, signal);
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
      await transport.scroll(pointsOf('plain'), { offset: undefined, limit: 1000 }, batch, signal);
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
  await transport.retrieve(pointsOf('plain'), [], batch, signal);
  expect(batch.rowCount).toBe(0);
});
