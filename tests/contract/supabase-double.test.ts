import { afterAll, describe, expect, test } from 'bun:test';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { createClient } from '@supabase/supabase-js';
import { recordedPattern } from '../support/supabase-double/recorded.ts';
import { type SupabaseDouble, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';

const MIB = 1024 * 1024;
const opened: SupabaseDouble[] = [];
afterAll(async () => {
  for (const double of opened) await double.stop();
});

async function start(options: Parameters<typeof startSupabaseDouble>[0] = {}): Promise<SupabaseDouble> {
  const double = await startSupabaseDouble(options);
  opened.push(double);
  return double;
}

const files = await start({ backend: 'file' });
// Undefined S3 settings where no S3 server is installed; with REQUIRE_S3=1 it does not start then.
const hosted = await start();

function storage(double: SupabaseDouble, key = double.keys.service) {
  return createClient(double.url, key, { auth: { persistSession: false } }).storage;
}

function s3Client(double: SupabaseDouble, token?: string): S3Client {
  const { s3, projectRef, keys } = double;
  if (s3 === undefined) throw new Error('there is no S3 door');
  const session = { accessKeyId: projectRef, secretAccessKey: keys.anon, sessionToken: token ?? '' };
  return new S3Client({
    endpoint: s3.endpoint,
    region: s3.region,
    forcePathStyle: true,
    credentials: token === undefined ? s3 : session,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

async function resumable(
  double: SupabaseDouble,
  key: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  const headers = {
    authorization: `Bearer ${double.keys.service}`,
    'tus-resumable': '1.0.0',
    'x-upsert': 'true',
  };
  const created = await fetch(`${double.url}/storage/v1/upload/resumable`, {
    method: 'POST',
    headers: {
      ...headers,
      'upload-length': String(body.length),
      'upload-metadata': `bucketName ${btoa(double.bucket)},objectName ${btoa(key)}`,
    },
  });
  if (!created.ok) return created;
  return await fetch(created.headers.get('location') ?? '', {
    method: 'PATCH',
    headers: { ...headers, 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' },
    body,
  });
}

async function failing(work: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  return await work.then(
    () => ({ name: 'none', status: undefined }),
    (error) => ({ name: error.name, status: error.$metadata?.httpStatusCode }),
  );
}

describe('what is written by one door', () => {
  test('a standard upload is seen by the S3 door', async () => {
    const body = recordedPattern(0, 1000);
    await storage(files).from(files.bucket).upload('one/a.bin', body, { contentType: 'text/plain' });
    const Key = 'one/a.bin';
    const answer = await s3Client(files).send(new GetObjectCommand({ Bucket: files.bucket, Key }));
    expect(await answer.Body?.transformToByteArray()).toEqual(Uint8Array.from(body));
    expect(answer.ContentType).toBe('text/plain');
  });

  test('a resumable upload is seen by supabase-js, with the version of its id', async () => {
    const body = recordedPattern(3, 100_000);
    expect((await resumable(files, 'one/b.bin', body)).status).toBe(204);
    const bucket = storage(files).from(files.bucket);
    const { data } = await bucket.download('one/b.bin');
    expect(new Uint8Array((await data?.arrayBuffer()) ?? [])).toEqual(Uint8Array.from(body));
    const { data: info } = await bucket.info('one/b.bin');
    expect(info?.size).toBe(100_000);
    const { path } = files.requests.findLast(({ method }) => method === 'PATCH') ?? { path: '' };
    const id = Buffer.from(path.split('/').at(-1) ?? '', 'base64url').toString();
    expect(id).toBe(`${files.bucket}/one/b.bin/${info?.version}`);
  });

  test('another upload takes the place of the first, and its bytes are gone', async () => {
    await resumable(files, 'one/c.bin', recordedPattern(0, 500));
    await files.write('one/c.bin', recordedPattern(9, 400));
    expect(await files.bytes('one/c.bin')).toEqual(Uint8Array.from(recordedPattern(9, 400)));
    expect(await files.keysOf()).toContain('one/c.bin');
    expect(await files.bytes('one/nothing')).toBeUndefined();
  });
});

describe('keys', () => {
  test('each key is answered for what it is', async () => {
    const { keys } = files;
    const messages: Record<string, string | undefined> = {};
    for (const [name, key] of Object.entries(keys)) {
      messages[name] = (await storage(files, key).getBucket(files.bucket)).error?.message;
    }
    expect(messages).toEqual({
      service: undefined,
      anon: 'Bucket not found',
      user: 'Bucket not found',
      expired: '"exp" claim timestamp check failed',
      otherSecret: 'signature verification failed',
      otherProject: 'signature verification failed',
      secret: 'Invalid Compact JWS',
    });
  });
});

describe('limits', () => {
  test("the bucket's limit and types, and the project's limit, hold at each door", async () => {
    await files.makeBucket('tight', { fileSizeLimit: 1000, mimeTypes: ['text/plain'] });
    const bucket = storage(files).from('tight');
    const put = (body: Uint8Array, contentType: string) => bucket.upload('x', body, { contentType });
    expect((await put(recordedPattern(0, 1001), 'text/plain')).error?.message).toMatch(
      /exceeded the maximum/,
    );
    expect((await put(recordedPattern(0, 10), 'text/csv')).error?.message).toMatch(
      /text\/csv is not supported/,
    );
    const s3 = s3Client(files);
    const command = { Bucket: 'tight', Key: 'x', ContentType: 'text/plain' };
    const large = new PutObjectCommand({ ...command, Body: recordedPattern(0, 1001) });
    expect(await failing(s3.send(large))).toEqual({ name: 'EntityTooLarge', status: 413 });
    files.setGlobalLimit(50_000);
    const refused = await resumable(files, 'one/d.bin', recordedPattern(0, 50_001));
    files.setGlobalLimit(undefined);
    expect(refused.status).toBe(413);
    expect(await refused.text()).toBe('Maximum size exceeded\n');
  });
});

for (const [backend, double] of [
  ['files', files],
  ['a real S3 server', hosted],
] as const) {
  describe.skipIf(double.s3 === undefined)(`the S3 door over ${backend}`, () => {
    const Bucket = double.bucket;
    const parts = [recordedPattern(0, 5 * MIB), recordedPattern(5 * MIB, 1000)];

    async function begin(Key: string) {
      const { UploadId } = await s3Client(double).send(
        new CreateMultipartUploadCommand({ Bucket, Key, Metadata: { mark: 'm1' } }),
      );
      const put = async (PartNumber: number, Body: Uint8Array) =>
        (await s3Client(double).send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body })))
          .ETag ?? '';
      return { Key, Bucket, UploadId, put };
    }

    test('a multipart upload keeps its mark, lists retried parts twice, and takes the last one', async () => {
      const { put, ...upload } = await begin('m/retried.bin');
      await put(1, recordedPattern(77, 5 * MIB));
      const etags = [await put(1, parts[0] as Uint8Array), await put(2, parts[1] as Uint8Array)];
      const listed = await s3Client(double).send(new ListPartsCommand(upload));
      expect(listed.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([1, 1, 2]);
      expect(await double.openUploads()).toContain(upload.UploadId ?? '');
      const Parts = etags.map((ETag, at) => ({ ETag, PartNumber: at + 1 }));
      await s3Client(double).send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }),
      );
      const { Key } = upload;
      const head = await s3Client(double).send(new HeadObjectCommand({ Bucket, Key }));
      expect(head.Metadata).toEqual({ mark: 'm1' });
      expect(head.ContentLength).toBe(5 * MIB + 1000);
      expect(await double.openUploads()).not.toContain(upload.UploadId ?? '');
      expect(Buffer.compare((await double.bytes(Key)) ?? Buffer.of(), Buffer.concat(parts))).toBe(0);
    });

    test('a second Complete finds no upload, the answer to a first one that got lost', async () => {
      const { put, ...upload } = await begin('m/twice.bin');
      const Parts = [{ ETag: await put(1, parts[1] as Uint8Array), PartNumber: 1 }];
      const command = () => new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } });
      double.fault = ({ method }) => (method === 'POST' ? { kind: 'lost answer' } : undefined);
      expect((await failing(s3Client(double).send(command()))).status).toBeUndefined();
      double.fault = undefined;
      expect(await failing(s3Client(double).send(command()))).toEqual({ name: 'NoSuchUpload', status: 404 });
      expect(await double.bytes(upload.Key)).toHaveLength(1000);
    });

    test('nothing verifies a body', async () => {
      const Body = recordedPattern(1, 1000);
      const wrong = { ContentMD5: 'eV8yArF8trw9S3cdjGyerw==', ChecksumCRC32: 'AAAAAA==' };
      const put = new PutObjectCommand({ Bucket, Key: 'm/wrong.bin', Body, ...wrong, IfNoneMatch: '*' });
      const answer = await s3Client(double).send(put);
      expect(answer.ETag).toBe(`"${new Bun.CryptoHasher('md5').update(Body).digest('hex')}"`);
      expect(answer.ChecksumCRC32).toBeUndefined();
      // An object is there now; the condition is not looked at.
      expect((await s3Client(double).send(put)).ETag).toBe(answer.ETag);
    });

    test('a session token says who it is', async () => {
      const Key = 'm/wrong.bin';
      const read = (token: string) =>
        failing(s3Client(double, token).send(new GetObjectCommand({ Bucket, Key })));
      expect((await read(double.keys.service)).name).toBe('none');
      expect(await read(double.keys.anon)).toEqual({ name: 'NoSuchKey', status: 404 });
      expect(await read(double.keys.expired)).toEqual({ name: 'AccessDenied', status: 403 });
    });
  });
}

describe.skipIf(hosted.s3 === undefined)('entity tags', () => {
  const Bucket = hosted.bucket;

  async function tagsOf(double: SupabaseDouble): Promise<{ part: string; object: string | undefined }> {
    const client = s3Client(double);
    const target = { Bucket, Key: 'tags.bin' };
    const upload = {
      ...target,
      UploadId: (await client.send(new CreateMultipartUploadCommand(target))).UploadId,
    };
    const sent = await client.send(
      new UploadPartCommand({ ...upload, PartNumber: 1, Body: recordedPattern(0, 1000) }),
    );
    const part = sent.ETag ?? '';
    const Parts = [{ ETag: part, PartNumber: 1 }];
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    return { part, object: (await client.send(new HeadObjectCommand(target))).ETag };
  }

  test('files have plain MD5s and unquoted parts, an S3 server quotes and counts parts', async () => {
    const md5 = 'bd8c10439abeb42fb5c19745991e360e';
    expect(await tagsOf(files)).toEqual({ part: md5, object: `"${md5}"` });
    const inS3 = await tagsOf(hosted);
    expect(inS3.part).toBe(`"${md5}"`);
    expect(inS3.object).toMatch(/^"[0-9a-f]{32}-1"$/);
    expect(inS3.object).not.toContain(md5);
  });
});
