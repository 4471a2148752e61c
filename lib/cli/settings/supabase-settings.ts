import { ToolError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { isLoopback } from './address.ts';
import type { Environment } from './env.ts';
import { type CheckedKey, readAnonKey, readServiceKey } from './service-key.ts';
import { addressOf, readSupabaseUrl, type SupabaseProject } from './supabase-url.ts';

/** A bucket of Supabase Storage, and what may write to it. */
export interface SupabaseTarget {
  readonly kind: 'supabase';
  /** Of the project, without a slash at its end: https://ref.supabase.co */
  readonly url: string;
  readonly bucket: string;
  /** service_role JWT or sb_secret_…; undefined where there are S3 keys alone. */
  readonly serviceKey: Secret | undefined;
  /** Undefined where nothing gives credentials for the S3 endpoint. */
  readonly s3: SupabaseS3Keys | undefined;
  /** Make the bucket, private, where there is none. */
  readonly createBucket: boolean;
}

/** What the S3 endpoint takes. */
export interface SupabaseS3Keys {
  /** https://ref.storage.supabase.co/storage/v1/s3 */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: Secret;
  readonly secretAccessKey: Secret;
  /** With it the credentials are those of a session: project ref, anon key, and this, the service_role JWT. */
  readonly sessionToken: Secret | undefined;
}

export interface SupabaseAsked {
  readonly bucket: string;
  /** `--bucket` or its variable; undefined where neither spoke. */
  readonly bucketSource: string | undefined;
  readonly createBucket: boolean;
}

/** Letters that the storage takes in the name of a bucket, but for `?`, which cuts off an address; at most so many of them. */
const BUCKET = /^[A-Za-z0-9!\-_.*'() &$@=;:+,]{1,100}$/;

/** What the S3 endpoint takes for a region, whatever its own is. */
const ANY_REGION = 'auto';

/** The store of SUPABASE_* variables; a ToolError 'usage' names what is missing or of no use. */
export function readSupabase(
  asked: SupabaseAsked,
  environment: Environment,
): { readonly target: SupabaseTarget; readonly warnings: readonly string[] } {
  const { bucket, createBucket } = asked;
  refuseBucket(asked);
  const project = readSupabaseUrl(environment.SUPABASE_URL);
  const keys = readS3Keys(project, environment);
  const service = readService(project, environment, keys !== undefined, createBucket);
  const session = keys === undefined ? readSession(project, service, environment) : undefined;
  return {
    target: {
      kind: 'supabase',
      url: addressOf(project.url),
      bucket,
      serviceKey: service?.key,
      s3: keys ?? session?.keys,
      createBucket,
    },
    warnings: [...plainHttpWarnings(project), ...(service?.warnings ?? []), ...(session?.warnings ?? [])],
  };
}

function refuseBucket({ bucket, bucketSource }: SupabaseAsked): void {
  if (BUCKET.test(bucket) && bucket.trim() === bucket) return;
  throw new ToolError(
    'usage',
    `${bucketSource ?? '--bucket'} is ${JSON.stringify(bucket)}; the name of a bucket is wanted, at most 100 letters, digits and !-_.*'() &$@=;:+, without a blank at its ends.`,
  );
}

/** Those of SUPABASE_S3_*, which are a pair. */
function readS3Keys(project: SupabaseProject, environment: Environment): SupabaseS3Keys | undefined {
  const names = ['SUPABASE_S3_ACCESS_KEY_ID', 'SUPABASE_S3_SECRET_ACCESS_KEY'] as const;
  const [id, secret] = names.map((name) => readS3Key(name, environment));
  if (id === undefined && secret === undefined) return undefined;
  if (id === undefined || secret === undefined) {
    const [missing, set] = id === undefined ? names : ([names[1], names[0]] as const);
    throw new ToolError(
      'usage',
      `${missing} is not set, but ${set} is; both are wanted, or neither (dashboard: Storage, S3 access keys).`,
    );
  }
  const region = regionOf(environment);
  const endpoint = project.s3Endpoint;
  return { endpoint, region, accessKeyId: id, secretAccessKey: secret, sessionToken: undefined };
}

function readS3Key(name: string, environment: Environment): Secret | undefined {
  const text = environment[name]?.trim();
  if (text === undefined || text === '') return undefined;
  if (!/[^\x21-\x7e]/.test(text)) return new Secret(text);
  throw new ToolError(
    'usage',
    `${name} holds a character that no key has, such as a blank, a line end or a letter beyond ASCII.`,
  );
}

function regionOf(environment: Environment): string {
  const region = environment.SUPABASE_S3_REGION?.trim() ?? ANY_REGION;
  if (/^[\w-]+$/.test(region)) return region;
  throw new ToolError(
    'usage',
    `SUPABASE_S3_REGION is ${JSON.stringify(region)}; the name of a region such as eu-central-1 is wanted (dashboard: Storage, S3), or auto.`,
  );
}

function readService(
  project: SupabaseProject,
  environment: Environment,
  hasS3Keys: boolean,
  createBucket: boolean,
): CheckedKey | undefined {
  const text = environment.SUPABASE_SERVICE_ROLE_KEY;
  if (text !== undefined && text.trim() !== '') return readServiceKey(text, project);
  const where = '(dashboard: Project Settings, API Keys)';
  if (createBucket) {
    throw new ToolError(
      'usage',
      `--create-bucket wants SUPABASE_SERVICE_ROLE_KEY, which is not set ${where}.`,
    );
  }
  if (hasS3Keys) return undefined;
  throw new ToolError(
    'usage',
    `SUPABASE_SERVICE_ROLE_KEY is not set; the service_role key or an sb_secret_… key ${where} is wanted, or SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY (dashboard: Storage, S3 access keys), or a local file with --output FILE.`,
  );
}

/** S3 credentials made of the project ref, the anon key and the service_role JWT, where all three are known. */
function readSession(
  project: SupabaseProject,
  service: CheckedKey | undefined,
  environment: Environment,
): { readonly keys: SupabaseS3Keys | undefined; readonly warnings: readonly string[] } | undefined {
  const text = environment.SUPABASE_ANON_KEY;
  if (text === undefined || text.trim() === '' || service === undefined || !service.isJwt) return undefined;
  const ref = project.ref ?? service.ref;
  if (ref === undefined) return undefined;
  const source = project.ref === undefined ? 'SUPABASE_SERVICE_ROLE_KEY' : 'SUPABASE_URL';
  const anon = readAnonKey(text, { ref, source });
  if (anon === undefined) {
    const warning =
      'SUPABASE_ANON_KEY is a publishable key (sb_publishable_…), which makes no credentials for the S3 endpoint; the anon JWT does, or SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY, and uploads are faster with them.';
    return { keys: undefined, warnings: [warning] };
  }
  return {
    keys: {
      endpoint: project.s3Endpoint,
      region: regionOf(environment),
      accessKeyId: new Secret(ref),
      secretAccessKey: anon,
      sessionToken: service.key,
    },
    warnings: [],
  };
}

function plainHttpWarnings({ url }: SupabaseProject): readonly string[] {
  if (url.protocol === 'https:' || isLoopback(url)) return [];
  return [
    `The keys of Supabase go to ${url.hostname} over plain HTTP, where others can read them; https:// protects them.`,
  ];
}
