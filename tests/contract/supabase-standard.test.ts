import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { ExpectedObject, UploadLog } from '../../lib/storage/storage.ts';
import type { SupabaseSession } from '../../lib/storage/supabase/supabase-session.ts';
import { putStandard, STANDARD_BYTES } from '../../lib/storage/supabase/supabase-standard.ts';
import { patternOf } from '../support/byte-body.ts';
import {
  type DoubleFault,
  type DoubleRequest,
  startSupabaseDouble,
} from '../support/supabase-double/supabase-double.ts';
import { failing, publicationAt, type SceneOptions, seenAt } from '../support/supabase-scene.ts';

/* One request for what is small, and the look that proves it, because the store compares nothing. */

const double = await startSupabaseDouble({ s3: false });
afterAll(() => double.stop());

const isUpload = ({ method }: DoubleRequest) => method === 'POST';
const isInfo = ({ path }: DoubleRequest) => path.includes('/object/info/');
const isRead = ({ method, path }: DoubleRequest) => method === 'GET' && path.includes('cacheNonce=');
const md5Of = (bytes: Uint8Array) => new Bun.CryptoHasher('md5').update(bytes).digest('hex');

let keys = 0;
let key = '';

beforeEach(() => {
  double.fault = undefined;
  key = `s${++keys}/latest.parquet`;
});

const put = (body: Uint8Array<ArrayBuffer>, options: SceneOptions = {}, log?: UploadLog) =>
  putStandard(body, publicationAt(double, key, options), log);
/** The fault for the first so many requests of that kind. */
const faulty = (isHit: (request: DoubleRequest) => boolean, fault: DoubleFault, times = 1) => {
  let hits = 0;
  double.fault = (request) => (isHit(request) && ++hits <= times ? fault : undefined);
};
const text = (words: string) => new TextEncoder().encode(words);

describe('putStandard()', () => {
  for (const length of [0, 1, 300_000, STANDARD_BYTES]) {
    test(`putStandard() stores exactly the ${length} bytes that it has, and says so`, async () => {
      const body = patternOf(length);
      expect(await put(body)).toEqual({ bytes: length, etag: md5Of(body) });
      expect(Buffer.compare((await double.bytes(key)) ?? Buffer.from('none'), body)).toBe(0);
    });
  }

  test('putStandard() replaces what is there, tells its length and type, and forbids caches to keep it', async () => {
    await double.write(key, text('as before'));
    const from = double.requests.length;
    await put(text('as now'));
    expect(String(Buffer.from((await double.bytes(key)) ?? []))).toBe('as now');
    const headers = double.requests.slice(from).find(isUpload)?.headers;
    expect({
      upsert: headers?.get('x-upsert'),
      type: headers?.get('content-type'),
      length: headers?.get('content-length'),
      cache: headers?.get('cache-control'),
    }).toEqual({
      upsert: 'true',
      type: 'application/vnd.apache.parquet',
      length: '6',
      cache: 'max-age=0',
    });
  });

  for (const odd of [
    'a b.parquet',
    'a+b=C3,.parquet',
    "q!'()*.parquet",
    'x&y$@;:.parquet',
    'a?b',
    'a//b/',
    '/a',
  ]) {
    test(`putStandard() writes the key "${odd}" and no other`, async () => {
      key = odd.startsWith('/') ? odd : `s${keys}/${odd}`;
      await put(text('odd'));
      expect(String(Buffer.from((await double.bytes(key)) ?? []))).toBe('odd');
    });
  }

  test('putStandard() tells the log what it will be before the request that makes it', async () => {
    const body = text('on record');
    let told: ExpectedObject | undefined;
    const log: UploadLog = {
      begun: async () => {},
      confirmed: () => {},
      publishing: async (expected) => {
        expect(await double.bytes(key)).toBeUndefined();
        told = expected;
      },
    };
    const stored = await put(body, {}, log);
    expect(told).toEqual(stored);
  });

  for (const fault of [
    { kind: 'reset' },
    { kind: 'reset', afterBytes: 100_000 },
    { kind: 'lost answer' },
    { kind: 'status', status: 503, body: 'busy' },
    { kind: 'flip', at: 1000 },
  ] as const) {
    test(`putStandard() gets over ${JSON.stringify(fault)} on its request`, async () => {
      faulty(isUpload, fault);
      const body = patternOf(300_000);
      await put(body);
      expect(Buffer.compare((await double.bytes(key)) ?? Buffer.from('none'), body)).toBe(0);
    });
  }

  for (const [what, isHit] of [
    ['size', isInfo],
    ['bytes', isRead],
  ] as const) {
    for (const fault of [{ kind: 'reset' }, { kind: 'status', status: 500 }] as const) {
      test(`putStandard() gets over "${fault.kind}" where it looks at the ${what} afterwards`, async () => {
        faulty(isHit, fault, 2);
        expect((await put(patternOf(300_000))).bytes).toBe(300_000);
      });
    }
  }

  test('putStandard() whose last answer is lost finds the object there', async () => {
    faulty(isUpload, { kind: 'lost answer' });
    await put(text('there'), { attempts: 1 });
    expect(seenAt(double).filter((line) => line === `POST /object/${double.bucket}/${key}`)).toHaveLength(1);
  });

  test('putStandard() whose last request is lost keeps what was there, as long as that', async () => {
    await double.write(key, text('before'));
    faulty(isUpload, { kind: 'reset' }, Number.POSITIVE_INFINITY);
    const error = await failing(put(text('as now'), { attempts: 2 }));
    expect(error.code).toBe('store');
    expect(error.message).toStartWith(`Cannot write supabase://${double.bucket}/${key}: `);
    expect(String(Buffer.from((await double.bytes(key)) ?? []))).toBe('before');
  });

  test('putStandard() removes what is damaged again and again', async () => {
    faulty(isUpload, { kind: 'flip', at: 5 }, Number.POSITIVE_INFINITY);
    const error = await failing(put(text('not that')));
    expect(error.code).toBe('integrity');
    expect(error.message).toContain(
      `supabase://${double.bucket}/${key} is not what was sent: 8 bytes with ETag`,
    );
    expect(error.message).toContain('It was removed');
    expect(await double.bytes(key)).toBeUndefined();
  });

  test('putStandard() leaves what another writer put there meanwhile, of its length or not', async () => {
    for (const other of ['NOT THAT', 'not']) {
      const around = (session: SupabaseSession): SupabaseSession => ({
        ...session,
        call: async (failed, limits, run) => {
          const done = await session.call(failed, limits, run);
          await double.write(key, text(other));
          return done;
        },
      });
      const error = await failing(put(text('not that'), { around }));
      expect(error.code).toBe('integrity');
      expect(error.message).toContain('Another writer may have replaced it');
      expect(String(Buffer.from((await double.bytes(key)) ?? []))).toBe(other);
    }
  });

  test('putStandard() does not remove what a server holds that keeps no marks, as it may be of another writer', async () => {
    const around = (session: SupabaseSession): SupabaseSession => ({
      ...session,
      send: (failed, limits, request, read) =>
        session.send(failed, limits, request, async (answer) => {
          if (!request.path.includes('/object/info/')) return await read(answer);
          const info = (await answer.json()) as object;
          return await read(Response.json({ ...info, metadata: undefined }));
        }),
    });
    faulty(isUpload, { kind: 'flip', at: 5 }, Number.POSITIVE_INFINITY);
    const error = await failing(put(text('not that'), { around }));
    expect(error.code).toBe('integrity');
    expect(error.message).toEndWith(
      'Another writer may have replaced it; export again. Do not use it before that.',
    );
    expect(await double.bytes(key)).toBeDefined();
  });

  test('putStandard() leaves what is not of its length, which is of another writer', async () => {
    const info = { size: 5, etag: '"e"', version: 'v', last_modified: '2026-11-22T15:21:47.616Z' };
    faulty(isInfo, { kind: 'status', status: 200, body: JSON.stringify(info) });
    const error = await failing(put(text('of mine')));
    expect(error.code).toBe('integrity');
    expect(error.message).toContain('5 bytes with ETag e are there');
    expect(error.message).toContain('Another writer may have replaced it');
    expect(await double.bytes(key)).toBeDefined();
  });

  test('putStandard() reads again what was damaged on its way back', async () => {
    let damaged = 0;
    const around = (session: SupabaseSession): SupabaseSession => ({
      ...session,
      send: (failed, limits, request, read) =>
        session.send(failed, limits, request, async (answer) => {
          if (!request.path.includes('cacheNonce=') || damaged++ > 0) return await read(answer);
          const bytes = await answer.bytes();
          bytes[0] = (bytes[0] as number) ^ 1;
          return await read(new Response(bytes, { status: 206, headers: answer.headers }));
        }),
    });
    await put(text('right there'), { around });
    expect(damaged).toBe(2);
    expect(seenAt(double).filter((line) => line === `POST /object/${double.bucket}/${key}`)).toHaveLength(1);
  });

  test('putStandard() says that it wrote what it could not read back', async () => {
    faulty(isInfo, { kind: 'status', status: 500 }, Number.POSITIVE_INFINITY);
    const error = await failing(put(text('unseen'), { attempts: 2 }));
    expect(error.code).toBe('store');
    expect(error.message).toContain('but could not read it back to compare it');
  });

  test('putStandard() that is cancelled while the store is at it resolves when it is there', async () => {
    const controller = new AbortController();
    double.fault = (request) => {
      if (isUpload(request)) controller.abort(new ToolError('cancelled', 'enough'));
      return undefined;
    };
    const stored = await put(text('in time'), { signal: controller.signal });
    expect(stored.bytes).toBe(7);
    expect(String(Buffer.from((await double.bytes(key)) ?? []))).toBe('in time');
  });

  test('putStandard() that is cancelled while the store says nothing ends within 2 s and leaves nothing', async () => {
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'enough');
    let since = 0;
    double.fault = (request) => {
      if (isUpload(request)) {
        since = performance.now();
        controller.abort(reason);
      }
      return { kind: 'hang' };
    };
    expect(await failing(put(text('never'), { signal: controller.signal }))).toBe(reason);
    expect(performance.now() - since).toBeLessThan(2000);
    expect(await double.bytes(key)).toBeUndefined();
  });

  test('putStandard() under an aborted signal sends nothing', async () => {
    const reason = new ToolError('cancelled', 'enough');
    const from = double.requests.length;
    expect(await failing(put(text('never'), { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(double.requests.length).toBe(from);
  });

  test('putStandard() passes on what the bucket refuses, as one sentence', async () => {
    await double.makeBucket('tiny', { fileSizeLimit: 10 });
    await double.makeBucket('pictures', { mimeTypes: ['image/*'] });
    const large = await failing(put(patternOf(11), { bucket: 'tiny' }));
    expect(large.message).toStartWith(`Cannot write supabase://tiny/${key}: it is larger than bucket "tiny"`);
    const type = await failing(put(patternOf(11), { bucket: 'pictures' }));
    expect(type.message).toContain('bucket "pictures" does not take files of that type');
    const missing = await failing(put(patternOf(11), { bucket: 'nowhere' }));
    expect(missing.message).toContain('there is no bucket "nowhere"');
    const anon = await failing(put(patternOf(11), { serviceKey: double.keys.anon }));
    expect(anon.message).toContain('the key may not do that');
    expect(await double.bytes(key, 'tiny')).toBeUndefined();
    expect(await double.bytes(key, 'pictures')).toBeUndefined();
  });
});
