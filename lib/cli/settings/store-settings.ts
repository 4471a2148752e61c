import { ToolError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import type { Environment } from './env.ts';

export interface S3Target {
  readonly kind: 's3';
  /** Undefined means AWS S3 (or what AWS_ENDPOINT_URL says to the SDK). */
  readonly endpoint: string | undefined;
  readonly bucket: string;
  /** Undefined leaves it to the SDK's own chain. */
  readonly region: string | undefined;
  /** Both undefined leaves credentials to the SDK's own chain: variables, profiles, roles. */
  readonly accessKeyId: Secret | undefined;
  readonly secretAccessKey: Secret | undefined;
}

const R2_VARIABLES = ['R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY', 'R2_ENDPOINT'] as const;

/**
 * The store of R2_* variables, or AWS S3 through the SDK's own chain when none of the first three is set. A
 * ToolError 'usage' names what is missing.
 */
export function readStore(
  bucket: string | undefined,
  bucketSource: string | undefined,
  environment: Environment,
): S3Target {
  const missing = R2_VARIABLES.filter((name) => environment[name] === undefined);
  if (missing.length > 0 && missing.length < R2_VARIABLES.length) {
    const set = R2_VARIABLES.filter((name) => environment[name] !== undefined);
    throw new ToolError(
      'usage',
      `${joined(missing)} not set, but ${joined(set)}; all three are wanted, or none for AWS S3.`,
    );
  }
  if (bucket !== undefined && /[/\s]/.test(bucket)) {
    const source = bucketSource ?? '--bucket';
    throw new ToolError(
      'usage',
      `${source} is ${JSON.stringify(bucket)}; the name of a bucket alone is wanted.`,
    );
  }
  const { R2_ENDPOINT, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY, R2_REGION } = environment;
  if (R2_ENDPOINT === undefined) {
    const region = R2_REGION ?? environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION;
    return {
      kind: 's3',
      endpoint: undefined,
      bucket: wanted(bucket),
      region,
      accessKeyId: undefined,
      secretAccessKey: undefined,
    };
  }
  const place = readEndpoint(R2_ENDPOINT, bucket);
  return {
    kind: 's3',
    endpoint: place.endpoint,
    bucket: wanted(place.bucket),
    region: R2_REGION ?? 'auto',
    accessKeyId: secret(R2_ACCESS_KEY_ID),
    secretAccessKey: secret(R2_SECRET_ACCESS_KEY),
  };
}

/**
 * R2_ENDPOINT, which Cloudflare's dashboard shows with the bucket behind it (`https://ID.r2.cloudflarestorage.com/BUCKET`):
 * taken so, and without a scheme as https. Other services have paths that are part of the endpoint; there
 * only a last part that is the bucket's name is taken off.
 */
function readEndpoint(
  text: string,
  bucket: string | undefined,
): { endpoint: string; bucket: string | undefined } {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const endpoint = URL.parse(hasScheme ? text : `https://${text}`);
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol) || endpoint.hostname === '') {
    throw new ToolError(
      'usage',
      'R2_ENDPOINT is not an address; https://ID.r2.cloudflarestorage.com or the like is wanted.',
    );
  }
  if (
    endpoint.username !== '' ||
    endpoint.password !== '' ||
    endpoint.search !== '' ||
    endpoint.hash !== ''
  ) {
    throw new ToolError(
      'usage',
      'R2_ENDPOINT carries more than an address; keys go into R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY.',
    );
  }
  const parts = endpoint.pathname.split('/').filter((part) => part !== '');
  const last = parts.at(-1);
  const isR2 = endpoint.hostname.endsWith('.r2.cloudflarestorage.com');
  if (isR2 && bucket !== undefined && last !== undefined && last !== bucket) {
    throw new ToolError(
      'usage',
      `R2_ENDPOINT ends in the bucket ${last}, but ${bucket} was named; one of them is wanted.`,
    );
  }
  const bucketIsInPath = last !== undefined && (isR2 || last === bucket);
  endpoint.pathname = (bucketIsInPath ? parts.slice(0, -1) : parts).join('/');
  return { endpoint: endpoint.href.replace(/\/$/, ''), bucket: bucketIsInPath ? last : bucket };
}

function wanted(bucket: string | undefined): string {
  if (bucket !== undefined) return bucket;
  throw new ToolError(
    'usage',
    'There is nowhere to write to; name a bucket with --bucket or R2_BUCKET, or a local file with --output FILE.',
  );
}

function secret(text: string | undefined): Secret | undefined {
  return text === undefined ? undefined : new Secret(text);
}

function joined(names: readonly string[]): string {
  return `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'}`;
}
