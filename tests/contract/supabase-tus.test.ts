import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { ByteStream, OpenUpload, PutRequest } from '../../lib/storage/storage.ts';
import { CHUNK_BYTES, putResumable } from '../../lib/storage/supabase/supabase-tus.ts';
import { probeResumable } from '../../lib/storage/supabase/supabase-tus-probe.ts';
import { supabaseUploads } from '../../lib/storage/supabase/supabase-uploads.ts';
import { byteBody, patternOf } from '../support/byte-body.ts';
import {
  type DoubleFault,
  type DoubleRequest,
  startSupabaseDouble,
} from '../support/supabase-double/supabase-double.ts';
import { openUploadsOf, recordedUpload, tusPublication } from '../support/tus-scene.ts';

/*
 * Resumable uploads against the engine that Supabase Storage uses: what is sent, what is left, what goes on.
 */

const CHUNK = 100_000;
/** Four whole chunks and a shorter one. */
const LENGTH = 4 * CHUNK + 12_345;
const BODY_CHUNK = 7_001;
/** With files or in parts: which of both is the store's affair. */
const ETAG = /^[0-9a-f]{32}(-\d+)?$/;
const whole = patternOf(LENGTH);
const double = await startSupabaseDouble({ s3: false });
const never = new AbortController().signal;
let keys = 0;
let key = '';

afterAll(() => double.stop());
beforeEach(() => {
  double.fault = undefined;
  key = `tus${++keys}/latest.parquet`;
  seen = double.requests.length;
});

let seen = 0;
const methods = () => double.requests.slice(seen).map(nameOf);
const nameOf = ({ method, headers, path }: DoubleRequest) => {
  if (method === 'PATCH') return `PATCH ${headers.get('upload-offset')}`;
  return path.includes('/object/info/') ? 'info' : method;
};
const publication = (serviceKey = double.keys.service, bucket = double.bucket) =>
  tusPublication({ url: double.url, serviceKey, bucket, key });
const put = (more: Partial<PutRequest> = {}, to = publication()) => {
  const body = more.body ?? byteBody(LENGTH, BODY_CHUNK).stream;
  const request = { key, estimatedBytes: LENGTH, signal: never, ...more, body, bytes: LENGTH };
  return putResumable(request, to, CHUNK);
};
/** As another process would: with what the journal holds, and the bytes behind the parts. */
const goOn = async (left: OpenUpload | undefined) => {
  const to = publication();
  const from = left && (await supabaseUploads(() => to).find(left, never));
  const offset = from?.parts.reduce((sum, part) => sum + part.bytes, 0) ?? 0;
  const body = new Response(whole.subarray(offset)).body as ByteStream;
  let progress = 0;
  const receipt = await put({ body, from, onProgress: (bytes) => (progress += bytes) }, to);
  return { receipt, from, progress, offset };
};
const failing = async (work: Promise<unknown>): Promise<ToolError> => {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
};
const openUploads = (bucket?: string) => openUploadsOf(double, key, bucket);
const expectStored = async (bytes: Uint8Array = whole) => {
  double.fault = undefined;
  expect(Buffer.compare((await double.bytes(key)) ?? Buffer.from('none'), bytes)).toBe(0);
  expect(await openUploads()).toEqual([]);
};
/** The first request of that name has the fault. */
const onceAt = (name: string, fault: DoubleFault) => {
  let asked = false;
  double.fault = (request) => {
    if (asked || nameOf(request) !== name) return undefined;
    asked = true;
    return fault;
  };
};
const REFUSED: DoubleFault = {
  kind: 'status',
  status: 403,
  body: 'new row violates row-level security policy',
};
/** From the first request of that name on, nothing works: the process, or its line, is at its end. */
const endedAt = (name: string, fault: DoubleFault) => {
  let ended = false;
  double.fault = (request) => {
    if (ended) return REFUSED;
    ended = nameOf(request) === name;
    return ended ? fault : undefined;
  };
};

describe('putResumable()', () => {
  test('makes an object of chunks, and a second time replaces it', async () => {
    await double.write(key, Buffer.from('older'));
    const progress: number[] = [];
    const receipt = await put({ onProgress: (bytes) => progress.push(bytes) });
    expect(receipt).toEqual({ bytes: LENGTH, etag: expect.stringMatching(ETAG) });
    expect(progress).toEqual([CHUNK, CHUNK, CHUNK, CHUNK, 12_345]);
    await expectStored();
    expect(await put()).toEqual(receipt);
    await expectStored();
  });

  test('sends a body that ends with a whole chunk, and one that fits a single one', async () => {
    for (const length of [2 * CHUNK, CHUNK, 1]) {
      const bytes = patternOf(length);
      const body = byteBody(length, BODY_CHUNK).stream;
      await putResumable(
        { key, body, estimatedBytes: 1, bytes: length, signal: never },
        publication(),
        CHUNK,
      );
      await expectStored(bytes);
    }
  });

  test('takes chunks of 6 MiB unless it is told otherwise', async () => {
    const length = CHUNK_BYTES + 3;
    const body = byteBody(length, 1_000_003).stream;
    await putResumable({ key, body, estimatedBytes: length, bytes: length, signal: never }, publication());
    expect(methods()).toEqual(['POST', 'PATCH 0', `PATCH ${6 * 1024 * 1024}`, 'info']);
    await expectStored(patternOf(length));
  });

  test('reads a chunk and no more ahead of what the store has', async () => {
    let pulled = 0;
    const ahead: number[] = [];
    double.fault = ({ method, headers }) => {
      if (method === 'PATCH') ahead.push(pulled - Number(headers.get('upload-offset')));
      return undefined;
    };
    await put({ body: byteBody(LENGTH, BODY_CHUNK, { onPull: (bytes) => (pulled = bytes) }).stream });
    expect(ahead).toHaveLength(5);
    for (const bytes of ahead) expect(bytes).toBeLessThanOrEqual(CHUNK + BODY_CHUNK);
  });

  test('has each step on record before the next one is taken', async () => {
    const log = recordedUpload();
    const order: string[] = [];
    double.fault = (request) => void order.push(`${nameOf(request)} after ${log.steps.join(', ')}`);
    await put({ log });
    expect(order).toEqual([
      'POST after ',
      'PATCH 0 after begun',
      'PATCH 100000 after begun, confirmed 1: 100000',
      'PATCH 200000 after begun, confirmed 1: 100000, confirmed 2: 100000',
      'PATCH 300000 after begun, confirmed 1: 100000, confirmed 2: 100000, confirmed 3: 100000',
      'PATCH 400000 after begun, confirmed 1: 100000, confirmed 2: 100000, confirmed 3: 100000, ' +
        'confirmed 4: 100000, publishing',
      `info after ${log.steps.join(', ')}`,
    ]);
    expect(log.steps.at(-1)).toBe('confirmed 5: 12345');
    expect(log.expected).toEqual([{ bytes: LENGTH, etag: undefined }]);
    expect(log.left()).toMatchObject({ key, partBytes: CHUNK, crc32: false });
  });

  for (const afterBytes of [0, 1, 40_000, CHUNK - 1, CHUNK]) {
    test(`asks for the offset after a cut behind ${afterBytes} bytes of a chunk, and sends the rest`, async () => {
      onceAt('PATCH 100000', { kind: 'reset', afterBytes });
      await put();
      expect(methods()).toContain('HEAD');
      await expectStored();
    });
  }

  for (const [what, fault] of [
    ['is lost', { kind: 'lost answer' }],
    ['is a 502', { kind: 'status', status: 502, body: 'Bad Gateway' }],
    ['is a 429', { kind: 'status', status: 429, retryAfter: '0' }],
  ] as const) {
    for (const name of ['PATCH 0', 'PATCH 400000', 'info']) {
      test(`goes on where the answer to ${name} ${what}`, async () => {
        onceAt(name, fault);
        expect((await put()).bytes).toBe(LENGTH);
        await expectStored();
      });
    }
  }

  test('begins anew where the answer to the first request is lost, whose upload stays without a byte', async () => {
    onceAt('POST', { kind: 'lost answer' });
    await put();
    expect(await double.bytes(key)).toEqual(whole);
    const [orphan, ...others] = await openUploads();
    expect(others).toEqual([]);
    expect(
      await supabaseUploads(() => publication()).remove({ key, id: orphan as string }, never),
    ).toBeUndefined();
  });

  test('ends an attempt that the store never answers, and tries again', async () => {
    onceAt('PATCH 200000', { kind: 'hang' });
    const to = publication();
    const patience = { ...to.patience, requestMs: 300, slowestBytesPerSecond: 1e9 };
    await put({}, { ...to, patience });
    await expectStored();
  });

  for (const status of [404, 410] as const) {
    test(`rejects with ${status} in the middle, and begins again in the next process`, async () => {
      const log = recordedUpload();
      onceAt('PATCH 200000', { kind: 'expired', status });
      const error = await failing(put({ log }));
      expect(error.message).toContain('no longer has the unfinished upload');
      expect(error.message).toContain('--resume');
      const { from } = await goOn(log.left());
      expect(from).toBeUndefined();
      await expectStored();
    });
  }

  test('overwrites what somebody else wrote meanwhile', async () => {
    double.fault = (request) => {
      if (nameOf(request) === 'PATCH 300000') double.write(key, Buffer.from('other')).catch(() => {});
      return undefined;
    };
    await put();
    await expectStored();
  });

  for (const [name, refusal] of [
    ['POST', 'the start'],
    ['PATCH 0', 'the first chunk'],
    ['PATCH 400000', 'the last chunk'],
  ] as const) {
    test(`that is refused at ${refusal} leaves what was there, and no upload`, async () => {
      await double.write(key, Buffer.from('older'));
      onceAt(name, REFUSED);
      const body = byteBody(LENGTH, BODY_CHUNK);
      const error = await failing(put({ body: body.stream }));
      expect(error.code).toBe('store');
      expect(error.message).toContain(`supabase://backups/${key}`);
      await expectStored(Buffer.from('older'));
      expect(body.cancelled() !== undefined || name === 'PATCH 400000').toBe(true);
    });
  }

  test('leaves nothing where the body fails, and with a log what another process goes on with', async () => {
    const failure = new ToolError('qdrant', 'the source broke');
    const body = () => byteBody(LENGTH, BODY_CHUNK, { failAt: 250_000, error: failure }).stream;
    expect(await failing(put({ body: body() }))).toBe(failure);
    expect(await openUploads()).toEqual([]);
    const log = recordedUpload();
    expect(await failing(put({ body: body(), log }))).toBe(failure);
    expect(await openUploads()).toEqual([log.left()?.id as string]);
    const { from } = await goOn(log.left());
    expect(from?.parts).toHaveLength(2);
    await expectStored();
  });

  test('names the upload that it could not remove', async () => {
    double.fault = ({ method }) => (method === 'DELETE' || method === 'PATCH' ? REFUSED : undefined);
    const error = await failing(put());
    double.fault = undefined;
    const [id] = await openUploads();
    expect(error.message).toContain(`The unfinished upload ${id} could not be removed (`);
    expect(
      await supabaseUploads(() => publication()).remove({ key, id: id as string }, never),
    ).toBeUndefined();
  });
});

describe('putResumable() in another process', () => {
  for (let chunk = 0; chunk < 5; chunk++) {
    const name = `PATCH ${chunk * CHUNK}`;
    for (const afterBytes of [0, 1, 12_344, 50_000, CHUNK - 1]) {
      if (chunk === 4 && afterBytes > 12_344) continue;
      test(`goes on that was ended ${afterBytes} bytes behind chunk ${chunk}`, async () => {
        await double.write(key, Buffer.from('older'));
        const log = recordedUpload();
        endedAt(name, { kind: 'reset', afterBytes });
        await failing(put({ log }));
        expect(await double.bytes(key)).toEqual(new Uint8Array(Buffer.from('older')));
        double.fault = undefined;
        const sent = double.requests.length;
        const { from, progress, offset } = await goOn(log.left());
        expect(from?.parts.map(({ number, bytes }) => [number, bytes])).toEqual(
          Array.from({ length: chunk }, (_, at) => [at + 1, CHUNK]),
        );
        expect(progress).toBe(LENGTH - offset);
        expect(
          nameOf(double.requests.slice(sent).find(({ method }) => method === 'PATCH') as DoubleRequest),
        ).toBe(`PATCH ${chunk * CHUNK + afterBytes}`);
        await expectStored();
      });
    }
  }

  test('goes on where more chunks arrived than the journal tells of', async () => {
    const log = recordedUpload();
    endedAt('PATCH 300000', { kind: 'reset' });
    await failing(put({ log }));
    double.fault = undefined;
    const left = { ...(log.left() as OpenUpload), parts: [] };
    expect((await goOn(left)).from?.parts).toHaveLength(3);
    await expectStored();
  });

  test('skips what arrived after the store was asked', async () => {
    const log = recordedUpload();
    endedAt('PATCH 300000', { kind: 'reset' });
    await failing(put({ log }));
    double.fault = undefined;
    const from = { ...(log.left() as OpenUpload), parts: (log.left() as OpenUpload).parts.slice(0, 1) };
    const body = new Response(whole.subarray(CHUNK)).body as ByteStream;
    let progress = 0;
    await put({ body, from, onProgress: (bytes) => (progress += bytes) });
    expect(progress).toBe(LENGTH - CHUNK);
    await expectStored();
  });

  test('ends at once, without a byte, where the object was published and nobody heard of it', async () => {
    const log = recordedUpload();
    endedAt('PATCH 400000', { kind: 'lost answer' });
    const error = await failing(put({ log }));
    expect(error.message).toContain('may still take effect');
    double.fault = undefined;
    const sent = double.requests.length;
    const { from, receipt } = await goOn(log.left());
    expect(from?.parts.map(({ bytes }) => bytes)).toEqual([CHUNK, CHUNK, CHUNK, CHUNK, 12_345]);
    expect(receipt).toEqual({ bytes: LENGTH, etag: expect.stringMatching(ETAG) });
    expect(double.requests.slice(sent).map(nameOf)).toEqual(['HEAD', 'info', 'info']);
    await expectStored();
  });

  test('keeps to the chunks that were begun', async () => {
    const log = recordedUpload();
    endedAt('PATCH 200000', { kind: 'reset' });
    await failing(put({ log }));
    double.fault = undefined;
    const to = publication();
    const from = (await supabaseUploads(() => to).find(log.left() as OpenUpload, never)) as OpenUpload;
    const body = new Response(whole.subarray(2 * CHUNK)).body as ByteStream;
    const request = { key, body, estimatedBytes: LENGTH, bytes: LENGTH, signal: never, from };
    await putResumable(request, to);
    expect(methods().filter((name) => name.startsWith('PATCH'))).toContain('PATCH 300000');
    await expectStored();
  });
});

describe('probeResumable()', () => {
  test('leaves nothing where the store would take it', async () => {
    await probeResumable(publication(), 123_456_789, 'application/vnd.apache.parquet');
    expect(await double.bytes(key)).toBeUndefined();
    expect(await openUploads()).toEqual([]);
  });

  for (const [what, target, bytes, words] of [
    ['a bucket that is not there', { bucket: 'nowhere' }, 1, 'there is no bucket "nowhere"'],
    [
      'more than the bucket takes',
      { bucket: 'tight' },
      1001,
      'larger than bucket "tight" or the project allows',
    ],
    ['more than the project takes', {}, 20_000_001, 'larger than bucket "backups" or the project allows'],
    ['a type that the bucket refuses', { bucket: 'tight', type: 'text/csv' }, 1, 'text/csv is not supported'],
    ['a key with letters of other alphabets', { key: 'e/ünï' }, 1, 'Invalid key: e/ünï'],
    ['a key with #', { key: 'e/a#b' }, 1, 'Invalid key: e/a#b'],
    ['a key with ~', { key: 'e/~' }, 1, 'Invalid key: e/~'],
    ['the anonymous key', { serviceKey: double.keys.anon }, 1, 'SUPABASE_SERVICE_ROLE_KEY'],
    ["a user's key", { serviceKey: double.keys.user }, 1, 'SUPABASE_SERVICE_ROLE_KEY'],
    ['an expired key', { serviceKey: double.keys.expired }, 1, 'has expired'],
    ['a key of another project', { serviceKey: double.keys.otherProject }, 1, 'not of this project'],
    ['a new-style key without a gateway', { serviceKey: double.keys.secret }, 1, 'sb_secret_'],
    ['what is no key', { serviceKey: 'garbage' }, 1, 'does not take the key'],
  ] as const) {
    test(`rejects at once for ${what}, and so does putResumable()`, async () => {
      await double.makeBucket('tight', { fileSizeLimit: 1000, mimeTypes: ['text/plain'] }).catch(() => {});
      double.setGlobalLimit(20_000_000);
      try {
        const wanted = { type: 'text/plain', ...target };
        const to = tusPublication({ url: double.url, serviceKey: double.keys.service, key, ...wanted });
        const asked = double.requests.length;
        const probed = await failing(probeResumable(to, bytes, wanted.type));
        expect(probed.code).toBe('store');
        expect(probed.message).toStartWith(`Cannot write ${to.location}: `);
        expect(probed.message).toContain(words);
        expect(double.requests).toHaveLength(asked + 1);
        if (wanted.type !== 'text/plain' || to.session.bucket === 'tight') return;
        const body = byteBody(bytes, 1_000_000);
        const request = { key: to.key, body: body.stream, bytes, estimatedBytes: bytes, signal: never };
        const refused = await failing(putResumable(request, to, CHUNK));
        expect(refused.message).toBe(probed.message);
        expect(double.requests).toHaveLength(asked + 2);
        if (bytes > 1) expect(body.cancelled()).toBe(refused);
      } finally {
        double.setGlobalLimit(undefined);
      }
    });
  }

  test('leaves nothing where it takes exactly as much as the bucket does', async () => {
    await double.makeBucket('exact', { fileSizeLimit: 1000, mimeTypes: ['text/plain'] });
    await probeResumable(publication(undefined, 'exact'), 1000, 'text/plain');
    expect(await openUploads('exact')).toEqual([]);
  });
});
