import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { ByteStream, OpenUpload } from '../../lib/storage/storage.ts';
import { supabaseS3 } from '../../lib/storage/supabase/supabase-s3.ts';

/*
 * Every answer of an error that was recorded at the S3 endpoint of a Supabase Storage, given to this client by a server
 * that says nothing else: what a user reads of it, or why no user ever meets it.
 */

type Operation =
  | 'List'
  | 'Head'
  | 'Get'
  | 'Put'
  | 'Copy'
  | 'Delete'
  | 'Create'
  | 'Part'
  | 'Parts'
  | 'Complete'
  | 'Abort';

type Told =
  /** The error of what was done begins with its words and ends so. */
  | { readonly by: Way; readonly says: string }
  /** No error: what comes of it. */
  | { readonly by: Way; readonly gives: unknown }
  | { readonly never: string };

interface Answer {
  readonly status: number;
  readonly body: string;
}

const AT = 'https://ref.storage.supabase.co/storage/v1/s3';
const never = new AbortController().signal;
const PART = 1000;
const UPLOAD: OpenUpload = {
  key: 'k',
  id: 'u',
  partBytes: PART,
  crc32: false,
  mark: 'm',
  parts: [{ number: 1, bytes: PART, etag: 'e', crc32: undefined, md5: 'e' }],
};

let recorded: { readonly operation: Operation; readonly answer: Answer } | undefined;
beforeEach(() => {
  recorded = undefined;
});
const server = Bun.serve({
  port: 0,
  async fetch(request) {
    const operation = operationOf(request);
    const body = await request.bytes();
    const { status, body: text } = recorded?.operation === operation ? recorded.answer : usual(operation);
    return new Response(request.method === 'HEAD' ? null : text, {
      status,
      headers: headersOf(operation, body),
    });
  },
});
afterAll(() => server.stop(true));

function operationOf({ method, url, headers }: Request): Operation {
  const query = new URL(url).searchParams;
  const inUpload = query.has('uploadId');
  switch (method) {
    case 'HEAD':
      return 'Head';
    case 'GET':
      return query.has('list-type') ? 'List' : inUpload ? 'Parts' : 'Get';
    case 'POST':
      return inUpload ? 'Complete' : 'Create';
    case 'DELETE':
      return inUpload ? 'Abort' : 'Delete';
    default:
      return headers.has('x-amz-copy-source') ? 'Copy' : inUpload ? 'Part' : 'Put';
  }
}

/** What the endpoint says when all is well; an upload is gone when somebody looks. */
function usual(operation: Operation): Answer {
  const xml = (name: string, inner: string) => ({ status: 200, body: `<${name}>${inner}</${name}>` });
  switch (operation) {
    case 'Create':
      return xml('InitiateMultipartUploadResult', '<UploadId>u</UploadId>');
    case 'Complete':
      return xml('CompleteMultipartUploadResult', '<ETag>"e"</ETag>');
    case 'Parts':
      return {
        status: 404,
        body: '<Error><Code>NoSuchUpload</Code><Message>Upload not found</Message></Error>',
      };
    case 'Head':
    case 'Put':
    case 'Part':
    case 'Abort':
      return { status: 200, body: '' };
    case 'Delete':
      return { status: 204, body: '' };
    case 'Get':
    case 'List':
    case 'Copy':
      throw new Error(`Nothing asks for ${operation} but to be refused.`);
  }
}

/** The MD5 of what was sent, and an object of ten bytes. */
function headersOf(operation: Operation, body: Uint8Array): Record<string, string> {
  const md5 = new Bun.CryptoHasher('md5').update(body).digest('hex');
  if (operation === 'Head') return { etag: '"e"', 'content-length': '10' };
  return operation === 'Put' || operation === 'Part' ? { etag: md5 } : {};
}

const store = (isSession: boolean, endpoint = `${server.url.origin}/storage/v1/s3`) =>
  supabaseS3({
    endpoint,
    region: 'local',
    bucket: 's3b',
    accessKeyId: new Secret('id'),
    secretAccessKey: new Secret('secret'),
    sessionToken: isSession ? new Secret('token') : undefined,
    partBytes: PART,
    retryPolicy: { attempts: 2, baseMs: 1, capMs: 1 },
  });
type Store = ReturnType<typeof store>;

const put = ({ put: send }: Store, bytes: number) =>
  send({
    key: 'k',
    body: new Response(new Uint8Array(bytes)).body as ByteStream,
    estimatedBytes: bytes,
    signal: never,
  });

/** What a user does, and the request of it that is refused. */
const WAYS = {
  check: ['Create', (to: Store) => to.check('k', never)],
  'put a small file': ['Put', (to: Store) => put(to, 10)],
  'begin a large file': ['Create', (to: Store) => put(to, 2 * PART)],
  'put a large file': ['Part', (to: Store) => put(to, 2 * PART)],
  'publish a large file': ['Complete', (to: Store) => put(to, 2 * PART)],
  'look for': ['Head', (to: Store) => to.objects?.open('k', undefined, never)],
  read: ['Get', async (to: Store) => new Response(await to.objects?.open('k', undefined, never)).bytes()],
  list: ['List', async (to: Store) => Array.fromAsync(to.objects?.list('', never) ?? [])],
  copy: [
    'Copy',
    (to: Store) => to.objects?.copy('k', 'c', { location: 'supabase://s3b/k', bytes: 10, etag: 'e' }, never),
  ],
  remove: ['Delete', (to: Store) => to.objects?.remove('k', never)],
  'go on': ['Parts', (to: Store) => to.uploads?.find(UPLOAD, never)],
  'remove an upload': ['Abort', (to: Store) => to.uploads?.remove(UPLOAD, never)],
} as const satisfies Record<string, readonly [Operation, (to: Store) => unknown]>;
type Way = keyof typeof WAYS;

const TABLE: Readonly<Record<string, Told>> = {
  'buckets: CreateBucket again': { never: 'a bucket is made by a request of the other API' },
  'buckets: CreateBucket bad name': { never: 'a bucket is made by a request of the other API' },
  'buckets: HeadBucket missing': { never: 'whether there is a bucket is asked by beginning an upload' },
  'PutObject: PutObject aws-chunked, wrong chunk signature': {
    never: 'a body is sent as it is, never in signed chunks',
  },
  'PutObject: PutObject missing bucket': {
    by: 'put a small file',
    says: `there is no bucket "s3b" at ${AT} (404 NoSuchBucket: Bucket not found). Check SUPABASE_STORAGE_BUCKET (or --bucket), or let --create-bucket make it, which wants SUPABASE_SERVICE_ROLE_KEY.`,
  },
  'PutObject: PutObject over the bucket limit': {
    by: 'put a small file',
    says: 'it is larger than bucket "s3b" or the project allows (413 EntityTooLarge: The object exceeded the maximum allowed size). Raise the limit in the dashboard (Storage, Settings; the free plan ends at 50 MB), or make smaller files with --split-size 45MB.',
  },
  'PutObject: PutObject over the bucket limit, chunked': { never: 'a body is sent with its length' },
  'PutObject: HeadObject after that': { by: 'look for', gives: undefined },
  'PutObject: PutObject over the global limit': {
    by: 'put a small file',
    says: 'it is larger than bucket "s3b" or the project allows (413 EntityTooLarge: The object exceeded the maximum allowed size). Raise the limit in the dashboard (Storage, Settings; the free plan ends at 50 MB), or make smaller files with --split-size 45MB.',
  },
  'PutObject: PutObject mime not allowed': {
    by: 'put a small file',
    says: `bucket "s3b" does not take files of that type (415 InvalidMimeType: mime type text/csv is not supported). Allow it in the bucket's settings in the dashboard, or choose another one with SUPABASE_STORAGE_BUCKET (or --bucket).`,
  },
  'PutObject: PutObject key nonAscii': {
    by: 'put a small file',
    says: 'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: k/ünï). Check --prefix.',
  },
  'PutObject: PutObject key hash': {
    by: 'put a small file',
    says: 'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: k/a#b). Check --prefix.',
  },
  'PutObject: PutObject key dotdot': {
    by: 'put a small file',
    says: 'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: stub/projectrefprojectref/s3b/k/../b/2b253266-908e-459a-993d-8a3b28283ecb contains dot path segment). Check --prefix.',
  },
  'PutObject: PutObject key tilde': {
    by: 'put a small file',
    says: 'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: k/~). Check --prefix.',
  },
  'PutObject: PutObject key percent': {
    by: 'put a small file',
    says: 'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: k/100%). Check --prefix.',
  },
  'PutObject: PutObject, connection cut in the body': {
    never: 'this client did that to the store, which had nothing to say',
  },
  'PutObject: HeadObject after the cut': { by: 'look for', gives: undefined },
  'GetObject and HeadObject: GetObject range beyond': {
    by: 'read',
    says: 'the object was replaced or removed while it was read.',
  },
  'GetObject and HeadObject: GetObject range multiple': { never: 'one range at a time is asked for' },
  'GetObject and HeadObject: GetObject range garbage': { never: 'ranges are numbers' },
  'GetObject and HeadObject: GetObject missing': {
    by: 'read',
    says: 'the object was replaced or removed while it was read.',
  },
  'GetObject and HeadObject: HeadObject missing': { by: 'look for', gives: undefined },
  'GetObject and HeadObject: GetObject missing bucket': {
    by: 'read',
    says: 'the object was replaced or removed while it was read.',
  },
  'GetObject and HeadObject: HeadObject missing bucket': { by: 'look for', gives: undefined },
  'ListObjectsV2: ListObjectsV2 bad token': {
    by: 'list',
    says: 'the store answered 400 InvalidParameter: Invalid Parameter continuation token',
  },
  'ListObjectsV2: ListObjectsV2 missing bucket': {
    by: 'list',
    says: `there is no bucket "s3b" at ${AT} (404 NoSuchBucket: Bucket not found). Check SUPABASE_STORAGE_BUCKET (or --bucket), or let --create-bucket make it, which wants SUPABASE_SERVICE_ROLE_KEY.`,
  },
  'multipart: UploadPart 0': { never: 'parts are counted from 1' },
  'multipart: UploadPart 10001': {
    never: 'an export that outgrows 10,000 parts is refused before the next is sent',
  },
  'multipart: UploadPart, connection cut': {
    never: 'this client did that to the store, which had nothing to say',
  },
  'multipart: Complete, wrong etag': {
    by: 'publish a large file',
    says: 'Supabase Storage does not have the parts as they were sent (400 InvalidChecksum: Invalid ETag for part 2). Export again.',
  },
  'multipart: Complete, missing part': {
    by: 'publish a large file',
    says: 'Supabase Storage does not have the parts as they were sent (400 MissingPart: Part 9 is missing for upload id b2501753-add1-45a2-947a-c4edbe584fcf). Export again.',
  },
  'multipart: Complete, no parts': { never: 'an upload has at least one part' },
  'multipart: Complete, not XML': { never: 'the SDK writes the XML' },
  'multipart: HeadObject before Complete': { by: 'look for', gives: undefined },
  'multipart: Complete again': {
    by: 'publish a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart: ListParts after Complete': { by: 'go on', gives: undefined },
  'multipart: UploadPart after Complete': {
    by: 'put a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart: Abort after Complete': { by: 'remove an upload', gives: undefined },
  'multipart, part content does not match the etags: Complete, other quoting of the etag': {
    by: 'publish a large file',
    says: 'Supabase Storage does not have the parts as they were sent (400 InvalidChecksum: Invalid ETag for part 1). Export again.',
  },
  'multipart, part content does not match the etags: HeadObject': { by: 'look for', gives: undefined },
  'multipart, retried part: Complete, etag of the first try': {
    by: 'publish a large file',
    says: 'Supabase Storage does not have the parts as they were sent (400 InvalidChecksum: Invalid ETag for part 1). Export again.',
  },
  'multipart, not all parts named: Complete 1, 3': {
    by: 'publish a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart, abort: UploadPart after abort': {
    by: 'put a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart, abort: UploadPart after abort, 5 MiB': {
    by: 'put a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart, abort: Complete after abort': {
    by: 'publish a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart, abort: Abort again': { by: 'remove an upload', gives: undefined },
  'multipart, abort: ListParts after abort': { by: 'go on', gives: undefined },
  'multipart, list uploads paging: ListMultipartUploads missing bucket': {
    never: 'uploads are known by the journal, not looked for',
  },
  'multipart, errors: CreateMultipartUpload missing bucket': {
    by: 'check',
    says: `there is no bucket "s3b" at ${AT} (404 NoSuchBucket: Bucket not found). Check SUPABASE_STORAGE_BUCKET (or --bucket), or let --create-bucket make it, which wants SUPABASE_SERVICE_ROLE_KEY.`,
  },
  'multipart, errors: CreateMultipartUpload bad key': {
    by: 'check',
    says: 'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: m/ü.bin). Check --prefix.',
  },
  'multipart, errors: CreateMultipartUpload mime not allowed': {
    by: 'begin a large file',
    says: `bucket "s3b" does not take files of that type (415 InvalidMimeType: mime type text/csv is not supported). Allow it in the bucket's settings in the dashboard, or choose another one with SUPABASE_STORAGE_BUCKET (or --bucket).`,
  },
  'multipart, errors: UploadPart unknown uploadId': {
    by: 'put a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart, errors: Complete unknown uploadId': {
    by: 'publish a large file',
    says: 'the unfinished upload is not there any more (404 NoSuchUpload: Upload not found), so it has to be begun again.',
  },
  'multipart, errors: Abort unknown uploadId': { by: 'remove an upload', gives: undefined },
  'multipart, errors: ListParts unknown uploadId': { by: 'go on', gives: undefined },
  'multipart, size limit exceeded on the way: UploadPart 2, beyond the limit': {
    by: 'put a large file',
    says: 'it is larger than bucket "s3b" or the project allows (413 EntityTooLarge: The object exceeded the maximum allowed size). Raise the limit in the dashboard (Storage, Settings; the free plan ends at 50 MB), or make smaller files with --split-size 45MB.',
  },
  'copy: CopyObject missing source': {
    by: 'copy',
    says: 'there is no such object, or the key may not see it (404 NoSuchKey: Object not found).',
  },
  'copy: CopyObject missing source bucket': {
    by: 'copy',
    says: 'there is no such object, or the key may not see it (404 NoSuchKey: Object not found).',
  },
  'copy: UploadPartCopy, bad range': { never: 'ranges are of an object whose size was just asked for' },
  'delete: DeleteObject missing bucket': {
    by: 'remove',
    says: `there is no bucket "s3b" at ${AT} (404 NoSuchBucket: Bucket not found). Check SUPABASE_STORAGE_BUCKET (or --bucket), or let --create-bucket make it, which wants SUPABASE_SERVICE_ROLE_KEY.`,
  },
  'delete: DeleteBucket not empty': { never: 'no bucket is ever removed' },
  'delete: DeleteBucket missing': { never: 'no bucket is ever removed' },
  'credentials: wrong secret': {
    by: 'check',
    says: `${AT} refused the signature (403 SignatureDoesNotMatch): the secret or the region is not the project's. Check SUPABASE_S3_SECRET_ACCESS_KEY and SUPABASE_S3_REGION.`,
  },
  'credentials: wrong key id': {
    by: 'check',
    says: `${AT} does not know the access key (403 AccessDenied: Invalid Access Key). Check SUPABASE_S3_ACCESS_KEY_ID, and that SUPABASE_URL is of the same project.`,
  },
  'credentials: wrong region': {
    by: 'check',
    says: `${AT} refused the signature (403 SignatureDoesNotMatch): the secret or the region is not the project's. Check SUPABASE_S3_SECRET_ACCESS_KEY and SUPABASE_S3_REGION.`,
  },
  'credentials: no signature': { never: 'every request is signed' },
  'credentials: HeadObject, wrong secret': {
    by: 'look for',
    says: `${AT} refused the credentials for bucket "s3b" (403). Check SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY, and SUPABASE_S3_REGION.`,
  },
  'credentials: PutObject 5 MiB, wrong secret': {
    by: 'put a small file',
    says: `${AT} refused the signature (403 SignatureDoesNotMatch): the secret or the region is not the project's. Check SUPABASE_S3_SECRET_ACCESS_KEY and SUPABASE_S3_REGION.`,
  },
  'credentials: session token anon, GetObject': {
    by: 'read',
    says: 'the object was replaced or removed while it was read.',
  },
  'credentials: session token anon, PutObject': {
    by: 'put a small file',
    says: 'the key may not do that in bucket "s3b" (403 AccessDenied: new row violates row-level security policy). Set SUPABASE_SERVICE_ROLE_KEY to the service_role JWT, not to that of an anonymous or ordinary user.',
  },
  'credentials: session token expired, GetObject': {
    by: 'check',
    says: 'the key has expired (403 AccessDenied: "exp" claim timestamp check failed). Set SUPABASE_SERVICE_ROLE_KEY to one that is valid.',
  },
  'credentials: session token other secret, GetObject': {
    by: 'check',
    says: `the key is not of the project at ${AT} (403 AccessDenied: signature verification failed), or was replaced since. Check SUPABASE_SERVICE_ROLE_KEY and SUPABASE_URL.`,
  },
  'credentials: session token garbage, GetObject': {
    by: 'check',
    says: `${AT} does not take the key for one (403 AccessDenied: Invalid Compact JWS). Set SUPABASE_SERVICE_ROLE_KEY to the service_role JWT, whole, or use SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY.`,
  },
  'credentials: session token sb_secret, GetObject': {
    by: 'check',
    says: `${AT} does not take the key for one (403 AccessDenied: Invalid Compact JWS). Set SUPABASE_SERVICE_ROLE_KEY to the service_role JWT, whole, or use SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY.`,
  },
  'credentials: session token anon, HeadBucket': {
    never: 'whether there is a bucket is asked by beginning an upload',
  },
  'credentials: session token anon, CreateMultipartUpload': {
    by: 'check',
    says: 'the key may not do that in bucket "s3b" (403 AccessDenied: new row violates row-level security policy). Set SUPABASE_SERVICE_ROLE_KEY to the service_role JWT, not to that of an anonymous or ordinary user.',
  },
  'credentials: session token, wrong project ref': {
    by: 'check',
    says: `${AT} is not of the project that the keys belong to (403 AccessDenied: Invalid Access Key). Check SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY and SUPABASE_ANON_KEY.`,
  },
  'credentials: session token, secret is not the anon key': {
    by: 'check',
    says: `${AT} refused the signature (403 SignatureDoesNotMatch): the secret or the region is not the project's. Check SUPABASE_ANON_KEY and SUPABASE_S3_REGION.`,
  },
  'credentials: session token, secret is the service_role JWT': {
    by: 'check',
    says: `${AT} refused the signature (403 SignatureDoesNotMatch): the secret or the region is not the project's. Check SUPABASE_ANON_KEY and SUPABASE_S3_REGION.`,
  },
  'S3 behind it, GetObject and HeadObject: GetObject range beyond': {
    by: 'read',
    says: 'the object was replaced or removed while it was read.',
  },
  'S3 behind it, multipart: Complete, wrong etag': {
    by: 'publish a large file',
    says: `the store behind Supabase Storage refused the request (400 S3Error: One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag).`,
  },
  'S3 behind it, multipart: Complete, missing part': {
    by: 'publish a large file',
    says: `the store behind Supabase Storage refused the request (400 S3Error: One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag).`,
  },
  'S3 behind it, multipart, retried part: Complete, etag of the first try': {
    by: 'publish a large file',
    says: `the store behind Supabase Storage refused the request (400 S3Error: One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag).`,
  },
  'S3 behind it, multipart, not all parts named: Complete 3, 1': { never: 'parts are named in order' },
  'S3 behind it, multipart, not all parts named: Complete 1, 3': {
    by: 'publish a large file',
    says: 'the store behind Supabase Storage refused the request (400 S3Error: Your proposed upload is smaller than the minimum allowed object size).',
  },
  'S3 behind it, multipart, not all parts named: HeadObject': { by: 'look for', gives: undefined },
  'S3 behind it, multipart, small parts: Complete with parts below 5 MiB': {
    never: 'parts but the last are of 5 MiB and more',
  },
  'S3 behind it, copy: CopyObject if-none-match of the source': {
    by: 'copy',
    says: 'it is no longer the object that was written, another run replaced it.',
  },
};

/** How the errors of each begin. */
const BEGINS: Readonly<Record<Way, string>> = {
  check: 'Cannot write supabase://s3b/k',
  'put a small file': 'Cannot write supabase://s3b/k',
  'begin a large file': 'Cannot write supabase://s3b/k',
  'put a large file': 'Cannot write supabase://s3b/k',
  'publish a large file': 'Cannot write supabase://s3b/k',
  'look for': 'Cannot read supabase://s3b/k',
  read: 'Cannot read supabase://s3b/k',
  list: 'Cannot list supabase://s3b/',
  copy: 'Cannot copy supabase://s3b/k to supabase://s3b/c',
  remove: 'Cannot remove supabase://s3b/k',
  'go on': 'Cannot write supabase://s3b/k',
  'remove an upload': 'none',
};

function beginOf({ message }: ToolError): string {
  return message.slice(0, message.indexOf(': ', message.indexOf('supabase://') + 11));
}

function saidBy(error: ToolError): string {
  expect(error).toBeInstanceOf(ToolError);
  return error.message.slice(beginOf(error).length + 2).replaceAll(`${server.url.origin}/storage/v1/s3`, AT);
}

const recordedErrors = errorsOf();

describe('supabaseS3()', () => {
  test('has a line for every recorded error, and for nothing else', () => {
    expect(Object.keys(TABLE).sort()).toEqual([...recordedErrors.keys()].sort());
  });

  for (const [name, told] of Object.entries(TABLE)) {
    if ('never' in told) continue;
    const [operation, act] = WAYS[told.by];
    const found = recordedErrors.get(name);
    const title = 'gives' in told ? 'gives no error' : 'says what to do';
    test(`${title} when it is to ${told.by} and meets "${name}"`, async () => {
      recorded = { operation, answer: found as Answer };
      const outcome = await Promise.resolve(act(store(name.includes('session token')))).then(
        (gives) => ({ gives }),
        (error: ToolError) => ({ begins: beginOf(error), says: saidBy(error) }),
      );
      const wanted = 'gives' in told ? { gives: told.gives } : { begins: BEGINS[told.by], says: told.says };
      expect<unknown>(outcome).toEqual(wanted);
    });
  }

  for (const [status, says] of [
    [404, `${AT} does not answer like an S3 service (HTTP 404). Check SUPABASE_URL.`],
    [401, `${AT} does not know the access key (401). Check SUPABASE_S3_ACCESS_KEY_ID.`],
    [
      413,
      'it is larger than bucket "s3b" or the project allows (413). Raise the limit in the dashboard (Storage, ' +
        'Settings; the free plan ends at 50 MB), or make smaller files with --split-size 45MB.',
    ],
    [540, `the project at ${AT} is paused (540). Restore it in the dashboard, or check SUPABASE_URL.`],
    [503, `Supabase Storage at ${AT} has failed (503).`],
  ] as const) {
    test(`tells what a page with status ${status} means, which is not of Storage itself`, async () => {
      recorded = { operation: 'Put', answer: { status, body: '<html><body>Sorry.</body></html>' } };
      const error = await put(store(false), 10).catch((thrown) => thrown);
      expect(saidBy(error)).toBe(says);
    });
  }

  test('names SUPABASE_URL when nobody listens there', async () => {
    const nobody = Bun.serve({ port: 0, fetch: () => new Response() });
    const endpoint = `${nobody.url.origin}/storage/v1/s3`;
    await nobody.stop(true);
    const error = await put(store(false, endpoint), 10).catch((thrown) => thrown);
    expect(error.message).toBe(
      `Cannot write supabase://s3b/k: nothing listens on ${endpoint} (ECONNREFUSED). Check SUPABASE_URL.`,
    );
  });
});

function errorsOf(): ReadonlyMap<string, Answer | undefined> {
  const folder = join(import.meta.dir, '../recordings/supabase');
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const { meta, dialogues } = read('s3.json');
  const whole = (text = '') =>
    Object.entries<string>(meta.abbreviations).reduce((all, [short, long]) => all.replace(short, long), text);
  const errors = new Map<string, Answer | undefined>();
  const add = (name: string, { status, body }: { status?: number; body?: string }) => {
    if (status === undefined || status >= 400)
      errors.set(name, status === undefined ? undefined : { status, body: whole(body) });
  };
  for (const { name, exchanges } of dialogues)
    for (const exchange of exchanges) add(`${name}: ${exchange.name}`, exchange.response);
  for (const { section, dialogue, name, s3 } of read('backend-s3.json').differences)
    if (section === 's3') add(`S3 behind it, ${dialogue}: ${name}`, s3);
  return errors;
}
