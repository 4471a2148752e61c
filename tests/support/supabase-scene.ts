import { expect } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { PATIENCE } from '../../lib/storage/patience.ts';
import type { SupabasePublication } from '../../lib/storage/supabase/supabase-publication.ts';
import { type SupabaseSession, supabaseSession } from '../../lib/storage/supabase/supabase-session.ts';
import type { SupabaseDouble } from './supabase-double/supabase-double.ts';

export interface SceneOptions {
  readonly signal?: AbortSignal;
  readonly bucket?: string;
  readonly serviceKey?: string;
  readonly attempts?: number;
  /** Stands between the code under test and the real session. */
  readonly around?: (session: SupabaseSession) => SupabaseSession;
}

/** What a call about the key needs, at a double of Supabase Storage, with short pauses. */
export function publicationAt(
  double: SupabaseDouble,
  key: string,
  options: SceneOptions = {},
): SupabasePublication {
  const { signal = new AbortController().signal, bucket = double.bucket, attempts = 5 } = options;
  const serviceKey = new Secret(options.serviceKey ?? double.keys.service);
  const session = supabaseSession({ url: double.url, bucket, serviceKey });
  const limits = { signal, timeoutMs: PATIENCE.requestMs };
  return {
    session: options.around?.(session) ?? session,
    key,
    location: session.locate(key),
    policy: { attempts, baseMs: 1, capMs: 4 },
    onRetry: () => {},
    limits,
    decisive: { ...limits, graceMs: PATIENCE.graceMs },
    patience: PATIENCE,
  };
}

/** The error that the work has to end in. */
export async function failing(work: Promise<unknown>): Promise<ToolError> {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
}

/** Requests that the double has seen, as `POST /object/backups/key`. */
export function seenAt(double: SupabaseDouble): readonly string[] {
  return double.requests.map(
    ({ method, path }) => `${method} ${path.replace('/storage/v1', '').split('?')[0]}`,
  );
}

/** Unfinished uploads. Resumable ones that were removed or refused stay in the double's list, so the door is asked. */
export async function unfinishedAt(double: SupabaseDouble): Promise<string[]> {
  const left: string[] = [];
  for (const id of await double.openUploads()) if (await isUnfinished(double, id)) left.push(id);
  return left;
}

async function isUnfinished(double: SupabaseDouble, id: string): Promise<boolean> {
  const isResumable = /\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(
    Buffer.from(id, 'base64url').toString(),
  );
  if (!isResumable) return true;
  const url = `${double.url}/storage/v1/upload/resumable/${id}`;
  const headers = { authorization: `Bearer ${double.keys.service}`, 'tus-resumable': '1.0.0' };
  return (await fetch(url, { method: 'HEAD', headers })).ok;
}
