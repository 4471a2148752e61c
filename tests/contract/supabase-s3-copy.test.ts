import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { Secret } from '../../lib/secret.ts';
import { supabaseS3 } from '../../lib/storage/supabase/supabase-s3.ts';

/*
 * Supabase ignores the condition of a copy, so that the source may be replaced just before it is copied. Here a server
 * says what is there at each look.
 */

interface Look {
  readonly etag: string;
  readonly mark?: string;
}

const MD5 = '0123456789abcdef0123456789abcdef';
const OTHER_MD5 = 'fedcba9876543210fedcba9876543210';
/** What each HEAD of a key finds; the last of them from then on. */
let looks: Record<'from' | 'to', readonly Look[]> = { from: [], to: [] };
let asked: string[] = [];
beforeEach(() => {
  asked = [];
});

const server = Bun.serve({
  port: 0,
  fetch({ method, url }) {
    const key = new URL(url).pathname.split('/').pop() as 'from' | 'to';
    asked.push(`${method} ${key}`);
    if (method === 'PUT') {
      return new Response(`<CopyObjectResult><ETag>"${MD5}"</ETag></CopyObjectResult>`);
    }
    const earlier = asked.filter((request) => request === `HEAD ${key}`).length - 1;
    const { etag, mark } = looks[key][Math.min(earlier, looks[key].length - 1)] as Look;
    const marked = mark === undefined ? {} : { 'x-amz-meta-upload-mark': mark };
    return new Response(null, { headers: { etag: `"${etag}"`, 'content-length': '10', ...marked } });
  },
});
afterAll(() => server.stop(true));

describe('copy()', () => {
  const signal = new AbortController().signal;
  const copied = (etag: string) =>
    supabaseS3({
      endpoint: `${server.url.origin}/storage/v1/s3`,
      region: 'local',
      bucket: 'b',
      accessKeyId: new Secret('id'),
      secretAccessKey: new Secret('secret'),
    })
      .objects?.copy('from', 'to', { location: 'supabase://b/from', bytes: 10, etag }, signal)
      .then(
        (receipt) => receipt.etag,
        (error: Error) => error.message,
      );
  const ONE_LOOK = ['HEAD from', 'PUT to', 'HEAD to'];

  test('copy() is content with the entity tag of the source', async () => {
    looks = { from: [{ etag: MD5 }], to: [{ etag: MD5 }] };
    expect(await copied(MD5)).toBe(MD5);
    expect(asked).toEqual(ONE_LOOK);
  });

  test('copy() is content with the mark of the source', async () => {
    looks = { from: [{ etag: `${MD5}-3`, mark: 'm' }], to: [{ etag: OTHER_MD5, mark: 'm' }] };
    expect(await copied(`${MD5}-3`)).toBe(OTHER_MD5);
    expect(asked).toEqual(ONE_LOOK);
  });

  test('copy() looks at the source again where nothing tells what was copied', async () => {
    looks = { from: [{ etag: `${MD5}-3`, mark: 'm' }], to: [{ etag: OTHER_MD5 }] };
    expect(await copied(`${MD5}-3`)).toBe(OTHER_MD5);
    expect(asked).toEqual([...ONE_LOOK, 'HEAD from']);
  });

  test('copy() is refused where another run replaced the source meanwhile', async () => {
    looks = {
      from: [
        { etag: `${MD5}-3`, mark: 'm' },
        { etag: `${OTHER_MD5}-3`, mark: 'x' },
      ],
      to: [{ etag: OTHER_MD5, mark: 'x' }],
    };
    expect(await copied(`${MD5}-3`)).toBe(
      'Cannot copy supabase://b/from to supabase://b/to: it is no longer the object that was written, another run replaced it.',
    );
  });

  test('copy() is refused where the copy has the MD5 of other bytes', async () => {
    looks = { from: [{ etag: MD5 }], to: [{ etag: OTHER_MD5 }] };
    expect(await copied(MD5)).toBe(
      `Copied supabase://b/from to supabase://b/to, but ETag ${OTHER_MD5} is there and not ${MD5}.`,
    );
  });
});
