import { ToolError } from '../../errors.ts';
import type { Limits } from '../attempt.ts';
import { notSupabase } from './supabase-sentences.ts';
import type { StorageAnswer, StorageApi, SupabaseSession } from './supabase-session.ts';

/** What the store says of the bucket. */
export interface StoredBucket {
  /** Its own limit of a file's bytes; the project's is not told anywhere. */
  readonly sizeLimit: number | undefined;
  readonly isPublic: boolean;
  /** Empty where every type is. */
  readonly allowedTypes: readonly string[];
}

/** One attempt. `failed` begins the error. */
export async function readBucket(
  session: SupabaseSession,
  failed: string,
  limits: Limits,
): Promise<StoredBucket> {
  const { bucket: name, url } = session;
  // supabase-js puts the name into the path as it is.
  const read = (storage: StorageApi): Promise<StorageAnswer<unknown>> =>
    storage.getBucket(encodeURIComponent(name));
  const data = (await session.call(failed, limits, read)) as RawBucket | null;
  if (typeof data !== 'object' || data === null || data.id !== name || typeof data.public !== 'boolean') {
    throw new ToolError('store', `${failed}: ${notSupabase(url, 'no bucket in its answer')}`);
  }
  const { file_size_limit: limit, allowed_mime_types: types } = data;
  return {
    // The server itself counts 0 as none.
    sizeLimit: typeof limit === 'number' && limit > 0 ? limit : undefined,
    isPublic: data.public,
    allowedTypes: Array.isArray(types) ? types.filter((type) => typeof type === 'string') : [],
  };
}

/** One attempt; what is in it will be for holders of the key alone. */
export async function makeBucket(session: SupabaseSession, limits: Limits): Promise<void> {
  const { bucket: name } = session;
  const failed = `Cannot make the bucket supabase://${name}`;
  await session.call<unknown>(failed, limits, (storage) => storage.createBucket(name, { public: false }));
}

interface RawBucket {
  readonly id?: unknown;
  readonly public?: unknown;
  readonly file_size_limit?: unknown;
  readonly allowed_mime_types?: unknown;
}
