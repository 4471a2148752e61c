import { type DoubleKeys, type Role, roleOf } from './credentials.ts';
import type { HttpRequest } from './http-connection.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { type SigningKey, signatureOf } from './sigv4.ts';

export interface S3Access {
  /** The static pair, with the service's rights. */
  readonly pair: SigningKey;
  readonly projectRef: string;
  readonly keys: DoubleKeys;
}

/** Regions that clients without a right one use, and Supabase Storage takes. */
const OTHER_REGIONS = ['us-east-1', 'auto'];
const MISMATCH = 'The request signature we calculated does not match the signature you provided';

/** Whose request it is. Throws where the signature is not theirs. */
export function s3Role(request: HttpRequest, access: S3Access): Role {
  const { headers } = request;
  const match =
    /Credential=([^/,]+)\/(\d+)\/([^/]+)\/s3\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=(\w+)/.exec(
      headers.get('authorization') ?? '',
    );
  if (match === null) throw refusals.denied('Missing signature');
  const [, id = '', , region = '', names = '', signature] = match;
  const token = headers.get('x-amz-security-token');
  const secret = secretOf(id, token, access);
  const expected = signatureOf(
    {
      method: request.method,
      target: request.target,
      headers: names.split(';').map((name) => [name, headers.get(name) ?? ''] as const),
      payloadHash: headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    },
    { secretAccessKey: secret, region: OTHER_REGIONS.includes(region) ? region : access.pair.region },
    headers.get('x-amz-date') ?? '',
  );
  if (signature !== expected) throw mismatch(token !== null);
  return token === null ? 'service_role' : roleOf(token);
}

/** The static pair; or the project's name with the anon key, where a session token says who it is. */
function secretOf(id: string, token: string | null, { pair, projectRef, keys }: S3Access): string {
  if (token === null && id === pair.accessKeyId) return pair.secretAccessKey;
  if (token !== null && id === projectRef) return keys.anon;
  throw refusals.denied('Invalid Access Key');
}

function mismatch(hasToken: boolean): StorageRefusal {
  const hint = hasToken
    ? ', Check your credentials. The session token should be a valid JWT token'
    : '. Check your key and signing method.';
  return new StorageRefusal(403, 'Unauthorized', `${MISMATCH}${hint}`, 'SignatureDoesNotMatch');
}
