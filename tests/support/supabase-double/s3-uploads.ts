import { checkKey, checkMimeType } from './bucket-store.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { factsOf, type S3Call, textBody, withBody, writableBucket } from './s3-call.ts';
import { elementsOf, xmlAnswer } from './s3-xml.ts';

/** A multipart upload, as Supabase's database has it. */
export interface S3Upload {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
  readonly facts: ReturnType<typeof factsOf>;
  readonly startedAt: Date;
  /** Every try of a part is another row. */
  readonly parts: { readonly number: number; readonly etag: string; readonly at: Date }[];
  /** Of all tries. */
  bytes: number;
}

export type S3UploadList = Map<string, S3Upload>;

export async function createUpload(call: S3Call): Promise<Response> {
  const { key, bucket: name, parts, uploads } = call;
  const bucket = call.store.bucket(name);
  const facts = factsOf(call);
  checkKey(key, name, call.store.backend);
  if (call.request.headers.has('content-type')) checkMimeType(bucket, facts.contentType);
  writableBucket(call);
  const version = crypto.randomUUID();
  const id = await parts.begin(version);
  const startedAt = new Date();
  uploads.set(id, { id, bucket: name, key, version, facts, startedAt, parts: [], bytes: 0 });
  return xmlAnswer('InitiateMultipartUploadResult', [
    ['Bucket', name],
    ['Key', key],
    ['UploadId', id],
  ]);
}

export async function putPart(call: S3Call): Promise<Response> {
  const { parts, query, store } = call;
  const number = Number(query.get('partNumber'));
  if (!(number >= 1)) throw refusals.request('Querystring, partNumber must be >= 1');
  if (number > 10_000) throw refusals.request('Querystring, partNumber must be <= 10000');
  const upload = uploadOf(call);
  const bucket = writableBucket(call);
  const { etag } = await withBody(call, store.limitOf(bucket) - upload.bytes, async (body) => {
    // Counted before it is there, so that parts at the same time do not pass the limit together.
    upload.bytes += body.length;
    try {
      return await parts.putPart(upload.version, upload.id, number, body);
    } catch (error) {
      upload.bytes -= body.length;
      throw error;
    }
  });
  upload.parts.push({ number, etag, at: new Date() });
  return new Response(null, { headers: { etag } });
}

export async function completeUpload(call: S3Call): Promise<Response> {
  const { parts, uploads, bucket: name, key } = call;
  const text = await textBody(call);
  const found = elementsOf(text, 'Part').map((part) => ({
    number: Number(elementsOf(part, 'PartNumber')[0]),
    etag: (elementsOf(part, 'ETag')[0] ?? '').replaceAll('&quot;', '"'),
  }));
  if (!text.trimStart().startsWith('<')) {
    const message = `Invalid XML payload: char '${text[0]}' is not expected.:1:1`;
    throw new StorageRefusal(400, 'Error', message, 'MalformedXML');
  }
  if (found.length === 0) throw refusals.request('Body, CompleteMultipartUpload must be object');
  const upload = uploadOf(call);
  const bucket = writableBucket(call);
  const finished = await parts.complete(upload.version, upload.id, found);
  uploads.delete(upload.id);
  await call.store.put(bucket, { key, version: upload.version, ...finished, ...upload.facts });
  return xmlAnswer('CompleteMultipartUploadResult', [
    ['Location', `${name}/${key}`],
    ['Bucket', name],
    ['Key', key],
    ['ETag', `"${finished.etag}"`],
  ]);
}

export async function abortUpload(call: S3Call): Promise<Response> {
  const upload = uploadOf(call);
  writableBucket(call);
  call.uploads.delete(upload.id);
  await call.parts.abort(upload.version, upload.id);
  return new Response(null, { status: 200 });
}

export function listParts(call: S3Call): Response {
  const upload = uploadOf(call);
  const max = Number(call.query.get('max-parts') ?? 1000);
  const after = Number(call.query.get('part-number-marker') ?? 0);
  const rows = upload.parts
    .filter(({ number }) => number > after)
    .sort((a, b) => a.number - b.number || a.at.getTime() - b.at.getTime());
  const page = rows.slice(0, max);
  const isTruncated = rows.length > max;
  return xmlAnswer('ListPartsResult', [
    ['Bucket', upload.bucket],
    ['Key', upload.key],
    ['UploadId', upload.id],
    ['PartNumberMarker', after === 0 ? undefined : after],
    ['NextPartNumberMarker', isTruncated ? page.at(-1)?.number : undefined],
    ['MaxParts', max],
    ['IsTruncated', isTruncated],
    ...page.map(
      ({ number, etag, at }) =>
        [
          'Part',
          [
            ['PartNumber', number],
            ['LastModified', at.toISOString()],
            ['ETag', etag],
          ],
        ] as const,
    ),
  ]);
}

export function listUploads({ store, bucket, query, uploads, role }: S3Call): Response {
  store.bucket(bucket);
  const prefix = query.get('prefix') ?? '';
  const max = Number(query.get('max-uploads') ?? 1000);
  const keyMarker = query.get('key-marker') || undefined;
  const idMarker = query.get('upload-id-marker') || undefined;
  const found = [...uploads.values()]
    .filter((upload) => upload.bucket === bucket && upload.key.startsWith(prefix) && role === 'service_role')
    // As the real one, whose pages after the first are cut by upload ids alone, keys whichever.
    .filter(({ id, key }) => (idMarker === undefined ? key > unmarked(keyMarker) : id > unmarked(idMarker)))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.startedAt.getTime() - b.startedAt.getTime()));
  const page = found.slice(0, max);
  const isTruncated = found.length > max;
  const last = isTruncated ? page.at(-1) : undefined;
  return xmlAnswer('ListMultipartUploadsResult', [
    ['Name', bucket],
    ['Prefix', prefix],
    ['KeyMarker', keyMarker],
    ['UploadIdMarker', idMarker],
    ['NextKeyMarker', last && marker(last.key)],
    ['NextUploadIdMarker', last && marker(last.id)],
    ...page.map(
      ({ key, id, startedAt }) =>
        [
          'Upload',
          [
            ['Key', key],
            ['Initiated', startedAt.toISOString()],
            ['UploadId', id],
            ['StorageClass', 'STANDARD'],
          ],
        ] as const,
    ),
    ['IsTruncated', isTruncated],
    ['MaxUploads', max],
    ['KeyCount', page.length],
  ]);
}

function marker(text: string): string {
  return Buffer.from(`l:${text}`).toString('base64');
}

function unmarked(token: string | undefined): string {
  return token === undefined ? '' : Buffer.from(token, 'base64').toString('utf8').slice(2);
}

export function uploadOf({ uploads, query, bucket, key }: S3Call): S3Upload {
  const upload = uploads.get(query.get('uploadId') ?? '');
  if (upload === undefined || upload.bucket !== bucket || upload.key !== key) throw refusals.noUpload();
  return upload;
}
