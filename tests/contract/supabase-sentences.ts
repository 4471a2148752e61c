/** What users read of the answers in tests/recordings/supabase; `{url}` is SUPABASE_URL, `exp` the bucket. */
export interface RecordedSentence {
  /** Behind `Cannot write supabase://exp/k: `. */
  readonly sentence: string;
  readonly code?: 'usage';
  readonly remedy?: 'again';
  /** Names of the exchanges, as in recorded-supabase.ts. */
  readonly of: readonly string[];
}

const LIMIT_ADVICE =
  'Raise the limit in the dashboard (Storage, Settings; the free plan ends at 50 MB), or make smaller files with --split-size 45MB.';
const BUCKET_ADVICE =
  'Check SUPABASE_STORAGE_BUCKET (or --bucket) and SUPABASE_SERVICE_ROLE_KEY, or let --create-bucket make it.';
const TYPE_ADVICE =
  "Allow it in the bucket's settings in the dashboard, or choose another one with SUPABASE_STORAGE_BUCKET (or --bucket).";
const ROLE_ADVICE =
  'Set SUPABASE_SERVICE_ROLE_KEY to a service_role key or an sb_secret_… one, not to that of an anonymous or ordinary user.';
const ADDRESS_ADVICE = "Check SUPABASE_URL: the project's address, without a path.";

export const SENTENCES: readonly RecordedSentence[] = [
  {
    sentence: `there is no bucket "exp" at {url}, or the key may not see it (404 NoSuchBucket: Bucket not found). ${BUCKET_ADVICE}`,
    of: [
      'rest / bucket.get.missing',
      'rest / bucket.get.cred.anon',
      'rest / bucket.get.cred.user',
      'rest / upload.missingBucket',
      'rest / get.missingBucket',
      'rest / get.cred.expired',
      'rest / get.cred.wrong',
      'rest / get.cred.garbage',
      'rest / info.missingBucket',
      'rest / info.cred.expired',
    ],
  },
  {
    sentence: `there is no bucket "exp" at {url}, or the key may not see it (404: Bucket not found). ${BUCKET_ADVICE}`,
    of: ['tus / creation errors / missing bucket'],
  },
  {
    sentence: `there is no bucket "exp" at {url}, or the key may not see it (404 InvalidRequest: The related resource does not exist). ${BUCKET_ADVICE}`,
    of: ['rest / copy.missingDestBucket'],
  },
  {
    code: 'usage',
    sentence:
      '"exp" is not the name of a bucket (400 InvalidBucketName: Bucket name invalid). Check SUPABASE_STORAGE_BUCKET (or --bucket).',
    of: [
      'rest / bucket.create.emptyName',
      'rest / bucket.create.badName.slash',
      'rest / bucket.create.badName.nonAscii',
      'rest / bucket.create.badName.long',
    ],
  },
  {
    sentence:
      'something is there already (409 BucketAlreadyExists: The resource already exists), written by another upload meanwhile. Run it again.',
    of: ['rest / bucket.create.duplicate'],
  },
  {
    sentence:
      'the key has expired (403 AccessDenied: "exp" claim timestamp check failed). Set SUPABASE_SERVICE_ROLE_KEY to one that is valid.',
    of: [
      'rest / bucket.get.cred.expired',
      'rest / bucket.create.cred.expired',
      'rest / upload.cred.expired',
      'rest / list.cred.expired',
      'tus / creation errors / credential expired',
      'tus / PATCH errors / credential expired',
    ],
  },
  {
    sentence:
      'the key is not of this project (403 AccessDenied: signature verification failed), or was replaced since. ' +
      'Check SUPABASE_SERVICE_ROLE_KEY and SUPABASE_URL, which is {url}.',
    of: [
      'rest / bucket.get.cred.wrong',
      'rest / upload.cred.wrong',
      'tus / creation errors / credential wrong',
      'tus / PATCH errors / credential wrong',
    ],
  },
  {
    sentence:
      '{url} does not take the key (403 AccessDenied: Invalid Compact JWS). ' +
      "Check SUPABASE_SERVICE_ROLE_KEY: the project's service_role key, whole, is wanted.",
    of: [
      'rest / bucket.get.cred.garbage',
      'rest / upload.cred.garbage',
      'tus / creation errors / credential none',
      'tus / creation errors / credential garbage',
      'tus / PATCH errors / credential none',
      'tus / delete / DELETE without credential',
    ],
  },
  {
    sentence:
      '{url} does not take the key (403 AccessDenied: "alg" (Algorithm) Header Parameter value not allowed). ' +
      "Check SUPABASE_SERVICE_ROLE_KEY: the project's service_role key, whole, is wanted.",
    of: ['rest / bucket.get.cred.algnone'],
  },
  {
    sentence:
      '{url} has no gateway that knows sb_secret_… keys (403 AccessDenied: Invalid Compact JWS). ' +
      'Set SUPABASE_SERVICE_ROLE_KEY to the service_role JWT.',
    of: [
      'rest / bucket.get.cred.sbsecret',
      'rest / upload.cred.sbsecret',
      'tus / creation errors / credential sbsecret',
    ],
  },
  {
    sentence:
      "no key has reached Supabase Storage at {url} (400 InvalidRequest: headers must have required property 'authorization'). " +
      'Check SUPABASE_URL: a proxy on the way may drop it.',
    of: [
      'rest / bucket.get.cred.none',
      'rest / bucket.get.cred.apikeyOnly',
      'rest / bucket.create.cred.none',
      'rest / upload.cred.none',
      'rest / upload.cred.sbsecretApikey',
      'rest / list.cred.none',
    ],
  },
  {
    sentence: `the key may not do that in bucket "exp" (403 AccessDenied: new row violates row-level security policy). ${ROLE_ADVICE}`,
    of: ['rest / bucket.create.cred.anon', 'rest / upload.cred.anon', 'rest / upload.cred.user'],
  },
  {
    sentence: `the key may not do that in bucket "exp" (403 AccessDenied: Access denied). ${ROLE_ADVICE}`,
    of: ['rest / delete.one.anon'],
  },
  {
    sentence: `the key may not do that in bucket "exp" (403: new row violates row-level security policy). ${ROLE_ADVICE}`,
    of: [
      'tus / creation errors / credential anon',
      'tus / creation errors / credential user',
      'tus / PATCH errors / credential anon',
      'tus / delete / DELETE anon',
    ],
  },
  {
    sentence: `it is larger than bucket "exp" or the project allows (413 EntityTooLarge: The object exceeded the maximum allowed size). ${LIMIT_ADVICE}`,
    of: ['rest / upload.overBucketLimit.contentLength', 'rest / upload.overGlobalLimit.contentLength'],
  },
  {
    sentence: `it is larger than bucket "exp" or the project allows (413: Maximum size exceeded). ${LIMIT_ADVICE}`,
    of: ['tus / creation errors / over the bucket limit', 'tus / creation errors / over the global limit'],
  },
  {
    sentence: `bucket "exp" does not take files of that type (415 InvalidMimeType: mime type text/csv is not supported). ${TYPE_ADVICE}`,
    of: ['rest / upload.wrongMime'],
  },
  {
    sentence: `bucket "exp" does not take files of that type (415: mime type text/csv is not supported). ${TYPE_ADVICE}`,
    of: ['tus / creation errors / mime not allowed'],
  },
  {
    sentence: 'there is no such object, or the key may not see it (404 NoSuchKey: Object not found).',
    of: [
      'rest / get.missing',
      'rest / get.authenticated.missing',
      'rest / get.cred.anon',
      'rest / get.cred.user',
      'rest / info.missing',
      'rest / info.cred.anon',
      'rest / upload.cut.info',
      'rest / copy.missingSource',
      'rest / delete.one.again',
      'backend-s3 / tus / zero length / info',
    ],
  },
  {
    sentence:
      'something is there already (409 KeyAlreadyExists: The resource already exists), written by another upload meanwhile. Run it again.',
    of: ['rest / upload.post.duplicate', 'rest / copy.duplicate'],
  },
  {
    sentence:
      'something is there already (409: The resource already exists), written by another upload meanwhile. Run it again.',
    of: [
      'tus / three chunks / PATCH 3 replayed after completion',
      'tus / three chunks / empty PATCH after completion',
      'tus / three chunks / DELETE after completion',
      'tus / object appears while uploading / PATCH 2',
      'tus / two uploads of one key / PATCH B',
      'tus / existing object, no upsert / create',
      'tus / existing object, no upsert / create, x-upsert false',
      'tus / existing object, upsert / PATCH without x-upsert',
      'tus / zero length / empty PATCH',
    ],
  },
  {
    sentence:
      'the upload does not stand where it was left (409: Upload-Offset conflict). Is another run sending to it?',
    of: [
      'tus / PATCH errors / PATCH 1 replayed',
      'tus / PATCH errors / gap',
      'tus / PATCH errors / behind, inside what is stored',
      'tus / two clients, slow and fast / B: PATCH, fast',
      'tus / two clients at the same time / B: PATCH',
    ],
  },
  {
    sentence: 'the unfinished upload is not there any more (404), so it has to be begun again.',
    of: ['tus / delete / HEAD', 'tus / unknown and garbage ids / HEAD unknown'],
  },
  {
    sentence:
      'the unfinished upload is not there any more (404: The file for this url was not found), so it has to be begun again.',
    of: [
      'tus / delete / PATCH',
      'tus / delete / DELETE again',
      'tus / unknown and garbage ids / PATCH unknown',
      'tus / unknown and garbage ids / DELETE unknown',
    ],
  },
  {
    sentence:
      'the unfinished upload is not there any more (400: Invalid upload id), so it has to be begun again.',
    of: [
      'tus / unknown and garbage ids / PATCH garbage',
      'tus / unknown and garbage ids / DELETE garbage',
      'backend-s3 / tus / zero length / empty PATCH',
    ],
  },
  {
    sentence:
      '{url} refused the request and did not say why (400). Check SUPABASE_SERVICE_ROLE_KEY and SUPABASE_STORAGE_BUCKET (or --bucket).',
    of: [
      'rest / head.missing',
      'rest / head.missingBucket',
      'rest / head.cred.anon',
      'rest / head.cred.expired',
      'tus / PATCH errors / HEAD credential none',
      'tus / PATCH errors / HEAD credential expired',
      'tus / unknown and garbage ids / HEAD garbage',
      'tus / unknown and garbage ids / HEAD raw id, not base64url',
      'backend-s3 / tus / zero length / HEAD',
    ],
  },
  {
    sentence: '{url} refused the request (416 InvalidRange: invalid range provided).',
    of: ['rest / get.range.beyondEnd', 'rest / get.range.farBeyond', 'rest / get.empty.range'],
  },
  {
    remedy: 'again',
    sentence: 'Supabase Storage at {url} has failed (500 InternalError: Internal Server Error).',
    of: [
      'rest / key.seg256',
      'backend-s3 / rest / get.range.beyondEnd',
      'backend-s3 / rest / get.range.farBeyond',
      'backend-s3 / rest / get.empty.range',
    ],
  },
  {
    sentence: `{url} does not know the request (404: Route GET:/nope not found). ${ADDRESS_ADVICE}`,
    of: ['rest / service.unknownRoute'],
  },
  {
    sentence: `{url} does not know the request (404 InvalidRequest: Route GET:/object not found). ${ADDRESS_ADVICE}`,
    of: ['rest / service.unknownRoute.object'],
  },
  {
    sentence: `{url} does not know the request (404 InvalidRequest: Route POST:/object/exp not found). ${ADDRESS_ADVICE}`,
    of: ['rest / upload.noKeyNoSlash'],
  },
  {
    sentence: `{url} does not know the request (404: Route GET:/upload/resumable/x not found). ${ADDRESS_ADVICE}`,
    of: ['tus / options / GET is not routed'],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (400 S3Error: KeyTooLongError). Check --prefix.',
    of: [
      'backend-s3 / rest / key.len1024',
      'backend-s3 / rest / key.len1025',
      'backend-s3 / rest / key.len3000',
    ],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: a/ünï.txt). Check --prefix.',
    of: ['rest / key.nonAscii'],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (400: Invalid key: e/ünï). Check --prefix.',
    of: ['tus / creation errors / key nonAscii'],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: a/n x.txt). Check --prefix.',
    of: ['rest / key.newline', 'rest / key.nul'],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (400 InvalidKey: Invalid key: ' +
      'stub/projectrefprojectref/exp/a/../b.txt/4ef8c9ea-27aa-4e64-a0f3-0da01d09ceb5 contains dot path segment). Check --prefix.',
    of: ['rest / key.dotdot'],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (400: Invalid key: ' +
      'projectrefprojectref/t/e/../x/ed5e3396-af23-4d1f-be19-2b8b3df8a1ea contains dot path segment). Check --prefix.',
    of: ['tus / creation errors / key dotdot'],
  },
  {
    sentence:
      'Supabase Storage does not take that key for an object (500: Something went wrong with that request ENAMETOOLONG: ' +
      "name too long, mkdir '<storage directory>/stub/projectrefprojectref/t/e/<300 x s>'). Check --prefix.",
    of: ['tus / creation errors / key seg300'],
  },
  {
    sentence: "{url} refused the request (413: upload's size exceeded).",
    of: ['tus / PATCH errors / beyond the length, content-length'],
  },
];

/** Answers to requests that no client of ours sends, and why not. */
export const NEVER: readonly { readonly because: string; readonly of: readonly string[] }[] = [
  {
    because: 'every request carries a key',
    of: [
      'rest / service.health.noauth',
      'rest / bucket.list.cred.none',
      'rest / get.cred.none',
      'rest / info.cred.none',
      'rest / head.cred.none',
    ],
  },
  {
    because: 'a bucket is made with a name alone, in whole JSON, without limits and types',
    of: [
      'rest / bucket.create.limit.aboveGlobal',
      'rest / bucket.create.limit.badString',
      'rest / bucket.create.noName',
      'rest / bucket.create.badJson',
      'rest / bucket.create.badMimeList',
    ],
  },
  {
    because: 'buckets are neither changed, emptied nor removed',
    of: [
      'rest / bucket.update.missing',
      'rest / bucket.delete.notEmpty',
      'rest / bucket.delete.missing',
      'rest / bucket.delete.anon',
      'rest / bucket.empty.missing',
    ],
  },
  {
    because: 'keys are never empty, and their letters are encoded as =XX before they are sent',
    of: [
      'rest / upload.noKey',
      'rest / key.rawPercent',
      'rest / key.hashEncoded',
      'rest / key.dotdotEncoded',
      'rest / key.dotSegment',
      'rest / key.brackets',
      'rest / key.tilde',
      'rest / key.backslash',
      'rest / key.badPercent',
      'rest / key.invalidUtf8',
      'rest / key.emoji',
      'tus / creation errors / no objectName',
      'tus / creation errors / empty objectName',
      'tus / creation errors / key hash',
      'tus / creation errors / key dotSegment',
      'tus / creation errors / key tilde',
    ],
  },
  {
    because: 'types are sent without parameters, and are well-formed',
    of: ['rest / upload.mimeWithCharset', 'rest / upload.badMimeSyntax'],
  },
  {
    because: 'reads ask for one whole range, and never conditionally',
    of: [
      'rest / get.range.multiple',
      'rest / get.range.inverted',
      'rest / get.range.garbage',
      'rest / get.range.otherUnit',
      'rest / get.ifNoneMatch',
      'backend-s3 / rest / get.ifNoneMatch',
      'backend-s3 / rest / get.ifModifiedSince',
    ],
  },
  {
    because: "lists and removals are asked for with all that they need, and cursors are the store's own",
    of: [
      'rest / list.sortUnknownColumn',
      'rest / list.noPrefixField',
      'rest / list.limit0',
      'rest / list.limitNegative',
      'rest / listv2.badCursor',
      'rest / delete.many.emptyList',
      'rest / delete.jsonTypeEmptyBody',
    ],
  },
  {
    because: 'nothing is moved, read as the public reads it, or signed',
    of: [
      'rest / move.destExists',
      'rest / move.missingSource',
      'rest / move.badKey',
      'rest / public.missing',
      'rest / public.head.missing',
      'rest / public.privateBucket',
      'rest / public.missingBucket',
      'rest / sign.fetch.tampered',
      'rest / sign.fetch.otherPath',
      'rest / sign.fetch.noToken',
      'rest / sign.fetch.garbageToken',
      'rest / sign.fetch.expired',
      'rest / sign.create.missing',
      'rest / sign.create.noExpiry',
      'rest / uploadSign.put.again',
      'rest / uploadSign.put.noToken',
      'rest / uploadSign.create.existing',
      'rest / uploadSign.create.anon',
      'tus / signed upload / create, no x-signature',
    ],
  },
  {
    because:
      'resumable uploads are begun and continued with all headers, well-formed, and without bytes in the first request',
    of: [
      'tus / creation errors / no metadata',
      'tus / creation errors / empty metadata',
      'tus / creation errors / no bucketName',
      'tus / creation errors / metadata not base64',
      'tus / creation errors / metadata syntax',
      'tus / creation errors / no Upload-Length',
      'tus / creation errors / negative Upload-Length',
      'tus / creation errors / garbage Upload-Length',
      'tus / creation errors / both lengths',
      'tus / creation errors / Upload-Defer-Length 2',
      'tus / creation errors / no Tus-Resumable',
      'tus / creation errors / Tus-Resumable 0.2.2',
      'tus / creation errors / Upload-Concat',
      'tus / PATCH errors / wrong content-type',
      'tus / PATCH errors / json content-type',
      'tus / PATCH errors / no content-type',
      'tus / PATCH errors / no Tus-Resumable',
      'tus / PATCH errors / no Upload-Offset',
      'tus / PATCH errors / negative Upload-Offset',
      'tus / PATCH errors / HEAD without Tus-Resumable',
      'tus / creation with upload / create with too much',
    ],
  },
  {
    because: 'the length of a resumable upload is told when it is begun, and every body has one',
    of: [
      'tus / PATCH errors / beyond the length, chunked',
      'tus / deferred length / PATCH with another Upload-Length',
      'tus / deferred length, small over bucket limit / PATCH 2 MiB with Upload-Length 8 MiB',
      'tus / deferred length, small over bucket limit / PATCH 2 MiB without length',
    ],
  },
  {
    because: 'resumable uploads are of more than 6 MiB, and never of nothing',
    of: ['backend-s3 / tus / zero length / create'],
  },
];
