import { checkKey, checkMimeType, writeBody } from './bucket-store.ts';
import { refusals } from './refusal.ts';
import { jsonAnswer, type RestCall, type RestRoute } from './rest-call.ts';

export const uploadRoutes: readonly RestRoute[] = [
  { methods: ['POST', 'PUT'], path: /^\/object\/([^/]+)\/(.*)$/s, answer: upload },
];

/** A standard upload. Only a declared length is held to the limits: the real one lets any other pass. */
async function upload({ store, request, body, names, role }: RestCall): Promise<Response> {
  const [bucketId = '', key = ''] = names;
  const { method, headers, contentLength } = request;
  const asked = role();
  const bucket = store.bucket(bucketId);
  const contentType = headers.get('content-type') ?? 'application/octet-stream';
  checkKey(key, bucketId, store.backend);
  checkMimeType(bucket, contentType);
  if (asked !== 'service_role') throw refusals.rowSecurity();
  const isUpsert = method === 'PUT' || headers.get('x-upsert') === 'true';
  const checkFree = () => {
    if (!isUpsert && bucket.objects.has(key)) throw refusals.exists('KeyAlreadyExists');
  };
  checkFree();
  if (contentLength !== undefined && contentLength > store.limitOf(bucket)) throw refusals.tooLarge();
  const version = crypto.randomUUID();
  const file = store.newFile(version);
  const { bytes, md5 } = await writeBody(file, () => body.next());
  checkFree();
  const object = await store.put(bucket, {
    key,
    version,
    size: bytes,
    etag: md5,
    contentType,
    cacheControl: headers.get('cache-control') ?? 'no-cache',
    metadata: metadataOf(headers.get('x-metadata')),
    file,
  });
  return jsonAnswer({ Key: `${bucketId}/${key}`, Id: object.id });
}

function metadataOf(header: string | null): Readonly<Record<string, unknown>> {
  if (header === null) return {};
  return JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
}
