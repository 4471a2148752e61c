import { S3Client } from '@aws-sdk/client-s3';
import { FetchHttpHandler } from '@smithy/fetch-http-handler';
import type { Secret } from '../../secret.ts';
import { attempt, type Limits } from '../attempt.ts';
import { s3Error } from './s3-errors.ts';
import type { StoreWords } from './s3-words.ts';

export interface S3Address {
  /** Undefined: AWS itself. */
  readonly endpoint?: string | undefined;
  /** Undefined: the SDK's own chain (AWS_REGION, profile). */
  readonly region?: string | undefined;
  readonly bucket: string;
  /** Both absent: the SDK's own chain (AWS_*, profiles, roles). */
  readonly accessKeyId?: Secret | undefined;
  readonly secretAccessKey?: Secret | undefined;
  /** Of temporary credentials. */
  readonly sessionToken?: Secret | undefined;
  /** Default: true when an endpoint is given. */
  readonly forcePathStyle?: boolean | undefined;
}

/** What all calls to the bucket share. */
export interface S3Session {
  readonly client: S3Client;
  readonly bucket: string;
  /** One attempt; `failed` begins the error: `Cannot write s3://bucket/key`. */
  send<T>(failed: string, limits: Limits, run: (abortSignal: AbortSignal) => Promise<T>): Promise<T>;
}

export function s3Session(address: S3Address, words: Omit<StoreWords, 'failed'>): S3Session {
  return {
    client: makeClient(address),
    bucket: address.bucket,
    send: (failed, limits, run) =>
      attempt(run, limits, failed, (thrown) => s3Error(thrown, { ...words, failed })),
  };
}

/** The SDK's client, with everything switched off that would come between us and one plain request. */
function makeClient(address: S3Address): S3Client {
  const { accessKeyId, secretAccessKey, sessionToken } = address;
  const client = new S3Client({
    ...(address.endpoint === undefined ? {} : { endpoint: address.endpoint }),
    ...(address.region === undefined ? {} : { region: address.region }),
    forcePathStyle: address.forcePathStyle ?? address.endpoint !== undefined,
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: accessKeyId.reveal(),
            secretAccessKey: secretAccessKey.reveal(),
            ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
          },
        }),
    // The SDK's three attempts are over in 150 ms and its token bucket runs dry: lib/retry.ts does it.
    maxAttempts: 1,
    // On the client, not the command: the default CRC trailers mean aws-chunked bodies, which R2 refused.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // No requestTimeout here: it rejects without ending the request. `attempt` below cuts it.
    requestHandler: new FetchHttpHandler(),
  });
  // A body is signed by its SHA-256 otherwise, most of the SDK's CPU. Our own checksum is a signed header, so
  // the store still checks every byte of what it takes, over plain HTTP too.
  // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body?: unknown; headers: Record<string, string> };
      if (request.body instanceof Uint8Array) request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'unsignedPayload' },
  );
  // After signing, because proxies change it: a store that compressed its answer to HEAD would send neither
  // the length nor the entity tag of the object.
  client.middlewareStack.add(
    (next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers['accept-encoding'] = 'identity';
      return next(args);
    },
    { step: 'deserialize', priority: 'low', name: 'identityAnswers' },
  );
  return client;
}
