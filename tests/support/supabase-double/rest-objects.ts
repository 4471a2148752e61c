import type { Backend, BucketStore, StoredBucket, StoredObject } from './bucket-store.ts';
import { roleOfHeader } from './credentials.ts';
import { described } from './described.ts';
import { objectAnswer } from './object-answer.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { jsonAnswer, jsonBody, type RestCall, type RestRoute } from './rest-call.ts';
import { copyObject, moveObject } from './rest-copy.ts';

const READS = ['GET', 'HEAD'];

export const objectRoutes: readonly RestRoute[] = [
  {
    methods: ['GET'],
    path: /^\/object\/info\/public\/([^/]+)\/(.+)$/,
    answer: (call) => informed(publicObject(call)),
  },
  {
    methods: ['GET'],
    path: /^\/object\/info\/(?:authenticated\/)?([^/]+)\/(.+)$/,
    answer: (call) => informed(visibleObject(call)),
  },
  {
    methods: READS,
    path: /^\/object\/public\/([^/]+)\/(.+)$/,
    answer: (call) => read(call, publicObject(call)),
  },
  {
    methods: READS,
    path: /^\/object\/(?:authenticated\/)?([^/]+)\/(.+)$/,
    answer: (call) => read(call, visibleObject(call)),
  },
  { methods: ['POST'], path: /^\/object\/copy$/, answer: copyObject },
  { methods: ['POST'], path: /^\/object\/move$/, answer: moveObject },
  { methods: ['DELETE'], path: /^\/object\/([^/]+)\/(.+)$/, answer: deleteOne },
  { methods: ['DELETE'], path: /^\/object\/([^/]+)$/, answer: deleteMany },
];

/** A key or a token that is no good is answered as if there were no bucket. */
function visibleObject({ store, names, request }: RestCall): StoredObject {
  let role: string;
  try {
    role = roleOfHeader(request.headers.get('authorization'));
  } catch {
    throw refusals.noBucket();
  }
  const [bucketId = '', key = ''] = names;
  const object = store.bucket(bucketId).objects.get(key);
  if (object === undefined || role !== 'service_role') throw refusals.noKey();
  return object;
}

function publicObject({ store, names }: RestCall): StoredObject {
  const [bucketId = '', key = ''] = names;
  const bucket = store.buckets.get(bucketId);
  if (bucket !== undefined && !bucket.public) throw refusals.noBucket();
  const object = bucket?.objects.get(key);
  if (object === undefined) throw refusals.noKey();
  return object;
}

function read({ request, query, store }: RestCall, object: StoredObject): Response {
  const { method, headers } = request;
  const more: Record<string, string> = { 'accept-ranges': 'bytes', 'x-robots-tag': 'none' };
  const name = query.get('download');
  if (name) {
    more['content-disposition'] =
      `attachment; filename=${name}; filename*=UTF-8''${encodeURIComponent(name)}`;
  }
  const ifNoneMatch = headers.get('if-none-match');
  const asked = {
    range: headers.get('range'),
    ifNoneMatch,
    isHead: method === 'HEAD',
    backend: store.backend,
  };
  const answer = rangeChecked(store.backend, () => objectAnswer(object, asked, more));
  if (
    ifNoneMatch !== null &&
    answer.status === 200 &&
    object.cacheControl?.startsWith('max-age') &&
    method === 'GET'
  ) {
    answer.headers.set('cache-control', `${object.cacheControl}, stale-while-revalidate=30`);
  }
  return answer;
}

/** Over an S3 store, a range that lies behind the end is an error of the server. */
function rangeChecked(backend: Backend, read: () => Response): Response {
  try {
    return read();
  } catch (error) {
    if (backend === 's3' && error instanceof StorageRefusal && error.code === 'InvalidRange') {
      throw refusals.internal();
    }
    throw error;
  }
}

function informed(object: StoredObject): Response {
  const value = {
    id: object.id,
    name: object.key,
    version: object.version,
    bucket_id: object.bucket,
    size: object.size,
    content_type: object.contentType,
    cache_control: object.cacheControl,
    etag: `"${object.etag}"`,
    metadata: object.metadata,
    last_modified: object.modified,
    created_at: object.createdAt,
  };
  return jsonAnswer(value, 200, {
    etag: `"${object.etag}"`,
    'last-modified': object.modified.toUTCString(),
    'cache-control': object.cacheControl ?? 'no-cache',
  });
}

async function deleteOne(call: RestCall): Promise<Response> {
  const { store, names, role } = call;
  const [bucketId = '', key = ''] = names;
  const asked = role();
  if (call.request.headers.get('content-type') === 'application/json') await jsonBody(call);
  const bucket = store.bucket(bucketId);
  if (!bucket.objects.has(key)) throw refusals.noKey();
  if (asked !== 'service_role') throw refusals.denied('Access denied');
  await store.remove(bucket, key);
  return jsonAnswer({ message: 'Successfully deleted' });
}

async function deleteMany(call: RestCall): Promise<Response> {
  const { store, names, role } = call;
  const asked = role();
  const { prefixes } = await jsonBody(call);
  if (!Array.isArray(prefixes)) throw refusals.request("body must have required property 'prefixes'");
  if (prefixes.length === 0) throw refusals.request('body/prefixes must NOT have fewer than 1 items');
  const bucket: StoredBucket | undefined = store.buckets.get(names[0] as string);
  if (bucket === undefined || asked !== 'service_role') return jsonAnswer([]);
  return jsonAnswer(await removed(store, bucket, prefixes.map(String)));
}

async function removed(store: BucketStore, bucket: StoredBucket, keys: readonly string[]) {
  const gone = [];
  for (const key of keys) {
    const object = await store.remove(bucket, key);
    if (object === undefined) continue;
    const { name, id, ...rest } = described(object, key);
    gone.push({
      name,
      bucket_id: bucket.id,
      owner: '',
      owner_id: '',
      version: object.version,
      id,
      ...rest,
      user_metadata: object.metadata,
    });
  }
  return gone;
}
