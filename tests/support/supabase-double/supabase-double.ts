import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type S3Server, startS3Server } from '../s3-server.ts';
import { BucketStore, md5Of, NO_LIMIT } from './bucket-store.ts';
import { type DoubleKeys, makeKeys } from './credentials.ts';
import { fileParts } from './file-parts.ts';
import { gateway } from './gateway.ts';
import { startHttpServer } from './http-server.ts';
import type { PartStore } from './part-store.ts';
import { s3Door } from './s3-door.ts';
import { tusDoor } from './tus-door.ts';
import { versityParts } from './versity-parts.ts';

/** Supabase Storage on loopback, held to recordings of the real one (tests/recordings/supabase). */
export interface SupabaseDouble {
  /** What SUPABASE_URL gets; /storage/v1 lies below. */
  readonly url: string;
  readonly projectRef: string;
  /** Private, without limits, there from the start. */
  readonly bucket: string;
  readonly keys: DoubleKeys;
  /** Undefined where no S3 server is installed. */
  readonly s3: DoubleS3 | undefined;
  makeBucket(name: string, options?: DoubleBucketOptions): Promise<void>;
  setGlobalLimit(bytes: number | undefined): void;
  /** The object's bytes, or undefined where there is none. */
  bytes(key: string, bucket?: string): Promise<Uint8Array | undefined>;
  /** Writes as somebody else would. */
  write(key: string, body: Uint8Array, bucket?: string): Promise<void>;
  /** In order. */
  keysOf(bucket?: string): Promise<string[]>;
  /** Unfinished resumable and (with parts) multipart uploads. */
  openUploads(): Promise<string[]>;
  /** Asked for each request before it is served; returns what goes wrong with it, or undefined. */
  fault: ((request: DoubleRequest) => DoubleFault | undefined) | undefined;
  /** What was asked so far. */
  readonly requests: readonly DoubleRequest[];
  stop(): Promise<void>;
}

export interface DoubleS3 {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface DoubleBucketOptions {
  readonly fileSizeLimit?: number;
  readonly mimeTypes?: readonly string[];
  readonly public?: boolean;
}

export interface DoubleRequest {
  readonly method: string;
  /** With the query, percent-encoded, as it was sent. */
  readonly path: string;
  readonly headers: Headers;
  /** From 1. */
  readonly number: number;
}

export type DoubleFault =
  /** The connection is cut once so many bytes of the body were taken (what a resumable upload took of them stays). */
  | { readonly kind: 'reset'; readonly afterBytes?: number }
  /** Done, and the connection is cut instead of the answer. */
  | { readonly kind: 'lost answer' }
  /** The body is taken, and nothing done. */
  | { readonly kind: 'status'; readonly status: number; readonly body?: string; readonly retryAfter?: string }
  /** No answer, ever (until stop); nothing is done. */
  | { readonly kind: 'hang' }
  /** The body's byte at this offset arrives changed. */
  | { readonly kind: 'flip'; readonly at: number }
  /** Resumable uploads: the upload is gone, and the engine answers 404, or 410 where it keeps a record. */
  | { readonly kind: 'expired'; readonly status?: 404 | 410 };

export interface DoubleOptions {
  /** Where bytes are kept: 'memory' (the default) in a file system there, if the machine has one. */
  readonly keepFiles?: 'memory' | 'disk';
  /** Whether there is an S3 door; it is there unless this is false. */
  readonly s3?: boolean;
  /**
   * 's3' (the default, as hosted projects): over a real S3 server; quoted ETags of parts, md5-of-md5s-N of objects,
   * resumable uploads with an ETag like that and an expiry. 'file' (self-hosted): MD5 of the whole, and no server.
   */
  readonly backend?: 'file' | 's3';
  /** Addresses of resumable uploads then begin with https://, as in hosted projects. */
  readonly production?: boolean;
  readonly port?: number;
  /** Whether `requests` grows; it does unless this is false. */
  readonly keepsRequests?: boolean;
}

const PROJECT_REF = 'projectrefprojectref';
const BUCKET = 'backups';
const REGION = 'local';
const HOUR_MS = 3_600_000;

export async function startSupabaseDouble(options: DoubleOptions = {}): Promise<SupabaseDouble> {
  const folder = await mkdtemp(join(parentFolder(options.keepFiles ?? 'memory'), 'supabase-double-'));
  const files = join(folder, 'files');
  await mkdir(files);
  const backend = options.backend ?? 's3';
  const store = new BucketStore(files, backend);
  store.make(BUCKET, {});
  const server3 = options.s3 !== false && backend === 's3' ? await startS3Server() : undefined;
  const tus = tusDoor(store, {
    expiresMs: backend === 's3' ? HOUR_MS : undefined,
    multipartEtags: backend === 's3',
    isProduction: options.production ?? false,
  });
  store.onGone = async (object) => {
    await rm(object.file, { force: true });
    await tus.forget(object);
  };
  const requests: DoubleRequest[] = [];
  const keys = makeKeys(PROJECT_REF);
  const pair = {
    accessKeyId: 'doublekeyid00000000000000000000',
    secretAccessKey: 'double-secret-key',
    region: REGION,
  };
  const parts = partsOf(options, store, server3);
  const s3 = parts && s3Door(store, parts, { pair, projectRef: PROJECT_REF, keys });
  const keepsRequests = options.keepsRequests ?? true;
  const doors = gateway({
    store,
    tus,
    s3,
    requests,
    keepsRequests,
    faultOf: (request) => double.fault?.(request),
  });
  const server = await startHttpServer(doors, options.port);
  const url = `http://127.0.0.1:${server.port}`;
  const double: SupabaseDouble = {
    url,
    projectRef: PROJECT_REF,
    bucket: BUCKET,
    keys,
    s3: s3 && { endpoint: `${url}/storage/v1/s3`, ...pair },
    async makeBucket(name, bucket = {}) {
      store.make(name, bucket);
    },
    setGlobalLimit(bytes) {
      store.globalLimit = bytes ?? NO_LIMIT;
    },
    async bytes(key, bucket = BUCKET) {
      const object = store.bucket(bucket).objects.get(key);
      return object && (await Bun.file(object.file).bytes());
    },
    write: (key, body, bucket = BUCKET) => writeObject(store, bucket, key, body),
    async keysOf(bucket = BUCKET) {
      return [...store.bucket(bucket).objects.keys()].sort();
    },
    async openUploads() {
      return [...tus.openUploads(), ...(s3?.openUploads() ?? [])];
    },
    fault: undefined,
    requests,
    async stop() {
      await server.stop();
      await server3?.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return double;
}

function partsOf(
  options: DoubleOptions,
  store: BucketStore,
  server: S3Server | undefined,
): PartStore | undefined {
  if (options.s3 === false) return undefined;
  if (options.backend === 'file') return fileParts(store);
  return server && versityParts(server);
}

function parentFolder(kind: 'memory' | 'disk'): string {
  return kind === 'memory' && existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

async function writeObject(store: BucketStore, bucket: string, key: string, body: Uint8Array): Promise<void> {
  const version = crypto.randomUUID();
  const file = store.newFile(version);
  await writeFile(file, body);
  const etag = await md5Of(file);
  const facts = { key, version, size: body.length, etag, file };
  const contentType = 'application/octet-stream';
  await store.put(store.bucket(bucket), { ...facts, contentType, cacheControl: 'no-cache', metadata: {} });
}
