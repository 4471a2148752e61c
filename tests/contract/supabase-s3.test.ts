import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { ByteStream, ExpectedObject, OpenUpload, UploadLog } from '../../lib/storage/storage.ts';
import { type SupabaseS3Settings, supabaseS3 } from '../../lib/storage/supabase/supabase-s3.ts';
import { seeded } from '../support/batches.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import {
  type DoubleFault,
  type DoubleRequest,
  type SupabaseDouble,
  startSupabaseDouble,
} from '../support/supabase-double/supabase-double.ts';

/*
 * The S3 door of Supabase Storage, over files and over a store, whose entity tags differ: no answer proves what is
 * there, so uploads are marked, and this side compares.
 */

const never = new AbortController().signal;

for (const backend of ['file', 's3'] as const) {
  const found = await startSupabaseDouble({ backend });
  describe.skipIf(found.s3 === undefined)(
    `supabaseS3() where the server keeps its data in a ${backend}`,
    () =>
      // A store wants parts of 5 MiB; files take any, which is faster.
      suite(found, backend, backend === 's3' ? 5 * MIB : 100_000),
  );
  afterAll(() => found.stop());
}

function suite(double: SupabaseDouble, backend: 'file' | 's3', part: number): void {
  const length = 3 * part + 1234;
  const whole = patternOf(length);
  /** Requests before the test that runs. */
  let before = 0;
  let keys = 0;
  let key = '';

  beforeEach(() => {
    double.fault = undefined;
    before = double.requests.length;
    key = `c${++keys}/latest.parquet`;
  });

  const destination = (settings: Partial<SupabaseS3Settings> = {}) => {
    const { endpoint, region, accessKeyId, secretAccessKey } = double.s3 as NonNullable<SupabaseDouble['s3']>;
    return supabaseS3({
      endpoint,
      region,
      bucket: double.bucket,
      accessKeyId: new Secret(accessKeyId),
      secretAccessKey: new Secret(secretAccessKey),
      partBytes: part,
      // One after the other, so that it is certain which parts are there when one fails.
      partsInFlight: 1,
      retryPolicy: { attempts: 4, baseMs: 1, capMs: 4 },
      ...settings,
    });
  };
  const uploads = () => destination().uploads as NonNullable<ReturnType<typeof destination>['uploads']>;
  const objects = () => destination().objects as NonNullable<ReturnType<typeof destination>['objects']>;
  const put = (bytes = length, more: { log?: UploadLog; signal?: AbortSignal } = {}) =>
    destination().put({
      key,
      body: byteBody(bytes, 70_001).stream,
      estimatedBytes: bytes,
      signal: never,
      ...more,
    });
  const failing = async (work: Promise<unknown>): Promise<ToolError> => {
    const error = await work.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(ToolError);
    return error as ToolError;
  };
  const seen = () => double.requests.slice(before);
  const expectStored = async (wanted: Uint8Array = whole) => {
    expect(Buffer.compare((await double.bytes(key)) ?? Buffer.from('none'), wanted)).toBe(0);
    expect(await double.openUploads()).toEqual([]);
  };
  /** What a journal would hold, as text. */
  const recorder = () => {
    const held: { begin?: string; parts: string[]; expected?: string } = { parts: [] };
    const log: UploadLog = {
      async begun(upload) {
        held.begin = JSON.stringify(upload);
      },
      confirmed(confirmed) {
        held.parts.push(JSON.stringify(confirmed));
      },
      async publishing(expected) {
        held.expected = JSON.stringify(expected);
      },
    };
    return {
      log,
      left: (): OpenUpload => ({
        ...JSON.parse(held.begin ?? ''),
        parts: held.parts.map((text) => JSON.parse(text)),
      }),
      expected: (): ExpectedObject => JSON.parse(held.expected ?? ''),
    };
  };
  /** On the first `times` requests of this kind. */
  const on = (test: (request: DoubleRequest) => boolean, fault: DoubleFault, times = 1) => {
    let met = 0;
    double.fault = (request) => (test(request) && met++ < times ? fault : undefined);
  };

  for (const bytes of [0, 1, part - 1, part, part + 1, 2 * part, length]) {
    test(`put() stores exactly the ${bytes} bytes of the body and tells the entity tag that is there`, async () => {
      const receipt = await put(bytes);
      await expectStored(patternOf(bytes));
      expect(receipt).toEqual({
        location: `supabase://${double.bucket}/${key}`,
        bytes,
        etag: (await headOf(key))?.etag,
      });
    });
  }

  const headOf = async (of: string) => {
    for await (const found of objects().list(of, never)) if (found.key === of) return found;
    return undefined;
  };

  test('put() sends neither conditions nor checksums that the endpoint would ignore, but the MD5, and marks', async () => {
    await put();
    for (const { headers } of seen()) {
      const names = [...headers.keys()];
      expect(names.filter((name) => /^if-|checksum|trailer|content-encoding/.test(name))).toEqual([]);
    }
    const marked = seen().filter(({ headers }) => headers.has('x-amz-meta-upload-mark'));
    expect(marked.map(({ method }) => method)).toEqual(['POST']);
    // None was sent twice.
    expect(seen().filter(isPart)).toHaveLength(4);
  });

  for (const parts of [0, 1, 2, 3, 4]) {
    test(`put() goes on in another process behind ${parts} of 4 parts`, async () => {
      const first = recorder();
      double.fault = (request) =>
        isComplete(request) || (isPart(request) && partOf(request) > parts) ? REFUSED : undefined;
      await failing(put(length, { log: first.log }));
      double.fault = undefined;
      const from = await uploads().find(first.left(), never);
      expect(from?.parts.map(({ number }) => number)).toEqual(
        Array.from({ length: parts }, (_, at) => at + 1),
      );
      const second = recorder();
      const rest = new Response(whole.subarray(Math.min(length, parts * part))).body as ByteStream;
      await destination().put({
        key,
        body: rest,
        estimatedBytes: length,
        signal: never,
        log: second.log,
        from: from as OpenUpload,
      });
      await expectStored();
      expect(await uploads().published(key, second.expected(), never)).toMatchObject({ bytes: length });
    });
  }

  test('find() takes the parts that were sent twice for what was sent last', async () => {
    const log = recorder();
    double.fault = (request) => {
      if (isComplete(request)) return REFUSED;
      if (!isPart(request)) return undefined;
      const isFirst =
        seen().filter((other) => isPart(other) && partOf(other) === partOf(request)).length === 1;
      return isFirst ? { kind: 'flip', at: 7 } : undefined;
    };
    await failing(put(length, { log: log.log }));
    double.fault = undefined;
    expect(seen().filter(isPart)).toHaveLength(8);
    expect((await uploads().find(log.left(), never))?.parts).toHaveLength(4);
    expect(await uploads().remove(log.left(), never)).toBeUndefined();
    expect(await double.openUploads()).toEqual([]);
  });

  test('find() finds nothing of an upload that was removed', async () => {
    const log = recorder();
    on(isComplete, REFUSED);
    await failing(put(length, { log: log.log }));
    await uploads().remove(log.left(), never);
    expect(await uploads().find(log.left(), never)).toBeUndefined();
  });

  test('put() knows its object by the mark when the answer to Complete is lost', async () => {
    on(isComplete, { kind: 'lost answer' });
    const receipt = await put();
    await expectStored();
    expect(receipt).toMatchObject({ bytes: length, etag: (await headOf(key))?.etag });
    // The second finds no upload.
    expect(seen().filter(isComplete).length).toBeGreaterThan(1);
  });

  test('published() tells an object of this upload from another of its size', async () => {
    const log = recorder();
    await put(length, { log: log.log });
    const expected = log.expected();
    expect(expected).toEqual({ bytes: length, etag: undefined, mark: expect.any(String) });
    expect(await uploads().published(key, expected, never)).toMatchObject({ bytes: length });
    await double.write(key, whole);
    expect(await uploads().published(key, expected, never)).toBeUndefined();
    await put();
    expect(await uploads().published(key, expected, never)).toBeUndefined();
  });

  test('put() of one request is known to another process', async () => {
    const log = recorder();
    on(isWhole, { kind: 'lost answer' }, 4);
    const receipt = await put(1000, { log: log.log });
    expect(await uploads().published(key, log.expected(), never)).toEqual(receipt);
  });

  test('put() sends a part and a small body again where they arrive changed', async () => {
    on((request) => isPart(request), { kind: 'flip', at: 9 });
    await put();
    await expectStored();
    on(isWhole, { kind: 'flip', at: 9 });
    await put(1000);
    await expectStored(patternOf(1000));
  });

  test('put() gives up a small body that arrives changed each time, and leaves none of it', async () => {
    on(isWhole, { kind: 'flip', at: 9 }, 10);
    const error = await failing(put(1000));
    const [stored, sent] = error.message.match(/[0-9a-f]{32}/g) ?? [];
    expect(error.message).toBe(
      `Cannot write supabase://${double.bucket}/${key}: it was damaged on the way, the store holds one with MD5 ${stored} where ` +
        `${sent} was sent. That happened 3 times.`,
    );
    expect(await double.bytes(key)).toBeUndefined();
  });

  test('put() gives up a part that arrives changed each time, and leaves no upload', async () => {
    on((request) => isPart(request) && partOf(request) === 2, { kind: 'flip', at: 9 }, 10);
    expect((await failing(put())).message).toContain('part 2 was damaged on the way');
    expect(await double.bytes(key)).toBeUndefined();
    expect(await double.openUploads()).toEqual([]);
  });

  test('put() asks what became of the upload when all that it hears are broken connections', async () => {
    const log: UploadLog = {
      ...recorder().log,
      begun: async (upload) => void (await uploads().remove(upload, never)),
    };
    on(isPart, { kind: 'reset' }, 100);
    expect((await failing(put(length, { log }))).message).toBe(
      `Cannot write supabase://${double.bucket}/${key}: the unfinished upload is not there any more ` +
        '(404 NoSuchUpload: Upload not found), so it has to be begun again.',
    );
  });

  test('put() beside an object is refused before and after another run has replaced that', async () => {
    const { etag = '' } = await put();
    const manifest = (beside: string) =>
      destination().put({
        key: `${key}.json`,
        body: byteBody(500, 100).stream,
        estimatedBytes: 500,
        signal: never,
        beside: { key, etag: beside },
      });
    expect(await manifest(etag)).toMatchObject({ bytes: 500 });
    await double.write(key, Buffer.from('of another run'));
    expect((await failing(manifest(etag))).message).toContain('another run replaced');
    const other = (await headOf(key))?.etag ?? '';
    const { write } = double;
    let written: Promise<void> | undefined;
    // It looks twice, and the object is replaced in between.
    double.fault = (request) => {
      if (isWhole(request)) written = write(key, Buffer.from('of a third run'));
      return undefined;
    };
    const error = await failing(manifest(other));
    await written;
    expect(error.message).toContain('another run replaced');
  });

  test('copy() copies what the receipt names, and nothing else', async () => {
    const receipt = await put();
    const copy = await objects().copy(key, `${key}.copy`, receipt, never);
    expect(copy).toMatchObject({ location: `supabase://${double.bucket}/${key}.copy`, bytes: length });
    expect(Buffer.compare((await double.bytes(`${key}.copy`)) ?? Buffer.from('none'), whole)).toBe(0);
    await double.write(key, whole.subarray(1));
    expect((await failing(objects().copy(key, `${key}.late`, receipt, never))).message).toContain(
      'no longer the object that was written',
    );
    expect(await double.bytes(`${key}.late`)).toBeUndefined();
  });

  test('open() reads the object of the entity tag, and no other', async () => {
    const { etag } = await put();
    const stream = await objects().open(key, etag, never);
    expect(Buffer.compare(await readAll(stream as ByteStream), whole)).toBe(0);
    expect((await failing(Promise.resolve(objects().open(key, 'another', never)))).code).toBe('integrity');
    const later = await objects().open(key, etag, never);
    await double.write(key, patternOf(length + 1).subarray(1));
    expect((await failing(readAll(later as ByteStream))).code).toBe('integrity');
  });

  test('put() that is cancelled leaves nothing, within two seconds', async () => {
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'enough');
    double.fault = (request) => {
      if (!isPart(request) || partOf(request) !== 2) return undefined;
      controller.abort(reason);
      return { kind: 'hang' };
    };
    const done = failing(put(length, { signal: controller.signal }));
    expect(await done).toBe(reason);
    expect(await double.bytes(key)).toBeUndefined();
    expect(await double.openUploads()).toEqual([]);
  }, 2000);

  test('put() of one request that is cancelled ends within two seconds, though nothing answers any more', async () => {
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'enough');
    double.fault = () => {
      controller.abort(reason);
      return { kind: 'hang' };
    };
    const begun = performance.now();
    expect(await failing(put(1000, { signal: controller.signal }))).toBe(reason);
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  test('check() leaves nothing, by S3 keys and by the credentials of a session', async () => {
    const session = {
      accessKeyId: new Secret(double.projectRef),
      secretAccessKey: new Secret(double.keys.anon),
      sessionToken: new Secret(double.keys.service),
    };
    for (const credentials of [{}, session]) await destination(credentials).check(key, never);
    expect(await double.openUploads()).toEqual([]);
    expect(await double.bytes(key)).toBeUndefined();
  });

  for (let seed = 1; seed <= 50; seed++) {
    test(`put() makes the right object or none under faults of seed ${seed}`, async () => {
      const storm = stormOf(seed);
      double.fault = storm.fault;
      const size = seed % 5 === 0 ? 1000 : length;
      const impatient = { requestMs: 300, completeMs: 900, cleanupMs: 2400, slowestBytesPerSecond: 64 * MIB };
      const outcome = await destination({ partsInFlight: 3, patience: impatient })
        .put({ key, body: byteBody(size, 70_001).stream, estimatedBytes: size, signal: never })
        .catch((error: ToolError) => error);
      double.fault = undefined;
      const stored = await double.bytes(key);
      const context = `${backend}: ${storm.log.join('; ')} → ${outcome instanceof Error ? outcome.message : 'put'}`;
      if (stored !== undefined || !(outcome instanceof Error)) {
        expect([Buffer.compare(stored ?? Buffer.from('none'), patternOf(size)), context]).toEqual([
          0,
          context,
        ]);
      }
      const told = outcome instanceof Error ? outcome.message : '';
      const left = (await double.openUploads()).filter((id) => !told.includes(id));
      expect([left, context]).toEqual([[], context]);
    });
  }
}

/** A chunk is its reader's only until the next read. */
async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

const REFUSED: DoubleFault = { kind: 'status', status: 403 };

function isPart({ method, path }: DoubleRequest): boolean {
  return method === 'PUT' && path.includes('uploadId=');
}

function partOf({ path }: DoubleRequest): number {
  return Number(/partNumber=(\d+)/.exec(path)?.[1]);
}

function isComplete({ method, path }: DoubleRequest): boolean {
  return method === 'POST' && path.includes('uploadId=');
}

function isWhole({ method, path, headers }: DoubleRequest): boolean {
  return method === 'PUT' && !path.includes('uploadId=') && !headers.has('x-amz-copy-source');
}

/** Faults by dice, one request in six; what was done, for the message of a test that failed. */
function stormOf(seed: number) {
  const random = seeded(seed);
  const log: string[] = [];
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const fault = (request: DoubleRequest): DoubleFault | undefined => {
    if (random() > 1 / 6) return undefined;
    const hasBody = isPart(request) || isWhole(request);
    const isCreate = request.method === 'POST' && !isComplete(request);
    const made = pick<DoubleFault>([
      { kind: 'reset', afterBytes: Math.floor(random() * 90_000) },
      // What was begun without telling cannot be removed; it has no parts.
      isCreate ? { kind: 'reset' } : { kind: 'lost answer' },
      { kind: 'status', status: pick([500, 502, 503, 504]) },
      { kind: 'status', status: 429, retryAfter: '0' },
      hasBody ? { kind: 'flip', at: Math.floor(random() * 1000) } : { kind: 'reset' },
      random() < 0.3 ? { kind: 'hang' } : { kind: 'reset' },
      random() < 0.2 ? REFUSED : { kind: 'status', status: 503 },
    ]);
    log.push(`${request.method} ${request.path.slice(-60)}: ${JSON.stringify(made)}`);
    return made;
  };
  return { fault, log };
}
