import { ToolError } from '../../errors.ts';
import { BRISK, retry } from '../../retry.ts';
import { FIRST_CONTACT_MS, PATIENCE } from '../patience.ts';
import { makeBucket, readBucket, type StoredBucket } from './supabase-bucket-calls.ts';
import { isNoSuchBucket, isTaken, isTooLarge } from './supabase-errors.ts';
import type { SupabaseSession } from './supabase-session.ts';
import type { SupabaseSettings } from './supabase-settings.ts';

/** An estimate rather errs on the large side; by more than this it is never wrong. */
const ESTIMATE_ERROR = 1.25;

/** Of a split size that is offered, what of the limit it takes: a file is never as full as that. */
const SAFE_PART = 0.9;

/** As --split-size has it. */
const LEAST_SPLIT = 1_000_000;

/** Bytes of a file that the free plan takes; also what a new project's own limit is. */
export const FREE_PLAN_BYTES = 50_000_000;

/** What is known before anything is sent. */
export interface Bucket extends StoredBucket {
  readonly name: string;
  /** False only in a dry run that would make it. */
  readonly exists: boolean;
}

export type BucketSettings = Pick<
  SupabaseSettings,
  'createBucket' | 'dryRun' | 'onNote' | 'onRetry' | 'retryPolicy' | 'patience'
>;

/**
 * Looks whether the bucket is there, makes it (private) where that is wanted, and rejects where the key cannot use it or
 * it does not take files of these types.
 */
export async function checkBucket(
  session: SupabaseSession,
  settings: BucketSettings,
  contentTypes: readonly string[],
  signal: AbortSignal,
): Promise<Bucket> {
  const bucket = await findOrMake(session, settings, signal);
  const refused = contentTypes.find((type) => !isAllowed(type, bucket.allowedTypes));
  if (refused !== undefined) throw typeRefused(bucket, refused);
  if (bucket.isPublic) {
    const text = `Bucket "${bucket.name}" is public: everybody who knows an address in it can read what is there.`;
    settings.onNote?.(text);
  }
  return bucket;
}

async function findOrMake(
  session: SupabaseSession,
  settings: BucketSettings,
  signal: AbortSignal,
): Promise<Bucket> {
  const { createBucket, dryRun, onNote, retryPolicy = BRISK, onRetry, patience } = settings;
  const { bucket: name, url } = session;
  const limits = { signal, timeoutMs: Math.min(FIRST_CONTACT_MS, patience?.requestMs ?? PATIENCE.requestMs) };
  const again = <T>(run: () => Promise<T>) => retry(run, signal, retryPolicy, onRetry);
  const look = async () => ({
    ...(await again(() => readBucket(session, cannotWrite(name), limits))),
    name,
    exists: true,
  });
  try {
    return await look();
  } catch (error) {
    if (!createBucket || !isNoSuchBucket(error)) throw error;
  }
  const made: Bucket = {
    name,
    exists: !dryRun,
    sizeLimit: undefined,
    isPublic: false,
    allowedTypes: [],
  };
  if (dryRun) {
    onNote?.(`There is no bucket "${name}" at ${url} yet; without --dry-run it is made, private.`);
    return made;
  }
  try {
    await again(() => makeBucket(session, limits));
  } catch (error) {
    if (!isTaken(error)) throw error;
    // Somebody else made it meanwhile, or this run did and the answer was lost; or the key may not see it.
    return await look();
  }
  onNote?.(`Made the bucket "${name}" at ${url}, private.`);
  return made;
}

/** No list allows everything; `image/*` stands for all images. */
function isAllowed(type: string, allowed: readonly string[]): boolean {
  const [family] = type.split('/');
  const fitting = [type, `${family}/*`, '*/*', '*'];
  return allowed.length === 0 || allowed.some((one) => fitting.includes(one.trim().toLowerCase()));
}

function typeRefused({ name, allowedTypes }: Bucket, type: string): ToolError {
  return new ToolError(
    'store',
    `${cannotWrite(name)}: the bucket takes no files of type ${type} (allowed are ${allowedTypes.join(', ')}). ` +
      "Allow it in the bucket's settings in the dashboard, or choose another bucket with SUPABASE_STORAGE_BUCKET (or --bucket).",
  );
}

function cannotWrite(name: string): string {
  return `Cannot write to supabase://${name}`;
}

/**
 * Rejects with a ToolError where the bucket or the project will not take a file of about so many bytes; resolves to
 * what is worth a warning, a sentence each. `probe` rejects as the store would (supabase-tus-probe.ts): nothing else
 * tells the project's limit.
 */
export async function bucketFits(
  bucket: Bucket,
  estimatedBytes: number,
  probe: (bytes: number) => Promise<void>,
): Promise<readonly string[]> {
  const { name, sizeLimit: limit } = bucket;
  const least = Math.floor(estimatedBytes / ESTIMATE_ERROR);
  if (limit !== undefined && least > limit) {
    throw tooLarge(
      name,
      estimatedBytes,
      `the bucket takes ${megabytes(limit)} at most. ${bucketAdvice(limit)}`,
    );
  }
  const isNear = limit !== undefined && estimatedBytes > limit;
  // So near its own limit the bucket would refuse the estimate, and nothing would be known of the project's.
  if (!isNear && (await isAccepted(probe, estimatedBytes))) return [];
  if (!(await isAccepted(probe, least))) {
    throw tooLarge(
      name,
      estimatedBytes,
      `the project does not take ${megabytes(least)}. ${projectAdvice(least)}`,
    );
  }
  const what = isNear
    ? `the ${megabytes(limit)} that bucket "${name}" takes. ${bucketAdvice(limit)}`
    : `the project takes. ${projectAdvice(least)}`;
  return [`A file is estimated at ${megabytes(estimatedBytes)}, which may turn out to be more than ${what}`];
}

async function isAccepted(probe: (bytes: number) => Promise<void>, bytes: number): Promise<boolean> {
  try {
    await probe(bytes);
    return true;
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    return false;
  }
}

/** Of a project whose limit is not known, but for that it is below, or about, so many bytes. */
function projectAdvice(bytes: number): string {
  return (
    'Raise the limit in the dashboard (Storage, Settings; a free plan has 50 MB, another one more), or ' +
    `${splitAdvice(Math.min(bytes, FREE_PLAN_BYTES))}.`
  );
}

function bucketAdvice(limit: number): string {
  return `Raise the limit in the bucket's settings in the dashboard, or ${splitAdvice(limit)}.`;
}

function splitAdvice(limit: number): string {
  // Nothing smaller is taken for --split-size.
  if (limit < LEAST_SPLIT) return 'choose a bucket that takes larger files';
  const megabytes = Math.max(1, Math.floor((limit * SAFE_PART) / 1e6));
  return `make smaller files with --split-size ${megabytes}MB`;
}

function tooLarge(name: string, estimatedBytes: number, why: string): ToolError {
  const text = `a file would have about ${megabytes(estimatedBytes)}, and ${why}`;
  return new ToolError('store', `${cannotWrite(name)}: ${text}`);
}

/** `52.4 MB`; as a bucket's limit is given in the dashboard. */
function megabytes(bytes: number): string {
  const amount = bytes / 1e6;
  return `${amount < 100 ? Number(amount.toPrecision(3)) : Math.round(amount)} MB`;
}
