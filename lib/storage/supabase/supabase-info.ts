import { ToolError } from '../../errors.ts';
import type { Limits } from '../attempt.ts';
import { unquoted } from '../etag.ts';
import { UPLOAD_MARK } from '../upload-mark.ts';
import { isNoSuchObject } from './supabase-errors.ts';
import type { SupabaseSession } from './supabase-session.ts';

/** What the store says of an object. */
export interface SupabaseObject {
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** A UUID, another one for each time that the key was written. */
  readonly version: string;
  readonly modified: Date;
  /** What its writer gave it to be known again by; undefined where that was nothing, or the server keeps none. */
  readonly mark: string | undefined;
}

/** As supabase-js's upload takes it. */
export function markMetadata(mark: string): Readonly<Record<string, string>> {
  return { [UPLOAD_MARK]: mark };
}

/**
 * One attempt; undefined when the key holds nothing. `failed` begins the error. Where the credentials are wrong the
 * store answers as if there were no bucket.
 */
export async function objectInfo(
  session: SupabaseSession,
  key: string,
  failed: string,
  limits: Limits,
): Promise<SupabaseObject | undefined> {
  const path = `/object/info/${pathOf(session.bucket, key)}`;
  try {
    return await session.send(failed, limits, { method: 'GET', path }, async (answer) => {
      const info = (await answer.json()) as Record<string, unknown>;
      const { size, etag, version, last_modified, metadata } = info;
      if (typeof size !== 'number' || typeof etag !== 'string' || typeof last_modified !== 'string') {
        throw new ToolError('store', `${failed}: ${session.url} does not answer like Supabase Storage.`);
      }
      return {
        bytes: size,
        etag: unquoted(etag),
        version: typeof version === 'string' ? version : '',
        modified: new Date(last_modified),
        mark: markIn(metadata),
      };
    });
  } catch (error) {
    if (isNoSuchObject(error)) return undefined;
    throw error;
  }
}

function markIn(metadata: unknown): string | undefined {
  const mark = (metadata as Readonly<Record<string, unknown>> | null | undefined)?.[UPLOAD_MARK];
  return typeof mark === 'string' ? mark : undefined;
}

/** Bucket and key as the end of a path, percent-encoded, the slashes of the key as they are. */
export function pathOf(bucket: string, key: string): string {
  return [bucket, ...key.split('/')].map(encodeURIComponent).join('/');
}
