import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import type { RetryNotice } from '../../../../lib/retry.ts';
import type { PutRequest, UploadLog } from '../../../../lib/storage/storage.ts';
import { putResumable } from '../../../../lib/storage/supabase/supabase-tus.ts';
import { createResumable } from '../../../../lib/storage/supabase/supabase-tus-calls.ts';
import { readTusId } from '../../../../lib/storage/supabase/supabase-tus-id.ts';
import { probeResumable } from '../../../../lib/storage/supabase/supabase-tus-probe.ts';
import { supabaseUploads } from '../../../../lib/storage/supabase/supabase-uploads.ts';
import { byteBody, patternOf } from '../../../support/byte-body.ts';
import { type ScriptedUpload, startScriptedTus } from '../../../support/scripted-tus.ts';
import { recordedUpload, tusPublication } from '../../../support/tus-scene.ts';

/*
 * What resumable uploads make of answers that a store gives seldom or never.
 */

const CHUNK = 1000;
const LENGTH = 2500;
const whole = patternOf(LENGTH);
const key = 'docs/latest.parquet';
const store = startScriptedTus();

afterAll(() => store.stop());
beforeEach(() => {
  store.requests.length = 0;
  store.uploads.clear();
  store.objects.clear();
  store.script = undefined;
});

const publication = (onRetry?: (notice: RetryNotice) => void) =>
  tusPublication({ url: store.url, serviceKey: 'key', key, ...(onRetry && { onRetry }) });
const put = (
  more: Partial<PutRequest> & { readonly bytes?: number } = {},
  onRetry?: (notice: RetryNotice) => void,
) => {
  const bytes = more.bytes ?? LENGTH;
  const request = { key, body: byteBody(bytes, 300).stream, estimatedBytes: bytes, signal: never, ...more };
  return putResumable({ ...request, bytes }, publication(onRetry), CHUNK);
};
const never = new AbortController().signal;
const failing = async (work: Promise<unknown>): Promise<ToolError> => {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
};
const once = (name: string, answer: (request: Request) => Response | Promise<Response>) => {
  let asked = false;
  store.script = (asking, request) => {
    if (asked || asking !== name) return undefined;
    asked = true;
    return answer(request);
  };
};
const always = (name: string, answer: () => Response) => {
  store.script = (asking) => (asking === name ? answer() : undefined);
};
const text = (status: number, body: string) => () => new Response(body, { status });
const upload = () => store.uploads.values().next().value as ScriptedUpload;
const offset =
  (value: number, length = LENGTH) =>
  () =>
    new Response(null, { headers: { 'upload-offset': String(value), 'upload-length': String(length) } });
const expectStored = (bytes: Uint8Array = whole) => {
  expect(Buffer.compare(store.objects.get(key)?.bytes ?? Buffer.from('none'), bytes)).toBe(0);
};

describe('putResumable()', () => {
  test('asks for no more than is needed: one request a chunk, and a look at the object', async () => {
    const receipt = await put();
    expect(receipt).toEqual({ bytes: LENGTH, etag: Bun.MD5.hash(whole, 'hex') });
    expect(store.requests).toEqual(['POST', 'PATCH 0', 'PATCH 1000', 'PATCH 2000', 'GET info']);
    expectStored();
  });

  test('says what the object is, and on each request that it may replace another one', async () => {
    const seen: (string | null)[] = [];
    store.script = (_name, request) => void seen.push(request.headers.get('x-upsert'));
    await put();
    expect(seen).toEqual(['true', 'true', 'true', 'true', null]);
    const words = upload()
      .metadata.split(',')
      .map((pair) => pair.split(' '));
    expect(words.map(([name, value = '']) => [name, Buffer.from(value, 'base64').toString()])).toEqual([
      ['bucketName', 'backups'],
      ['objectName', key],
      ['contentType', 'application/vnd.apache.parquet'],
      ['cacheControl', '0'],
    ]);
  });

  for (const location of ['', '/', 'https://elsewhere.example.test/..', 'a/b c']) {
    test(`ends where the upload's address is "${location}"`, async () => {
      once('POST', () => new Response('', { status: 201, headers: { location } }));
      expect((await failing(put())).message).toBe(
        `Cannot write supabase://backups/${key}: ${store.url} does not answer like Supabase Storage, ` +
          'it began an upload and did not say where it is.',
      );
    });
  }

  test('takes the last segment of a relative address too', async () => {
    let made: Response | undefined;
    store.script = async (name) => {
      if (name !== 'POST' || made !== undefined) return undefined;
      const id = Buffer.from(`backups/${key}/${crypto.randomUUID()}`).toString('base64url');
      const [, version] = [id, readTusId(id)?.version as string];
      store.uploads.set(id, { id, key, version, length: LENGTH, metadata: '', bytes: new Uint8Array() });
      made = new Response('', { status: 201, headers: { location: `../resumable/${id}?x=1` } });
      return made;
    };
    await put();
    expectStored();
  });

  test('sends the rest of a chunk of which the store took less than was sent', async () => {
    once('PATCH 1000', async (request) => {
      upload().bytes = Buffer.concat([upload().bytes, (await request.bytes()).subarray(0, 400)]);
      return offset(1400)();
    });
    await put();
    expect(store.requests).toEqual(['POST', 'PATCH 0', 'PATCH 1000', 'PATCH 1400', 'PATCH 2000', 'GET info']);
    expectStored();
  });

  test('gives up on a store that takes nothing of what is sent', async () => {
    always('PATCH 1000', offset(1000));
    const error = await failing(put());
    expect(error.message).toBe(
      `Cannot write supabase://backups/${key}: the store took none of the bytes behind the first 1000.`,
    );
    expect(store.requests.filter((name) => name === 'PATCH 1000')).toHaveLength(4);
    expect(store.uploads.size).toBe(0);
  });

  test('does not run out of attempts while each one gets further', async () => {
    // Each request fails after 100 bytes were taken: far more failures than attempts.
    let sent = 0;
    store.script = async (name, request) => {
      if (!name.startsWith('PATCH')) return undefined;
      sent++;
      const { bytes } = upload();
      if (bytes.length >= 2400) return undefined;
      upload().bytes = Buffer.concat([bytes, (await request.bytes()).subarray(0, 100)]);
      return new Response('oh', { status: 502 });
    };
    await put();
    expect(sent).toBe(25);
    expectStored();
  });

  test('asks what the store has after a conflict, and goes on there', async () => {
    once('PATCH 1000', async (request) => {
      upload().bytes = Buffer.concat([upload().bytes, await request.bytes()]);
      return text(409, 'Upload-Offset conflict\n')();
    });
    await put();
    expect(store.requests.slice(2)).toEqual(['PATCH 1000', 'HEAD', 'PATCH 2000', 'GET info']);
    expectStored();
  });

  test('goes on where another request to the upload is under way', async () => {
    once('PATCH 1000', text(423, 'Locked'));
    await put();
    expectStored();
  });

  test('stops where another upload won, removes its own even with a log, and says so', async () => {
    for (const log of [undefined, recordedUpload()]) {
      store.requests.length = 0;
      always('PATCH 2000', text(409, 'The resource already exists'));
      const error = await failing(put({ log }));
      expect(error.message).toBe(
        `Cannot write supabase://backups/${key}: the store gave the key to another upload that was finished ` +
          'meanwhile, and refuses this one. What is there was left as it is; run the export again to replace it.',
      );
      expect(store.requests.filter((name) => name === 'PATCH 2000')).toHaveLength(1);
      expect(store.uploads.size).toBe(0);
    }
  });

  test('knows that it won itself when the last chunk was sent twice', async () => {
    once('PATCH 2000', async (request) => {
      const { version, bytes } = upload();
      upload().bytes = Buffer.concat([bytes, await request.bytes()]);
      store.objects.set(key, { version, bytes: upload().bytes });
      return text(409, 'The resource already exists')();
    });
    expect((await put()).bytes).toBe(LENGTH);
    expect(store.requests.slice(-2)).toEqual(['HEAD', 'GET info']);
  });

  for (const [what, answer, why] of [
    ['has less than before', offset(999), 'the store has 999 bytes of it, and had 1000 before'],
    ['has more than was sent', offset(2001), 'the store has 2001 bytes of it, and only 2000 were sent'],
    ['has another length', offset(1000, 7), 'it is one of 7 bytes, and 2500 are to be written'],
  ] as const) {
    test(`ends with 'integrity' where the upload suddenly ${what}`, async () => {
      let failed = false;
      store.script = (name) => {
        if (name === 'PATCH 1000') {
          failed = true;
          return text(500, 'oh')();
        }
        return failed && name === 'HEAD' ? answer() : undefined;
      };
      const error = await failing(put({ log: recordedUpload() }));
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(
        `Cannot write supabase://backups/${key}: somebody else wrote to its unfinished upload (${why}). ` +
          'Run the export again.',
      );
      expect(store.uploads.size).toBe(0);
    });
  }

  for (const [what, headers] of [
    ['nothing', {}],
    ['no number', { 'upload-offset': 'many', 'upload-length': '2500' }],
    ['a number too large', { 'upload-offset': '99999999999999999999', 'upload-length': '2500' }],
    ['no length', { 'upload-offset': '0', 'upload-defer-length': '1' }],
  ] as const) {
    test(`ends where the store says ${what} about an upload`, async () => {
      store.script = (name) => {
        if (name === 'PATCH 0') return text(500, 'oh')();
        return name === 'HEAD' ? new Response(null, { headers }) : undefined;
      };
      const error = await failing(put());
      expect(error.message).toStartWith(
        `Cannot write supabase://backups/${key}: ${store.url} does not answer like Supabase Storage, ` +
          'it did not say how much it has of an upload. The unfinished upload ',
      );
    });
  }

  test('begins again at once where the upload is gone while all of it is at hand', async () => {
    const log = recordedUpload();
    const progress: number[] = [];
    store.script = (name) => {
      if (name !== 'PATCH 0' || store.requests.length > 2) return undefined;
      store.uploads.clear();
      return undefined;
    };
    const notices: string[] = [];
    await put({ log, onProgress: (bytes) => progress.push(bytes) }, ({ error }) =>
      notices.push(error.message),
    );
    expect(store.requests.slice(0, 4)).toEqual(['POST', 'PATCH 0', 'POST', 'PATCH 0']);
    expect(log.steps.slice(0, 3)).toEqual(['begun', 'begun', 'confirmed 1: 1000']);
    expect(log.left()?.id).toBe(upload().id);
    expect(progress).toEqual([1000, 1000, 500]);
    expect(notices).toEqual([
      `Cannot write supabase://backups/${key}: the store no longer has the unfinished upload.`,
    ]);
    expectStored();
  });

  test('tells of no byte twice when it begins again', async () => {
    const progress: number[] = [];
    let sent = 0;
    store.script = async (name, request) => {
      if (name !== 'PATCH 0' && name !== 'PATCH 400') return undefined;
      if (name === 'PATCH 400' && ++sent > 0) store.uploads.clear();
      // 400 bytes are taken, then the upload is lost; of the next one 200 are.
      if (name === 'PATCH 400') return undefined;
      const taken = sent === 0 ? 400 : 200;
      upload().bytes = (await request.bytes()).subarray(0, taken);
      return offset(taken)();
    };
    await put({ onProgress: (bytes) => progress.push(bytes) });
    expect(store.requests.slice(0, 6)).toEqual([
      'POST',
      'PATCH 0',
      'PATCH 400',
      'POST',
      'PATCH 0',
      'PATCH 200',
    ]);
    expect(progress).toEqual([400, 600, 1000, 500]);
    expectStored();
  });

  test('that is cancelled waits a moment for the chunk that publishes', async () => {
    const controller = new AbortController();
    store.script = async (name) => {
      if (name !== 'PATCH 2000') return undefined;
      controller.abort(new ToolError('cancelled', 'enough'));
      await Bun.sleep(200);
      return undefined;
    };
    const to = tusPublication({ url: store.url, serviceKey: 'key', key, signal: controller.signal });
    const body = byteBody(LENGTH, 300).stream;
    const request = { key, body, bytes: LENGTH, estimatedBytes: LENGTH, signal: controller.signal };
    expect((await putResumable(request, to, CHUNK)).bytes).toBe(LENGTH);
    expectStored();
  });

  test('gives up on a store that loses every upload', async () => {
    store.script = (name) => {
      if (name === 'PATCH 0') store.uploads.clear();
      return undefined;
    };
    const error = await failing(put());
    expect(error.message).toContain('the store no longer has the unfinished upload');
    expect(store.requests.filter((name) => name === 'POST')).toHaveLength(4);
  });

  for (const [log, advice] of [
    [undefined, 'Run the export again.'],
    [
      recordedUpload(),
      'Run it again with --resume: what was exported is kept, and uploaded from its beginning.',
    ],
  ] as const) {
    test(`says how to go on ${log ? 'with' : 'without'} a log where the upload is gone behind its first chunk`, async () => {
      once('PATCH 1000', text(410, 'The file for this url no longer exists'));
      const error = await failing(put({ log: log as UploadLog | undefined }));
      expect(error.code).toBe('store');
      expect(error.message).toBe(
        `Cannot write supabase://backups/${key}: the store no longer has the unfinished upload. ` +
          `It keeps one for a limited time, a hosted project for 24 hours. ${advice}`,
      );
    });
  }

  test('says that another writer replaced the object right after', async () => {
    const other = new Uint8Array(LENGTH);
    store.script = (name) => {
      if (name === 'GET info') store.objects.set(key, { version: 'v2', bytes: other });
      return undefined;
    };
    const error = await failing(put());
    expect(error.code).toBe('store');
    expect(error.message).toBe(
      `Cannot write supabase://backups/${key}: the upload was finished, but what is there is of another writer, who ` +
        `replaced it (version v2 and not ${upload().version}). It was left as it is; run the export again to replace it.`,
    );
    expect(store.requests.filter((name) => name === 'DELETE')).toEqual([]);
    expectStored(other);
  });

  test("ends with 'integrity' where the object has not as many bytes as were sent", async () => {
    store.script = (name) => {
      if (name === 'GET info')
        store.objects.set(key, { version: upload().version, bytes: whole.subarray(1) });
      return undefined;
    };
    const error = await failing(put());
    expect(error.code).toBe('integrity');
    expect(error.message).toContain('2499 bytes are there, 2500 were sent');
  });

  test('says that the finished object cannot be seen', async () => {
    store.script = (name) => {
      if (name === 'GET info') store.objects.clear();
      return undefined;
    };
    expect((await failing(put())).message).toBe(
      `Wrote supabase://backups/${key} but could not see it there to compare it: the store has no such object`,
    );
  });

  test('waits for an object that is seen late', async () => {
    let looks = 0;
    store.script = (name) => {
      const body = { statusCode: '404', error: 'not_found', message: 'Object not found', code: 'NoSuchKey' };
      return name === 'GET info' && ++looks < 3 ? Response.json(body, { status: 400 }) : undefined;
    };
    expect((await put()).bytes).toBe(LENGTH);
  });

  test('gives a request as long as its bytes may take, and so a HEAD that waits for them', async () => {
    const slow = async (name: string) => {
      if (name === 'PATCH 0' || name === 'HEAD') await Bun.sleep(500);
      return undefined;
    };
    store.script = async (name) => {
      await slow(name);
      return name === 'PATCH 1000' && !store.requests.includes('HEAD') ? text(500, 'oh')() : undefined;
    };
    // A chunk may take ten seconds, anything else a quarter of one.
    const patience = { requestMs: 250, slowestBytesPerSecond: CHUNK / 10 };
    const to = tusPublication({ url: store.url, serviceKey: 'key', key, patience });
    const body = byteBody(LENGTH, 300).stream;
    await putResumable({ key, body, bytes: LENGTH, estimatedBytes: LENGTH, signal: never }, to, CHUNK);
    expect(store.requests.slice(0, 5)).toEqual(['POST', 'PATCH 0', 'PATCH 1000', 'HEAD', 'PATCH 1000']);
  });

  test('gives the chunk that publishes as long as joining all of them may take', async () => {
    store.script = async (name) => {
      if (name === 'PATCH 2000') await Bun.sleep(500);
      return undefined;
    };
    const patience = { requestMs: 250, slowestBytesPerSecond: 1e9, completeMs: 5_000 };
    const to = tusPublication({ url: store.url, serviceKey: 'key', key, patience });
    const body = byteBody(LENGTH, 300).stream;
    await putResumable({ key, body, bytes: LENGTH, estimatedBytes: LENGTH, signal: never }, to, CHUNK);
    expect(store.requests).toEqual(['POST', 'PATCH 0', 'PATCH 1000', 'PATCH 2000', 'GET info']);
  });

  test('says that its last request may still take effect only where nobody knows', async () => {
    const doubt = 'The request that publishes it was sent and may still take effect.';
    always('PATCH 2000', text(403, 'new row violates row-level security policy'));
    expect((await failing(put({ log: recordedUpload() }))).message).not.toContain(doubt);
    expect(store.requests.at(-1)).toBe('PATCH 2000');
    always('PATCH 2000', text(500, 'oh'));
    expect((await failing(put({ log: recordedUpload() }))).message).toEndWith(doubt);
  });

  test('asks with a GET why a HEAD was refused, whose answer tells nothing', async () => {
    const body =
      '{"statusCode":"403","error":"Unauthorized","message":"\\"exp\\" claim timestamp check failed","code":"AccessDenied"}';
    let refuses = false;
    store.script = (name) => {
      if (name === 'PATCH 1000') {
        refuses = true;
        return text(500, 'oh')();
      }
      return refuses ? text(400, name === 'HEAD' ? '' : body)() : undefined;
    };
    const refused = await failing(put());
    expect(refused.message).toContain('claim timestamp check failed');
    expect(store.requests.slice(3, 5)).toEqual(['HEAD', 'GET bucket']);
  });

  test("leaves nothing where the body is shorter or longer than was said, and ends with 'integrity'", async () => {
    for (const [given, what] of [
      [2499, 'what was given ended after 2499'],
      [2501, 'what was given has more'],
      [999, 'what was given ended after 999'],
    ] as const) {
      const log = recordedUpload();
      const error = await failing(put({ body: byteBody(given, 300).stream, log }));
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(
        `Cannot write supabase://backups/${key}: 2500 bytes were to be written, and ${what}.`,
      );
      expect(store.uploads.size).toBe(0);
      expect(store.objects.size).toBe(0);
      expect(log.expected).toEqual([]);
    }
  });

  test('publishes an object of no bytes by beginning it', async () => {
    store.script = (name) => {
      if (name === 'GET info') {
        const { version, bytes } = upload();
        store.objects.set(key, { version, bytes });
      }
      return undefined;
    };
    const log = recordedUpload();
    expect((await put({ bytes: 0, log })).bytes).toBe(0);
    expect(store.requests).toEqual(['POST', 'GET info']);
    expect(log.steps).toEqual(['publishing']);
    const error = await failing(put({ bytes: 0, body: byteBody(1, 1).stream }));
    expect(error.code).toBe('integrity');
  });

  test('refuses to go on with parts that do not follow one another', async () => {
    const part = { number: 1, bytes: CHUNK, etag: '', crc32: undefined, md5: undefined };
    const from = { key, id: 'id', partBytes: CHUNK, crc32: false, parts: [part] };
    for (const [wrong, why] of [
      [{ ...from, key: 'other' }, 'it is of "other"'],
      [{ ...from, partBytes: 0 }, 'its parts have 0 bytes'],
      [{ ...from, parts: [{ ...part, number: 2 }] }, 'part 2 is the 1. of its parts'],
      [{ ...from, parts: [{ ...part, bytes: 5 }] }, 'part 1 has 5 bytes and not 1000'],
      [
        { ...from, parts: [1, 2, 3].map((number) => ({ ...part, number })) },
        'it has 3000 bytes, and 2500 are to be written',
      ],
    ] as const) {
      const error = await failing(put({ from: wrong }));
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(`Cannot go on with the upload id of supabase://backups/${key}: ${why}.`);
    }
    expect(store.requests).toEqual([]);
  });

  test('cleans up where the log cannot take the upload, and keeps what it took', async () => {
    const full = new ToolError('usage', 'the disk is full');
    const log = recordedUpload();
    const refusing = { ...log, begun: () => Promise.reject(full) };
    expect(await failing(put({ log: refusing }))).toBe(full);
    expect(store.uploads.size).toBe(0);
    const late = { ...log, publishing: () => Promise.reject(full) };
    expect(await failing(put({ log: late }))).toBe(full);
    expect(upload().bytes).toHaveLength(2000);
  });
});

test('find() gives a HEAD as long as the chunk may take that another process sends', async () => {
  const to = tusPublication({
    url: store.url,
    serviceKey: 'key',
    key,
    patience: { requestMs: 250, slowestBytesPerSecond: CHUNK / 10 },
  });
  const id = await createResumable(to, LENGTH, 'text/plain', to.limits);
  store.script = async () => {
    await Bun.sleep(500);
    return undefined;
  };
  const left = { key, id, partBytes: CHUNK, crc32: false, parts: [] };
  expect(await supabaseUploads(() => to).find(left, never)).toEqual(left);
  expect(store.requests).toEqual(['POST', 'HEAD']);
});

describe('probeResumable()', () => {
  test('begins an upload of that length and removes it', async () => {
    const lengths: (string | null)[] = [];
    store.script = (name, request) => {
      if (name === 'POST') lengths.push(request.headers.get('upload-length'));
      return undefined;
    };
    await probeResumable(publication(), 123_456, 'application/json');
    await probeResumable(publication(), 0, 'application/json');
    expect(lengths).toEqual(['123456', '1']);
    expect(store.requests).toEqual(['POST', 'HEAD', 'DELETE', 'POST', 'HEAD', 'DELETE']);
    expect(store.uploads.size + store.objects.size).toBe(0);
  });

  test('says what it could not remove', async () => {
    always('DELETE', text(403, 'no'));
    const error = await failing(probeResumable(publication(), 1, 'application/json'));
    expect(error.message).toContain(`The unfinished upload ${upload().id} could not be removed (`);
  });
});

test('readTusId() reads the ids that Supabase makes, and no others', () => {
  expect(readTusId('dC9kL3RocmVlLmJpbi8yMTNlMGM1YS03YWFiLTRhOWYtYTM4MS1kZTc0M2EwM2E0OTE')).toEqual({
    path: 't/d/three.bin',
    version: '213e0c5a-7aab-4a9f-a381-de743a03a491',
  });
  for (const id of ['garbage', '', 'dC94', '213e0c5a-7aab-4a9f-a381-de743a03a491']) {
    expect(readTusId(id)).toBeUndefined();
  }
});
