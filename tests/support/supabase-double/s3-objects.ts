import { checkKey, checkMimeType, type StoredObject } from './bucket-store.ts';
import { objectAnswer, rangeOf } from './object-answer.ts';
import { readingFile } from './reading-file.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { factsOf, type S3Call, textBody, withBody, writableBucket } from './s3-call.ts';
import { uploadOf } from './s3-uploads.ts';
import { elementsOf, xmlAnswer } from './s3-xml.ts';

export async function putObject(call: S3Call): Promise<Response> {
  const { store, parts, key, bucket: name, request } = call;
  const bucket = store.bucket(name);
  const facts = factsOf(call);
  checkKey(key, name, store.backend);
  if (request.headers.has('content-type')) checkMimeType(bucket, facts.contentType);
  writableBucket(call);
  const version = crypto.randomUUID();
  const written = await withBody(call, store.limitOf(bucket), (body) => parts.putObject(version, body));
  await store.put(bucket, { key, version, ...written, ...facts });
  return new Response(null, { headers: { etag: `"${written.etag}"` } });
}

/** GetObject and HeadObject. Of all conditions only If-None-Match of a GET is looked at. */
export function readObject(call: S3Call): Response {
  const { headers, method } = call.request;
  const isHead = method === 'HEAD';
  const { backend } = call.store;
  const object = visible(call, call.bucket, call.key);
  const more: Record<string, string> = {};
  for (const [name, value] of Object.entries(object.metadata ?? {})) {
    if (typeof value === 'string') more[`x-amz-meta-${name}`] = value;
  }
  if (isHead) more['created-at'] = String(object.createdAt);
  const asked = { range: headers.get('range'), ifNoneMatch: headers.get('if-none-match'), isHead, backend };
  try {
    return objectAnswer(object, asked, more);
  } catch (error) {
    const isRange = error instanceof StorageRefusal && error.code === 'InvalidRange';
    if (!isRange || backend === 'file') throw error;
    throw new StorageRefusal(416, error.error, 'The requested range cannot be satisfied.', 'S3Error');
  }
}

export async function deleteObject(call: S3Call): Promise<Response> {
  const bucket = call.store.bucket(call.bucket);
  if (call.role === 'service_role') await call.store.remove(bucket, call.key);
  return new Response(null, { status: 204 });
}

export async function deleteObjects(call: S3Call): Promise<Response> {
  const bucket = call.store.bucket(call.bucket);
  const keys = elementsOf(await textBody(call), 'Key');
  if (call.role === 'service_role') for (const key of keys) await call.store.remove(bucket, key);
  return xmlAnswer(
    'DeleteResult',
    keys.map((key) => ['Deleted', [['Key', key]]] as const),
  );
}

export async function copyObject(call: S3Call): Promise<Response> {
  const { store, parts, key, request } = call;
  const source = sourceOf(call);
  const bucket = writableBucket(call);
  const unless = request.headers.get('x-amz-copy-source-if-none-match');
  if (store.backend === 's3' && unless === `"${source.etag}"`) {
    throw new StorageRefusal(412, 'PreconditionFailed', 'PreconditionFailed', 'S3Error');
  }
  checkKey(key, call.bucket, store.backend);
  const isReplaced = request.headers.get('x-amz-metadata-directive') === 'REPLACE';
  const facts = factsOf(call);
  const replaced = { ...facts, cacheControl: request.headers.get('cache-control') ?? undefined };
  const version = crypto.randomUUID();
  const written = await readingFile(source.file, 0, source.size, (body) => parts.putObject(version, body));
  const kept = { ...source, ...written, key, version, etag: source.etag };
  const copy = await store.put(bucket, isReplaced ? { ...kept, ...replaced } : kept);
  return xmlAnswer('CopyObjectResult', [
    ['ETag', `"${copy.etag}"`],
    ['LastModified', copy.modified.toISOString()],
  ]);
}

export async function copyPart(call: S3Call): Promise<Response> {
  const { parts, query, request, store } = call;
  const upload = uploadOf(call);
  const bucket = writableBucket(call);
  const source = sourceOf(call);
  const { start, end } = copyRange(request.headers.get('x-amz-copy-source-range'), source.size);
  if (upload.bytes + end - start > store.limitOf(bucket)) throw refusals.tooLarge();
  const number = Number(query.get('partNumber'));
  const { etag } = await readingFile(source.file, start, end, (body) =>
    parts.putPart(upload.version, upload.id, number, body),
  );
  const at = new Date();
  upload.bytes += end - start;
  upload.parts.push({ number, etag, at });
  return xmlAnswer('CopyPartResult', [
    ['ETag', etag],
    ['LastModified', at.toISOString()],
  ]);
}

function visible({ store, role }: S3Call, bucket: string, key: string): StoredObject {
  const object = store.buckets.get(bucket)?.objects.get(key);
  if (object === undefined || role !== 'service_role') throw refusals.noKey();
  return object;
}

function sourceOf(call: S3Call): StoredObject {
  const source = decodeURIComponent(call.request.headers.get('x-amz-copy-source') ?? '').replace(/^\//, '');
  const slash = source.indexOf('/');
  return visible(call, source.slice(0, slash), source.slice(slash + 1));
}

function copyRange(range: string | null, size: number) {
  if (range === null) return { start: 0, end: size };
  const { start, end } = inRange(range, size);
  return { start, end };
}

function inRange(range: string, size: number) {
  try {
    return rangeOf(range, size);
  } catch {
    throw new StorageRefusal(400, 'invalid_range', 'invalid range provided', 'InvalidRange');
  }
}
