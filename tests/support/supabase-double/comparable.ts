import { createHash } from 'node:crypto';
import type { RawAnswer } from './raw-request.ts';
import { type RecordedExchange, recordedBytes } from './recorded.ts';

/** An answer without what differs from run to run: ids, versions, times, addresses. */
export interface Comparable {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** Headers that a client may go by. Others are compared where the recording has them in `LOOSE`. */
const HEADERS = [
  'accept-ranges',
  'cache-control',
  'content-disposition',
  'content-range',
  'etag',
  'location',
  'tus-complete',
  'tus-extension',
  'tus-max-size',
  'tus-resumable',
  'tus-version',
  'upload-defer-length',
  'upload-expires',
  'upload-length',
  'upload-metadata',
  'upload-offset',
  'x-amz-bucket-region',
  'x-amz-meta-other',
  'x-amz-meta-run',
  'x-robots-tag',
];

/**
 * Over an S3 store ids, the ETags of multipart objects and the words of its errors are the store's: only their form
 * is compared.
 */
export function formOverS3({ status, headers, body }: Comparable): Comparable {
  const form = (text: string) =>
    text
      .replace(/"?[0-9a-f]{32}(-\d+)?"?/g, '<md5>')
      .replace(/(<UploadId>).*?(<\/UploadId>)/g, '$1<id>$2')
      .replace(/(<Code>S3Error<\/Code><Message>)[^<]*/g, '$1<words>');
  const kept = Object.entries(headers).filter(([name]) => status !== 304 || name !== 'content-type');
  return {
    status,
    headers: Object.fromEntries(kept.map(([name, value]) => [name, form(value)])),
    body: typeof body === 'string' ? form(body) : eachText(body, form),
  };
}

function eachText(value: unknown, form: (text: string) => string): unknown {
  return JSON.parse(JSON.stringify(value), (_, inner) => (typeof inner === 'string' ? form(inner) : inner));
}

export function comparableRecorded({ request, response, note }: RecordedExchange): Comparable {
  const headers = new Map(Object.entries(response.headers ?? {}));
  const bytes = recordedBytes(response, note);
  // Forms are left out of replays, and the object that one made.
  const named = response.bodyNames?.filter((name) => name !== 'form.txt');
  return {
    status: response.status ?? 0,
    headers: comparableHeaders(headers, request.method),
    body: named ?? (bytes === undefined ? response.bodyDescription : comparableBody(Buffer.from(bytes))),
  };
}

export function comparableAnswer({ request, response }: RecordedExchange, answer: RawAnswer): Comparable {
  return {
    status: answer.status,
    headers: comparableHeaders(answer.headers, request.method),
    body: response.bodyNames === undefined ? comparableBody(answer.body) : namesOf(answer.body),
  };
}

function comparableHeaders(headers: ReadonlyMap<string, string>, method: string): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of HEADERS) {
    const value = headers.get(name);
    if (value !== undefined) kept[name] = normal(name === 'location' ? readLocation(value) : value);
  }
  // `keep-alive` is left out of recordings.
  if (headers.get('connection') === 'close') kept.connection = 'close';
  const type = headers.get('content-type');
  if (type !== undefined && method !== 'HEAD') kept['content-type'] = type.toLowerCase();
  return kept;
}

/** The id at the end of an upload's address is base64url of what it is about. */
function readLocation(location: string): string {
  const match = /^(.*\/upload\/resumable\/)([\w-]+)$/.exec(location);
  if (match === null) return location;
  return `${match[1]}${Buffer.from(match[2] as string, 'base64url').toString('utf8')}`;
}

function comparableBody(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  if (bytes.length > 2000 || !Buffer.from(text).equals(bytes)) {
    const looksLikeText = /^[[{<]/.test(text) && Buffer.from(text).equals(bytes);
    if (!looksLikeText) return `${bytes.length} bytes, md5 ${createHash('md5').update(bytes).digest('hex')}`;
  }
  if (/^[[{]/.test(text)) {
    try {
      return withoutOwn(JSON.parse(normal(text)));
    } catch {
      // Text after all.
    }
  }
  return normal(text);
}

/** The double has a bucket of its own from the start. */
function withoutOwn(value: unknown): unknown {
  return Array.isArray(value) ? value.filter((entry) => entry?.id !== 'backups') : value;
}

function namesOf(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString('utf8')).map(({ name }: { name: string }) =>
    name.replace(/^s{255,}$/, (name) => `<${name.length} x s>`),
  );
}

function normal(text: string): string {
  return text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<time>')
    .replace(/[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/g, '<time>')
    .replace(/<Bucket><Name>backups<\/Name>.*?<\/Bucket>/, '')
    .replace(/(<NextUploadIdMarker>)[^<]*/, '$1<marker>')
    .replace(/<storage directory>|\/\S*supabase-double-\w+\/files/g, '<folder>');
}
