import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { Objects, Receipt } from '../../lib/storage/storage.ts';
import { supabaseObjects } from '../../lib/storage/supabase/supabase-objects.ts';
import { patternOf } from '../support/byte-body.ts';
import {
  type DoubleFault,
  type DoubleRequest,
  startSupabaseDouble,
} from '../support/supabase-double/supabase-double.ts';
import { failing, publicationAt, type SceneOptions } from '../support/supabase-scene.ts';

/* Objects that are there: listed, read in ranges, copied within the store, removed; all by REST. */

const double = await startSupabaseDouble({ s3: false });
afterAll(() => double.stop());

const never = new AbortController().signal;
const md5Of = (bytes: Uint8Array) => new Bun.CryptoHasher('md5').update(bytes).digest('hex');
const isRead = ({ path }: DoubleRequest) => path.includes('cacheNonce=');
const isList = ({ path }: DoubleRequest) => path.includes('/object/list-v2/');
const isCopy = ({ path }: DoubleRequest) => path.endsWith('/object/copy');
const isInfo = ({ path }: DoubleRequest) => path.includes('/object/info/');

/** Ranges are asked for ahead, and arrive in any order. */
const byStart = (one: string, other: string) =>
  Number.parseInt(one.slice(6), 10) - Number.parseInt(other.slice(6), 10);

let folders = 0;
let folder = '';
let since = 0;

beforeEach(() => {
  double.fault = undefined;
  folder = `o${++folders}`;
  since = double.requests.length;
});

const objects = (options: SceneOptions = {}, readBytes?: number, pageKeys?: number): Objects =>
  supabaseObjects((key, signal) => publicationAt(double, key, { ...options, signal }), readBytes, pageKeys);
const seen = (isHit: (request: DoubleRequest) => boolean) => double.requests.slice(since).filter(isHit);
const faulty = (isHit: (request: DoubleRequest) => boolean, fault: DoubleFault, times = 1, from = 0) => {
  let hits = 0;
  double.fault = (request) => (isHit(request) && ++hits > from && hits <= from + times ? fault : undefined);
};
const write = async (key: string, bytes: Uint8Array): Promise<Receipt> => {
  await double.write(key, bytes);
  return { location: `supabase://${double.bucket}/${key}`, bytes: bytes.length, etag: md5Of(bytes) };
};

describe('list()', () => {
  test('list() gives all pages, in order, with keys as they are, and folders within folders', async () => {
    const keys = ['a b', 'a+b', 'b/1', 'b/c/2', 'x&y=C3;'].map((name) => `${folder}/${name}.parquet`).sort();
    for (const [at, key] of keys.entries()) await double.write(key, Buffer.alloc(at));
    await double.write(`${folder}x/other`, Buffer.alloc(1));
    const listed = await Array.fromAsync(objects({}, undefined, 2).list(`${folder}/`, never));
    expect(seen(isList)).toHaveLength(3);
    expect(listed.map(({ key, bytes, etag }) => ({ key, bytes, etag }))).toEqual(
      keys.map((key, at) => ({ key, bytes: at, etag: md5Of(Buffer.alloc(at)) })),
    );
    for (const { modified } of listed) {
      expect(Math.abs(Date.now() - modified.getTime())).toBeLessThan(60_000);
    }
  });

  test('list() asks for pages as they are read', async () => {
    for (const name of ['a', 'b', 'c']) await double.write(`${folder}/${name}`, Buffer.alloc(1));
    for await (const { key } of objects({}, undefined, 1).list(`${folder}/`, never)) {
      expect(key).toBe(`${folder}/a`);
      break;
    }
    expect(seen(isList)).toHaveLength(1);
  });

  test('list() gets over a page that fails for a while, and gives nothing twice', async () => {
    for (const name of ['a', 'b', 'c']) await double.write(`${folder}/${name}`, Buffer.alloc(1));
    faulty(isList, { kind: 'status', status: 503 }, 2, 1);
    const listed = await Array.fromAsync(objects({}, undefined, 1).list(`${folder}/`, never));
    expect(listed.map(({ key }) => key)).toEqual(['a', 'b', 'c'].map((name) => `${folder}/${name}`));
  });

  test('list() gives nothing where nothing is', async () => {
    expect(await Array.fromAsync(objects().list(`${folder}/`, never))).toEqual([]);
  });

  test('list() does not take a bucket that is missing, or not to be seen, for an empty one', async () => {
    const missing = await failing(Array.fromAsync(objects({ bucket: 'nowhere' }).list('', never)));
    expect(missing.message).toStartWith('Cannot list supabase://nowhere/: there is no bucket "nowhere"');
    await double.write(`${folder}/a`, Buffer.alloc(1));
    const anon = objects({ serviceKey: double.keys.anon }).list(`${folder}/`, never);
    expect((await failing(Array.fromAsync(anon))).message).toContain('or the key may not see it');
  });

  test('list() refuses pages that lead nowhere', async () => {
    const page = { hasNext: true, folders: [], objects: [] };
    faulty(isList, { kind: 'status', status: 200, body: JSON.stringify(page) });
    const error = await failing(Array.fromAsync(objects().list(`${folder}/`, never)));
    expect(error.message).toContain('there are more objects, but not how to go on');
  });

  test('list() refuses an object of which nothing is told', async () => {
    const page = { hasNext: false, folders: [], objects: [{ name: 'x', updated_at: null, metadata: null }] };
    faulty(isList, { kind: 'status', status: 200, body: JSON.stringify(page) });
    const error = await failing(Array.fromAsync(objects().list('x', never)));
    expect(error.message).toContain('names "x" without size, ETag or time');
  });
});

describe('open()', () => {
  const LENGTH = 1_000_003;
  const RANGE = 300_000;
  const bytes = patternOf(LENGTH);
  const read = async (key: string, etag?: string, signal = never): Promise<Buffer> => {
    const stream = await objects({}, RANGE).open(key, etag, signal);
    const chunks: Buffer[] = [];
    // Copies: a chunk belongs to its reader until the next read only.
    if (stream !== undefined) for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  };

  for (const fault of [
    undefined,
    { kind: 'reset' },
    { kind: 'lost answer' },
    { kind: 'status', status: 503 },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 429, retryAfter: '0' },
  ] as const) {
    test(`open() gives every byte once, with ${JSON.stringify(fault) ?? 'no fault'} on each range`, async () => {
      const key = `${folder}/whole`;
      const { etag } = await write(key, bytes);
      const hit = new Set<string>();
      double.fault = (request) => {
        const range = request.headers.get('range') ?? '';
        if (!isRead(request) || hit.has(range)) return undefined;
        hit.add(range);
        return fault;
      };
      expect(Buffer.compare(await read(key, etag), bytes)).toBe(0);
      expect([...hit].sort(byStart)).toEqual([
        'bytes=0-299999',
        'bytes=300000-599999',
        'bytes=600000-899999',
        'bytes=900000-1000002',
      ]);
      expect(seen(isRead)).toHaveLength(fault === undefined ? 4 : 8);
    });
  }

  test('open() asks for no range before somebody reads, and for no further one once it is cancelled', async () => {
    const key = `${folder}/whole`;
    await write(key, bytes);
    const stream = await objects({}, RANGE).open(key, undefined, never);
    expect(seen(isRead)).toHaveLength(0);
    const reader = stream?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(seen(isRead)).toHaveLength(1);
  });

  test('open() ends with the reason as soon as its signal aborts', async () => {
    const key = `${folder}/whole`;
    await write(key, bytes);
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'enough');
    double.fault = (request) => {
      if (!isRead(request)) return undefined;
      controller.abort(reason);
      return { kind: 'hang' };
    };
    expect(await failing(read(key, undefined, controller.signal))).toBe(reason);
  });

  test('open() asks for no range of an empty object', async () => {
    await write(`${folder}/empty`, Buffer.alloc(0));
    expect(await read(`${folder}/empty`)).toHaveLength(0);
    expect(seen(isRead)).toHaveLength(0);
  });

  test('open() has nothing where nothing is, and says that the bucket is missing', async () => {
    expect(await objects().open(`${folder}/none`, undefined, never)).toBeUndefined();
    const error = await failing(objects({ bucket: 'nowhere' }).open('a', undefined, never));
    expect(error.message).toStartWith('Cannot read supabase://nowhere/a: there is no bucket "nowhere"');
  });

  test('open() refuses an object of another entity tag', async () => {
    const key = `${folder}/whole`;
    await write(key, bytes);
    const error = await failing(objects().open(key, 'another', never));
    expect(error.code).toBe('integrity');
    expect(error.message).toContain('the object with ETag another was asked for');
    expect(error.message).toContain(md5Of(bytes));
  });

  for (const [what, change] of [
    ['replaced by one as long', (key: string) => double.write(key, Buffer.alloc(LENGTH))],
    ['replaced by a shorter one', (key: string) => double.write(key, Buffer.alloc(10))],
    ['removed', (key: string) => objects().remove(key, never)],
  ] as const) {
    test(`open() errors with 'integrity' when the object is ${what} between two ranges`, async () => {
      const key = `${folder}/whole`;
      const { etag } = await write(key, bytes);
      const reader = (await objects({}, RANGE).open(key, etag, never))?.getReader();
      await reader?.read();
      await change(key);
      const error = await failing(reader?.read() ?? Promise.resolve());
      expect(error.code).toBe('integrity');
      expect(error.message).toContain('was replaced or removed while it was read');
    });
  }

  test("open() errors with 'integrity' where a shorter object makes the store fail", async () => {
    const key = `${folder}/whole`;
    const { etag } = await write(key, bytes);
    const reader = (await objects({}, RANGE).open(key, etag, never))?.getReader();
    await reader?.read();
    await double.write(key, Buffer.alloc(10));
    faulty(isRead, { kind: 'status', status: 500 }, Number.POSITIVE_INFINITY);
    expect((await failing(reader?.read() ?? Promise.resolve())).code).toBe('integrity');
    // The first, and one attempt each at those that were asked for behind it.
    expect(seen(isRead)).toHaveLength(4);
  });

  test('open() asks again where a cache answers with an object that the store has no longer', async () => {
    const key = `${folder}/whole`;
    await write(key, bytes);
    let stale = 1;
    const stream = await supabaseObjects(
      (at, signal) =>
        publicationAt(double, at, {
          signal,
          around: (session) => ({
            ...session,
            send: (failed, limits, request, read_) =>
              session.send(failed, limits, request, async (answer) => {
                if (!request.path.includes('cacheNonce=') || stale-- <= 0) return await read_(answer);
                const headers = new Headers(answer.headers);
                headers.set('etag', '"older"');
                return await read_(new Response(answer.body, { status: 206, headers }));
              }),
          }),
        }),
      LENGTH,
    ).open(key, undefined, never);
    const first = await stream?.getReader().read();
    expect(Buffer.compare(first?.value ?? Buffer.alloc(0), bytes)).toBe(0);
    expect(seen(isRead)).toHaveLength(2);
  });

  test('open() refuses an answer that is not the range', async () => {
    const key = `${folder}/whole`;
    await write(key, bytes);
    const around: NonNullable<SceneOptions['around']> = (session) => ({
      ...session,
      // As a proxy that knows no ranges.
      send: (failed, limits, request, read_) =>
        session.send(failed, limits, { ...request, headers: {} }, read_),
    });
    const stream = await objects({ around }, RANGE).open(key, undefined, never);
    const error = await failing(stream?.getReader().read() ?? Promise.resolve());
    expect(error.message).toContain('was asked for bytes=0-299999 and gave all 1000003 bytes');
  });
});

describe('copy()', () => {
  test('copy() makes an object of the same bytes, whatever the key held', async () => {
    const source = await write(`${folder}/latest`, patternOf(500_000));
    await double.write(`${folder}/dated`, Buffer.from('older'));
    const copy = await objects().copy(`${folder}/latest`, `${folder}/dated`, source, never);
    expect(copy).toEqual({
      location: `supabase://${double.bucket}/${folder}/dated`,
      bytes: 500_000,
      etag: source.etag,
    });
    expect(
      Buffer.compare((await double.bytes(`${folder}/dated`)) ?? Buffer.alloc(0), patternOf(500_000)),
    ).toBe(0);
    expect(seen(({ method }) => method === 'DELETE')).toEqual([]);
  });

  for (const fault of [
    { kind: 'reset' },
    { kind: 'lost answer' },
    { kind: 'status', status: 500 },
  ] as const) {
    test(`copy() gets over "${fault.kind}"`, async () => {
      const source = await write(`${folder}/latest`, patternOf(1000));
      faulty(isCopy, fault);
      const copy = await objects().copy(`${folder}/latest`, `${folder}/dated`, source, never);
      expect(copy.etag).toBe(source.etag);
      expect(await double.bytes(`${folder}/dated`)).toHaveLength(1000);
    });
  }

  test('copy() replaces where the store does not do so itself', async () => {
    const source = await write(`${folder}/latest`, patternOf(1000));
    await double.write(`${folder}/dated`, Buffer.from('older'));
    const refusal = { statusCode: '409', error: 'Duplicate', message: 'exists', code: 'KeyAlreadyExists' };
    double.fault = (request) => {
      if (!isCopy(request) || seen(({ method }) => method === 'DELETE').length > 0) return undefined;
      return { kind: 'status', status: 400, body: JSON.stringify(refusal) };
    };
    await objects().copy(`${folder}/latest`, `${folder}/dated`, source, never);
    expect(await double.bytes(`${folder}/dated`)).toHaveLength(1000);
  });

  test('copy() copies nothing but what the receipt says', async () => {
    const source = await write(`${folder}/latest`, patternOf(1000));
    await double.write(`${folder}/latest`, Buffer.alloc(1000));
    const work = () => objects().copy(`${folder}/latest`, `${folder}/dated`, source, never);
    const replaced = await failing(work());
    expect(replaced.code).toBe('store');
    expect(replaced.message).toContain('it is no longer the object that was written');
    await objects().remove(`${folder}/latest`, never);
    expect((await failing(work())).message).toContain('it is no longer the object that was written');
    expect(await double.bytes(`${folder}/dated`)).toBeUndefined();
  });

  test('copy() notices a source that was replaced while it was copied', async () => {
    const source = await write(`${folder}/latest`, patternOf(1000));
    let versions = 0;
    double.fault = (request) => {
      if (!isInfo(request) || !request.path.endsWith('/latest')) return undefined;
      const info = {
        size: 1000,
        etag: `"${source.etag}"`,
        version: `v${++versions}`,
        last_modified: '2026-01-01',
      };
      return { kind: 'status', status: 200, body: JSON.stringify(info) };
    };
    const error = await failing(objects().copy(`${folder}/latest`, `${folder}/dated`, source, never));
    expect(error.message).toContain('it is no longer the object that was written');
    expect(versions).toBe(2);
  });

  test('copy() does not believe a copy of another size, or of another MD5', async () => {
    const source = await write(`${folder}/latest`, patternOf(1000));
    for (const [size, etag] of [
      [999, source.etag],
      [1000, md5Of(Buffer.alloc(1))],
    ]) {
      const info = { size, etag: `"${etag}"`, version: 'v', last_modified: '2026-01-01' };
      faulty(({ path }) => path.includes('/info/') && path.endsWith('/dated'), {
        kind: 'status',
        status: 200,
        body: JSON.stringify(info),
      });
      const error = await failing(objects().copy(`${folder}/latest`, `${folder}/dated`, source, never));
      expect(error.message).toContain(`${size} bytes with ETag ${etag} are there and not 1000 bytes`);
    }
  });
});

describe('remove()', () => {
  test('remove() removes, and resolves when it is not there', async () => {
    await write(`${folder}/a b`, patternOf(10));
    await objects().remove(`${folder}/a b`, never);
    expect(await double.bytes(`${folder}/a b`)).toBeUndefined();
    await objects().remove(`${folder}/a b`, never);
  });

  test('remove() gets over a lost answer', async () => {
    await write(`${folder}/a`, patternOf(10));
    faulty(({ method }) => method === 'DELETE', { kind: 'lost answer' });
    await objects().remove(`${folder}/a`, never);
    expect(await double.bytes(`${folder}/a`)).toBeUndefined();
  });

  test('remove() says that the key may not, and that the bucket is missing', async () => {
    await write(`${folder}/a`, patternOf(10));
    const anon = await failing(objects({ serviceKey: double.keys.anon }).remove(`${folder}/a`, never));
    expect(anon.message).toStartWith(`Cannot remove supabase://${double.bucket}/${folder}/a: `);
    expect(await double.bytes(`${folder}/a`)).toBeDefined();
    const missing = await failing(objects({ bucket: 'nowhere' }).remove('a', never));
    expect(missing.message).toContain('there is no bucket "nowhere"');
  });
});
