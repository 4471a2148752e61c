import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { type S3Settings, s3Destination } from '../../lib/storage/s3/s3.ts';
import type { Objects, Receipt } from '../../lib/storage/storage.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { addressOf, startS3Server } from '../support/s3-server.ts';

/* Objects that are there: listed, read in ranges, copied within the store, removed. */

const found = await startS3Server();
const proxy = found && (await startFaultProxy(found.endpoint));

afterAll(async () => {
  await proxy?.stop();
  await found?.stop();
});

const ODD_NAMES = [
  'a b.parquet',
  '100%.parquet',
  'a+b.parquet',
  'ü€𝄞.parquet',
  "q!'()*.parquet",
  'x&y=z;.parquet',
];

/** Ranges are asked for ahead, and arrive in any order. */
const byStart = (one: string, other: string) =>
  Number.parseInt(one.slice(6), 10) - Number.parseInt(other.slice(6), 10);

async function failing(work: Promise<unknown>): Promise<ToolError> {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
}

function objectsOf(settings: S3Settings): Objects {
  const policy = { attempts: 5, baseMs: 1, capMs: 4 };
  return s3Destination({ retryPolicy: policy, ...settings }).objects as Objects;
}

describe.skipIf(found === undefined)('the objects of an S3 service', () => {
  const server = found as NonNullable<typeof found>;
  const front = proxy as FaultProxy;
  const never = new AbortController().signal;
  let folders = 0;
  let folder = '';

  beforeEach(() => {
    front.reset();
    folder = `o${++folders}`;
  });

  const objects = (settings: Partial<S3Settings> = {}) =>
    objectsOf({ ...addressOf(server, front.endpoint), ...settings });
  const on = (operation: SeenRequest['operation'], fault: Fault, times = 1, from = 0) => {
    front.faults = (request) =>
      request.operation === operation && request.earlier >= from && request.earlier < from + times
        ? fault
        : undefined;
  };
  const seen = (operation: SeenRequest['operation']) =>
    front.seen.filter((request) => request.operation === operation);
  const write = async (key: string, bytes: Uint8Array): Promise<Receipt> => {
    await server.write(key, bytes);
    const etag = (await server.head(key))?.etag;
    return { location: `s3://${server.bucket}/${key}`, bytes: bytes.length, etag };
  };

  describe('list()', () => {
    test('list() gives all pages, in order, with keys as they are', async () => {
      const keys = ODD_NAMES.map((name) => `${folder}/${name}`);
      for (const [at, key] of keys.entries()) await server.write(key, Buffer.alloc(at));
      await server.write(`${folder}x/other`, Buffer.alloc(1));
      const listed = await Array.fromAsync(objects({ pageKeys: 2 }).list(`${folder}/`, never));
      expect(seen('List')).toHaveLength(3);
      expect(listed.map(({ key }) => key).sort()).toEqual([...keys].sort());
      for (const { key, bytes, etag, modified } of listed) {
        expect(bytes).toBe(keys.indexOf(key));
        expect(etag).toBe((await server.head(key))?.etag as string);
        expect(Math.abs(Date.now() - modified.getTime())).toBeLessThan(60_000);
      }
    });

    test('list() gets over a page that fails for a while, and gives nothing twice', async () => {
      for (const name of ['a', 'b', 'c']) await server.write(`${folder}/${name}`, Buffer.alloc(1));
      on('List', { kind: 'status', status: 503, code: 'SlowDown' }, 2, 1);
      const listed = await Array.fromAsync(objects({ pageKeys: 1 }).list(`${folder}/`, never));
      expect(listed.map(({ key }) => key)).toEqual(['a', 'b', 'c'].map((name) => `${folder}/${name}`));
    });

    test('list() gives nothing where nothing is, and says why it may not look', async () => {
      expect(await Array.fromAsync(objects().list(`${folder}/`, never))).toEqual([]);
      on('List', { kind: 'status', status: 403, code: 'AccessDenied' }, Number.POSITIVE_INFINITY);
      const error = await failing(Array.fromAsync(objects().list(`${folder}/`, never)));
      expect(error.code).toBe('store');
      expect(error.message).toContain(`Cannot list s3://${server.bucket}/${folder}/`);
    });
  });

  describe('open()', () => {
    const LENGTH = 1_000_003;
    const RANGE = 300_000;
    const bytes = patternOf(LENGTH);
    const small = (settings: Partial<S3Settings> = {}) => objects({ readBytes: RANGE, ...settings });
    const read = async (key: string, etag?: string): Promise<Buffer> => {
      const stream = await small().open(key, etag, never);
      const chunks: Buffer[] = [];
      // Copies: a chunk belongs to its reader until the next read only.
      if (stream !== undefined) for await (const chunk of stream) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    };

    for (const [what, fault] of [
      ['no fault', undefined],
      ['a reset', { kind: 'reset' }],
      ['a lost answer', { kind: 'resetAfter' }],
      ['an answer that breaks off', { kind: 'earlyClose' }],
      ['an answer of half the bytes', { kind: 'shortBody' }],
      ['503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
    ] as const) {
      test(`open() gives every byte once, with ${what} on each range`, async () => {
        const key = `${folder}/whole`;
        const { etag } = await write(key, bytes);
        const hit = new Set<string>();
        front.faults = ({ operation, headers }) => {
          const range = headers.get('range') ?? '';
          if (operation !== 'Get' || hit.has(range)) return undefined;
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
        expect(seen('Get')).toHaveLength(fault === undefined ? 4 : 8);
        expect(new Set(seen('Get').map(({ headers }) => headers.get('if-match')))).toEqual(
          new Set([`"${etag}"`]),
        );
      });
    }

    test('open() asks for no range before somebody reads, and for no further one once it is cancelled', async () => {
      const key = `${folder}/whole`;
      await write(key, bytes);
      const stream = await small().open(key, undefined, never);
      expect(seen('Get')).toHaveLength(0);
      const reader = stream?.getReader();
      await reader?.read();
      await reader?.cancel();
      expect(seen('Get')).toHaveLength(1);
    });

    test('open() ends a range that stalls when it is cancelled', async () => {
      const key = `${folder}/whole`;
      await write(key, bytes);
      on('Get', { kind: 'stall' }, Number.POSITIVE_INFINITY);
      const controller = new AbortController();
      const reason = new ToolError('cancelled', 'enough');
      const arrived = front.arrival(({ operation }) => operation === 'Get');
      const reader = (await small().open(key, undefined, controller.signal))?.getReader();
      const reading = failing(reader?.read() as Promise<unknown>);
      await arrived;
      controller.abort(reason);
      expect(await reading).toBe(reason);
    });

    test('open() of an empty object ends at once', async () => {
      await write(`${folder}/empty`, Buffer.alloc(0));
      expect(await read(`${folder}/empty`)).toHaveLength(0);
    });

    test('open() gives undefined where nothing is', async () => {
      expect(await small().open(`${folder}/none`, undefined, never)).toBeUndefined();
    });

    test('open() refuses another object than the one that was asked for', async () => {
      await write(`${folder}/whole`, bytes);
      const error = await failing(small().open(`${folder}/whole`, 'f'.repeat(32), never));
      expect(error.code).toBe('integrity');
      expect(error.message).toContain('f'.repeat(32));
    });

    for (const [what, change] of [
      ['replaced', (key: string) => write(key, patternOf(LENGTH).reverse())],
      ['replaced by a shorter one', (key: string) => write(key, patternOf(7))],
    ] as const) {
      test(`open() errors with 'integrity' when the object is ${what} while it is read`, async () => {
        const key = `${folder}/whole`;
        await write(key, bytes);
        const reader = (await small().open(key, undefined, never))?.getReader();
        await reader?.read();
        await change(key);
        const error = await failing(reader?.read() as Promise<unknown>);
        expect(error.code).toBe('integrity');
        expect(error.message).toContain(`s3://${server.bucket}/${key}: the object was replaced or removed`);
      });
    }

    test("open() errors with 'integrity' when the object is removed while it is read", async () => {
      const key = `${folder}/whole`;
      await write(key, bytes);
      const reader = (await small().open(key, undefined, never))?.getReader();
      await reader?.read();
      await objects().remove(key, never);
      expect((await failing(reader?.read() as Promise<unknown>)).code).toBe('integrity');
    });

    test('open() gives up with the store words when no attempt brings the whole range', async () => {
      await write(`${folder}/whole`, bytes);
      on('Get', { kind: 'shortBody' }, Number.POSITIVE_INFINITY);
      const error = await failing(read(`${folder}/whole`));
      expect(error.code).toBe('store');
      expect(error.message).toContain('150000 bytes came where 300000 were asked for');
      expect(seen('Get')).toHaveLength(5);
    });
  });

  describe('copy()', () => {
    for (const name of ODD_NAMES) {
      test(`copy() copies "${name}" with its type`, async () => {
        const from = `${folder}/${name}`;
        const source = await putParquet(from, 1000);
        const receipt = await objects().copy(from, `${folder}/copy of ${name}`, source, never);
        expect(receipt).toMatchObject({
          location: `s3://${server.bucket}/${folder}/copy of ${name}`,
          bytes: 1000,
        });
        expect(await server.head(`${folder}/copy of ${name}`)).toEqual({
          bytes: 1000,
          etag: receipt.etag as string,
          contentType: 'application/vnd.apache.parquet',
        });
        expect(seen('Copy')[0]?.headers.get('x-amz-copy-source-if-match')).toBe(`"${source.etag}"`);
      });
    }

    /** Small parts make a small test: 12 MB in three of them. */
    const PARTWISE = { copyLimits: { wholeBytes: 5 * MIB, partBytes: 5 * MIB } };
    const LARGE = 12_345_678;

    test('copy() copies part by part what is too large for one copy', async () => {
      const source = await putParquet(`${folder}/a b`, LARGE);
      const receipt = await objects(PARTWISE).copy(`${folder}/a b`, `${folder}/copy`, source, never);
      expect(receipt.bytes).toBe(LARGE);
      expect(seen('Copy')).toHaveLength(0);
      const ranges = seen('CopyPart').map(({ headers }) => headers.get('x-amz-copy-source-range'));
      expect(ranges.sort()).toEqual(['bytes=0-5242879', 'bytes=10485760-12345677', 'bytes=5242880-10485759']);
      const copy = (await server.bytes(`${folder}/copy`)) ?? Buffer.from('none');
      expect(Buffer.compare(copy, patternOf(LARGE))).toBe(0);
      expect((await server.head(`${folder}/copy`))?.contentType).toBe('application/vnd.apache.parquet');
      expect(await server.openUploads()).toEqual([]);
    });

    for (const [operation, settings] of [
      ['Copy', {}],
      ['CopyPart', PARTWISE],
      ['Complete', PARTWISE],
    ] as const) {
      for (const kind of ['reset', 'resetAfter'] as const) {
        test(`copy() gets over a ${kind} on ${operation}`, async () => {
          const source = await putParquet(`${folder}/a`, LARGE);
          on(operation, { kind }, 1, seen(operation).length);
          const receipt = await objects(settings).copy(`${folder}/a`, `${folder}/copy`, source, never);
          expect(receipt.bytes).toBe(LARGE);
          expect(await server.openUploads()).toEqual([]);
        });
      }
    }

    test('copy() part by part leaves nothing when a part fails for good', async () => {
      const source = await putParquet(`${folder}/a`, LARGE);
      front.faults = ({ operation, query }) =>
        operation === 'CopyPart' && query.get('partNumber') === '2'
          ? { kind: 'status', status: 403, code: 'AccessDenied' }
          : undefined;
      const error = await failing(objects(PARTWISE).copy(`${folder}/a`, `${folder}/copy`, source, never));
      expect(error.message).toContain(
        `Cannot copy ${source.location} to s3://${server.bucket}/${folder}/copy`,
      );
      expect(await server.head(`${folder}/copy`)).toBeUndefined();
      expect(await server.openUploads()).toEqual([]);
    });

    test('copy() does without the condition where the store refuses it', async () => {
      const source = await putParquet(`${folder}/a`, 1000);
      front.faults = ({ headers }) =>
        headers.has('x-amz-copy-source-if-match')
          ? { kind: 'status', status: 501, code: 'NotImplemented' }
          : undefined;
      await objects().copy(`${folder}/a`, `${folder}/copy`, source, never);
      expect(seen('Copy')).toHaveLength(2);
      expect(await server.head(`${folder}/copy`)).toMatchObject({ bytes: 1000 });
    });

    for (const settings of [{}, PARTWISE]) {
      test(`copy() copies no other object than the one that was written (${JSON.stringify(settings)})`, async () => {
        const source = await putParquet(`${folder}/a`, LARGE);
        const copying = () => objects(settings).copy(`${folder}/a`, `${folder}/copy`, source, never);
        // Replaced between the look at it and the copy, then long before.
        const replaced = Promise.withResolvers<void>();
        front.faults = ({ operation }) => {
          if (operation !== 'Copy' && operation !== 'CopyPart') return undefined;
          void write(`${folder}/a`, patternOf(LARGE).reverse()).then(
            () => replaced.resolve(),
            replaced.reject,
          );
          return { kind: 'hold', until: replaced.promise };
        };
        for (const round of ['between', 'before']) {
          const error = await failing(copying());
          expect(error.code).toBe('store');
          expect(error.message).toContain('another run replaced it');
          const asked = seen('Copy').length + seen('CopyPart').length;
          expect(asked > 0).toBe(round === 'between');
          front.reset();
        }
        expect(await server.head(`${folder}/copy`)).toBeUndefined();
        expect(await server.openUploads()).toEqual([]);
      });
    }

    async function putParquet(key: string, length: number): Promise<Receipt> {
      const store = s3Destination({ ...addressOf(server, front.endpoint), partBytes: 5 * MIB });
      const { stream } = byteBody(length, 1_000_000);
      const receipt = await store.put({ key, body: stream, estimatedBytes: length, signal: never });
      front.reset();
      return receipt;
    }
  });

  test('remove() removes an object, and resolves where none is', async () => {
    const key = `${folder}/a b+c%`;
    await server.write(key, Buffer.alloc(1));
    await server.write(`${key}.other`, Buffer.alloc(1));
    await objects().remove(key, never);
    await objects().remove(key, never);
    expect(await server.head(key)).toBeUndefined();
    expect(await server.head(`${key}.other`)).toBeDefined();
  });
});

/** An answer of a service that is not quite S3. */
async function withFake<T>(fetch: (request: Request) => Response, work: (objects: Objects) => Promise<T>) {
  const fake = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch });
  const keys = { accessKeyId: new Secret('a'), secretAccessKey: new Secret('b') };
  try {
    const endpoint = `http://127.0.0.1:${fake.port}`;
    return await work(objectsOf({ endpoint, region: 'auto', bucket: 'b', ...keys, readBytes: 4 }));
  } finally {
    await fake.stop(true);
  }
}

/** Byte by byte, so that the server cannot tell a Content-Length. */
function slowly(text: string): ReadableStream<Uint8Array> {
  const bytes = [...text];
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setImmediate(resolve));
      const byte = bytes.shift();
      if (byte === undefined) controller.close();
      else controller.enqueue(Buffer.from(byte));
    },
  });
}

describe('services that are not quite S3', () => {
  const never = new AbortController().signal;
  const headers = { etag: '"e"', 'content-length': '10' };

  test('open() refuses the whole object where it asked for a range', async () => {
    const error = await withFake(
      ({ method }) => new Response(method === 'HEAD' ? null : '0123456789', { headers }),
      async (objects) => failing(new Response(await objects.open('k', 'e', never)).text()),
    );
    expect(error.message).toContain('was asked for bytes 0-3 and gave all 10 bytes');
  });

  test("open() errors with 'integrity' where the condition is ignored and the object is another", async () => {
    for (const answered of [
      { etag: '"f"', 'content-range': 'bytes 0-3/10' },
      { etag: '"e"', 'content-range': 'bytes 0-3/11' },
    ]) {
      const error = await withFake(
        ({ method }) =>
          method === 'HEAD'
            ? new Response(null, { headers })
            : new Response('0123', { status: 206, headers: answered }),
        async (objects) => failing(new Response(await objects.open('k', 'e', never)).text()),
      );
      expect(error.code).toBe('integrity');
    }
  });

  test('open() asks again where an answer of unknown length is too short, or too long', async () => {
    const answers: Record<string, string[]> = {
      'bytes=0-3': ['01', '01234', '0123'],
      'bytes=4-7': ['4567'],
      'bytes=8-9': ['8', '89'],
    };
    const ranges: string[] = [];
    const text = await withFake(
      (request) => {
        if (request.method === 'HEAD') return new Response(null, { headers });
        const range = request.headers.get('range') ?? '';
        ranges.push(range);
        const given = range.replace('=', ' ');
        const body = slowly(answers[range]?.shift() ?? '');
        const about = { etag: '"e"', 'content-range': `${given}/10` };
        return new Response(body, { status: 206, headers: about });
      },
      async (objects) => {
        let read = '';
        for await (const chunk of (await objects.open('k', 'e', never)) ?? []) read += Buffer.from(chunk);
        return read;
      },
    );
    expect(text).toBe('0123456789');
    expect(ranges.slice(0, 3)).toEqual(Array(3).fill('bytes=0-3'));
    expect(ranges.slice(3).sort()).toEqual(['bytes=4-7', 'bytes=8-9', 'bytes=8-9']);
  });

  test('list() decodes keys where the store says that it encoded them, and only there', async () => {
    const page = (encoding: string, key: string) =>
      `<ListBucketResult>${encoding}<IsTruncated>false</IsTruncated><Contents><Key>${key}</Key><Size>1</Size>` +
      '<LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"e"</ETag></Contents></ListBucketResult>';
    const listed = (text: string) =>
      withFake(
        () => new Response(text, { headers: { 'content-type': 'application/xml' } }),
        (objects) => Array.fromAsync(objects.list('', never)),
      );
    const encoding = '<EncodingType>url</EncodingType>';
    expect(await listed(page(encoding, 'a+b%20c%2Bd%C3%BC%0A'))).toEqual([
      { key: 'a b c+d\u00fc\n', bytes: 1, etag: 'e', modified: new Date('2026-01-02T03:04:05Z') },
    ]);
    expect((await listed(page('', 'a+b%20c')))[0]?.key).toBe('a+b%20c');
    expect((await failing(listed(page(encoding, 'a%FF')))).message).toContain('a key that is no text');
  });

  test('list() ends where the store does not say how to go on', async () => {
    const page = '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>';
    const error = await withFake(
      () => new Response(page, { headers: { 'content-type': 'application/xml' } }),
      (objects) => failing(Array.fromAsync(objects.list('', never))),
    );
    expect(error.message).toContain('not how to go on');
  });
});
