import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { OpenUpload } from '../../lib/storage/storage.ts';
import { putResumable } from '../../lib/storage/supabase/supabase-tus.ts';
import { createResumable, patchResumable } from '../../lib/storage/supabase/supabase-tus-calls.ts';
import { supabaseUploads } from '../../lib/storage/supabase/supabase-uploads.ts';
import { byteBody, patternOf } from '../support/byte-body.ts';
import { startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { openUploadsOf, tusPublication } from '../support/tus-scene.ts';

const CHUNK = 1000;
const LENGTH = 2500;
const whole = patternOf(LENGTH);
const double = await startSupabaseDouble({ s3: false });
const never = new AbortController().signal;
let keys = 0;
let key = '';

afterAll(() => double.stop());
beforeEach(() => {
  double.fault = undefined;
  key = `left${++keys}/latest.parquet`;
});

const publication = (of = key, signal = never, serviceKey = double.keys.service) =>
  tusPublication({ url: double.url, serviceKey, key: of, signal });
const uploads = (serviceKey?: string) => supabaseUploads((of, signal) => publication(of, signal, serviceKey));
/** An upload that has so many bytes, as another process left it. */
const leftAt = async (bytes: number): Promise<OpenUpload> => {
  const to = publication();
  const id = await createResumable(to, LENGTH, 'text/plain', to.limits);
  if (bytes > 0) await patchResumable(to, id, 0, whole.subarray(0, bytes), to.limits);
  return { key, id, partBytes: CHUNK, crc32: false, parts: [] };
};
const failing = async (work: Promise<unknown>): Promise<ToolError> => {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
};

describe('find()', () => {
  for (const [bytes, parts] of [
    [0, []],
    [999, []],
    [1000, [1000]],
    [2499, [1000, 1000]],
    [2500, [1000, 1000, 500]],
  ] as const) {
    test(`tells an upload of ${bytes} bytes by its whole chunks, and the last one of a finished one`, async () => {
      const left = await leftAt(bytes);
      const found = await uploads().find(left, never);
      expect(found).toEqual({
        ...left,
        parts: parts.map((size, at) => ({
          number: at + 1,
          bytes: size,
          etag: '',
          crc32: undefined,
          md5: undefined,
        })),
      });
    });
  }

  test('is undefined for an upload that was removed, expired, or never was', async () => {
    const left = await leftAt(1000);
    expect(await uploads().remove(left, never)).toBeUndefined();
    expect(await uploads().find(left, never)).toBeUndefined();
    const expired = await leftAt(1000);
    double.fault = () => ({ kind: 'expired', status: 410 });
    expect(await uploads().find(expired, never)).toBeUndefined();
    double.fault = undefined;
    // That of another door.
    expect(await uploads().find({ ...left, id: 'garbage' }, never)).toBeUndefined();
  });

  test("is undefined for the upload of another key or bucket, and doesn't touch it", async () => {
    const left = await leftAt(1000);
    expect(await uploads().find({ ...left, key: 'another' }, never)).toBeUndefined();
    expect(await openUploadsOf(double, key)).toContain(left.id);
    await uploads().remove(left, never);
  });

  test('is undefined for a finished one whose object was replaced or removed since', async () => {
    const left = await leftAt(LENGTH);
    await double.write(key, whole);
    // The engine forgets the upload with its object; a store that does not tells of a finished one.
    const answer = { 'upload-offset': String(LENGTH), 'upload-length': String(LENGTH) };
    const store = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        if (request.method === 'HEAD') return new Response(null, { headers: answer });
        const { pathname } = new URL(request.url);
        const passed = await fetch(double.url + pathname, { headers: request.headers });
        return new Response(await passed.bytes(), { status: passed.status });
      },
    });
    try {
      const url = `http://127.0.0.1:${store.port}`;
      const find = () => {
        const to = tusPublication({ url, serviceKey: double.keys.service, key });
        return supabaseUploads(() => to).find(left, never);
      };
      expect(await find()).toBeUndefined();
      const deleted = await fetch(`${double.url}/storage/v1/object/backups/${key}`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${double.keys.service}` },
      });
      expect(deleted.status).toBe(200);
      expect(await find()).toBeUndefined();
    } finally {
      await store.stop(true);
    }
  });

  test('rejects where the store cannot be asked, and does not take that for an upload that is gone', async () => {
    const left = await leftAt(1000);
    const expired = await failing(uploads(double.keys.expired).find(left, never));
    expect(expired.message).toStartWith(`Cannot write supabase://backups/${key}: `);
    double.fault = () => ({ kind: 'status', status: 503 });
    expect((await failing(uploads().find(left, never))).remedy).toBe('again');
    double.fault = undefined;
    expect(await uploads().remove(left, never)).toBeUndefined();
  });
});

describe('remove()', () => {
  test('removes an upload beside an object of the same key, and leaves the object', async () => {
    const left = await leftAt(1000);
    await double.write(key, Buffer.from('older'));
    expect(await uploads().remove(left, never)).toBeUndefined();
    expect(await openUploadsOf(double, key)).not.toContain(left.id);
    expect(Buffer.from((await double.bytes(key)) as Uint8Array).toString()).toBe('older');
  });

  test('leaves a finished one, which is an object', async () => {
    const left = await leftAt(LENGTH);
    expect(await uploads().remove(left, never)).toBeUndefined();
    expect(await double.bytes(key)).toEqual(whole);
  });

  test('resolves where there is nothing', async () => {
    const left = await leftAt(1000);
    expect(await uploads().remove(left, never)).toBeUndefined();
    expect(await uploads().remove(left, never)).toBeUndefined();
    expect(await uploads().remove({ key, id: 'garbage' }, never)).toBeUndefined();
  });

  test('goes on trying for a while, and tells of a lost answer nothing', async () => {
    const left = await leftAt(1000);
    let count = 0;
    double.fault = () => (++count % 2 === 1 ? { kind: 'lost answer' } : undefined);
    expect(await uploads().remove(left, never)).toBeUndefined();
    double.fault = undefined;
    expect(await openUploadsOf(double, key)).not.toContain(left.id);
  });

  for (const [what, fault] of [
    ['refuses', { kind: 'status', status: 403, body: 'new row violates row-level security policy' }],
    ['never answers', { kind: 'hang' }],
  ] as const) {
    test(`says what remains where the store ${what}`, async () => {
      const left = await leftAt(1000);
      double.fault = () => fault;
      const patience = { cleanupMs: 600 };
      const to = tusPublication({ url: double.url, serviceKey: double.keys.service, key, patience });
      const remains = await supabaseUploads(() => to).remove(left, never);
      expect(remains).toStartWith(`The unfinished upload ${left.id} could not be removed (`);
      expect(remains).toEndWith('): the store drops it by itself, a hosted project after 24 hours.');
    });
  }
});

describe('published()', () => {
  test('knows an object by its size and entity tag', async () => {
    const request = { key, body: byteBody(LENGTH, 300).stream, estimatedBytes: LENGTH, signal: never };
    const { bytes, etag } = await putResumable({ ...request, bytes: LENGTH }, publication(), CHUNK);
    const published = (expected: { bytes: number; etag: string | undefined }) =>
      uploads().published(key, expected, never);
    expect(await published({ bytes, etag })).toEqual({ location: `supabase://backups/${key}`, bytes, etag });
    expect(await published({ bytes: bytes + 1, etag })).toBeUndefined();
    expect(await published({ bytes, etag: 'other' })).toBeUndefined();
    expect(await published({ bytes, etag: undefined })).toBeUndefined();
    expect(await uploads().published('nothing', { bytes, etag }, never)).toBeUndefined();
  });
});
