import type { RetryNotice, RetryPolicy } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { PATIENCE, type Patience } from '../../lib/storage/patience.ts';
import type { ExpectedObject, OpenUpload, UploadedPart, UploadLog } from '../../lib/storage/storage.ts';
import type { SupabasePublication } from '../../lib/storage/supabase/supabase-publication.ts';
import { supabaseSession } from '../../lib/storage/supabase/supabase-session.ts';
import { resumableState } from '../../lib/storage/supabase/supabase-tus-calls.ts';
import { readTusId } from '../../lib/storage/supabase/supabase-tus-id.ts';
import type { SupabaseDouble } from './supabase-double/supabase-double.ts';

/** Those of the key's unfinished uploads that the store still knows. */
export async function openUploadsOf(
  double: Pick<SupabaseDouble, 'url' | 'bucket' | 'keys' | 'openUploads'>,
  key: string,
  bucket = double.bucket,
): Promise<string[]> {
  const to = tusPublication({ url: double.url, serviceKey: double.keys.service, bucket, key });
  const open: string[] = [];
  for (const id of await double.openUploads()) {
    if (readTusId(id)?.path !== `${bucket}/${key}`) continue;
    if ((await resumableState(to, id, to.limits)) !== undefined) open.push(id);
  }
  return open;
}

export interface TusTarget {
  readonly url: string;
  readonly serviceKey: string;
  readonly key: string;
  readonly bucket?: string;
  readonly signal?: AbortSignal;
  readonly policy?: RetryPolicy;
  readonly patience?: Partial<Patience>;
  readonly onRetry?: (notice: RetryNotice) => void;
}

/** What a destination of the bucket gives to each of its requests. */
export function tusPublication(target: TusTarget): SupabasePublication {
  const { url, serviceKey, key, bucket = 'backups', signal = new AbortController().signal } = target;
  const session = supabaseSession({ url, bucket, serviceKey: new Secret(serviceKey) });
  const patience = { ...PATIENCE, ...target.patience };
  const limits = { signal, timeoutMs: patience.requestMs };
  return {
    session,
    key,
    location: session.locate(key),
    policy: target.policy ?? { attempts: 4, baseMs: 1, capMs: 4 },
    onRetry: target.onRetry ?? (() => {}),
    limits,
    decisive: { ...limits, graceMs: patience.graceMs },
    patience,
  };
}

/** What a journal would hold. */
export interface RecordedUpload extends UploadLog {
  readonly steps: string[];
  readonly expected: ExpectedObject[];
  /** The newest upload that was begun, with its parts. */
  left(): OpenUpload | undefined;
}

export function recordedUpload(): RecordedUpload {
  let begun: Omit<OpenUpload, 'parts'> | undefined;
  let parts: UploadedPart[] = [];
  const steps: string[] = [];
  const expected: ExpectedObject[] = [];
  return {
    steps,
    expected,
    left: () => begun && { ...begun, parts },
    async begun(upload) {
      steps.push('begun');
      begun = upload;
      parts = [];
    },
    confirmed(part) {
      steps.push(`confirmed ${part.number}: ${part.bytes}`);
      parts.push(part);
    },
    async publishing(object) {
      steps.push('publishing');
      expected.push(object);
    },
  };
}
