import { type ErrorCode, messageOf } from '../../errors.ts';
import type { Answer, Meaning } from './supabase-meaning.ts';

/** What an error needs to know about the store to be of use to people. */
export interface SupabaseWords {
  /** `Cannot write supabase://bucket/key`. */
  readonly failed: string;
  readonly url: string;
  readonly bucket: string;
  /** The key is an `sb_secret_…`: no JWT, and only a gateway knows it. */
  readonly newStyleKey?: boolean;
}

/** The second half of an error, and whether a setting or the store is to blame. */
export interface Sentence {
  readonly code: ErrorCode;
  readonly text: string;
}

/** Characters of a server's own words that are shown. */
const SHOWN_TEXT = 200;

const KEY = 'SUPABASE_SERVICE_ROLE_KEY';
const BUCKET = 'SUPABASE_STORAGE_BUCKET (or --bucket)';

/** What a refusal tells the user, and which setting to change. */
export function refusalSentence(meaning: Meaning, answer: Answer, words: SupabaseWords): Sentence {
  if (meaning === 'bad bucket name') {
    const text = `"${words.bucket}" is not the name of a bucket (${foundOf(answer)}). Check ${BUCKET}.`;
    return { code: 'usage', text };
  }
  return { code: 'store', text: storeSentence(meaning, answer, words) };
}

/** What a connection's code means, without the texts of Bun's fetch, which speak to programmers. */
export function connectionSentence(code: string, thrown: unknown, { url }: SupabaseWords): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens on ${url} (${code}). Check SUPABASE_URL.`;
    case 'ENOTFOUND':
      return (
        `there is no host of the name in ${url} (${code}). Check the network and SUPABASE_URL; a project that was ` +
        'paused for long or removed has no address either.'
      );
    case 'ECONNRESET':
    case 'EPIPE': {
      const tls = url.startsWith('http:') ? ' If it expects TLS, use https:// in SUPABASE_URL.' : '';
      return `${url} closed the connection (${code}).${tls}`;
    }
    case 'EPROTO':
      return `${url} does not speak TLS (${code}). Check SUPABASE_URL.`;
    case 'Malformed_HTTP_Response':
      return `${url} does not speak HTTP. Check SUPABASE_URL.`;
    default:
      return isTlsCode(code)
        ? `the certificate of ${url} is not trusted (${code}: ${messageOf(thrown)}).`
        : `no connection to ${url} (${code}). Check the network and SUPABASE_URL.`;
  }
}

export function isTlsCode(code: string): boolean {
  return code === 'EPROTO' || /CERT|TLS|SSL|LEAF_SIGNATURE/.test(code);
}

export function notSupabase(url: string, found: string): string {
  return `${url} does not answer like Supabase Storage (${found}). Check SUPABASE_URL.`;
}

function storeSentence(
  meaning: Exclude<Meaning, 'bad bucket name'>,
  answer: Answer,
  words: SupabaseWords,
): string {
  const { url, bucket } = words;
  const found = foundOf(answer);
  switch (meaning) {
    case 'no key':
      return `no key has reached Supabase Storage at ${url} (${found}). Check SUPABASE_URL: a proxy on the way may drop it.`;
    case 'not a key':
      return notAKey(found, words);
    case 'expired key':
      return `the key has expired (${found}). Set ${KEY} to one that is valid.`;
    case 'foreign key':
      return (
        `the key is not of this project (${found}), or was replaced since. Check ${KEY} ` +
        `and SUPABASE_URL, which is ${url}.`
      );
    case 'unprivileged':
      return (
        `the key may not do that in bucket "${bucket}" (${found}). Set ${KEY} ` +
        'to a service_role key or an sb_secret_… one, not to that of an anonymous or ordinary user.'
      );
    case 'no bucket':
      return (
        `there is no bucket "${bucket}" at ${url}, or the key may not see it (${found}). ` +
        `Check ${BUCKET} and ${KEY}, or let --create-bucket make it.`
      );
    case 'no object':
      return `there is no such object, or the key may not see it (${found}).`;
    case 'no upload':
      return `the unfinished upload is not there any more (${found}), so it has to be begun again.`;
    case 'too large':
      return (
        `it is larger than bucket "${bucket}" or the project allows (${found}). Raise the limit in the dashboard ` +
        '(Storage, Settings; the free plan ends at 50 MB), or make smaller files with --split-size 45MB.'
      );
    case 'too large for a proxy':
      return `a proxy in front of ${url} takes no request of that size (HTTP 413). Raise its limit (nginx: client_max_body_size).`;
    case 'type refused':
      return (
        `bucket "${bucket}" does not take files of that type (${found}). Allow it in the bucket's settings ` +
        `in the dashboard, or choose another one with ${BUCKET}.`
      );
    case 'bad object key':
      return `Supabase Storage does not take that key for an object (${found}). Check --prefix.`;
    case 'taken':
      return `something is there already (${found}), written by another upload meanwhile. Run it again.`;
    case 'offset':
      return `the upload does not stand where it was left (${found}). Is another run sending to it?`;
    case 'locked':
      return `another request is at work on it (${found}).`;
    case 'unknown project':
      return `${url} does not know the project (${found}). Check SUPABASE_URL.`;
    case 'no route':
      return `${url} does not know the request (${found}). Check SUPABASE_URL: the project's address, without a path.`;
    case 'read-only':
      return `the project's database is read-only (${found}), as it is when its disk is full. See the dashboard.`;
    case 'paused':
      return `the project at ${url} is paused (${found}). Restore it in the dashboard, or check SUPABASE_URL.`;
    case 'restricted':
      return `the project at ${url} is restricted (${found}). See its usage and its bills in the dashboard.`;
    case 'throttled':
      return `${url} wants fewer requests (${found}).`;
    case 'failing':
      return `Supabase Storage at ${url} has failed (${found}).`;
    case 'redirect':
      return (
        `${url} redirects to ${answer.location ?? 'somewhere else'} (HTTP ${answer.status}). ` +
        'Set SUPABASE_URL to the address that it leads to.'
      );
    case 'not Supabase':
      return notSupabase(url, `HTTP ${answer.status}`);
    case 'no reason':
      return `${url} refused the request and did not say why (${found}). Check ${KEY} and ${BUCKET}.`;
    case 'refused':
      return `${url} refused the request (${found}).`;
  }
}

function notAKey(found: string, { url, newStyleKey }: SupabaseWords): string {
  return newStyleKey === true
    ? `${url} has no gateway that knows sb_secret_… keys (${found}). Set ${KEY} to the service_role JWT.`
    : `${url} does not take the key (${found}). Check ${KEY}: the project's service_role key, whole, is wanted.`;
}

/** `403 AccessDenied: signature verification failed`. */
function foundOf({ status, code, text, foreign }: Answer): string {
  const numbered = code === undefined ? `${status}` : `${status} ${code}`;
  const words = foreign ? '' : text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  if (words === '') return numbered;
  return `${numbered}: ${words.length > SHOWN_TEXT ? `${words.slice(0, SHOWN_TEXT)}…` : words}`;
}
