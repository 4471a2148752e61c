import { rm } from 'node:fs/promises';
import { type BucketStore, type StoredBucket, writeBody } from './bucket-store.ts';
import type { Role } from './credentials.ts';
import type { HttpBody } from './http-body.ts';
import type { HttpRequest } from './http-connection.ts';
import type { PartStore, StreamedBody } from './part-store.ts';
import { readingFile } from './reading-file.ts';
import { refusals } from './refusal.ts';
import type { S3UploadList } from './s3-uploads.ts';

/** A request at the S3 door whose signature is right. */
export interface S3Call {
  readonly store: BucketStore;
  readonly parts: PartStore;
  readonly uploads: S3UploadList;
  readonly request: HttpRequest;
  readonly body: HttpBody;
  readonly role: Role;
  readonly region: string;
  /** Decoded; '' for the list of buckets. */
  readonly bucket: string;
  /** Decoded; '' where the request is about the bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
}

/** The bucket that a writer may write into. */
export function writableBucket({ store, bucket, role }: S3Call): StoredBucket {
  const found = store.bucket(bucket);
  if (role !== 'service_role') throw refusals.rowSecurity();
  return found;
}

/**
 * Uses the body, held to what may still be written. One without a declared length goes through a file: the store of
 * parts wants to know it.
 */
export async function withBody<T>(
  { request, body, store }: S3Call,
  limit: number,
  use: (body: StreamedBody) => Promise<T>,
): Promise<T> {
  const { contentLength, headers } = request;
  if (headers.get('x-amz-content-sha256')?.startsWith('STREAMING-')) {
    throw refusals.request('the double takes no aws-chunked bodies');
  }
  if (contentLength !== undefined) {
    if (contentLength > limit) throw refusals.tooLarge();
    return await use({ length: contentLength, next: () => body.next() });
  }
  const file = store.newFile(`spooled-${crypto.randomUUID()}`);
  const { bytes } = await writeBody(file, () => body.next(), limit);
  try {
    return await readingFile(file, 0, bytes, use);
  } finally {
    await rm(file, { force: true });
  }
}

/** The text of a request's XML: 2 MiB at most, which 10,000 parts stay below. */
export async function textBody({ body }: S3Call): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let piece = await body.next(); piece !== undefined; piece = await body.next()) {
    length += piece.length;
    if (length > 2 * 1024 * 1024) throw refusals.tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** What a client wants to be kept with an object. */
export function factsOf({ request }: S3Call) {
  const { headers } = request;
  const metadata: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (name.startsWith('x-amz-meta-')) metadata[name.slice('x-amz-meta-'.length)] = value;
  }
  return {
    contentType: headers.get('content-type') ?? 'application/octet-stream',
    cacheControl: headers.get('cache-control') ?? 'no-cache',
    metadata,
  };
}
