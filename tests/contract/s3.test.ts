import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { ToolError } from '../../lib/errors.ts';
import type { RetryNotice } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { type S3Settings, s3Destination } from '../../lib/storage/s3/s3.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { startS3Server } from '../support/s3-server.ts';

const PART = 5 * MIB;
const LENGTH = 3 * PART + 1_234_567;
const CHUNK = 1_000_003;
const found = await startS3Server();
const proxy = found && (await startFaultProxy(found.endpoint));

afterAll(async () => {
  await proxy?.stop();
  await found?.stop();
});

describe.skipIf(found === undefined)('s3Destination() against a real S3 service', () => {
  const server = found as NonNullable<typeof found>;
  const front = proxy as FaultProxy;
  let notices: RetryNotice[] = [];
  let keys = 0;
  let key = '';
  const never = new AbortController().signal;

  beforeEach(() => {
    front.reset();
    notices = [];
    key = `c${++keys}/latest.parquet`;
  });

  const destination = (settings: Partial<S3Settings> = {}) =>
    s3Destination({
      endpoint: front.endpoint,
      region: server.region,
      bucket: server.bucket,
      accessKeyId: new Secret(server.accessKeyId),
      secretAccessKey: new Secret(server.secretAccessKey),
      partsInFlight: 3,
      partBytes: PART,
      retryPolicy: { attempts: 5, baseMs: 1, capMs: 4 },
      onRetry: (notice) => notices.push(notice),
      ...settings,
    });
  const put = (length = LENGTH, settings: Partial<S3Settings> = {}, signal = never) =>
    destination(settings).put({ key, body: byteBody(length, CHUNK).stream, estimatedBytes: length, signal });
  const failing = async (work: Promise<unknown>): Promise<ToolError> => {
    const error = await work.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(ToolError);
    return error as ToolError;
  };
  const on = (operation: SeenRequest['operation'], fault: Fault, times = 1, part?: number) => {
    front.faults = (request) => {
      if (request.operation !== operation || request.earlier >= times) return undefined;
      if (part !== undefined && request.query.get('partNumber') !== String(part)) return undefined;
      return fault;
    };
  };
  const count = (operation: SeenRequest['operation']) =>
    front.seen.filter((request) => request.operation === operation).length;
  const expectStored = async (length = LENGTH) => {
    expect(Buffer.compare((await server.bytes(key)) ?? Buffer.from('none'), patternOf(length))).toBe(0);
    expect(await server.openUploads()).toEqual([]);
  };
  const expectNothing = async () => {
    expect(await server.head(key)).toBeUndefined();
    expect(await server.openUploads()).toEqual([]);
  };

  describe('on the wire', () => {
    test('put() sends equal parts, unsigned payloads, a signed CRC-32 and no aws-chunked body', async () => {
      const receipt = await put();
      await expectStored();
      const parts = front.seen.filter((request) => request.operation === 'UploadPart');
      const sizes = Object.fromEntries(parts.map((part) => [part.query.get('partNumber'), part.bodyBytes]));
      expect(sizes).toEqual({ 1: PART, 2: PART, 3: PART, 4: 1_234_567 });
      for (const part of parts) {
        expect(part.headers.get('x-amz-content-sha256')).toBe('UNSIGNED-PAYLOAD');
        expect(part.headers.get('x-amz-checksum-crc32')).toMatch(/^[A-Za-z0-9+/]{6}==$/);
        expect(part.headers.get('authorization')).toContain('x-amz-checksum-crc32');
        expect(part.headers.get('content-encoding')).toBeUndefined();
        expect(part.headers.get('accept-encoding')).toBe('identity');
        expect([...part.headers.keys()].filter((name) => /trailer|expect|content-md5/.test(name))).toEqual(
          [],
        );
      }
      expect(receipt.etag).toMatch(/^[0-9a-f]{32}-4$/);
      expect(await server.head(key)).toEqual({
        bytes: LENGTH,
        etag: receipt.etag ?? '',
        contentType: 'application/vnd.apache.parquet',
      });
    });

    test('put() sends a signed Content-MD5 where the store refuses to check CRC-32', async () => {
      on('CreateUpload', { kind: 'status', status: 501, code: 'NotImplemented' });
      await put();
      await expectStored();
      const parts = front.seen.filter((request) => request.operation === 'UploadPart');
      expect(parts).toHaveLength(4);
      for (const part of parts) {
        expect(part.headers.get('content-md5')).toMatch(/^[A-Za-z0-9+/]{22}==$/);
        expect(part.headers.get('authorization')).toContain('content-md5');
        expect(part.headers.get('x-amz-checksum-crc32')).toBeUndefined();
      }
    });

    test('put() sends parts again with their MD5 where the store ignored their CRC-32', async () => {
      front.faults = ({ operation }) => (operation === 'UploadPart' ? { kind: 'noChecksum' } : undefined);
      await put();
      await expectStored();
      const parts = front.seen.filter((request) => request.operation === 'UploadPart');
      const withMd5 = parts.filter((part) => part.headers.get('content-md5') !== undefined);
      expect(new Set(withMd5.map((part) => part.query.get('partNumber')))).toEqual(
        new Set(['1', '2', '3', '4']),
      );
    });

    test('put() sends what fits one part with one PutObject', async () => {
      await put(PART);
      await expectStored(PART);
      expect(front.seen.map((request) => request.operation)).toEqual(['Head', 'PutObject', 'Head']);
      const sent = front.seen.find((request) => request.operation === 'PutObject');
      expect(sent?.headers.get('x-amz-content-sha256')).toBe('UNSIGNED-PAYLOAD');
      expect(sent?.headers.get('content-md5')).toBeDefined();
      expect(sent?.headers.get('content-type')).toBe('application/vnd.apache.parquet');
    });

    test('put() keeps no more parts in flight than allowed', async () => {
      let release = () => {};
      const until = new Promise<void>((resolve) => {
        release = resolve;
      });
      let pulled = 0;
      front.faults = (request) => (request.operation === 'UploadPart' ? { kind: 'hold', until } : undefined);
      const full = Promise.withResolvers<void>();
      const body = byteBody(8 * PART, CHUNK, {
        onPull: (bytes) => {
          pulled = bytes;
          if (bytes + CHUNK >= 4 * PART) full.resolve();
        },
      });
      const done = destination().put({ key, body: body.stream, estimatedBytes: 8 * PART, signal: never });
      await full.promise;
      // Round trips through the same proxy: time enough for a fourth part, or for further reads.
      for (let trips = 0; trips < 5; trips++) await destination().check(`${key}.other`, never);
      expect(pulled).toBeLessThanOrEqual(4 * PART + CHUNK);
      release();
      await done;
      expect(front.maxPartsInFlight).toBe(3);
    });
  });

  describe('when requests fail for a while', () => {
    const passing: [string, Fault][] = [
      ['503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
      ['500 InternalError', { kind: 'status', status: 500, code: 'InternalError' }],
      ['429 with Retry-After', { kind: 'status', status: 429, code: 'TooManyRequests', retryAfter: '0' }],
      ['400 RequestTimeout', { kind: 'status', status: 400, code: 'RequestTimeout' }],
      ['a reset', { kind: 'reset' }],
      ['a lost answer', { kind: 'resetAfter' }],
      ['a broken-off answer', { kind: 'earlyClose' }],
    ];
    for (const operation of ['Head', 'CreateUpload', 'UploadPart', 'Complete'] as const) {
      for (const [name, fault] of passing) {
        // An answer to HEAD has no body, so no code that would tell this 400 from others.
        if (operation === 'Head' && name === '400 RequestTimeout') continue;
        test(`put() gets over ${name} on ${operation}`, async () => {
          on(operation, fault, 2);
          await put();
          if (operation === 'CreateUpload' && ['resetAfter', 'earlyClose'].includes(fault.kind)) {
            // Uploads without parts whose ids were lost: left alone, see putParts().
            expect(Buffer.compare((await server.bytes(key)) ?? Buffer.from('none'), patternOf(LENGTH))).toBe(
              0,
            );
            return dropUploads();
          }
          await expectStored();
        });
      }
    }
    for (const [name, fault] of passing) {
      test(`put() gets over ${name} on PutObject`, async () => {
        on('PutObject', fault, 2);
        await put(1000);
        await expectStored(1000);
      });
    }

    test('put() waits as long as Retry-After asks', async () => {
      on('UploadPart', { kind: 'status', status: 503, code: 'SlowDown', retryAfter: '0.02' }, 1, 2);
      await put();
      expect(notices.map((notice) => notice.error.retryAfterMs)).toEqual([20]);
      expect(notices[0]?.waitMs).toBeGreaterThanOrEqual(20);
    });

    test('put() has at most two parts in flight after the store asked to slow down', async () => {
      let slowed = 0;
      front.faults = (request) =>
        request.operation === 'UploadPart' && slowed++ < 3
          ? { kind: 'status', status: 503, code: 'SlowDown' }
          : undefined;
      let most = 0;
      let inFlight = 0;
      const body = byteBody(10 * PART, CHUNK);
      // Counted at the client: parts begun and not yet answered once all three had been refused.
      const fetched = globalThis.fetch;
      globalThis.fetch = Object.assign(
        async (...args: Parameters<typeof fetch>) => {
          const part = new URL((args[0] as Request).url).searchParams.has('partNumber');
          if (part && slowed >= 3) most = Math.max(most, ++inFlight);
          else if (part) inFlight++;
          try {
            return await fetched(...args);
          } finally {
            if (part) inFlight--;
          }
        },
        { preconnect: fetched.preconnect },
      );
      try {
        await destination().put({ key, body: body.stream, estimatedBytes: 10 * PART, signal: never });
      } finally {
        globalThis.fetch = fetched;
      }
      await expectStored(10 * PART);
      expect(most).toBeLessThanOrEqual(2);
    });

    test('put() sends a part again that was damaged on the way', async () => {
      on('UploadPart', { kind: 'corruptBody' }, 1, 2);
      await put();
      await expectStored();
      expect(notices).toHaveLength(1);
    });

    test('put() sends a part again whose ETag is not its MD5', async () => {
      front.faults = (request) => {
        if (request.operation === 'CreateUpload' && request.headers.has('x-amz-checksum-algorithm')) {
          return { kind: 'status', status: 501, code: 'NotImplemented' };
        }
        const second = request.operation === 'UploadPart' && request.query.get('partNumber') === '2';
        return second && request.earlier === 0 ? { kind: 'wrongEtag' } : undefined;
      };
      await put();
      await expectStored();
      expect(notices[0]?.error.message).toContain('part 2 was damaged on the way');
    });

    test('put() cuts a stalled part and sends it again', async () => {
      on('UploadPart', { kind: 'stall' }, 1, 2);
      // Far more than a part needs that does not stall, on a slow machine too.
      await put(LENGTH, { patience: { requestMs: 3_000, slowestBytesPerSecond: 100 * MIB } });
      await expectStored();
      expect(notices[0]?.error.message).toContain('did not answer within');
    });

    test('put() takes a slow connection for what it is', async () => {
      on('UploadPart', { kind: 'slow', bytesPerSecond: 20 * MIB }, 1, 2);
      await put();
      await expectStored();
      expect(notices).toEqual([]);
    });
  });

  describe('when requests fail for good', () => {
    const fatal: [string, Fault, RegExp][] = [
      [
        '403 AccessDenied',
        { kind: 'status', status: 403, code: 'AccessDenied' },
        /may not.*R2_ACCESS_KEY_ID/,
      ],
      ['SlowDown without end', { kind: 'status', status: 503, code: 'SlowDown' }, /503 SlowDown/],
      ['resets without end', { kind: 'reset' }, /ECONNRESET/],
    ];
    for (const operation of ['UploadPart', 'Complete'] as const) {
      for (const [name, fault, text] of fatal) {
        test(`put() leaves nothing after ${name} on ${operation}`, async () => {
          on(operation, fault, Number.POSITIVE_INFINITY);
          const error = await failing(put());
          expect(error.code).toBe('store');
          expect(error.message).toMatch(text);
          await expectNothing();
        });
      }
    }

    test('put() gives a part up that is damaged every time', async () => {
      on('UploadPart', { kind: 'corruptBody' }, Number.POSITIVE_INFINITY, 2);
      const error = await failing(put());
      expect(error.message).toContain('BadDigest');
      expect(front.seen.filter((request) => request.query.get('partNumber') === '2')).toHaveLength(3);
      await expectNothing();
    });

    test('put() sends nothing when it may not look at what is there for another reason than rights', async () => {
      on('Head', { kind: 'status', status: 400, code: '' }, Number.POSITIVE_INFINITY);
      expect((await failing(put())).code).toBe('store');
      await expectNothing();
    });

    test('put() names the upload that it could not remove', async () => {
      front.faults = (request) =>
        request.operation === 'UploadPart' || request.operation === 'Abort'
          ? { kind: 'status', status: 403, code: 'AccessDenied' }
          : undefined;
      const error = await failing(put(LENGTH, { patience: { cleanupMs: 200 } }));
      const [left] = await server.openUploads();
      expect(error.message).toContain(`unfinished upload ${left}`);
      await dropUploads();
    });

    test('put() looks whether an aborted upload is gone and aborts again if it is not', async () => {
      let aborts = 0;
      front.faults = (request) => {
        if (request.operation === 'UploadPart' && request.query.get('partNumber') === '3') {
          return { kind: 'status', status: 403, code: 'AccessDenied' };
        }
        // Says it did, and did not.
        if (request.operation === 'Abort' && aborts++ === 0) return { kind: 'errorBody', code: '' };
        return undefined;
      };
      await failing(put());
      expect(count('Abort')).toBeGreaterThanOrEqual(2);
      await expectNothing();
    });

    test('put() ends stalled parts at once when the run is cancelled, and leaves nothing', async () => {
      front.faults = (request) => (request.operation === 'UploadPart' ? { kind: 'stall' } : undefined);
      const controller = new AbortController();
      const reason = new ToolError('cancelled', 'enough');
      const arrived = front.arrival((request) => request.query.get('partNumber') === '3');
      const body = byteBody(10 * PART, CHUNK);
      const done = failing(
        destination().put({ key, body: body.stream, estimatedBytes: LENGTH, signal: controller.signal }),
      );
      await arrived;
      controller.abort(reason);
      expect(await done).toBe(reason);
      expect(body.cancelled()).toBe(reason);
      await expectNothing();
    });

    test('put() publishes nothing when more comes than the store takes in parts', async () => {
      const error = await failing(put(LENGTH, { maxParts: 3 }));
      expect(error.message).toContain('3 parts of 5 MiB');
      expect(count('UploadPart')).toBeLessThanOrEqual(3);
      await expectNothing();
    });
  });

  describe('publication', () => {
    test('put() publishes only where nothing was when it began', async () => {
      await put();
      const complete = front.seen.find((request) => request.operation === 'Complete');
      expect(complete?.headers.get('if-none-match')).toBe('*');
    });

    test('put() publishes only over the object that was there when it began', async () => {
      await server.write(key, Buffer.from('as before'));
      const before = await server.head(key);
      await put();
      const complete = front.seen.find((request) => request.operation === 'Complete');
      expect(complete?.headers.get('if-match')).toBe(`"${before?.etag}"`);
      await expectStored();
    });

    for (const length of [1000, LENGTH]) {
      test(`put() of ${length} bytes leaves what another run wrote meanwhile`, async () => {
        const other = Buffer.from('of another run');
        let wrote: Promise<void> | undefined;
        const onPull = () => {
          wrote ??= server.write(key, other);
        };
        const body = byteBody(length, CHUNK, { onPull });
        front.faults = (request) =>
          ['PutObject', 'Complete'].includes(request.operation) && wrote
            ? { kind: 'hold', until: wrote }
            : undefined;
        // The condition is read before the body: the first pull comes after it.
        const error = await failing(
          destination().put({ key, body: body.stream, estimatedBytes: length, signal: never }),
        );
        expect(error.message).toContain('another run replaced the object meanwhile');
        expect(String(Buffer.from((await server.bytes(key)) ?? []))).toBe('of another run');
        expect(await server.openUploads()).toEqual([]);
      });

      for (const [status, code] of [
        [501, 'NotImplemented'],
        [400, 'InvalidArgument'],
      ] as const) {
        test(`put() of ${length} bytes does without the condition where the store answers ${status} ${code}`, async () => {
          front.faults = (request) =>
            request.headers.has('if-none-match') ? { kind: 'status', status, code } : undefined;
          await put(length);
          await expectStored(length);
        });
      }
    }

    test('put() publishes without a condition when it may not look at the key', async () => {
      on('Head', { kind: 'status', status: 403, code: '' });
      await put();
      await expectStored();
      const complete = front.seen.find((request) => request.operation === 'Complete');
      expect(complete?.headers.has('if-none-match')).toBe(false);
    });

    test('put() believes the object, not an answer 200 with an error in it', async () => {
      on('Complete', { kind: 'errorBody', code: 'InternalError' });
      await put();
      await expectStored();
    });

    test('put() believes the object, not an answer without an ETag', async () => {
      on('Complete', { kind: 'emptyEtag' });
      await put();
      await expectStored();
    });

    test('put() fails with both figures when the object is not what was sent', async () => {
      front.faults = (request) =>
        request.operation === 'Head' && request.earlier > 0 ? { kind: 'wrongEtag' } : undefined;
      const error = await failing(put());
      expect(error.code).toBe('integrity');
      const right = (await server.head(key))?.etag ?? '';
      expect(error.message).toContain(right);
      expect(error.message).toContain(`${LENGTH} bytes`);
      expect(await server.openUploads()).toEqual([]);
    });

    for (const operation of ['Complete', 'PutObject'] as const) {
      test(`put() resolves when it is cancelled after ${operation} took effect`, async () => {
        const controller = new AbortController();
        front.faults = (request) => {
          if (request.operation !== operation) return undefined;
          controller.abort(new ToolError('cancelled', 'too late'));
          return { kind: 'resetAfter' };
        };
        const length = operation === 'Complete' ? LENGTH : 1000;
        expect((await put(length, {}, controller.signal)).bytes).toBe(length);
        await expectStored(length);
      });
    }

    test('put() leaves nothing when it is cancelled while Complete never arrives', async () => {
      const controller = new AbortController();
      const reason = new ToolError('cancelled', 'enough');
      front.faults = (request) => {
        if (request.operation !== 'Complete') return undefined;
        controller.abort(reason);
        return { kind: 'stall' };
      };
      expect(await failing(put(LENGTH, { patience: { graceMs: 20 } }, controller.signal))).toBe(reason);
      await expectNothing();
    });
  });

  describe('check()', () => {
    const check = (settings: Partial<S3Settings>) => failing(destination(settings).check(key, never));

    test('check() asks for the rights that put() needs and leaves nothing', async () => {
      await destination().check(key, never);
      expect(front.seen.map((request) => request.operation)).toEqual(['CreateUpload', 'Abort', 'ListParts']);
      await expectNothing();
    });

    test('check() names the bucket that is missing', async () => {
      const error = await check({ bucket: 'nowhere' });
      expect(error.code).toBe('store');
      expect(error.message).toMatch(/no bucket "nowhere" at http.*Check R2_BUCKET/);
    });

    test('check() tells a wrong secret from an unknown key, and prints neither', async () => {
      const secret = await check({ secretAccessKey: new Secret('wrong-secret-text') });
      expect(secret.message).toMatch(/SignatureDoesNotMatch.*R2_SECRET_ACCESS_KEY/);
      const unknown = await check({ accessKeyId: new Secret('UNKNOWNKEYID') });
      on(
        'CreateUpload',
        { kind: 'status', status: 403, code: 'InvalidAccessKeyId' },
        Number.POSITIVE_INFINITY,
      );
      const id = await check({});
      expect(id.message).toMatch(/InvalidAccessKeyId.*R2_ACCESS_KEY_ID/);
      expect(`${secret.message} ${unknown.message}`).not.toMatch(/wrong-secret-text|UNKNOWNKEYID/);
    });

    test("check() names the region that is not the bucket's", async () => {
      expect((await check({ region: 'eu-west-1' })).message).toMatch(/region "eu-west-1".*R2_REGION/);
    });

    test('check() names the address that nobody answers at', async () => {
      const error = await check({ endpoint: `http://127.0.0.1:${await closedPort()}` });
      expect(error.message).toMatch(/nothing listens on http.*ECONNREFUSED.*R2_ENDPOINT/);
    });

    for (const [name, status, text] of [
      ['a web page', 200, '<!doctype html><html><body>Hello<br></body></html>'],
      ['another JSON service', 404, '{"status":{"error":"Not found"}}'],
      ['an empty answer', 404, ''],
    ] as const) {
      test(`check() recognises ${name} at the address as no S3 service`, async () => {
        const other = Bun.serve({
          port: 0,
          hostname: '127.0.0.1',
          fetch: () => new Response(text, { status }),
        });
        try {
          const error = await check({ endpoint: `http://127.0.0.1:${other.port}` });
          expect(error.message).toMatch(/not answer like an S3 service.*R2_ENDPOINT/);
        } finally {
          await other.stop(true);
        }
      });
    }

    test('check() names the upload that it was not allowed to abort', async () => {
      on('Abort', { kind: 'status', status: 403, code: 'AccessDenied' }, Number.POSITIVE_INFINITY);
      const error = await check({});
      const [left] = await server.openUploads();
      expect(error.code).toBe('store');
      expect(error.message).toContain(`unfinished upload ${left}`);
      await dropUploads();
    });

    test('check() names the permission that is missing', async () => {
      on('CreateUpload', { kind: 'status', status: 403, code: 'AccessDenied' });
      expect((await check({})).message).toMatch(/may not.*403 AccessDenied.*R2_BUCKET/);
    });

    test('s3Destination() refuses an address that is none, or ends in the bucket', () => {
      expect(() => destination({ endpoint: 'account.example.com' })).toThrow(/R2_ENDPOINT is not an http/);
      expect(() => destination({ endpoint: `https://a.example.com/${server.bucket}` })).toThrow(/without it/);
    });
  });

  async function dropUploads(): Promise<void> {
    const { Bucket, client, AbortMultipartUploadCommand, ListMultipartUploadsCommand } = await sdk();
    const listed = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    for (const upload of listed.Uploads ?? []) {
      await client.send(
        new AbortMultipartUploadCommand({ Bucket, Key: upload.Key, UploadId: upload.UploadId }),
      );
    }
  }

  async function sdk() {
    const aws = await import('@aws-sdk/client-s3');
    const { accessKeyId, secretAccessKey, endpoint, region, bucket } = server;
    const credentials = { accessKeyId, secretAccessKey };
    return {
      ...aws,
      Bucket: bucket,
      client: new aws.S3Client({ endpoint, region, credentials, forcePathStyle: true }),
    };
  }
});

function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 1));
    });
  });
}
