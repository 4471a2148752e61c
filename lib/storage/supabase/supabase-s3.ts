import type { Secret } from '../../secret.ts';
import { type S3Settings, s3Destination } from '../s3/s3.ts';
import type { Destination } from '../storage.ts';
import { supabaseS3Names } from './supabase-s3-names.ts';

/** The rest of what an S3 store can be told; those that are Supabase's own are not for telling. */
type Tunable = Pick<
  S3Settings,
  | 'onRetry'
  | 'retryPolicy'
  | 'patience'
  | 'partBytes'
  | 'partsInFlight'
  | 'maxParts'
  | 'readBytes'
  | 'pageKeys'
  | 'copyLimits'
>;

export interface SupabaseS3Settings extends Tunable {
  /** https://ref.storage.supabase.co/storage/v1/s3 */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: Secret;
  readonly secretAccessKey: Secret;
  /** With it the credentials are those of a session: project ref, anon key, and this, the service_role JWT. */
  readonly sessionToken?: Secret | undefined;
}

/**
 * A bucket of Supabase Storage through its S3 endpoint, which deviates from S3: it compares no checksum with what it gets
 * and ignores If-Match and If-None-Match; the entity tag of an object that was sent in parts is the MD5 of the whole
 * where the server keeps files, and S3's MD5 of the parts' MD5s where a store lies behind it; a second Complete
 * finds no upload, and ListParts repeats parts that were sent twice and tells no sizes.
 */
export function supabaseS3(settings: SupabaseS3Settings): Destination {
  const destination = s3Destination({
    ...settings,
    // Buckets are not hosts here.
    forcePathStyle: true,
    unverified: true,
    names: supabaseS3Names(settings.sessionToken !== undefined),
  });
  return { ...destination, door: () => 'S3 endpoint' };
}
