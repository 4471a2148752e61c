import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type {
  ByteStream,
  Destination,
  Objects,
  OpenUpload,
  OpenUploads,
  PutRequest,
  Receipt,
  UploadedPart,
  UploadLog,
} from '../../lib/storage/storage.ts';
import { supabaseDestination } from '../../lib/storage/supabase/supabase.ts';
import type { SupabaseSettings } from '../../lib/storage/supabase/supabase-settings.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import { type SupabaseDouble, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { failing, seenAt, unfinishedAt } from '../support/supabase-scene.ts';

/* A bucket of Supabase Storage through each of its doors, at both kinds of server. */

const never = new AbortController().signal;
const doubles = {
  'self-hosted': await startSupabaseDouble({ backend: 'file' }),
  hosted: await startSupabaseDouble({ backend: 's3' }),
};
afterAll(async () => {
  for (const double of Object.values(doubles)) await double.stop();
});

type Door = 'REST' | 'S3 keys' | 'S3 keys alone' | 'S3 session';
const DOORS: readonly Door[] = ['REST', 'S3 keys', 'S3 keys alone', 'S3 session'];

function settingsOf(
  double: SupabaseDouble,
  door: Door,
  settings: Partial<SupabaseSettings>,
): SupabaseSettings {
  const { url, bucket, keys, projectRef } = double;
  const address = double.s3 as NonNullable<SupabaseDouble['s3']>;
  const pair = {
    ...address,
    accessKeyId: new Secret(door === 'S3 session' ? projectRef : address?.accessKeyId),
    secretAccessKey: new Secret(door === 'S3 session' ? keys.anon : address?.secretAccessKey),
    sessionToken: door === 'S3 session' ? new Secret(keys.service) : undefined,
  };
  return {
    url,
    bucket,
    serviceKey: door === 'S3 keys alone' ? undefined : new Secret(keys.service),
    s3: door === 'REST' ? undefined : pair,
    createBucket: false,
    dryRun: false,
    retryPolicy: { attempts: 4, baseMs: 1, capMs: 4 },
    ...settings,
  };
}

for (const [kind, double] of Object.entries(doubles)) {
  for (const door of DOORS) {
    describe.skipIf(door !== 'REST' && double.s3 === undefined)(`Supabase, ${kind}, by ${door}`, () => {
      let folders = 0;
      let key = '';
      let uploadsBefore: ReadonlySet<string> = new Set();
      beforeEach(async () => {
        double.fault = undefined;
        uploadsBefore = new Set(await unfinishedAt(double));
        key = `${door}/${++folders}/latest.parquet`.replaceAll(' ', '-');
      });

      const destination = (settings: Partial<SupabaseSettings> = {}): Destination =>
        supabaseDestination(settingsOf(double, door, settings));
      const put = (
        length: number,
        more: Partial<PutRequest> = {},
        settings: Partial<SupabaseSettings> = {},
      ): Promise<Receipt> =>
        destination(settings).put({
          key,
          body: byteBody(length, 300_000).stream,
          estimatedBytes: length,
          bytes: length,
          signal: never,
          ...more,
        });
      const holds = async (length: number, at = key) =>
        Buffer.compare((await double.bytes(at)) ?? Buffer.from('none'), patternOf(length)) === 0;
      const newUploads = async () => (await unfinishedAt(double)).filter((id) => !uploadsBefore.has(id));
      const text = (words: string) => new Response(words).body as ByteStream;

      for (const length of [0, 1, 300_000, 6 * MIB, 6 * MIB + 1, 13_000_000]) {
        test(`put() stores exactly ${length} bytes, in the place of what was there`, async () => {
          await double.write(key, Buffer.from('as before'));
          let progress = 0;
          const receipt = await put(length, { onProgress: (bytes) => (progress += bytes) });
          expect(receipt.location).toBe(`supabase://${double.bucket}/${key}`);
          expect([receipt.bytes, progress]).toEqual([length, length]);
          expect(await holds(length)).toBe(true);
          expect(await newUploads()).toEqual([]);
        });
      }

      for (const length of [1000, 7 * MIB]) {
        for (const fault of [
          { kind: 'lost answer' },
          { kind: 'reset' },
          { kind: 'status', status: 503 },
        ] as const) {
          test(`put() of ${length} bytes gets over "${fault.kind}" once for each of its requests`, async () => {
            const hit = new Set<string>();
            double.fault = ({ method, path }) => {
              const name = `${method} ${path}`;
              if (hit.has(name)) return undefined;
              hit.add(name);
              return fault;
            };
            expect((await put(length)).bytes).toBe(length);
            double.fault = undefined;
            expect(await holds(length)).toBe(true);
          });
        }

        // Each takes its 1.6 s.
        if (kind !== 'hosted' || (door !== 'REST' && door !== 'S3 keys')) continue;

        test(`put() of ${length} bytes that is cancelled while nothing answers ends within 2 s, the key as before`, async () => {
          await double.write(key, Buffer.from('as before'));
          const controller = new AbortController();
          const reason = new ToolError('cancelled', 'enough');
          let since = 0;
          double.fault = ({ method }) => {
            if (method === 'GET' || method === 'HEAD') return undefined;
            if (since === 0) since = performance.now();
            controller.abort(reason);
            return { kind: 'hang' };
          };
          const error = await failing(put(length, { signal: controller.signal }));
          expect(error.code).toBe('cancelled');
          expect(performance.now() - since).toBeLessThan(2000);
          expect(String(Buffer.from((await double.bytes(key)) ?? []))).toBe('as before');
        });
      }

      test('put() writes a manifest beside its object, and none beside one that was replaced', async () => {
        const { etag } = await put(7 * MIB);
        const beside = { key, etag: etag as string };
        const at = key.replace('.parquet', '.json');
        const manifest = (words: string) =>
          destination().put({ key: at, body: text(words), estimatedBytes: 2, signal: never, beside });
        await manifest('{}');
        expect(String(Buffer.from((await double.bytes(at)) ?? []))).toBe('{}');
        await double.write(key, Buffer.from('of another run'));
        expect((await failing(manifest('[]'))).message).toContain('another run replaced');
        expect(String(Buffer.from((await double.bytes(at)) ?? []))).toBe('{}');
      });

      test('put() chooses the door that door() tells', async () => {
        for (const [length, rest] of [
          [6 * MIB, `POST /object/${double.bucket}/${key}`],
          [6 * MIB + 1, 'POST /upload/resumable'],
        ] as const) {
          const from = double.requests.length;
          await put(length);
          const writes = seenAt(double)
            .slice(from)
            .filter((line) => /^(POST|PUT)/.test(line));
          if (door === 'REST') expect(writes).toEqual([rest]);
          else expect(writes.every((line) => line.includes(' /s3/'))).toBe(true);
        }
      });

      test('put() goes on with what another process left, where it stands', async () => {
        const length = 20_000_000;
        const stop = new AbortController();
        let begun: Omit<OpenUpload, 'parts'> | undefined;
        const parts: UploadedPart[] = [];
        const log: UploadLog = {
          begun: async (upload) => {
            begun = upload;
          },
          // Stopped when its first part is there, while the others stand still.
          confirmed(part) {
            parts.push(part);
            stop.abort(new ToolError('cancelled', 'enough'));
          },
          publishing: async () => {},
        };
        double.fault = ({ method, path, headers }) => {
          const isLater =
            (method === 'PATCH' && headers.get('upload-offset') !== '0') || /partNumber=[2-9]/.test(path);
          return isLater ? { kind: 'hang' } : undefined;
        };
        await failing(put(length, { log, signal: stop.signal }));
        double.fault = undefined;
        parts.sort((a, b) => a.number - b.number);
        const uploads = destination().uploads as OpenUploads;
        const left = { ...(begun as Omit<OpenUpload, 'parts'>), parts };
        const from = await uploads.find(left, never);
        const done = from?.parts.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0;
        expect(done).toBeGreaterThan(0);
        expect(done).toBeLessThan(length);
        const body = new Response(patternOf(length).subarray(done)).body as ByteStream;
        expect((await put(length, { log, from, body })).bytes).toBe(length);
        expect(await holds(length)).toBe(true);
        expect(await newUploads()).toEqual([]);
      });

      test('put() of an unknown length goes through the S3 endpoint alone', async () => {
        const body = byteBody(7 * MIB, 300_000);
        const work = put(7 * MIB, { body: body.stream, bytes: undefined });
        if (door !== 'REST') {
          await work;
          expect(await holds(7 * MIB)).toBe(true);
          return;
        }
        const error = await failing(work);
        expect(error.code).toBe('usage');
        expect(error.message).toContain('Set SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY');
        expect(body.cancelled()).toBe(error);
      });

      test('put() tells in one sentence that the project takes no file of that size', async () => {
        double.setGlobalLimit(6_000_000);
        try {
          const error = await failing(put(13_000_000));
          expect(error.message).toContain('larger than bucket');
          expect(error.message).toContain('--split-size 45MB');
        } finally {
          double.setGlobalLimit(undefined);
        }
        expect(await double.bytes(key)).toBeUndefined();
        expect(await newUploads()).toEqual([]);
      });

      test('check() resolves where a put would work, and leaves nothing', async () => {
        const before = await double.keysOf();
        await destination().check(key, never);
        expect(await double.keysOf()).toEqual(before);
        expect(await newUploads()).toEqual([]);
      });

      test('check() under an aborted signal rejects with the reason', async () => {
        const reason = new ToolError('cancelled', 'enough');
        expect(await failing(destination().check(key, AbortSignal.abort(reason)))).toBe(reason);
      });

      test('check() names the bucket that is missing, and what makes it', async () => {
        const error = await failing(destination({ bucket: 'nowhere' }).check(key, never));
        expect(error.message).toContain('there is no bucket "nowhere"');
        expect(error.message).toContain('--create-bucket');
      });

      test('fits() refuses what is far above the limits, warns of what is near, and leaves nothing', async () => {
        const bucket = `fits-${folders}-${DOORS.indexOf(door)}`;
        await double.makeBucket(bucket, { fileSizeLimit: 10_000_000 });
        const fits = (bytes: number) => destination({ bucket }).fits?.(key, bytes, never) ?? Promise.reject();
        expect(await fits(9_000_000)).toEqual([]);
        if (door === 'S3 keys alone') {
          expect(await fits(50_000_000)).toEqual([]);
          expect(await fits(50_000_001)).toEqual([
            expect.stringContaining(
              'on the free plan, Supabase takes 50 MB a file, and this will have about 50 MB',
            ),
          ]);
        } else {
          expect(await fits(11_000_000)).toEqual([expect.stringContaining('may turn out to be more')]);
          expect((await failing(fits(13_000_000))).message).toContain('the bucket takes 10 MB at most');
        }
        expect(await newUploads()).toEqual([]);
        expect(await double.keysOf(bucket)).toEqual([]);
      });

      test('door() tells which one it will be, and that nothing is verified behind it', () => {
        const doors = [1000, 7 * MIB].map((bytes) => destination().door?.(bytes).split(' (')[0]);
        expect(doors).toEqual(
          door === 'REST' ? ['standard upload', 'resumable upload'] : ['S3 endpoint', 'S3 endpoint'],
        );
        expect(destination().unverified).toBe(true);
      });

      test('objects list, read, copy and remove what was put', async () => {
        const objects = destination().objects as Objects;
        const receipt = await put(7 * MIB);
        const folder = key.slice(0, key.lastIndexOf('/') + 1);
        const copy = await objects.copy(key, `${folder}dated.parquet`, receipt, never);
        expect(copy.bytes).toBe(7 * MIB);
        const listed = await Array.fromAsync(objects.list(folder, never));
        expect(listed.map((object) => [object.key, object.bytes])).toEqual([
          [`${folder}dated.parquet`, 7 * MIB],
          [key, 7 * MIB],
        ]);
        expect(listed.map(({ etag }) => etag)).toEqual([copy.etag as string, receipt.etag as string]);
        const chunks: Buffer[] = [];
        const stream = await objects.open(key, receipt.etag, never);
        if (stream !== undefined) for await (const chunk of stream) chunks.push(Buffer.from(chunk));
        expect(Buffer.compare(Buffer.concat(chunks), patternOf(7 * MIB))).toBe(0);
        await objects.remove(key, never);
        expect(await objects.open(key, undefined, never)).toBeUndefined();
        expect(await holds(7 * MIB, `${folder}dated.parquet`)).toBe(true);
      });

      // S3 keys see neither buckets nor limits.
      if (door === 'S3 keys alone') return;

      test('put() refuses what the checked bucket does not take before a byte is sent', async () => {
        const bucket = `tiny-${folders}-${DOORS.indexOf(door)}`;
        await double.makeBucket(bucket, { fileSizeLimit: 1000 });
        const to = destination({ bucket });
        await to.check(key, never);
        const from = double.requests.length;
        const body = byteBody(1001, 100);
        const work = to.put({ key, body: body.stream, estimatedBytes: 1001, bytes: 1001, signal: never });
        const error = await failing(work);
        expect(error.message).toStartWith(
          `Cannot write supabase://${bucket}/${key}: it has 1001 bytes, and the bucket takes 1000 a file.`,
        );
        expect(error.message).toContain('--split-size');
        expect(body.cancelled()).toBe(error);
        expect(double.requests.length).toBe(from);
      });

      test('check() looks at the bucket once for all keys', async () => {
        const to = destination();
        const from = double.requests.length;
        await to.check(key, never);
        await to.fits?.(key, 1000, never);
        await to.check(`${key}2`, never);
        const looks = double.requests.slice(from).filter(({ path }) => /\/bucket\/\w+$/.test(path));
        expect(looks).toHaveLength(1);
      });

      test('check() looks again at a bucket that it could not see', async () => {
        const bucket = `late-${folders}-${DOORS.indexOf(door)}`;
        const to = destination({ bucket });
        expect((await failing(to.check(key, never))).message).toContain(`there is no bucket "${bucket}"`);
        await double.makeBucket(bucket);
        await to.check(key, never);
      });

      test('check() makes the bucket where that is wanted, private, and says so', async () => {
        const bucket = `made-${folders}-${DOORS.indexOf(door)}`;
        const notes: string[] = [];
        const onNote = (note: string) => notes.push(note);
        const to = destination({ bucket, createBucket: true, onNote });
        await to.check(key, never);
        expect(notes).toEqual([`Made the bucket "${bucket}" at ${double.url}, private.`]);
        await to.put({ key, body: text('in it'), estimatedBytes: 5, bytes: 5, signal: never });
        expect(await double.keysOf(bucket)).toEqual([key]);
      });

      test('check() makes nothing in a dry run, and asks for nothing behind a bucket that is not there', async () => {
        const bucket = `dry-${folders}-${DOORS.indexOf(door)}`;
        const notes: string[] = [];
        const onNote = (note: string) => notes.push(note);
        const to = destination({ bucket, createBucket: true, dryRun: true, onNote });
        const from = double.requests.length;
        await to.check(key, never);
        expect(await to.fits?.(key, 1000, never)).toEqual([]);
        expect(await to.fits?.(key, 60_000_000, never)).toEqual([
          expect.stringContaining('on the free plan, Supabase takes 50 MB a file'),
        ]);
        expect(notes).toEqual([expect.stringContaining(`There is no bucket "${bucket}"`)]);
        const methods = new Set(double.requests.slice(from).map(({ method }) => method));
        expect([...methods]).toEqual(['GET']);
      });

      test('check() notes that a bucket is public', async () => {
        const bucket = `public-${folders}-${DOORS.indexOf(door)}`;
        await double.makeBucket(bucket, { public: true });
        const notes: string[] = [];
        await destination({ bucket, onNote: (note) => notes.push(note) }).check(key, never);
        expect(notes).toEqual([expect.stringContaining(`Bucket "${bucket}" is public`)]);
      });

      test('check() refuses a bucket that does not take Parquet, or no JSON', async () => {
        const bucket = `typed-${folders}-${DOORS.indexOf(door)}`;
        await double.makeBucket(bucket, { mimeTypes: ['application/vnd.apache.parquet'] });
        const error = await failing(destination({ bucket }).check(key, never));
        expect(error.message).toContain('the bucket takes no files of type application/json');
      });

      test('fits() finds the limit of the project, which no setting of the bucket tells', async () => {
        double.setGlobalLimit(10_000_000);
        try {
          const fits = (bytes: number) => destination().fits?.(key, bytes, never) ?? Promise.reject();
          expect(await fits(10_000_000)).toEqual([]);
          expect(await fits(11_000_000)).toEqual([expect.stringContaining('more than the project takes')]);
          expect((await failing(fits(13_000_000))).message).toContain('the project does not take');
        } finally {
          double.setGlobalLimit(undefined);
        }
        expect(await newUploads()).toEqual([]);
      });
    });
  }
}

describe('supabaseDestination()', () => {
  test('supabaseDestination() wants one key or the other', () => {
    const { url, bucket } = doubles.hosted;
    const none = { url, bucket, serviceKey: undefined, s3: undefined, createBucket: false, dryRun: false };
    expect(() => supabaseDestination(none)).toThrow('SUPABASE_SERVICE_ROLE_KEY');
  });

  test('put() by REST refuses a body that is not as long as it was said to be', async () => {
    const double = doubles.hosted;
    const to = supabaseDestination(settingsOf(double, 'REST', {}));
    for (const [promised, given] of [
      [1000, 999],
      [1000, 1001],
    ] as const) {
      const body = byteBody(given, 300).stream;
      const work = to.put({ key: 'odd', body, estimatedBytes: 0, bytes: promised, signal: never });
      const error = await failing(work);
      expect(error.code).toBe('integrity');
      expect(error.message).toContain(`where ${promised} were promised`);
    }
    expect(await double.bytes('odd')).toBeUndefined();
  });
});
