import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { fileDestination } from '../../lib/storage/disk/file.ts';
import { memoryDestination } from '../../lib/storage/memory.ts';
import { s3Destination } from '../../lib/storage/s3/s3.ts';
import type { ByteStream, Destination } from '../../lib/storage/storage.ts';
import { supabaseDestination } from '../../lib/storage/supabase/supabase.ts';
import { byteBody, MIB, patternOf } from '../support/byte-body.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { type SupabaseDouble, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { unfinishedAt } from '../support/supabase-scene.ts';

/** A destination under test, and a way to look behind it. */
interface Subject {
  readonly destination: Destination;
  readonly key: string;
  /** What the key holds. */
  content(): Promise<Uint8Array | undefined>;
  /** Everything that a failure could have left besides the key. */
  leftovers(): Promise<string[]>;
  write(body: Uint8Array): Promise<void>;
  /** Most bytes pulled before they are reported as taken. */
  readonly aheadBytes: number;
  close(): Promise<void>;
}

const PART = 5 * MIB;
const CHUNK = 300_000;
const server: S3Server | undefined = await startS3Server();
const proxy: FaultProxy | undefined = server && (await startFaultProxy(server.endpoint));
const double: SupabaseDouble = await startSupabaseDouble({ backend: 'file' });

const subjects: Record<string, (() => Promise<Subject>) | undefined> = {
  memory: memorySubject,
  file: fileSubject,
  S3: server && proxy && (() => s3Subject(server, proxy)),
  'Supabase, by REST: supabase': () => supabaseSubject(undefined),
  'Supabase, by S3: supabase': double.s3 && (() => supabaseSubject(double.s3)),
};

afterAll(async () => {
  await proxy?.stop();
  await server?.stop();
  await double.stop();
});

for (const [name, make] of Object.entries(subjects)) {
  describe.skipIf(make === undefined)(`${name}Destination`, () => {
    let subject: Subject;
    const signal = new AbortController().signal;
    const put = (
      body: ByteStream,
      bytes: number,
      options: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
    ) =>
      subject.destination.put({
        key: subject.key,
        body,
        estimatedBytes: 12 * MIB,
        bytes,
        signal,
        ...options,
      });

    beforeAll(async () => {
      if (make) subject = await make();
    });
    beforeEach(() => proxy?.reset());
    afterAll(() => subject?.close());

    for (const length of [0, 1, PART - 1, PART, PART + 1, 2 * PART, 12_345_678]) {
      test(`put() stores exactly the ${length} bytes of the body and says so`, async () => {
        let progress = 0;
        const receipt = await put(byteBody(length, CHUNK).stream, length, {
          onProgress: (bytes) => (progress += bytes),
        });
        expect(receipt.bytes).toBe(length);
        expect(receipt.location).toBe(subject.destination.locate(subject.key));
        expect(progress).toBe(length);
        expect(Buffer.compare((await subject.content()) ?? Buffer.from('none'), patternOf(length))).toBe(0);
        expect(await subject.leftovers()).toEqual([]);
      });
    }

    for (const chunk of [50, 64 * 1024, 4 * MIB]) {
      test(`put() takes chunks of ${chunk} bytes that share one buffer`, async () => {
        const length = 700_001 + chunk;
        await put(byteBody(length, chunk).stream, length);
        expect(Buffer.compare((await subject.content()) ?? Buffer.from('none'), patternOf(length))).toBe(0);
      });
    }

    for (const at of [0, 1_000_000, 11_000_000]) {
      test(`put() keeps what was there and rejects with the body's error after ${at} bytes`, async () => {
        await subject.write(Buffer.from('as before'));
        const error = new ToolError('qdrant', 'the source broke');
        const body = byteBody(12_000_000, CHUNK, { failAt: at, error });
        expect(await put(body.stream, 12_000_000).catch((thrown) => thrown)).toBe(error);
        expect(String(await subject.content().then((bytes) => Buffer.from(bytes ?? [])))).toBe('as before');
        expect(await subject.leftovers()).toEqual([]);
      });

      test(`put() keeps what was there, cancels the body and rejects with the reason of an abort after ${at} bytes`, async () => {
        await subject.write(Buffer.from('as before'));
        const controller = new AbortController();
        const reason = new ToolError('cancelled', 'enough');
        // The body hangs there: put() must not wait for the read.
        const body = byteBody(12_000_000, CHUNK, { hangAt: at, onHang: () => controller.abort(reason) });
        expect(
          await put(body.stream, 12_000_000, { signal: controller.signal }).catch((thrown) => thrown),
        ).toBe(reason);
        expect(body.cancelled()).toBe(reason);
        expect(String(await subject.content().then((bytes) => Buffer.from(bytes ?? [])))).toBe('as before');
        expect(await subject.leftovers()).toEqual([]);
      });
    }

    test('put() under an aborted signal cancels the body and rejects with the reason', async () => {
      const reason = new ToolError('cancelled', 'enough');
      const body = byteBody(1000, 100);
      expect(
        await put(body.stream, 1000, { signal: AbortSignal.abort(reason) }).catch((thrown) => thrown),
      ).toBe(reason);
      expect(body.cancelled()).toBe(reason);
    });

    test('put() stays a bounded number of bytes ahead of what it reports as taken', async () => {
      let taken = 0;
      let ahead = 0;
      const body = byteBody(12 * PART, CHUNK, {
        onPull: (pulled) => (ahead = Math.max(ahead, pulled - taken)),
      });
      await put(body.stream, 12 * PART, { onProgress: (bytes) => (taken += bytes) });
      expect(ahead).toBeLessThanOrEqual(subject.aheadBytes);
      expect(taken).toBe(12 * PART);
    });

    test('check() resolves where a put would work and leaves nothing', async () => {
      await subject.write(Buffer.from('as before'));
      await subject.destination.check(subject.key, signal);
      expect(String(await subject.content().then((bytes) => Buffer.from(bytes ?? [])))).toBe('as before');
      expect(await subject.leftovers()).toEqual([]);
    });

    test('check() under an aborted signal rejects with the reason', async () => {
      const reason = new ToolError('cancelled', 'enough');
      const error = await subject.destination
        .check(subject.key, AbortSignal.abort(reason))
        .catch((thrown) => thrown);
      expect(error).toBe(reason);
    });
  });
}

async function memorySubject(): Promise<Subject> {
  const destination = memoryDestination();
  return {
    destination,
    key: 'c/latest.parquet',
    content: async () => destination.contents.get('c/latest.parquet'),
    leftovers: async () => [...destination.contents.keys()].filter((key) => key !== 'c/latest.parquet'),
    async write(bytes) {
      const signal = new AbortController().signal;
      const body = new Response(new Uint8Array(bytes)).body as ByteStream;
      await destination.put({ key: 'c/latest.parquet', body, estimatedBytes: 0, signal });
    },
    aheadBytes: CHUNK,
    close: async () => {},
  };
}

async function fileSubject(): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), 'destination-'));
  const key = join(folder, 'latest.parquet');
  return {
    destination: fileDestination(),
    key,
    content: () => readFile(key).catch(() => undefined),
    leftovers: async () => (await readdir(folder)).filter((name) => name !== 'latest.parquet'),
    write: (bytes) => writeFile(key, bytes),
    // One gathering buffer and the chunk that did not fit.
    aheadBytes: 512 * 1024 + CHUNK,
    close: () => rm(folder, { recursive: true }),
  };
}

async function s3Subject(behind: S3Server, front: FaultProxy): Promise<Subject> {
  const partsInFlight = 2;
  const key = 'c/ü name/latest.parquet';
  return {
    destination: s3Destination({
      endpoint: front.endpoint,
      region: behind.region,
      bucket: behind.bucket,
      accessKeyId: new Secret(behind.accessKeyId),
      secretAccessKey: new Secret(behind.secretAccessKey),
      partsInFlight,
      partBytes: PART,
    }),
    key,
    content: () => behind.bytes(key),
    leftovers: () => behind.openUploads(),
    write: (bytes) => behind.write(key, bytes),
    // Every part in flight, the one that is filled, and the chunk of which it took the first bytes.
    aheadBytes: (partsInFlight + 1) * PART + CHUNK,
    close: async () => {},
  };
}

async function supabaseSubject(s3: SupabaseDouble['s3']): Promise<Subject> {
  const key = 'c/a name/latest.parquet';
  return {
    destination: supabaseDestination({
      url: double.url,
      bucket: double.bucket,
      serviceKey: new Secret(double.keys.service),
      s3: s3 && {
        ...s3,
        accessKeyId: new Secret(s3.accessKeyId),
        secretAccessKey: new Secret(s3.secretAccessKey),
        sessionToken: undefined,
      },
      createBucket: false,
      dryRun: false,
    }),
    key,
    content: () => double.bytes(key),
    leftovers: () => unfinishedAt(double),
    write: (bytes) => double.write(key, bytes),
    // By REST one chunk of 6 MiB; by S3 every part in flight, and the one that is filled; and the chunk of which it
    // took the first bytes.
    aheadBytes: (s3 === undefined ? 6 * MIB : 5 * 8 * MIB) + CHUNK,
    close: async () => {},
  };
}
