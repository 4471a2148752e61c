import type { Backend, StoredObject } from './bucket-store.ts';
import { refusals } from './refusal.ts';

export interface ObjectQuestion {
  readonly range: string | null;
  readonly ifNoneMatch: string | null;
  readonly isHead: boolean;
  readonly backend: Backend;
}

/** An object's bytes, or a part of them, with the headers that both REST and S3 give it. */
export function objectAnswer(
  object: StoredObject,
  asked: ObjectQuestion,
  more: Record<string, string>,
): Response {
  const headers = new Headers({
    'content-type': object.contentType,
    etag: `"${object.etag}"`,
    'last-modified': object.modified.toUTCString(),
    ...more,
  });
  if (object.cacheControl !== undefined) headers.set('cache-control', object.cacheControl);
  const file = Bun.file(object.file);
  if (asked.isHead) {
    headers.set('content-length', String(object.size));
    return new Response(null, { headers });
  }
  if (asked.ifNoneMatch === `"${object.etag}"`) {
    // An S3 store's has no headers of the object.
    return new Response(null, { status: 304, ...(asked.backend === 'file' ? { headers } : {}) });
  }
  const range = asked.range === null ? undefined : rangeAt(asked.range, object.size, asked.backend);
  if (range === undefined) {
    headers.set('content-length', String(object.size));
    return new Response(file.stream(), { headers });
  }
  const { start, end } = range;
  headers.set('content-range', `bytes ${start}-${end - 1}/${object.size}`);
  headers.set('content-length', String(end - start));
  return new Response(file.slice(start, end).stream(), { status: 206, headers });
}

/** A store of files refuses what it does not understand; S3 gives the whole object then. */
function rangeAt(range: string, size: number, backend: Backend) {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? [];
  const makesSense = first + last !== '' && (first === '' || last === '' || Number(first) <= Number(last));
  if (backend === 's3' && !makesSense) return undefined;
  return rangeOf(range, size);
}

/** One range of RFC 9110; several, or none that lies within, are refused. `end` is excluded. */
export function rangeOf(range: string, size: number): { readonly start: number; readonly end: number } {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range);
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') throw refusals.range();
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  if (start >= end) throw refusals.range();
  return { start, end };
}
