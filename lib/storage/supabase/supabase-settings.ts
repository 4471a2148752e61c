import type { RetryNotice, RetryPolicy } from '../../retry.ts';
import type { Secret } from '../../secret.ts';
import type { Patience } from '../patience.ts';

export interface SupabaseSettings {
  /** Of the project, without a path and a slash at its end: https://ref.supabase.co */
  readonly url: string;
  readonly bucket: string;
  /** service_role JWT or sb_secret_…; undefined where there are S3 keys alone. */
  readonly serviceKey: Secret | undefined;
  /** The S3 endpoint, where there are credentials for it: the door for everything then. */
  readonly s3: SupabaseS3Address | undefined;
  /** Make the bucket, private, where there is none. */
  readonly createBucket: boolean;
  /** Write nothing, not even a bucket. */
  readonly dryRun: boolean;
  /** What is good to know, and no reason to stop. */
  readonly onNote?: ((text: string) => void) | undefined;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  /** For every request. Default PATIENT, and BRISK for the first contact. */
  readonly retryPolicy?: RetryPolicy | undefined;
  readonly patience?: Partial<Patience> | undefined;
}

export interface SupabaseS3Address {
  /** https://ref.storage.supabase.co/storage/v1/s3 */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: Secret;
  readonly secretAccessKey: Secret;
  /** With it the credentials are those of a session: project ref, anon key, and this, the service_role JWT. */
  readonly sessionToken: Secret | undefined;
}
