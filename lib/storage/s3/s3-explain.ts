import { type ErrorCode, messageOf } from '../../errors.ts';
import { type Failure, foundText, type StoreWords } from './s3-words.ts';

const REGION_CODES: ReadonlySet<string> = new Set([
  'AuthorizationHeaderMalformed',
  'PermanentRedirect',
  'TemporaryRedirect',
  'InvalidRegion',
  'InvalidRegionName',
  'IllegalLocationConstraintException',
]);

/** What the failure means to people, as the end of a sentence. */
export function explain(
  thrown: unknown,
  failure: Failure,
  words: StoreWords,
): { readonly code: ErrorCode; readonly text: string } {
  const { status, code } = failure;
  const at = words.endpoint ?? 'AWS S3';
  const found = foundText(failure);
  const names = words.names.settings;
  const store = (text: string) => ({ code: 'store' as const, text });
  const own = words.names.explain?.(failure, messageOf(thrown), words);
  if (own !== undefined) return store(own);
  if (code === 'CredentialsProviderError') {
    return { code: 'usage', text: `no credentials were found. Set ${names.keys}.` };
  }
  // The SDK's own, and without a code: nobody has said where the store is.
  if (messageOf(thrown) === 'Region is missing') {
    return {
      code: 'usage',
      text: `neither a store nor a region was named. Set ${names.keys} and AWS_REGION.`,
    };
  }
  if (code === 'InvalidBucketName') {
    return {
      code: 'usage',
      text: `"${words.bucket}" is not a bucket name (${found}). Check ${names.bucket}.`,
    };
  }
  if (code === 'NoSuchBucket') {
    const andEndpoint = words.endpoint === undefined ? '' : ` and ${names.endpoint}`;
    return store(
      `there is no bucket "${words.bucket}" at ${at} (${found}). Check ${names.bucket}${andEndpoint}.`,
    );
  }
  // The last is versitygw's.
  if (code === 'InvalidAccessKeyId' || status === 401 || code === 'XAdminUserNotFound') {
    return store(`${at} does not know the access key (${found}). Check ${names.id}.`);
  }
  if (code === 'SignatureDoesNotMatch') {
    return store(
      `${at} refused the signature (${found}), so the secret key is wrong. Check ${names.secret}.`,
    );
  }
  if (code === 'RequestTimeTooSkewed') {
    return store(`the clock of this machine is too far from that of ${at} (${found}). Set the clock.`);
  }
  if ((code !== undefined && REGION_CODES.has(code)) || status === 301 || status === 307) {
    return store(`the region "${words.region ?? ''}" is not the bucket's (${found}). Check ${names.region}.`);
  }
  if (status === 403) {
    return store(
      `the credentials may not do that in bucket "${words.bucket}" (${found}). Check the permissions of the key, ` +
        `${names.bucket} and ${names.keys}.`,
    );
  }
  if (status === undefined && code !== undefined) {
    return store(
      words.endpoint === undefined
        ? `no connection to ${at} (${code}). Check the network.`
        : connectionText(code, words.endpoint, thrown, names.endpoint),
    );
  }
  if (code === undefined && status !== undefined && status < 500) {
    const check = words.endpoint === undefined ? '' : `. Check ${names.endpoint}`;
    return store(`${at} does not answer like an S3 service (HTTP ${status})${check}.`);
  }
  return store(found === '' ? `${messageOf(thrown)}` : `the store answered ${found}: ${messageOf(thrown)}`);
}

/** What a connection's code means, without the texts of Bun's fetch, which speak to programmers. */
function connectionText(code: string, endpoint: string, thrown: unknown, setting: string): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens on ${endpoint} (${code}). Check ${setting}.`;
    case 'ENOTFOUND':
      return `there is no host of the name in ${endpoint} (${code}). Check the network and ${setting}.`;
    case 'ECONNRESET':
    case 'EPIPE': {
      const tls = endpoint.startsWith('http:') ? ` If it expects TLS, use https:// in ${setting}.` : '';
      return `${endpoint} closed the connection (${code}).${tls}`;
    }
    case 'EPROTO':
      return `${endpoint} does not speak TLS (${code}). Check ${setting}.`;
    default:
      return isTlsCode(code)
        ? `the certificate of ${endpoint} is not trusted (${code}: ${messageOf(thrown)}).`
        : `no connection to ${endpoint} (${code}: ${messageOf(thrown)}). Check the network and ${setting}.`;
  }
}

export function isTlsCode(code: string): boolean {
  return code === 'EPROTO' || /CERT|TLS|SSL|LEAF_SIGNATURE/.test(code);
}
