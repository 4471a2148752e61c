import { NO_LIMIT, type StoredBucket } from './bucket-store.ts';
import { refusals } from './refusal.ts';
import { jsonAnswer, jsonBody, type RestCall, type RestRoute } from './rest-call.ts';

export const bucketRoutes: readonly RestRoute[] = [
  {
    methods: ['GET'],
    path: /^\/bucket\/?$/,
    answer: ({ store, role, query }) => {
      if (role() !== 'service_role') return jsonAnswer([]);
      const search = query.get('search') ?? '';
      const found = [...store.buckets.values()].filter(({ id }) => id.includes(search));
      return jsonAnswer(found.map((bucket) => described(bucket, true)));
    },
  },
  { methods: ['POST'], path: /^\/bucket\/?$/, answer: makeBucket },
  {
    methods: ['GET'],
    path: /^\/bucket\/([^/]+)$/,
    answer: (call) => jsonAnswer(described(visibleBucket(call), false)),
  },
  {
    methods: ['PUT'],
    path: /^\/bucket\/([^/]+)$/,
    answer: async (call) => {
      const bucket = visibleBucket(call);
      const wanted = settingsOf(await jsonBody(call));
      if ((wanted.fileSizeLimit ?? 0) > call.store.globalLimit) throw refusals.tooLarge();
      bucket.public = wanted.public ?? bucket.public;
      if (wanted.fileSizeLimit !== undefined) bucket.fileSizeLimit = wanted.fileSizeLimit;
      if (wanted.mimeTypes !== undefined) bucket.mimeTypes = wanted.mimeTypes;
      bucket.updatedAt = new Date();
      return jsonAnswer({ message: 'Successfully updated' });
    },
  },
  {
    methods: ['DELETE'],
    path: /^\/bucket\/([^/]+)$/,
    answer: (call) => {
      const bucket = visibleBucket(call);
      if (bucket.objects.size > 0) throw refusals.notEmpty();
      call.store.buckets.delete(bucket.id);
      return jsonAnswer({ message: 'Successfully deleted' });
    },
  },
];

async function makeBucket(call: RestCall): Promise<Response> {
  const role = call.role();
  const wanted = await jsonBody(call);
  if (typeof wanted.name !== 'string') throw refusals.request("body must have required property 'name'");
  const settings = settingsOf(wanted);
  if (role !== 'service_role') throw refusals.rowSecurity();
  call.store.make(typeof wanted.id === 'string' ? wanted.id : wanted.name, settings);
  return jsonAnswer({ name: wanted.name });
}

/** No policy shows a bucket to anybody but the service. */
function visibleBucket({ role, store, names }: RestCall): StoredBucket {
  if (role() !== 'service_role') throw refusals.noBucket();
  return store.bucket(names[0] as string);
}

function described(bucket: StoredBucket, inList: boolean) {
  const { id, public: isPublic, fileSizeLimit, mimeTypes, createdAt, updatedAt } = bucket;
  return {
    id,
    name: id,
    owner: '',
    public: isPublic,
    ...(inList ? { type: 'STANDARD' } : {}),
    file_size_limit: fileSizeLimit ?? null,
    allowed_mime_types: mimeTypes ?? null,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

function settingsOf(wanted: Readonly<Record<string, unknown>>) {
  const { public: isPublic, file_size_limit: limit, allowed_mime_types: types } = wanted;
  const mimeTypes = Array.isArray(types) ? types.map(String) : undefined;
  for (const type of mimeTypes ?? []) {
    if (!/^[\w.+*-]+\/[\w.+*-]+$/.test(type)) throw refusals.mimeType(`mime type ${type} is not supported`);
  }
  return {
    public: typeof isPublic === 'boolean' ? isPublic : undefined,
    fileSizeLimit: limit === undefined || limit === null ? undefined : limitOf(limit),
    mimeTypes,
  };
}

const UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9 };

function limitOf(limit: unknown): number {
  if (typeof limit === 'number' && Number.isInteger(limit)) return limit;
  const match = /^([0-9]+(?:\.[0-9]+)?)([kmg]?b)$/i.exec(String(limit));
  if (match === null) {
    const rules = [
      'must be integer',
      'must pass "finite" keyword validation',
      'must match pattern "^[0-9]+(?:\\.[0-9]+)?(?:[gG][bB]|[mM][bB]|[kK][bB]|[bB])$"',
      'must match a schema in anyOf',
    ];
    throw refusals.request(rules.map((rule) => `body/file_size_limit ${rule}`).join(', '));
  }
  return Math.min(Number(match[1]) * (UNITS[(match[2] as string).toLowerCase()] ?? 1), NO_LIMIT);
}
