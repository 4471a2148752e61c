import { createHash, createHmac } from 'node:crypto';

/** What a signature covers. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query as they are sent. */
  readonly target: string;
  /** Of the signed headers, in order, lower case. */
  readonly headers: readonly (readonly [string, string])[];
  readonly payloadHash: string;
}

export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/** AWS Signature Version 4 for S3, as hexadecimal; `time` is x-amz-date. */
export function signatureOf(
  request: SignedRequest,
  key: Omit<SigningKey, 'accessKeyId'>,
  time: string,
): string {
  const [path = '', query = ''] = request.target.split('?', 2);
  const names = request.headers.map(([name]) => name).join(';');
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...request.headers.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, ' ')}`),
    '',
    names,
    request.payloadHash,
  ].join('\n');
  const date = time.slice(0, 8);
  const scope = `${date}/${key.region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', time, scope, hash].join('\n');
  let secret: string | Buffer = `AWS4${key.secretAccessKey}`;
  for (const part of [date, key.region, 's3', 'aws4_request', text]) {
    secret = createHmac('sha256', secret).update(part).digest();
  }
  return secret.toString('hex');
}

export interface UnsignedRequest {
  readonly method: string;
  readonly host: string;
  /** Path and query as they will be sent. */
  readonly target: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The request's headers with a signature over all of them but those about the body's length. */
export function signedHeaders(
  { method, host, target, headers: given }: UnsignedRequest,
  key: SigningKey,
): Record<string, string> {
  const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const payloadHash = given['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD';
  const headers = { ...given, 'x-amz-content-sha256': payloadHash, 'x-amz-date': time };
  const covered = Object.entries({ ...headers, host })
    .filter(([name]) => name !== 'content-length' && name !== 'transfer-encoding')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const signature = signatureOf({ method, target, headers: covered, payloadHash }, key, time);
  const credential = `${key.accessKeyId}/${time.slice(0, 8)}/${key.region}/s3/aws4_request`;
  const names = covered.map(([name]) => name).join(';');
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name = '', value = ''] = pair.split('=', 2);
      return `${escaped(decodeURIComponent(name))}=${escaped(decodeURIComponent(value))}`;
    })
    .sort()
    .join('&');
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
