import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { ByteStream } from '../../lib/storage/storage.ts';
import { putSupabaseBeside } from '../../lib/storage/supabase/supabase-beside.ts';
import { putStandard } from '../../lib/storage/supabase/supabase-standard.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import { startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { failing, publicationAt, seenAt } from '../support/supabase-scene.ts';

/* What lies beside an object is written only while that object is there, as far as looking can tell. */

const double = await startSupabaseDouble({ s3: false });
afterAll(() => double.stop());

let folders = 0;
let object = '';
let manifest = '';
let etag = '';

beforeEach(async () => {
  double.fault = undefined;
  object = `b${++folders}/latest.parquet`;
  manifest = `b${folders}/latest.json`;
  ({ etag } = await putStandard(patternOf(100), publicationAt(double, object), undefined));
});

interface Options {
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

const put = (body: ByteStream, { signal = new AbortController().signal, onProgress }: Options = {}) =>
  putSupabaseBeside({
    request: {
      key: manifest,
      body,
      estimatedBytes: 0,
      signal,
      ...(onProgress === undefined ? {} : { onProgress }),
    },
    beside: { key: object, etag },
    to: publicationAt(double, manifest, { signal }),
    besideLocation: `supabase://${double.bucket}/${object}`,
  });
const bodyOf = (text: string) => new Response(text).body as ByteStream;
const textAt = async (key: string) => String(Buffer.from((await double.bytes(key)) ?? Buffer.from('none')));

describe('putSupabaseBeside()', () => {
  test('putSupabaseBeside() writes it as JSON, and says so', async () => {
    let progress = 0;
    const put_ = await put(bodyOf('{}'), { onProgress: (bytes) => (progress += bytes) });
    expect(put_.bytes).toBe(2);
    expect(progress).toBe(2);
    expect(await textAt(manifest)).toBe('{}');
    const upload = double.requests.find(({ path }) => path.endsWith(`/object/${double.bucket}/${manifest}`));
    expect(upload?.headers.get('content-type')).toBe('application/json');
  });

  test('putSupabaseBeside() sends what is too large for one request in chunks', async () => {
    const length = 7 * MIB;
    let progress = 0;
    const { bytes } = await put(byteBody(length, 300_000).stream, {
      onProgress: (taken) => (progress += taken),
    });
    expect([bytes, progress]).toEqual([length, length]);
    expect(Buffer.compare((await double.bytes(manifest)) ?? Buffer.alloc(0), patternOf(length))).toBe(0);
    expect(seenAt(double).some((line) => line === 'POST /upload/resumable')).toBe(true);
  });

  test('putSupabaseBeside() takes no more than is small', async () => {
    const body = byteBody(17 * MIB, MIB);
    const error = await failing(put(body.stream));
    expect(error.message).toContain('may lie beside an object');
    expect(body.cancelled()).toBe(error);
    expect(await textAt(manifest)).toBe('none');
  });

  test('putSupabaseBeside() writes nothing beside an object that was replaced, or that is gone', async () => {
    await put(bodyOf('of A'));
    await double.write(object, Buffer.from('of B'));
    const replaced = await failing(put(bodyOf('of A again')));
    expect(replaced.code).toBe('store');
    expect(replaced.message).toContain(
      `Cannot write supabase://${double.bucket}/${manifest}: another run replaced supabase://${double.bucket}/${object}`,
    );
    expect(replaced.message).toContain(`where ${etag} was written`);
    expect(await textAt(manifest)).toBe('of A');
  });

  test('putSupabaseBeside() tells when the object is gone', async () => {
    object = `b${folders}/gone.parquet`;
    const error = await failing(put(bodyOf('of A')));
    expect(error.message).toContain('another run removed');
    expect(await textAt(manifest)).toBe('none');
  });

  test('putSupabaseBeside() tells when the object was replaced while it wrote', async () => {
    let looks = 0;
    double.fault = ({ path }) => {
      if (!path.includes('/info/') || !path.endsWith('.parquet') || ++looks < 2) return undefined;
      const info = { size: 4, etag: '"of-B"', version: 'v', last_modified: '2026-11-22T15:21:47.616Z' };
      return { kind: 'status', status: 200, body: JSON.stringify(info) };
    };
    const error = await failing(put(bodyOf('of A')));
    expect(error.message).toContain(
      `Wrote supabase://${double.bucket}/${manifest}, which may not belong to what it lies beside: another run replaced`,
    );
    expect(error.message).toContain('ETag of-B');
  });

  for (const fault of [
    { kind: 'reset' },
    { kind: 'lost answer' },
    { kind: 'status', status: 503 },
    { kind: 'flip', at: 1 },
  ] as const) {
    test(`putSupabaseBeside() gets over "${fault.kind}" in each of its requests`, async () => {
      const hit = new Set<string>();
      double.fault = ({ method, path }) => {
        if (hit.has(`${method} ${path}`)) return undefined;
        hit.add(`${method} ${path}`);
        return fault;
      };
      await put(bodyOf('of A'));
      expect(await textAt(manifest)).toBe('of A');
    });
  }

  test('putSupabaseBeside() that is cancelled once it is written resolves', async () => {
    const controller = new AbortController();
    double.fault = ({ method }) => {
      if (method === 'POST') controller.abort(new ToolError('cancelled', 'enough'));
      return undefined;
    };
    await put(bodyOf('in time'), { signal: controller.signal });
    expect(await textAt(manifest)).toBe('in time');
  });

  test('putSupabaseBeside() under an aborted signal cancels the body and sends nothing', async () => {
    const reason = new ToolError('cancelled', 'enough');
    const body = byteBody(1000, 100);
    const from = double.requests.length;
    expect(await failing(put(body.stream, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(body.cancelled()).toBe(reason);
    expect(double.requests.length).toBe(from);
  });
});
