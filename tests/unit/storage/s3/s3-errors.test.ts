import { describe, expect, test } from 'bun:test';
import { isConflict, isThrottle, refusesHeader, s3Error } from '../../../../lib/storage/s3/s3-errors.ts';
import { r2Names, type StoreWords } from '../../../../lib/storage/s3/s3-words.ts';

const words: StoreWords = {
  failed: 'Cannot write s3://b/k',
  bucket: 'b',
  endpoint: 'https://store.example.com',
  region: 'auto',
  names: r2Names(true),
};

/** What the SDK throws for an answer of the store. */
function answer(status: number, code?: string, headers: Record<string, string> = {}): Error {
  const error = Object.assign(new Error('some text'), {
    $fault: 'client',
    $metadata: { httpStatusCode: status },
    ...(code === undefined ? {} : { Code: code }),
  });
  Object.defineProperty(error, '$response', { value: { headers }, enumerable: false });
  return error;
}

function broken(code: string): Error {
  return Object.assign(new TypeError('some text'), { code, $metadata: {} });
}

describe('s3Error()', () => {
  for (const thrown of [
    ...[408, 429, 500, 502, 503, 504, 520, 530].map((status) => answer(status)),
    answer(400, 'RequestTimeout'),
    answer(400, 'BadDigest'),
    answer(409, 'OperationAborted'),
    answer(423, 'ResourceLocked'),
    answer(200, 'InternalError'),
    answer(400, 'SlowDown'),
    ...['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND'].map(broken),
  ]) {
    test(`s3Error() says "again" to ${nameOf(thrown)}`, () => {
      expect(s3Error(thrown, words).remedy).toBe('again');
    });
  }

  for (const thrown of [
    ...[400, 401, 403, 404, 409, 412, 501, 505].map((status) => answer(status)),
    answer(403, 'AccessDenied'),
    answer(404, 'NoSuchUpload'),
    answer(412, 'PreconditionFailed'),
    answer(400, 'InvalidPart'),
    ...['EPROTO', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID'].map(
      broken,
    ),
    new Error('anything else'),
    'a text',
    undefined,
  ]) {
    test(`s3Error() does not say "again" to ${nameOf(thrown)}`, () => {
      expect(s3Error(thrown, words).remedy).toBe('none');
    });
  }

  test('s3Error() carries what Retry-After asks for', () => {
    expect(s3Error(answer(503, 'SlowDown', { 'retry-after': '3' }), words).retryAfterMs).toBe(3000);
    expect(s3Error(answer(503, 'SlowDown'), words).retryAfterMs).toBeUndefined();
  });

  test('s3Error() says where credentials may come from when there are none', () => {
    const none = Object.assign(new Error('…'), { name: 'CredentialsProviderError' });
    const error = s3Error(none, { ...words, endpoint: undefined, names: r2Names(false) });
    expect(error.code).toBe('usage');
    expect(error.message).toMatch(/R2_ACCESS_KEY_ID.*AWS_ACCESS_KEY_ID/);
  });

  for (const [thrown, sentence] of [
    [
      broken('ECONNREFUSED'),
      'nothing listens on https://store.example.com (ECONNREFUSED). Check R2_ENDPOINT.',
    ],
    [broken('ECONNRESET'), 'https://store.example.com closed the connection (ECONNRESET).'],
    [broken('EPROTO'), 'https://store.example.com does not speak TLS (EPROTO). Check R2_ENDPOINT.'],
    [
      broken('CERT_HAS_EXPIRED'),
      'the certificate of https://store.example.com is not trusted (CERT_HAS_EXPIRED: some text).',
    ],
    [
      answer(404, 'XAdminUserNotFound'),
      'https://store.example.com does not know the access key (404 XAdminUserNotFound). Check R2_ACCESS_KEY_ID.',
    ],
  ] as const) {
    test(`s3Error() tells what ${nameOf(thrown)} means`, () => {
      expect(s3Error(thrown, words).message).toBe(`Cannot write s3://b/k: ${sentence}`);
    });
  }

  test('s3Error() names what to set when neither a store nor a region was', () => {
    const error = s3Error(new Error('Region is missing'), {
      ...words,
      endpoint: undefined,
      names: r2Names(false),
    });
    expect(error.code).toBe('usage');
    expect(error.message).toContain('neither a store nor a region was named. Set R2_ACCESS_KEY_ID');
  });

  test('s3Error() keeps its cause', () => {
    const cause = answer(500);
    expect(s3Error(cause, words).cause).toBe(cause);
  });
});

test('isThrottle() knows a store that asks to slow down from one that is broken', () => {
  for (const thrown of [answer(429), answer(503), answer(400, 'SlowDown')]) {
    expect(isThrottle(s3Error(thrown, words))).toBe(true);
  }
  for (const thrown of [answer(500), answer(403), broken('ECONNRESET')]) {
    expect(isThrottle(s3Error(thrown, words))).toBe(false);
  }
});

test('isConflict() and refusesHeader() are never true of the same answer', () => {
  for (const thrown of [answer(412), answer(409, 'ConditionalRequestConflict'), answer(404, 'NoSuchKey')]) {
    expect([isConflict(thrown), refusesHeader(thrown)]).toEqual([true, false]);
  }
  for (const thrown of [answer(501), answer(501, 'NotImplemented'), answer(400, 'InvalidArgument')]) {
    expect([isConflict(thrown), refusesHeader(thrown)]).toEqual([false, true]);
  }
  for (const thrown of [answer(400), answer(400, 'InvalidPart'), answer(404, 'NoSuchUpload')]) {
    expect([isConflict(thrown), refusesHeader(thrown)]).toEqual([false, false]);
  }
});

function nameOf(thrown: unknown): string {
  const error = thrown as
    | { code?: string; Code?: string; $metadata?: { httpStatusCode?: number } }
    | undefined;
  const parts = [error?.$metadata?.httpStatusCode, error?.Code ?? error?.code].filter(
    (part) => part !== undefined,
  );
  return parts.length === 0 ? String(thrown) : parts.join(' ');
}
