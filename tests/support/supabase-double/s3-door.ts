import type { BucketStore } from './bucket-store.ts';
import type { HttpBody } from './http-body.ts';
import type { HttpRequest } from './http-connection.ts';
import type { PartStore } from './part-store.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import type { S3Call } from './s3-call.ts';
import { type S3Access, s3Role } from './s3-credentials.ts';
import { listBuckets, listObjectsV1, listObjectsV2 } from './s3-lists.ts';
import { copyObject, copyPart, deleteObject, deleteObjects, putObject, readObject } from './s3-objects.ts';
import {
  abortUpload,
  completeUpload,
  createUpload,
  listParts,
  listUploads,
  putPart,
  type S3UploadList,
} from './s3-uploads.ts';
import { xmlAnswer } from './s3-xml.ts';

export const S3_PATH = '/s3';

export interface S3Door {
  /** Answers `path`, which is as it was sent, behind `/storage/v1`. */
  answer(request: HttpRequest, body: HttpBody, path: string, query: URLSearchParams): Promise<Response>;
  /** Ids of unfinished multipart uploads. */
  openUploads(): string[];
}

/** Supabase's S3 endpoint: its database and its deviations, over a store of parts. */
export function s3Door(store: BucketStore, parts: PartStore, access: S3Access): S3Door {
  const uploads: S3UploadList = new Map();
  return {
    async answer(request, body, path, query) {
      const resource = path.slice(S3_PATH.length + 1);
      try {
        const role = s3Role(request, access);
        const slash = resource.indexOf('/');
        const bucket = decodeURIComponent(slash < 0 ? resource : resource.slice(0, slash));
        const key = slash < 0 ? '' : decodeURIComponent(resource.slice(slash + 1));
        const { region } = access.pair;
        return await operation({ store, parts, uploads, request, body, role, region, bucket, key, query });
      } catch (error) {
        if (!(error instanceof StorageRefusal)) throw error;
        return refused(error, request, resource);
      }
    },
    openUploads: () => [...uploads.keys()],
  };
}

function operation(call: S3Call): Promise<Response> | Response {
  if (call.bucket === '') return listBuckets(call);
  return call.key === '' ? bucketOperation(call) : objectOperation(call);
}

function bucketOperation(call: S3Call): Promise<Response> | Response {
  const { store, bucket, query, role, region } = call;
  switch (call.request.method) {
    case 'PUT':
      if (role !== 'service_role') throw refusals.rowSecurity();
      store.make(bucket, {});
      return new Response(null, { headers: { location: `/${bucket}` } });
    case 'HEAD':
      store.bucket(bucket);
      if (role !== 'service_role') throw refusals.noBucket();
      return new Response(null, { headers: { 'x-amz-bucket-region': region } });
    case 'DELETE':
      if (store.bucket(bucket).objects.size > 0) throw refusals.notEmpty();
      store.buckets.delete(bucket);
      return new Response(null, { status: 204 });
    case 'POST':
      return deleteObjects(call);
    default:
      if (query.has('location')) return xmlAnswer('LocationConstraint', region);
      if (query.has('uploads')) return listUploads(call);
      return query.get('list-type') === '2' ? listObjectsV2(call) : listObjectsV1(call);
  }
}

function objectOperation(call: S3Call): Promise<Response> | Response {
  const { query, request } = call;
  const isUpload = query.has('uploadId');
  const isCopy = request.headers.has('x-amz-copy-source');
  switch (request.method) {
    case 'PUT':
      if (isUpload) return isCopy ? copyPart(call) : putPart(call);
      return isCopy ? copyObject(call) : putObject(call);
    case 'POST':
      return isUpload ? completeUpload(call) : createUpload(call);
    case 'DELETE':
      return isUpload ? abortUpload(call) : deleteObject(call);
    default:
      return isUpload && request.method === 'GET' ? listParts(call) : readObject(call);
  }
}

function refused(error: StorageRefusal, request: HttpRequest, resource: string): Response {
  const answer = xmlAnswer(
    'Error',
    [
      ['Resource', resource],
      ['Code', error.code],
      ['Message', error.message],
    ],
    error.status,
  );
  const { method, headers } = request;
  const isObject = resource.includes('/');
  if (method === 'HEAD') return new Response(null, { status: error.status, headers: answer.headers });
  // A body that was not taken goes with its connection.
  if (error.code === 'MalformedXML') answer.headers.set('connection', 'close');
  if (
    method === 'PUT' &&
    isObject &&
    !headers.has('x-amz-copy-source') &&
    request.hasBody &&
    isSigned(error)
  ) {
    answer.headers.set('connection', 'close');
  }
  return answer;
}

/** Refused before the body is looked at, the connection goes on. */
function isSigned({ code }: StorageRefusal): boolean {
  return code !== 'SignatureDoesNotMatch';
}
