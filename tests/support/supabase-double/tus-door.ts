import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileStore } from '@tus/file-store';
import { Server, type ServerOptions } from '@tus/server';
import {
  type BucketStore,
  checkKeyText,
  checkMimeType,
  md5Of,
  type StoredBucket,
  type StoredObject,
} from './bucket-store.ts';
import { type Role, roleOfHeader } from './credentials.ts';
import type { HttpBody } from './http-body.ts';
import type { HttpRequest } from './http-connection.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { jsonAnswer } from './rest-call.ts';
import { TurnLocker } from './turn-locker.ts';
import { inText, type OpenUpload, PickyFileStore } from './tus-file-store.ts';

export const TUS_PATH = '/upload/resumable';

export interface TusDoor {
  /** Answers a request at `/upload/resumable`; undefined where the route is none of its own. */
  answer(request: HttpRequest, body: HttpBody, path: string): Promise<Response | undefined>;
  /** Ids of unfinished uploads, as in their addresses. */
  openUploads(): string[];
  /** Forgets an upload, as when its time has run out; the engine then answers that status. */
  expire(id: string, status: 404 | 410): Promise<void>;
  /** To be called when an object's file is gone. */
  forget(object: StoredObject): Promise<void>;
}

export interface TusSettings {
  /** As with an S3 store: ETags of parts' MD5s, `upload-expires`, an upload that ends after so long. */
  readonly expiresMs: number | undefined;
  readonly multipartEtags: boolean;
  /** Addresses of uploads begin with https://, whatever the client spoke: NODE_ENV=production does that. */
  readonly isProduction: boolean;
}

/**
 * The engine that Supabase Storage uses, with its file store, behind what Supabase puts before it: tokens, upsert
 * rules, limits, ids that are base64url of bucket/key/version.
 */
export function tusDoor(store: BucketStore, settings: TusSettings): TusDoor {
  const uploads = new Map<string, OpenUpload>();
  const files = new PickyFileStore(store, uploads, {
    directory: store.folder,
    ...(settings.expiresMs === undefined ? {} : { expirationPeriodInMilliseconds: settings.expiresMs }),
  });
  const server = new Server(engineOptions(store, settings, uploads, files));
  const remove = async (version: string, keepRecord: boolean) => {
    await rm(join(store.folder, version), { force: true });
    if (!keepRecord) await rm(join(store.folder, `${version}.json`), { force: true });
    uploads.delete(version);
  };
  return {
    async answer(request, body, path) {
      const isCollection = /^\/upload\/resumable\/?$/.test(path);
      const { method } = request;
      if (!(isCollection ? ['POST', 'OPTIONS'] : ['PATCH', 'HEAD', 'DELETE', 'OPTIONS']).includes(method)) {
        return undefined;
      }
      if (method !== 'OPTIONS') {
        const refused = tokenRefusal(request);
        if (refused !== undefined) return refused;
      }
      const response = await server.handleWeb(asWeb(request, body, path));
      if (method !== 'OPTIONS' && response.status !== 204) {
        response.headers.set('content-type', 'text/plain;charset=UTF-8');
      }
      return response;
    },
    openUploads: () => [...uploads.values()].filter((upload) => !upload.done).map(addressOf),
    expire: (id, status) => remove(uploadOf(id).version, status === 410),
    async forget(object) {
      if (uploads.has(object.version)) await remove(object.version, false);
    },
  };
}

function addressOf({ bucket, key, version }: Pick<OpenUpload, 'bucket' | 'key' | 'version'>): string {
  return Buffer.from(`${bucket}/${key}/${version}`).toString('base64url');
}

function uploadOf(id: string): Pick<OpenUpload, 'bucket' | 'key' | 'version'> {
  const [bucket = '', ...rest] = Buffer.from(id, 'base64url').toString('utf8').split('/');
  const version = rest.pop() ?? '';
  if (rest.length === 0 || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(version)) {
    throw { status_code: 400, body: 'Invalid upload id' };
  }
  return { bucket, key: rest.join('/'), version };
}

/** Tokens are looked at before the engine: refused in JSON, like at the REST door. */
function tokenRefusal({ headers, method }: HttpRequest): Response | undefined {
  try {
    roleOfHeader(headers.get('authorization'));
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof StorageRefusal)) throw thrown;
    const { status, code, error, message } = thrown;
    const answer = jsonAnswer({ statusCode: String(status), code, error, message }, 400);
    return method === 'HEAD' ? new Response(null, answer) : answer;
  }
}

function engineOptions(
  store: BucketStore,
  settings: TusSettings,
  uploads: Map<string, OpenUpload>,
  files: FileStore,
): ServerOptions & { datastore: FileStore } {
  return {
    path: `/storage/v1${TUS_PATH}`,
    datastore: files,
    locker: new TurnLocker(),
    disableTerminationForFinishedUploads: true,
    maxSize: (_request, id) => {
      const upload = id === null ? undefined : uploads.get(id);
      const bucket = upload && store.buckets.get(upload.bucket);
      return bucket === undefined ? store.globalLimit : store.limitOf(bucket);
    },
    namingFunction: (request, metadata = {}) =>
      inText(() => {
        if (!request.headers.has('upload-metadata')) throw refusals.request('Metadata header is required');
        return begin(store, uploads, metadata);
      }),
    generateUrl: (request, { id }) => {
      const { headers } = request;
      const proto = settings.isProduction ? 'https' : (headers.get('x-forwarded-proto') ?? 'http');
      const host = headers.get('x-forwarded-host') ?? headers.get('host');
      const upload = uploads.get(id) as OpenUpload;
      return `${proto}://${host}/storage/v1${TUS_PATH}/${addressOf(upload)}`;
    },
    getFileIdFromRequest: (_request, last = '') => uploadOf(last).version,
    onIncomingRequest: async (request, version) =>
      inText(() => {
        if (request.method === 'HEAD' || request.method === 'OPTIONS') return;
        const role = roleOfHeader(request.headers.get('authorization'));
        const named = uploads.get(version) ?? uploadOf(new URL(request.url).pathname.split('/').at(-1) ?? '');
        mayWrite(store, named, role, request.headers.get('x-upsert') === 'true');
      }),
    onUploadCreate: async (_request, upload) => {
      const { cacheControl, ...rest } = upload.metadata ?? {};
      const known = cacheControl ? `max-age=${cacheControl}` : 'no-cache';
      // Where the client names it, it keeps its place among the others.
      return {
        metadata: cacheControl
          ? { ...upload.metadata, cacheControl: known }
          : { ...rest, cacheControl: known },
      };
    },
    onUploadFinish: async (request, upload) => {
      const known = uploads.get(upload.id) as OpenUpload;
      const bucket = inText(() =>
        mayWrite(store, known, 'service_role', request.headers.get('x-upsert') === 'true'),
      );
      const file = join(store.folder, upload.id);
      const size = upload.size ?? 0;
      known.done = true;
      await store.put(bucket, {
        key: known.key,
        version: known.version,
        size,
        etag: settings.multipartEtags
          ? `${await md5Of(file)}-${Math.max(1, Math.ceil(size / PART))}`
          : await md5Of(file),
        contentType: upload.metadata?.contentType ?? 'application/octet-stream',
        cacheControl: upload.metadata?.cacheControl ?? 'no-cache',
        metadata: upload.metadata?.metadata ? JSON.parse(upload.metadata.metadata) : null,
        file,
      });
      return { headers: { 'Tus-Complete': '1' } };
    },
  };
}

/** The parts that an S3 store gets of a resumable upload: 5 MiB. The ETag's first half is not theirs here. */
const PART = 5 * 1024 * 1024;

function begin(
  store: BucketStore,
  uploads: Map<string, OpenUpload>,
  metadata: Readonly<Record<string, string | null>>,
): string {
  const { bucketName, objectName, contentType } = metadata;
  if (!bucketName) throw refusals.bucketName();
  const key = objectName ?? '';
  checkKeyText(key);
  const bucket = store.bucket(bucketName);
  if (contentType) checkMimeType(bucket, contentType);
  const version = crypto.randomUUID();
  uploads.set(version, { bucket: bucketName, key, version, done: false });
  return version;
}

function mayWrite(
  store: BucketStore,
  { bucket: id, key }: Pick<OpenUpload, 'bucket' | 'key'>,
  role: Role,
  isUpsert: boolean,
): StoredBucket {
  const bucket = store.bucket(id);
  if (role !== 'service_role') throw refusals.rowSecurity();
  if (!isUpsert && bucket.objects.has(key)) throw refusals.exists('KeyAlreadyExists');
  return bucket;
}

/** The engine's request. Where the client breaks off, the body just ends: what arrived is stored. */
function asWeb({ method, headers, hasBody }: HttpRequest, body: HttpBody, path: string): Request {
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await body.next().catch(() => undefined);
        if (bytes === undefined) controller.close();
        else controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
  const url = `http://${headers.get('host')}/storage/v1${path}`;
  return new Request(url, { method, headers, ...(hasBody && method !== 'HEAD' ? { body: stream } : {}) });
}
