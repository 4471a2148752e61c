import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import { Secret } from '../../../../lib/secret.ts';
import {
  isNoSuchBucket,
  isNoSuchObject,
  isTaken,
  isTooLarge,
  readRefusal,
  refusalIn,
  supabaseError,
} from '../../../../lib/storage/supabase/supabase-errors.ts';
import type { SupabaseWords } from '../../../../lib/storage/supabase/supabase-sentences.ts';

const url = 'https://ref.supabase.co';
const failed = 'Cannot write supabase://b/k';
const words: SupabaseWords = { failed, url, bucket: 'b' };

interface Answered {
  readonly status: number;
  readonly body?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** GET unless told. */
  readonly method?: string;
}

/** The error that comes of an answer. */
async function errorOf({ status, body = '', headers = {}, method = 'GET' }: Answered): Promise<ToolError> {
  return supabaseError(await readRefusal(new Response(body, { status, headers }), method), words);
}

function said(statusCode: string | number, code: string | undefined, message: string, status = 400) {
  return { status, body: JSON.stringify({ statusCode, code, message }) };
}

function broken(code: string): Error {
  return Object.assign(new TypeError('some text for programmers'), { code });
}

describe('supabaseError()', () => {
  for (const [what, answer] of [
    ...[408, 423, 429, 500, 502, 503, 504, 520, 530, 544].map(
      (status) => [`HTTP ${status}`, { status }] as const,
    ),
    ['a page with 502', { status: 502, body: '<html>', headers: { 'content-type': 'text/html' } }],
    ['InternalError', said('500', 'InternalError', 'Internal Server Error')],
    ['DatabaseTimeout', said('544', 'DatabaseTimeout', 'The connection to the database timed out')],
    ['SlowDown', said('503', 'SlowDown', 'Too many connections')],
    ['ResourceLocked', said('423', 'ResourceLocked', 'locked')],
    ['LockTimeout', said('423', 'LockTimeout', 'acquiring lock timeout')],
    ['503 S3Error', said('503', 'S3Error', 'SlowDown')],
    ['500 S3Error', said('500', 'S3Error', 'InternalError')],
    ['429 S3Error', said('429', 'S3Error', 'TooManyRequests')],
  ] as const) {
    test(`supabaseError() says "again" to ${what}`, async () => {
      expect((await errorOf(answer)).remedy).toBe('again');
    });
  }

  for (const [what, answer] of [
    ...[400, 401, 402, 403, 404, 409, 410, 413, 415, 501, 505, 540].map(
      (status) => [`HTTP ${status}`, { status }] as const,
    ),
    ['400 S3Error', said('400', 'S3Error', 'InvalidPart')],
    ['404 S3Error', said('404', 'S3Error', 'NoSuchKey')],
    ['501 S3Error', said('501', 'S3Error', 'NotImplemented')],
    ['AccessDenied', said('403', 'AccessDenied', 'new row violates row-level security policy')],
    ['a page with 404', { status: 404, body: '<html>' }],
  ] as const) {
    test(`supabaseError() does not say "again" to ${what}`, async () => {
      expect((await errorOf(answer)).remedy).toBe('none');
    });
  }

  for (const code of [
    ...['ECONNREFUSED', 'ENOTFOUND', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'],
    'Malformed_HTTP_Response',
  ]) {
    test(`supabaseError() says "again" to ${code}`, () => {
      expect(supabaseError(broken(code), words).remedy).toBe('again');
    });
  }

  for (const thrown of [
    ...['EPROTO', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'].map(
      broken,
    ),
    new SyntaxError('JSON Parse error'),
    new Error('anything else'),
    'a text',
    undefined,
  ]) {
    test(`supabaseError() does not say "again" to ${Bun.inspect(thrown).split('\n').at(-1)}`, () => {
      expect(supabaseError(thrown, words).remedy).toBe('none');
    });
  }

  for (const [thrown, sentence] of [
    [broken('ECONNREFUSED'), `nothing listens on ${url} (ECONNREFUSED). Check SUPABASE_URL.`],
    [
      broken('ENOTFOUND'),
      `there is no host of the name in ${url} (ENOTFOUND). Check the network and SUPABASE_URL; ` +
        'a project that was paused for long or removed has no address either.',
    ],
    [broken('ECONNRESET'), `${url} closed the connection (ECONNRESET).`],
    [broken('EPIPE'), `${url} closed the connection (EPIPE).`],
    [broken('EPROTO'), `${url} does not speak TLS (EPROTO). Check SUPABASE_URL.`],
    [broken('Malformed_HTTP_Response'), `${url} does not speak HTTP. Check SUPABASE_URL.`],
    [
      broken('CERT_HAS_EXPIRED'),
      `the certificate of ${url} is not trusted (CERT_HAS_EXPIRED: some text for programmers).`,
    ],
    [broken('ENETDOWN'), `no connection to ${url} (ENETDOWN). Check the network and SUPABASE_URL.`],
    [
      new SyntaxError('JSON Parse error: Unexpected identifier "secret"'),
      `${url} does not answer like Supabase Storage (no JSON). Check SUPABASE_URL.`,
    ],
    [new Error('a limit of our own'), 'a limit of our own'],
  ] as const) {
    test(`supabaseError() makes of ${thrown.message}: ${sentence}`, () => {
      const error = supabaseError(thrown, words);
      expect(error.message).toBe(`${failed}: ${sentence}`);
      expect(error.code).toBe('store');
      expect(error.cause).toBe(thrown);
    });
  }

  test('supabaseError() names TLS where a server without it is spoken to', () => {
    expect(
      supabaseError(broken('ECONNRESET'), { ...words, url: 'http://ref.supabase.co' }).message,
    ).toEndWith('(ECONNRESET). If it expects TLS, use https:// in SUPABASE_URL.');
  });

  // What gateways, plans and other services answer; the recordings have none of them.
  for (const [answer, sentence] of [
    [
      { status: 401, body: '{"message":"Invalid API key","hint":"Double check your API key."}' },
      `${url} does not take the key (401: Invalid API key). ` +
        "Check SUPABASE_SERVICE_ROLE_KEY: the project's service_role key, whole, is wanted.",
    ],
    [
      { status: 540 },
      `the project at ${url} is paused (540). Restore it in the dashboard, or check SUPABASE_URL.`,
    ],
    [
      { status: 402, body: '{"message":"exceed_egress_quota"}' },
      `the project at ${url} is restricted (402: exceed_egress_quota). See its usage and its bills in the dashboard.`,
    ],
    [
      said('400', 'TenantNotFound', 'Missing tenant config for tenant x'),
      `${url} does not know the project (400 TenantNotFound: Missing tenant config for tenant x). Check SUPABASE_URL.`,
    ],
    [
      said('503', 'DatabaseReadOnly', 'cannot execute UPDATE'),
      "the project's database is read-only (503 DatabaseReadOnly: cannot execute UPDATE), as it is when its disk is full. " +
        'See the dashboard.',
    ],
    [
      said('423', 'ResourceLocked', 'The resource is locked'),
      'another request is at work on it (423 ResourceLocked: The resource is locked).',
    ],
    [{ status: 429, body: 'slow down' }, `${url} wants fewer requests (429: slow down).`],
    [said('400', 'S3Error', 'InvalidPart'), `${url} refused the request (400 S3Error: InvalidPart).`],
    [
      { status: 404, body: '<html>nginx</html>' },
      `${url} does not answer like Supabase Storage (HTTP 404). Check SUPABASE_URL.`,
    ],
    [{ status: 404 }, `${url} does not answer like Supabase Storage (HTTP 404). Check SUPABASE_URL.`],
    [
      { status: 404, method: 'HEAD' },
      'the unfinished upload is not there any more (404), so it has to be begun again.',
    ],
    [
      { status: 413, body: '<html>413 Request Entity Too Large</html>' },
      `a proxy in front of ${url} takes no request of that size (HTTP 413). Raise its limit (nginx: client_max_body_size).`,
    ],
    [
      { status: 403, body: 'Forbidden', headers: { 'content-type': 'text/html' } },
      `${url} does not answer like Supabase Storage (HTTP 403). Check SUPABASE_URL.`,
    ],
    [
      { status: 400, body: '{"status":{"error":"no such collection"}}' },
      `${url} does not answer like Supabase Storage (HTTP 400). Check SUPABASE_URL.`,
    ],
    [
      { status: 404, body: '404 page not found' },
      `${url} does not know the request (404: 404 page not found). Check SUPABASE_URL: the project's address, without a path.`,
    ],
    [
      { status: 410, body: 'The file for this url no longer exists' },
      'the unfinished upload is not there any more (410: The file for this url no longer exists), so it has to be begun again.',
    ],
    [
      { status: 308, headers: { location: 'https://x.example/' } },
      `${url} redirects to https://x.example/ (HTTP 308). Set SUPABASE_URL to the address that it leads to.`,
    ],
  ] as const) {
    test(`supabaseError() makes of ${JSON.stringify(answer)}: ${sentence}`, async () => {
      expect((await errorOf(answer)).message).toBe(`${failed}: ${sentence}`);
    });
  }

  test('supabaseError() goes by the code, whatever status and text come with it', async () => {
    const text = 'Upload-Offset conflict';
    expect(isNoSuchBucket(await errorOf(said('409', 'NoSuchBucket', text)))).toBe(true);
    expect(isNoSuchObject(await errorOf(said('500', 'NoSuchKey', text)))).toBe(true);
    expect(isTooLarge(await errorOf(said('400', 'EntityTooLarge', text)))).toBe(true);
    expect(isTaken(await errorOf(said('400', 'ResourceAlreadyExists', text)))).toBe(true);
  });

  test('supabaseError() understands servers from before there were codes', async () => {
    const missing = await errorOf(said('404', undefined, 'Bucket not found'));
    expect(isNoSuchBucket(missing)).toBe(true);
    expect(isNoSuchObject(missing)).toBe(false);
    const object = await errorOf(said('404', undefined, 'Object not found'));
    expect(isNoSuchObject(object)).toBe(true);
    expect(isNoSuchBucket(object)).toBe(false);
    expect(isTaken(await errorOf(said('409', undefined, 'The resource already exists')))).toBe(true);
    expect(isTooLarge(await errorOf(said('413', undefined, 'The object exceeded the size')))).toBe(true);
  });

  test('supabaseError() carries what Retry-After asks for', async () => {
    const asked = await errorOf({ status: 429, headers: { 'retry-after': '7' } });
    expect(asked.retryAfterMs).toBe(7_000);
    expect((await errorOf({ status: 429 })).retryAfterMs).toBeUndefined();
  });

  test('refusalIn() finds the refusal behind an error, and none behind others', async () => {
    expect(refusalIn(await errorOf(said('409', 'KeyAlreadyExists', 'x')))).toMatchObject({
      status: 409,
      code: 'KeyAlreadyExists',
    });
    expect(refusalIn(supabaseError(broken('EPIPE'), words))).toBeUndefined();
    expect(refusalIn(new ToolError('store', 'x'))).toBeUndefined();
    expect(refusalIn(undefined)).toBeUndefined();
  });
});

describe('readRefusal()', () => {
  for (const [statusCode, status] of [
    ['413', 413],
    [404, 404],
    ['', 400],
    ['InvalidJWT', 400],
    [0, 400],
    ['200', 400],
    [null, 400],
  ] as const) {
    test(`readRefusal() takes ${JSON.stringify(statusCode)} of a 400's body for ${status}`, async () => {
      const body = JSON.stringify({ statusCode, code: 'X', message: 'y' });
      expect(await readRefusal(new Response(body, { status: 400 }), 'GET')).toMatchObject({
        status,
        code: 'X',
      });
    });
  }

  test('readRefusal() reads 64 KiB of an endless page, and lets go of it', async () => {
    let pulled = 0;
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(16 * 1024).fill(0x61));
        },
        cancel() {
          cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    const { text } = await readRefusal(new Response(endless, { status: 500 }), 'GET');
    expect(text).toHaveLength(64 * 1024);
    expect(pulled).toBe(4);
    expect(cancelled).toBe(true);
  });

  test('readRefusal() makes do with what came of a body that breaks off', async () => {
    const sent = [Buffer.from('half an ans')];
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = sent.shift();
        if (chunk === undefined) controller.error(new Error('cut'));
        else controller.enqueue(chunk);
      },
    });
    expect((await readRefusal(new Response(broken, { status: 503 }), 'GET')).text).toBe('half an ans');
  });

  test('readRefusal() shows at most 200 characters, on one line', async () => {
    const { message } = await errorOf({ status: 500, body: `${'a\r\n\0'.repeat(300)}` });
    expect(message).toBe(`${failed}: Supabase Storage at ${url} has failed (500: ${'a '.repeat(100)}…).`);
  });

  test('readRefusal() takes a secret out of what is shown', async () => {
    const headers = { location: 'https://x.example/?apikey=abc' };
    const answer = new Response('no such key: abc', { status: 302, headers });
    expect(await readRefusal(answer, 'GET', new Secret('abc'))).toMatchObject({
      text: 'no such key: ***',
      message: 'no such key: ***',
      location: 'https://x.example/?apikey=***',
    });
  });
});
