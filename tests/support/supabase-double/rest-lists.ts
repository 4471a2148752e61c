import type { StoredBucket, StoredObject } from './bucket-store.ts';
import { described } from './described.ts';
import { listed } from './listing.ts';
import { refusals } from './refusal.ts';
import { jsonAnswer, jsonBody, type RestCall, type RestRoute } from './rest-call.ts';

export const listRoutes: readonly RestRoute[] = [
  { methods: ['POST'], path: /^\/object\/list\/([^/]+)$/, answer: list },
  { methods: ['POST'], path: /^\/object\/list-v2\/([^/]+)$/, answer: listV2 },
];

const COLUMNS = ['name', 'updated_at', 'created_at', 'last_accessed_at'];
const FOLDER = { id: null, updated_at: null, created_at: null, last_accessed_at: null, metadata: null };

/** One level of folders, a page of it. */
async function list(call: RestCall): Promise<Response> {
  const role = call.role();
  const { prefix, limit = 100, offset = 0, search = '', sortBy } = await jsonBody(call);
  if (typeof prefix !== 'string') throw refusals.request("body must have required property 'prefix'");
  if (Number(limit) < 1) throw refusals.request('body/limit must be >= 1');
  const { column = 'name', order = 'asc' } = (sortBy ?? {}) as { column?: string; order?: string };
  if (!COLUMNS.includes(column)) {
    throw refusals.request('body/sortBy/column must be equal to one of the allowed values');
  }
  const bucket = call.store.buckets.get(call.names[0] as string);
  if (bucket === undefined || role !== 'service_role') return jsonAnswer([]);
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
  const level = levelOf(bucket, folder).filter(({ name }) => name.startsWith(String(search)));
  level.sort((a, b) => compare(a, b, column) * (order === 'desc' ? -1 : 1));
  const page = level.slice(Number(offset), Number(offset) + Number(limit));
  return jsonAnswer(
    page.map(({ name, object }) => (object === undefined ? { name, ...FOLDER } : described(object, name))),
  );
}

interface Entry {
  readonly name: string;
  readonly object: StoredObject | undefined;
}

function levelOf(bucket: StoredBucket, folder: string): Entry[] {
  const entries = new Map<string, Entry>();
  for (const object of bucket.objects.values()) {
    if (!object.key.startsWith(folder)) continue;
    const rest = object.key.slice(folder.length);
    const slash = rest.indexOf('/');
    const name = slash < 0 ? rest : rest.slice(0, slash);
    entries.set(`${slash < 0}${name}`, { name, object: slash < 0 ? object : undefined });
  }
  return [...entries.values()];
}

function compare(a: Entry, b: Entry, column: string): number {
  const values = [a, b].map(({ name, object }) => {
    switch (column) {
      case 'updated_at':
        return object?.modified.getTime() ?? 0;
      case 'created_at':
      case 'last_accessed_at':
        return object?.createdAt.getTime() ?? 0;
      default:
        // Folders sort by their name with its slash.
        return object === undefined ? `${name}/` : name;
    }
  }) as [string | number, string | number];
  if (values[0] === values[1]) return 0;
  return values[0] < values[1] ? -1 : 1;
}

async function listV2(call: RestCall): Promise<Response> {
  const role = call.role();
  const { prefix = '', limit = 1000, with_delimiter: delimited = false, cursor } = await jsonBody(call);
  const bucket = call.store.buckets.get(call.names[0] as string);
  const { objects, folders, next } = listed(role === 'service_role' ? bucket : undefined, {
    prefix: String(prefix),
    delimiter: delimited === true ? '/' : undefined,
    limit: Number(limit),
    token: cursor === undefined ? undefined : String(cursor),
    after: undefined,
  });
  const last = (name: string) => name.replace(/\/$/, '').split('/').at(-1) as string;
  return jsonAnswer({
    hasNext: next !== undefined,
    ...(next === undefined ? {} : { nextCursor: next.token, nextCursorKey: next.key }),
    folders: folders.map((name) => ({ key: last(name), name, ...FOLDER })),
    objects: objects.map((object) =>
      delimited === true
        ? { key: last(object.key), ...described(object, object.key) }
        : { ...described(object, object.key) },
    ),
  });
}
