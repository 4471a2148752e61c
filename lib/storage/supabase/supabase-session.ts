import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { ToolError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { attempt, type Limits } from '../attempt.ts';
import { readRefusal, supabaseError } from './supabase-errors.ts';

export interface SupabaseAddress {
  /** Of the project, without a path: https://ref.supabase.co */
  readonly url: string;
  readonly bucket: string;
  /** service_role JWT or sb_secret_… */
  readonly serviceKey: Secret;
}

/** supabase-js's client of the Storage API. */
export type StorageApi = SupabaseClient['storage'];

export interface SupabaseRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Behind `/storage/v1`, percent-encoded: `/object/info/backups/docs/latest.parquet`; or a whole address. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** What all calls to the bucket share. */
export interface SupabaseSession {
  readonly url: string;
  readonly bucket: string;
  /** For people: `supabase://bucket/key`. */
  locate(key: string): string;
  /**
   * One request, one attempt: `read` takes what it wants of the answer, a 2xx, within the limits. Every rejection is a
   * ToolError (supabase-errors.ts); `failed` begins it: `Cannot write supabase://bucket/key`.
   */
  send<T>(
    failed: string,
    limits: Limits,
    request: SupabaseRequest,
    read: (answer: Response) => Promise<T>,
  ): Promise<T>;
  /** One call of supabase-js, one attempt: by the same rules. */
  call<T>(
    failed: string,
    limits: Limits,
    run: (storage: StorageApi) => Promise<StorageAnswer<T>>,
  ): Promise<T>;
}

/** What supabase-js resolves to, success or not. */
export type StorageAnswer<T> =
  | { readonly data: T; readonly error: null }
  | { readonly data: unknown; readonly error: Error };

/** Throws a ToolError 'usage' where the key is one that no request can carry. */
export function supabaseSession(address: SupabaseAddress): SupabaseSession {
  const { url, bucket, serviceKey } = address;
  const key = headerText(serviceKey);
  const newStyleKey = key.startsWith('sb_');
  const words = (failed: string) => ({ failed, url, bucket, newStyleKey });
  const within = <T>(failed: string, limits: Limits, run: (signal: AbortSignal) => Promise<T>) =>
    attempt(run, limits, failed, (thrown) => supabaseError(thrown, words(failed)));
  return {
    url,
    bucket,
    locate: (objectKey) => `supabase://${bucket}/${objectKey}`,
    send: (failed, limits, { method, path, headers, body }, read) =>
      within(failed, limits, async (signal) => {
        const init = { method, headers: { ...headers }, body: body ?? null, signal };
        const answer = await checkedFetch(targetOf(path, url, failed), init, serviceKey);
        try {
          return await read(answer);
        } finally {
          // What nobody reads would keep the connection.
          if (!answer.bodyUsed) await answer.body?.cancel().catch(() => {});
        }
      }),
    call: (failed, limits, run) =>
      within(failed, limits, async (signal) => {
        const client = clientFor(url, (input, init) => checkedFetch(input, { ...init, signal }, serviceKey));
        const { data, error } = await run(client.storage);
        if (error === null) return data;
        // What checkedFetch threw, wrapped by supabase-js, which itself loses the code of a refusal.
        throw (error as { readonly originalError?: unknown }).originalError ?? error;
      }),
  };
}

/**
 * One for each call (about 0.1 ms): its methods take no signal, so its fetch has to know the attempt's. It never sees
 * the key, and `accessToken` keeps it from having sessions, timers and sockets of its own.
 */
function clientFor(url: string, fetcher: (input: Input, init?: RequestInit) => Promise<Response>) {
  return createClient(url, 'set-by-fetch', {
    accessToken: () => Promise.resolve(null),
    global: { fetch: fetcher as typeof fetch },
  });
}

type Input = string | URL | Request;

/** Rejects with a Refusal (supabase-errors.ts) where the answer is none of 2xx. */
async function checkedFetch(input: Input, init: RequestInit, serviceKey: Secret): Promise<Response> {
  const headers = new Headers(init.headers);
  // Gateways know new-style keys by `apikey`, and take them as a Bearer where both are the same.
  headers.set('apikey', serviceKey.reveal());
  headers.set('authorization', `Bearer ${serviceKey.reveal()}`);
  // After a refused upload of 2 MiB and more, a connection that is kept alive hangs.
  if (init.body !== undefined && init.body !== null) headers.set('connection', 'close');
  // A proxy that compressed an answer would change its length and hide the object's.
  headers.set('accept-encoding', 'identity');
  // Followed, a redirect would turn a POST into a GET, and take the key to wherever it leads.
  const answer = await fetch(input, { ...init, headers, redirect: 'manual' });
  if (answer.ok) return answer;
  throw await readRefusal(answer, init.method ?? 'GET', serviceKey);
}

/** The whole address. The key goes to the project alone, or to the host that it has for storage. */
function targetOf(path: string, url: string, failed: string): string {
  if (!/^https?:/.test(path)) return `${url}/storage/v1${path}`;
  const { origin } = new URL(path);
  const storageHost = url.replace(/^(https:\/\/\w+)\.(supabase\.(?:co|in|red))$/, '$1.storage.$2');
  if (origin === new URL(url).origin || origin === storageHost) return path;
  throw new ToolError('store', `${failed}: ${url} leads to ${origin}, which may not have the key.`);
}

/** A header takes no line breaks, and fetch would turn other letters into bytes that are not the key's. */
function headerText(serviceKey: Secret): string {
  const key = serviceKey.reveal();
  if (/^[!-~]+$/.test(key)) return key;
  const text = 'SUPABASE_SERVICE_ROLE_KEY is empty or has a character that no key has, such as a space.';
  throw new ToolError('usage', text);
}
