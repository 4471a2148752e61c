import { ToolError } from '../../errors.ts';
import { CONTENT_TYPES } from '../content-type.ts';
import type { Destination, PutRequest } from '../storage.ts';
import { bothUploads, isResumable } from './supabase-both-uploads.ts';
import { type Bucket, bucketFits, checkBucket, FREE_PLAN_BYTES } from './supabase-bucket.ts';
import { supabaseRest } from './supabase-rest.ts';
import { supabaseS3 } from './supabase-s3.ts';
import { type SupabaseSession, supabaseSession } from './supabase-session.ts';
import type { SupabaseS3Address, SupabaseSettings } from './supabase-settings.ts';

/**
 * A bucket of Supabase Storage, through whichever of its doors is right: the S3 endpoint where there are credentials for
 * it, else one request for what is small, else a resumable upload. None of them compares what it is sent.
 */
export function supabaseDestination(settings: SupabaseSettings): Destination {
  const { url, bucket, serviceKey, s3: address } = settings;
  const session = serviceKey && supabaseSession({ url, bucket, serviceKey });
  const bucketNow = session && bucketOnce(session, settings);
  const s3 = address && s3Door(settings, address);
  const byRest = session && supabaseRest(session, settings);
  const door = s3 ?? byRest;
  if (door === undefined) {
    const wanted =
      'SUPABASE_SERVICE_ROLE_KEY, or SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY';
    throw new ToolError('usage', `Cannot write to ${url}: no key is set. ${wanted} are wanted.`);
  }

  const uploads = bothUploads(
    door === s3 ? 's3' : 'rest',
    { s3: s3?.uploads, rest: byRest?.uploads },
    settings,
  );

  return {
    ...door,
    unverified: true,
    uploads,
    async check(key, signal) {
      const found = await bucketNow?.look(signal);
      // In a dry run nothing is made, so there is nothing to look at behind it.
      if (found?.exists !== false) await door.check(key, signal);
    },
    async fits(key, estimatedBytes, signal) {
      const found = await bucketNow?.look(signal);
      if (byRest === undefined || found?.exists !== true) return unknownLimit(bucket, estimatedBytes);
      return await bucketFits(found, estimatedBytes, (bytes) => byRest.probe(key, bytes, signal));
    },
    async put(request) {
      const refused = refusedSize(request, bucketNow?.known(), door.locate(request.key));
      const { from } = request;
      // What another process began ends the way it was begun.
      const way = from !== undefined && byRest !== undefined && isResumable(from, bucket) ? byRest : door;
      if (refused === undefined) return await way.put(request);
      await request.body.cancel(refused).catch(() => {});
      throw refused;
    },
  };
}

interface BucketOnce {
  /** What is known of it by now. */
  known(): Bucket | undefined;
  /** Asks once for all keys, or again where that has failed. */
  look(signal: AbortSignal): Promise<Bucket>;
}

function bucketOnce(session: SupabaseSession, settings: SupabaseSettings): BucketOnce {
  let known: Bucket | undefined;
  return {
    known: () => known,
    async look(signal) {
      known ??= await checkBucket(session, settings, CONTENT_TYPES, signal);
      return known;
    },
  };
}

function s3Door(settings: SupabaseSettings, address: SupabaseS3Address): Destination {
  const { bucket, onRetry, retryPolicy, patience } = settings;
  const s3 = supabaseS3({ ...address, bucket, onRetry, retryPolicy, patience });
  const how =
    address.sessionToken === undefined
      ? 'S3 access keys are set'
      : 'by the service key and SUPABASE_ANON_KEY';
  return { ...s3, door: () => `S3 endpoint (${how})` };
}

/** The error for a body of a known length that the bucket does not take, so that none of it is sent. */
function refusedSize(
  { bytes }: PutRequest,
  bucket: Bucket | undefined,
  location: string,
): ToolError | undefined {
  const limit = bucket?.sizeLimit;
  if (bytes === undefined || limit === undefined || bytes <= limit) return undefined;
  return new ToolError(
    'store',
    `Cannot write ${location}: it has ${bytes} bytes, and the bucket takes ${limit} a file. Raise its limit in the ` +
      'dashboard (Storage, the bucket, Edit), or make smaller files with --split-size.',
  );
}

/** What nobody can be asked about: S3 keys see no limits, and a bucket that is not there has none. */
function unknownLimit(bucket: string, estimatedBytes: number): readonly string[] {
  if (estimatedBytes <= FREE_PLAN_BYTES) return [];
  return [
    `The limits of bucket "${bucket}" cannot be seen from here; on the free plan, Supabase takes 50 MB a file, and this will have ` +
      `about ${Math.round(estimatedBytes / 1e6)} MB. If the project has that limit, --split-size 45MB keeps within it.`,
  ];
}
