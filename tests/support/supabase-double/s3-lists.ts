import { listed } from './listing.ts';
import type { S3Call } from './s3-call.ts';
import { type XmlContent, xmlAnswer } from './s3-xml.ts';

export function listBuckets({ store, role }: S3Call): Response {
  const shown = role === 'service_role' ? [...store.buckets.values()] : [];
  const buckets = shown.map(
    ({ id, createdAt }) =>
      [
        'Bucket',
        [
          ['Name', id],
          ['CreationDate', createdAt.toISOString()],
        ],
      ] as const,
  );
  return xmlAnswer('ListAllMyBucketsResult', [['Buckets', buckets]]);
}

export function listObjectsV2(call: S3Call): Response {
  const { query, bucket } = call;
  const token = query.get('continuation-token') ?? undefined;
  const { limit, delimiter, prefix, url, page } = pageOf(call, token, query.get('start-after') ?? undefined);
  const { objects, folders, next } = page;
  const count = objects.length + folders.length;
  return xmlAnswer('ListBucketResult', [
    ['Name', bucket],
    ['Prefix', prefix],
    ['ContinuationToken', token],
    ...objects.map((object) => ['Contents', contents(object, url)] as const),
    ['IsTruncated', next !== undefined],
    ['MaxKeys', limit],
    ['Delimiter', delimiter],
    ['EncodingType', url ? 'url' : undefined],
    ['KeyCount', count],
    ...folders.map((folder) => ['CommonPrefixes', [['Prefix', named(folder, url)]]] as const),
    ['NextContinuationToken', next?.token],
  ]);
}

export function listObjectsV1(call: S3Call): Response {
  const { query, bucket } = call;
  const { limit, prefix, url, page } = pageOf(call, undefined, query.get('marker') ?? undefined);
  const { objects, folders, next } = page;
  return xmlAnswer('ListBucketResult', [
    ['Name', bucket],
    ['Prefix', prefix],
    ['Marker', next?.key],
    ['MaxKeys', limit],
    ['IsTruncated', next !== undefined],
    ...objects.map((object) => ['Contents', contents(object, url)] as const),
    ...folders.map((folder) => ['CommonPrefixes', [['Prefix', named(folder, url)]]] as const),
  ]);
}

function pageOf(call: S3Call, token: string | undefined, after: string | undefined) {
  const { store, bucket, query, role } = call;
  const found = store.bucket(bucket);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') || undefined;
  const limit = Number(query.get('max-keys')) || 1000;
  const page = listed(role === 'service_role' ? found : undefined, {
    prefix,
    delimiter,
    limit,
    token,
    after,
  });
  return { prefix, delimiter, limit, page, url: query.get('encoding-type') === 'url' };
}

function contents(
  object: { readonly key: string; readonly modified: Date; readonly etag: string; readonly size: number },
  url: boolean,
): XmlContent {
  return [
    ['Key', named(object.key, url)],
    ['LastModified', object.modified.toISOString()],
    ['ETag', `"${object.etag}"`],
    ['Size', object.size],
    ['StorageClass', 'STANDARD'],
  ];
}

function named(key: string, url: boolean): string {
  return url ? encodeURIComponent(key) : key;
}
