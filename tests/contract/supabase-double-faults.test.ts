import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { recordedPattern } from '../support/supabase-double/recorded.ts';
import { signedHeaders } from '../support/supabase-double/sigv4.ts';
import { type DoubleFault, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';

const BODY = recordedPattern(0, 300_000);
const double = await startSupabaseDouble({ backend: 'file' });
afterAll(() => double.stop());

/** A write through each door, which rejects where there is no answer. */
const DOORS: readonly { readonly name: string; write(key: string): Promise<Response> }[] = [
  { name: 'standard uploads', write: (key) => ask('POST', `/object/backups/${key}`, {}, BODY) },
  {
    name: 'resumable uploads',
    async write(key) {
      return await patch(await create(key, BODY.length), 0, BODY);
    },
  },
  {
    name: 'the S3 endpoint',
    write(key) {
      const { s3 } = double;
      if (s3 === undefined) throw new Error('there is no S3 door');
      const url = new URL(`${s3.endpoint}/backups/${key}`);
      const headers = signedHeaders({ method: 'PUT', host: url.host, target: url.pathname, headers: {} }, s3);
      return fetch(url, { method: 'PUT', headers: { ...headers, connection: 'close' }, body: BODY });
    },
  },
];

function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  return fetch(path.startsWith('http') ? path : `${double.url}/storage/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${double.keys.service}`,
      'tus-resumable': '1.0.0',
      'content-type': 'application/octet-stream',
      connection: 'close',
      ...headers,
    },
    body: body ?? null,
  });
}

async function create(key: string, length: number): Promise<string> {
  const answer = await ask('POST', '/upload/resumable', {
    'upload-length': String(length),
    'upload-metadata': `bucketName ${btoa('backups')},objectName ${btoa(key)}`,
  });
  expect(answer.status).toBe(201);
  return answer.headers.get('location') ?? '';
}

function patch(location: string, offset: number, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  const headers = {
    'content-type': 'application/offset+octet-stream',
    'upload-offset': String(offset),
    'x-upsert': 'true',
  };
  return ask('PATCH', location, headers, body);
}

const isOpen = async (location: string) =>
  (await double.openUploads()).includes(location.split('/').at(-1) ?? '');

const failed = (answer: Promise<Response>): Promise<string> =>
  answer.then(
    ({ status }) => `answered ${status}`,
    () => 'no answer',
  );

describe("the double's faults", () => {
  let keys = 0;
  let key = '';

  beforeEach(() => {
    double.fault = undefined;
    key = `faults/${++keys}.bin`;
  });

  /** Of the request that carries the body. */
  const onWrite = (fault: DoubleFault) => {
    double.fault = ({ method, path }) => {
      const isCreation = method === 'POST' && path.endsWith('/upload/resumable');
      return ['PATCH', 'PUT', 'POST'].includes(method) && !isCreation ? fault : undefined;
    };
  };

  for (const { name, write } of DOORS) {
    test(`'reset' at ${name} cuts the connection and stores no object`, async () => {
      onWrite({ kind: 'reset', afterBytes: 100_000 });
      expect(await failed(write(key))).toBe('no answer');
      double.fault = undefined;
      expect(await double.bytes(key)).toBeUndefined();
    });

    test(`'lost answer' at ${name} stores the object and cuts the connection`, async () => {
      onWrite({ kind: 'lost answer' });
      expect(await failed(write(key))).toBe('no answer');
      expect(await double.bytes(key)).toEqual(Uint8Array.from(BODY));
    });

    test(`'status' at ${name} answers so, and does nothing`, async () => {
      onWrite({ kind: 'status', status: 503, body: 'busy', retryAfter: '7' });
      const answer = await write(key);
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toBe('7');
      expect(await answer.text()).toBe('busy');
      expect(await double.bytes(key)).toBeUndefined();
    });

    test(`'flip' at ${name} changes one byte, and nobody notices`, async () => {
      onWrite({ kind: 'flip', at: 123_456 });
      expect((await write(key)).ok).toBe(true);
      const stored = (await double.bytes(key)) ?? new Uint8Array();
      const wrong = [...BODY.keys()].filter((at) => BODY[at] !== stored[at]);
      expect(stored).toHaveLength(BODY.length);
      expect(wrong).toEqual([123_456]);
    });
  }

  test("'hang' never answers, and does nothing", async () => {
    onWrite({ kind: 'hang' });
    const asked = double.requests.length;
    const controller = new AbortController();
    const done = failed(
      fetch(`${double.url}/storage/v1/object/backups/${key}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${double.keys.service}` },
        body: BODY,
        signal: controller.signal,
      }),
    );
    while (double.requests.length === asked) await new Promise(setImmediate);
    controller.abort();
    expect(await done).toBe('no answer');
    expect(await double.bytes(key)).toBeUndefined();
  });

  test('a resumable upload keeps what arrived before the cut, and goes on inside the chunk', async () => {
    const location = await create(key, BODY.length);
    onWrite({ kind: 'reset', afterBytes: 70_001 });
    expect(await failed(patch(location, 0, BODY))).toBe('no answer');
    double.fault = undefined;
    expect((await ask('HEAD', location)).headers.get('upload-offset')).toBe('70001');
    expect(await isOpen(location)).toBe(true);
    expect((await patch(location, 70_001, BODY.subarray(70_001))).status).toBe(204);
    expect(await double.bytes(key)).toEqual(Uint8Array.from(BODY));
    expect(await isOpen(location)).toBe(false);
  });

  for (const status of [404, 410] as const) {
    test(`'expired' makes the engine answer ${status}`, async () => {
      const location = await create(key, BODY.length);
      double.fault = () => ({ kind: 'expired', status });
      expect((await ask('HEAD', location)).status).toBe(status);
      double.fault = undefined;
      expect((await patch(location, 0, BODY)).status).toBe(status);
      expect(await isOpen(location)).toBe(false);
    });
  }

  test('each request is counted and written down, those with faults too', async () => {
    const before = double.requests.length;
    double.fault = () => ({ kind: 'reset' });
    await failed(ask('GET', '/bucket/backups'));
    const [seen] = double.requests.slice(before);
    expect(seen).toMatchObject({ method: 'GET', path: '/storage/v1/bucket/backups' });
    expect(seen?.number).toBe(before + 1);
    expect(seen?.headers.get('authorization')).toBe(`Bearer ${double.keys.service}`);
  });
});
