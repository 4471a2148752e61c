import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Secret } from '../../lib/secret.ts';
import type { S3Address } from '../../lib/storage/s3/s3-sdk.ts';

/** A real S3 service on loopback: versitygw over a fresh folder. */
export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly bucket: string;
  readonly dir: string;
  /** UploadIds of unfinished multipart uploads. */
  openUploads(): Promise<string[]>;
  /** What the store has of an unfinished upload. */
  parts(key: string, uploadId: string): Promise<readonly ServerPart[]>;
  /** Writes a part as somebody else would. */
  writePart(key: string, uploadId: string, number: number, body: Uint8Array): Promise<void>;
  abortUploads(): Promise<void>;
  /** The object's bytes, or undefined when there is none. */
  bytes(key: string): Promise<Uint8Array | undefined>;
  head(
    key: string,
  ): Promise<{ readonly bytes: number; readonly etag: string; readonly contentType: string } | undefined>;
  write(key: string, body: Uint8Array): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerPart {
  readonly number: number;
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly crc32: string | undefined;
}

/** How a destination finds the server, or a proxy in front of it. */
export function addressOf(server: S3Server, endpoint = server.endpoint): S3Address {
  return {
    endpoint,
    region: server.region,
    bucket: server.bucket,
    accessKeyId: new Secret(server.accessKeyId),
    secretAccessKey: new Secret(server.secretAccessKey),
  };
}

/** Stands where there is no server, in tests that are skipped then: their names and settings are still made. */
export const NO_S3_SERVER: S3Server = {
  endpoint: '',
  region: '',
  accessKeyId: '',
  secretAccessKey: '',
  bucket: '',
  dir: '',
  openUploads: () => Promise.reject(new Error('there is no S3 server')),
  parts: () => Promise.reject(new Error('there is no S3 server')),
  writePart: () => Promise.reject(new Error('there is no S3 server')),
  abortUploads: () => Promise.reject(new Error('there is no S3 server')),
  bytes: () => Promise.reject(new Error('there is no S3 server')),
  head: () => Promise.reject(new Error('there is no S3 server')),
  write: () => Promise.reject(new Error('there is no S3 server')),
  stop: () => Promise.resolve(),
};

const ACCESS = 'TESTACCESS';
const SECRET = 'test-secret-key';
const REGION = 'auto';
const BUCKET = 'exports';

/** Undefined, with a printed reason, where the program is missing; REQUIRE_S3=1 makes that an error. */
export async function startS3Server(): Promise<S3Server | undefined> {
  const program = findProgram();
  if (program === undefined) {
    const text =
      'No S3 server: versitygw is not installed (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0).';
    if (process.env.REQUIRE_S3 === '1') throw new Error(text);
    console.warn(`${text} Tests against S3 are skipped.`);
    return undefined;
  }
  const dir = await mkdtemp(join(tmpdir(), 's3-server-'));
  const port = await freePort();
  const child = Bun.spawn(
    [
      program,
      ...['--port', `127.0.0.1:${port}`, '--access', ACCESS, '--secret', SECRET, '--region', REGION],
      ...['--keep-alive', '--quiet', 'posix', dir],
    ],
    { stdout: 'ignore', stderr: 'ignore' },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill();
    await child.exited;
    await rm(dir, { recursive: true, force: true });
  };
  const client = new S3Client({
    endpoint,
    region: REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: ACCESS, secretAccessKey: SECRET },
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  try {
    await untilBucket(client, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    endpoint,
    region: REGION,
    accessKeyId: ACCESS,
    secretAccessKey: SECRET,
    bucket: BUCKET,
    dir,
    ...views(client),
    stop,
  };
}

type Views = 'openUploads' | 'parts' | 'writePart' | 'abortUploads' | 'bytes' | 'head' | 'write';

function views(client: S3Client): Pick<S3Server, Views> {
  const uploads = async () => {
    const answer = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
    return answer.Uploads ?? [];
  };
  return {
    openUploads: async () => (await uploads()).map((upload) => upload.UploadId ?? ''),
    async parts(key, uploadId) {
      const command = new ListPartsCommand({ Bucket: BUCKET, Key: key, UploadId: uploadId });
      return ((await client.send(command)).Parts ?? []).map((part) => ({
        number: part.PartNumber ?? 0,
        bytes: part.Size ?? 0,
        etag: (part.ETag ?? '').replaceAll('"', ''),
        crc32: part.ChecksumCRC32,
      }));
    },
    async writePart(key, uploadId, number, body) {
      await client.send(
        new UploadPartCommand({
          Bucket: BUCKET,
          Key: key,
          UploadId: uploadId,
          PartNumber: number,
          Body: body,
          ChecksumAlgorithm: 'CRC32',
        }),
      );
    },
    async abortUploads() {
      for (const { Key, UploadId } of await uploads()) {
        await client.send(new AbortMultipartUploadCommand({ Bucket: BUCKET, Key, UploadId }));
      }
    },
    bytes: (key) =>
      orUndefined(async () => {
        const answer = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
        return answer.Body?.transformToByteArray();
      }),
    head: (key) =>
      orUndefined(async () => {
        const answer = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
        return {
          bytes: answer.ContentLength ?? 0,
          etag: (answer.ETag ?? '').replaceAll('"', ''),
          contentType: answer.ContentType ?? '',
        };
      }),
    async write(key, body) {
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }));
    },
  };
}

async function orUndefined<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 404)
      return undefined;
    throw error;
  }
}

function findProgram(): string | undefined {
  const given = process.env.VERSITYGW;
  if (given !== undefined && given !== '') return given;
  const folders = [process.env.PATH ?? '', join(homedir(), 'go', 'bin')];
  if (process.env.GOPATH) folders.push(join(process.env.GOPATH, 'bin'));
  return (
    Bun.which('versitygw', { PATH: folders.join(process.platform === 'win32' ? ';' : ':') }) ?? undefined
  );
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** The server has no sign of readiness but an answer. */
async function untilBucket(client: S3Client, child: Bun.Subprocess): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
      return;
    } catch (error) {
      if (child.exitCode !== null) throw new Error(`versitygw ended with ${child.exitCode}.`);
      if (tries === 200) throw error;
      await Bun.sleep(25);
    }
  }
}
