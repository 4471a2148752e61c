import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { type S3Settings, s3Destination } from '../../lib/storage/s3/s3.ts';
import type {
  ByteStream,
  ExpectedObject,
  OpenUpload,
  UploadedPart,
  UploadLog,
} from '../../lib/storage/storage.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { addressOf, startS3Server } from '../support/s3-server.ts';

/*
 * Uploads that outlive the process that began them: what the log hears, what stays in the store, and that
 * going on makes the object that an uninterrupted put would have made.
 */

const PART = 5 * MIB;
/** Three full parts and a shorter one. */
const LENGTH = 3 * PART + 1_234_567;
const CHUNK = 1_000_003;
const found = await startS3Server();
const proxy = found && (await startFaultProxy(found.endpoint));

afterAll(async () => {
  await proxy?.stop();
  await found?.stop();
});

/** What a journal would hold. */
interface Recorded extends UploadLog {
  readonly steps: string[];
  begin: Omit<OpenUpload, 'parts'> | undefined;
  readonly parts: UploadedPart[];
  expected: ExpectedObject | undefined;
}

describe.skipIf(found === undefined)('s3Destination() with a log', () => {
  const server = found as NonNullable<typeof found>;
  const front = proxy as FaultProxy;
  const never = new AbortController().signal;
  const whole = patternOf(LENGTH);
  let keys = 0;
  let key = '';

  beforeEach(() => {
    front.reset();
    key = `u${++keys}/latest.parquet`;
  });
  afterEach(() => server.abortUploads());

  const destination = (settings: Partial<S3Settings> = {}) =>
    s3Destination({
      ...addressOf(server, front.endpoint),
      // One after the other, so that it is certain which parts are there when one fails.
      partsInFlight: 1,
      partBytes: PART,
      retryPolicy: { attempts: 3, baseMs: 1, capMs: 4 },
      ...settings,
    });
  const uploads = () => destination().uploads as NonNullable<ReturnType<typeof destination>['uploads']>;
  const count = (operation: SeenRequest['operation']) =>
    front.seen.filter((request) => request.operation === operation).length;
  const recorder = (): Recorded => {
    const log: Recorded = {
      steps: [],
      begin: undefined,
      parts: [],
      expected: undefined,
      async begun(upload) {
        log.steps.push(`begun after ${count('UploadPart')} parts`);
        log.begin = upload;
      },
      confirmed(part) {
        log.steps.push(`confirmed ${part.number}`);
        log.parts.push(part);
      },
      async publishing(expected) {
        log.steps.push(`publishing before ${count('Complete') + count('PutObject')} requests`);
        log.expected = expected;
      },
    };
    return log;
  };
  const leftBy = (log: Recorded): OpenUpload => ({ ...(log.begin as OpenUpload), parts: log.parts });
  const failing = async (work: Promise<unknown>): Promise<ToolError> => {
    const error = await work.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(ToolError);
    return error as ToolError;
  };
  const put = (log: UploadLog, body = byteBody(LENGTH, CHUNK).stream, settings: Partial<S3Settings> = {}) =>
    destination(settings).put({ key, body, estimatedBytes: LENGTH, signal: never, log });
  const refused: Fault = { kind: 'status', status: 403, code: 'AccessDenied' };
  /** Lets the first `parts` parts through, and neither more nor their publication. */
  const stopAfter = (parts: number) => {
    front.faults = ({ operation, query }) =>
      operation === 'Complete' || (operation === 'UploadPart' && Number(query.get('partNumber')) > parts)
        ? refused
        : undefined;
  };
  /** A put that ends after so many parts, and what it left. */
  const interrupted = async (parts: number): Promise<OpenUpload> => {
    const log = recorder();
    stopAfter(parts);
    await failing(put(log));
    front.reset();
    return leftBy(log);
  };
  const goOn = (from: OpenUpload, log?: UploadLog) => {
    const offset = from.parts.reduce((sum, part) => sum + part.bytes, 0);
    const body = new Response(whole.subarray(offset)).body as ByteStream;
    return destination().put({ key, body, estimatedBytes: LENGTH, signal: never, from, log });
  };
  const expectStored = async () => {
    expect(Buffer.compare((await server.bytes(key)) ?? Buffer.from('none'), whole)).toBe(0);
    expect(await server.openUploads()).toEqual([]);
  };

  test('put() has each step on record before the next one is taken', async () => {
    const log = recorder();
    const receipt = await put(log);
    expect(log.steps).toEqual([
      'begun after 0 parts',
      ...[1, 2, 3, 4].map((number) => `confirmed ${number}`),
      'publishing before 0 requests',
    ]);
    expect(log.expected).toEqual({ bytes: LENGTH, etag: receipt.etag as string });
    expect(log.begin).toMatchObject({ key, partBytes: PART, crc32: true });
    await expectStored();
  });

  test('put() of one request tells what will be there before it is sent', async () => {
    const log = recorder();
    const receipt = await put(log, byteBody(1000, 100).stream);
    expect(log.steps).toEqual(['publishing before 0 requests']);
    expect(log.expected).toEqual({ bytes: 1000, etag: receipt.etag as string });
  });

  test('put() that fails leaves the upload, and the log holds what the store holds', async () => {
    const left = await interrupted(2);
    expect(await server.openUploads()).toEqual([left.id]);
    expect(left.parts.map(({ number, bytes, etag, crc32 }) => ({ number, bytes, etag, crc32 }))).toEqual(
      (await server.parts(key, left.id)).map((part) => ({ ...part, etag: `"${part.etag}"` })),
    );
    expect(left.parts[0]?.md5).toMatch(/^[0-9a-f]{32}$/);
    expect(await server.head(key)).toBeUndefined();
  });

  test('put() that is cancelled leaves the upload and no request behind', async () => {
    const log = recorder();
    const controller = new AbortController();
    const reason = new ToolError('cancelled', 'enough');
    front.faults = ({ operation, query }) =>
      operation === 'UploadPart' && query.get('partNumber') === '2' ? { kind: 'stall' } : undefined;
    const arrived = front.arrival((request) => request.query.get('partNumber') === '2');
    const body = byteBody(LENGTH, CHUNK).stream;
    const { signal } = controller;
    const done = failing(destination().put({ key, body, estimatedBytes: LENGTH, signal, log }));
    await arrived;
    controller.abort(reason);
    expect(await done).toBe(reason);
    expect(await server.openUploads()).toEqual([log.begin?.id as string]);
    expect(count('Abort')).toBe(0);
  });

  for (const parts of [0, 1, 2, 3, 4]) {
    test(`put() goes on after ${parts} of 4 parts and makes the object of an uninterrupted one`, async () => {
      const plainKey = `${key}.plain`;
      const plain = await destination().put({
        key: plainKey,
        body: byteBody(LENGTH, CHUNK).stream,
        estimatedBytes: LENGTH,
        signal: never,
      });
      const left = await interrupted(parts);
      const from = await uploads().find(left, never);
      expect(from).toEqual(left);
      expect(from?.parts).toHaveLength(parts);
      const log = recorder();
      const receipt = await goOn(from as OpenUpload, log);
      expect(receipt).toEqual({ location: `s3://${server.bucket}/${key}`, bytes: LENGTH, etag: plain.etag });
      expect(count('CreateUpload')).toBe(0);
      expect(count('UploadPart')).toBe(4 - parts);
      expect(log.parts.map(({ number }) => number)).toEqual([1, 2, 3, 4].slice(parts));
      expect(log.steps.filter((step) => step.startsWith('begun'))).toEqual([]);
      expect(log.expected).toEqual({ bytes: LENGTH, etag: plain.etag as string });
      await expectStored();
    });
  }

  test('put() goes on with the part size of the upload, whatever it would choose itself', async () => {
    const from = (await uploads().find(await interrupted(2), never)) as OpenUpload;
    const body = new Response(whole.subarray(2 * PART)).body as ByteStream;
    const other = destination({ partBytes: 7 * MIB });
    await other.put({ key, body, estimatedBytes: LENGTH, signal: never, from });
    expect(
      front.seen.filter(({ operation }) => operation === 'UploadPart').map((part) => part.bodyBytes),
    ).toEqual([PART, 1_234_567]);
    await expectStored();
  });

  test('put() that goes on publishes over what is there when it begins, not what was', async () => {
    const left = await interrupted(2);
    await server.write(key, Buffer.from('of another run, published in between'));
    await goOn((await uploads().find(left, never)) as OpenUpload);
    await expectStored();
  });

  test('put() without a log that goes on removes the upload when it fails', async () => {
    const left = await interrupted(1);
    stopAfter(2);
    await failing(goOn((await uploads().find(left, never)) as OpenUpload));
    expect(await server.openUploads()).toEqual([]);
  });

  test('put() makes an empty object of an upload without parts and a body without bytes', async () => {
    const from = await interrupted(0);
    const body = new Response('').body as ByteStream;
    const receipt = await destination().put({ key, body, estimatedBytes: 0, signal: never, from });
    expect(receipt.bytes).toBe(0);
    expect(await server.head(key)).toMatchObject({ bytes: 0 });
  });

  const [first, second] = [1, 2].map((number) => ({
    number,
    bytes: PART,
    etag: '"0"',
    crc32: undefined,
    md5: undefined,
  })) as [UploadedPart, UploadedPart];
  for (const [what, change, why] of [
    ['a gap', { parts: [second] }, 'part 2 is the 1. of its parts'],
    ['a part of another size', { parts: [{ ...first, bytes: 7 }, second] }, 'part 1 has 7 bytes and not'],
    ['bytes behind a short part', { parts: [{ ...first, bytes: 7 }] }, 'more bytes come behind it'],
    ['another key', { key: 'elsewhere' }, 'it is of "elsewhere"'],
  ] as const) {
    test(`put() refuses to go on with an upload with ${what}`, async () => {
      const from = { key, id: 'none', partBytes: PART, crc32: true, parts: [], ...change };
      const body = byteBody(LENGTH, CHUNK);
      const work = destination().put({
        key,
        body: body.stream,
        estimatedBytes: LENGTH,
        signal: never,
        from,
        log: recorder(),
      });
      const error = await failing(work);
      expect(error.code).toBe('integrity');
      expect(error.message).toContain(why);
      expect(body.cancelled()).toBe(error);
      expect(count('UploadPart')).toBe(0);
    });
  }

  describe('what makes no sense to go on with', () => {
    for (const [code, stays] of [
      ['integrity', 0],
      ['qdrant', 1],
    ] as const) {
      test(`put() leaves ${stays} uploads when the body errors with '${code}'`, async () => {
        const error = new ToolError(code, 'the source broke');
        const body = byteBody(LENGTH, CHUNK, { failAt: 2 * PART + 1, error }).stream;
        expect(await failing(put(recorder(), body))).toBe(error);
        expect(await server.openUploads()).toHaveLength(stays);
      });
    }

    test('put() removes an upload that has too few parts for the body', async () => {
      const error = await failing(put(recorder(), undefined, { maxParts: 3 }));
      expect(error.message).toContain('3 parts of 5 MiB');
      expect(await server.openUploads()).toEqual([]);
    });

    test('put() removes an upload that could not be put on record, and sends no part', async () => {
      const full = new ToolError('store', 'the disk is full');
      const log = { ...recorder(), begun: () => Promise.reject(full) };
      expect(await failing(put(log))).toBe(full);
      expect(count('UploadPart')).toBe(0);
      expect(await server.openUploads()).toEqual([]);
    });

    test('put() publishes nothing that could not be put on record', async () => {
      const full = new ToolError('store', 'the disk is full');
      const log = { ...recorder(), publishing: () => Promise.reject(full) };
      expect(await failing(put(log))).toBe(full);
      expect(count('Complete')).toBe(0);
      expect(await server.openUploads()).toHaveLength(1);
    });
  });

  describe('find()', () => {
    test('find() gives the parts before one that the store has otherwise', async () => {
      const left = await interrupted(3);
      for (const damage of [{ etag: `"${'0'.repeat(32)}"` }, { bytes: PART - 1 }, { crc32: 'AAAAAA==' }]) {
        const parts = left.parts.map((part) => (part.number === 2 ? { ...part, ...damage } : part));
        const from = await uploads().find({ ...left, parts }, never);
        expect(from?.parts.map(({ number }) => number)).toEqual([1]);
      }
      await goOn({ ...left, parts: left.parts.slice(0, 1) });
      await expectStored();
    });

    test('find() takes parts in any order and stops at a gap', async () => {
      const left = await interrupted(3);
      const [one, two, three] = left.parts as [UploadedPart, UploadedPart, UploadedPart];
      expect((await uploads().find({ ...left, parts: [three, one, two] }, never))?.parts).toEqual(left.parts);
      expect((await uploads().find({ ...left, parts: [three, one] }, never))?.parts).toEqual([one]);
      expect((await uploads().find({ ...left, parts: [three, two] }, never))?.parts).toEqual([]);
    });

    test('find() passes over parts that somebody else wrote, and put() over their bytes', async () => {
      const left = await interrupted(1);
      await server.writePart(key, left.id, 2, Buffer.alloc(PART, 7));
      await server.writePart(key, left.id, 9, Buffer.alloc(PART, 9));
      const from = await uploads().find(left, never);
      expect(from?.parts).toEqual(left.parts);
      await goOn(from as OpenUpload);
      await expectStored();
    });

    test('find() gives undefined when the upload is gone', async () => {
      const left = await interrupted(1);
      await server.abortUploads();
      expect(await uploads().find(left, never)).toBeUndefined();
    });

    test('find() gives up, and removes, an upload whose parts it may not list', async () => {
      const left = await interrupted(1);
      front.faults = ({ operation }) => (operation === 'ListParts' ? refused : undefined);
      expect(await uploads().find(left, never)).toBeUndefined();
      expect(await server.openUploads()).toEqual([]);
    });

    test('find() names an upload that it may neither list nor remove', async () => {
      const left = await interrupted(1);
      front.faults = ({ operation }) =>
        operation === 'ListParts' || operation === 'Abort' ? refused : undefined;
      const error = await failing(uploads().find(left, never));
      expect(error.message).toContain('may not list its parts');
      expect(error.message).toContain(`unfinished upload ${left.id}`);
    });

    test('find() rejects when the store does not answer, rather than start over', async () => {
      const left = await interrupted(1);
      front.faults = () => ({ kind: 'status', status: 503, code: 'SlowDown' });
      expect((await failing(uploads().find(left, never))).message).toContain('503 SlowDown');
    });
  });

  test('remove() removes the upload, and says what remains', async () => {
    const left = await interrupted(1);
    front.faults = ({ operation }) => (operation === 'Abort' ? refused : undefined);
    const short = destination({ patience: { cleanupMs: 300 } }).uploads;
    expect(await short?.remove(left, never)).toContain(`unfinished upload ${left.id}`);
    front.reset();
    expect(await uploads().remove(left, never)).toBeUndefined();
    expect(await server.openUploads()).toEqual([]);
    expect(await uploads().remove(left, never)).toBeUndefined();
  });

  describe('published()', () => {
    test('published() finds the object of a run that never heard of its success', async () => {
      const log = recorder();
      front.faults = ({ operation, earlier }) => {
        if (operation === 'Complete') return { kind: 'resetAfter' };
        return operation === 'Head' && earlier > 0 ? refused : undefined;
      };
      const error = await failing(put(log));
      expect(error.code).toBe('store');
      front.reset();
      expect(await uploads().find(leftBy(log), never)).toBeUndefined();
      const receipt = await uploads().published(key, log.expected as ExpectedObject, never);
      expect(receipt).toEqual({
        location: `s3://${server.bucket}/${key}`,
        bytes: LENGTH,
        etag: log.expected?.etag,
      });
      await expectStored();
    });

    test('put() says that a publication may still take effect of which nothing was heard', async () => {
      front.faults = ({ operation }) => (operation === 'Complete' ? { kind: 'reset' } : undefined);
      const error = await failing(put(recorder()));
      expect(error.message).toContain('may still take effect');
      expect(await server.openUploads()).toHaveLength(1);
    });

    test('published() takes nothing else for it', async () => {
      const { etag = '' } = await put(recorder());
      expect(await uploads().published(key, { bytes: LENGTH, etag }, never)).toBeDefined();
      for (const other of [
        { bytes: LENGTH - 1, etag },
        { bytes: LENGTH, etag: `x${etag}` },
        { bytes: LENGTH, etag: undefined },
      ]) {
        expect(await uploads().published(key, other, never)).toBeUndefined();
      }
      expect(await uploads().published(`${key}.none`, { bytes: LENGTH, etag }, never)).toBeUndefined();
    });
  });
});
