import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { refusals, StorageRefusal } from './refusal.ts';

export interface StoredBucket {
  readonly id: string;
  public: boolean;
  fileSizeLimit: number | undefined;
  mimeTypes: readonly string[] | undefined;
  readonly createdAt: Date;
  updatedAt: Date;
  /** By key, in no order. */
  readonly objects: Map<string, StoredObject>;
}

export interface StoredObject {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  /** A UUID, another one for each time that the key is written. */
  readonly version: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly contentType: string;
  /** Undefined where a copy through the S3 door replaced the metadata and named none. */
  readonly cacheControl: string | undefined;
  /** Null for a resumable upload without any. */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly createdAt: Date;
  readonly modified: Date;
  readonly file: string;
}

export type ObjectFacts = Pick<
  StoredObject,
  'key' | 'version' | 'size' | 'etag' | 'contentType' | 'cacheControl' | 'metadata' | 'file'
>;

export interface BucketSettings {
  readonly public?: boolean | undefined;
  readonly fileSizeLimit?: number | undefined;
  readonly mimeTypes?: readonly string[] | undefined;
}

/** Where the real one would keep its bytes; it shows in its answers. */
export type Backend = 'file' | 's3';

/** What a limit is where nobody set one: more than any test uploads. */
export const NO_LIMIT = 50 * 1024 ** 3;

/** Buckets and what is in them; the bytes are files in `folder`. All doors share one. */
export class BucketStore {
  readonly buckets = new Map<string, StoredBucket>();
  globalLimit = NO_LIMIT;
  /** Called with the file of an object that was replaced or removed. */
  onGone: (object: StoredObject) => Promise<void> = async (object) => {
    await rm(object.file, { force: true });
  };

  constructor(
    readonly folder: string,
    readonly backend: Backend,
  ) {}

  make(id: string, settings: BucketSettings): StoredBucket {
    if (!/^[\w!\-.*'() &$@=;:+,?]{1,100}$/.test(id)) throw refusals.bucketName();
    if (this.buckets.has(id)) throw refusals.exists('BucketAlreadyExists');
    if ((settings.fileSizeLimit ?? 0) > this.globalLimit) throw refusals.tooLarge();
    const now = new Date();
    const bucket: StoredBucket = {
      id,
      public: settings.public ?? false,
      fileSizeLimit: settings.fileSizeLimit,
      mimeTypes: settings.mimeTypes,
      createdAt: now,
      updatedAt: now,
      objects: new Map(),
    };
    this.buckets.set(id, bucket);
    return bucket;
  }

  bucket(id: string): StoredBucket {
    const bucket = this.buckets.get(id);
    if (bucket === undefined) throw refusals.noBucket();
    return bucket;
  }

  limitOf(bucket: StoredBucket): number {
    return Math.min(bucket.fileSizeLimit ?? NO_LIMIT, this.globalLimit);
  }

  newFile(version: string): string {
    return join(this.folder, version);
  }

  /** Puts an object in the place of what the key held. */
  async put(bucket: StoredBucket, facts: ObjectFacts): Promise<StoredObject> {
    const before = bucket.objects.get(facts.key);
    const now = new Date();
    const object: StoredObject = {
      ...facts,
      bucket: bucket.id,
      id: before?.id ?? crypto.randomUUID(),
      createdAt: before?.createdAt ?? now,
      modified: now,
    };
    bucket.objects.set(facts.key, object);
    if (before !== undefined) await this.onGone(before);
    return object;
  }

  async remove(bucket: StoredBucket, key: string): Promise<StoredObject | undefined> {
    const object = bucket.objects.get(key);
    if (object === undefined) return undefined;
    bucket.objects.delete(key);
    await this.onGone(object);
    return object;
  }
}

/** The characters that Supabase Storage takes in keys. */
export function checkKeyText(key: string): void {
  if (!/^[\w/!\-.*'() &$@=;:+,?]+$/.test(key)) throw refusals.key(key);
}

/** Keys as Supabase Storage takes them. */
export function checkKey(key: string, bucket: string, backend: Backend): void {
  checkKeyText(key);
  if (backend === 's3') {
    // The store's key has the tenant, the bucket and the version around it.
    if (key.length >= 900)
      throw new StorageRefusal(400, 'Your key is too long.', 'KeyTooLongError', 'S3Error');
    return;
  }
  checkNoDots(key, bucket, 'stub/projectrefprojectref');
  if (key.split('/').some((segment) => segment.length > 255)) throw refusals.internal();
}

/** A store of files refuses keys that would lead out of its folder. */
export function checkNoDots(key: string, bucket: string, root: string): void {
  if (!key.split('/').some((segment) => segment === '.' || segment === '..')) return;
  throw refusals.key(`${root}/${bucket}/${key}/${crypto.randomUUID()} contains dot path segment`);
}

export function checkMimeType(bucket: StoredBucket, contentType: string): void {
  const { mimeTypes } = bucket;
  if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+*-]+/.test(contentType))
    throw refusals.mimeType('Invalid Content-Type header');
  if (mimeTypes === undefined) return;
  const isAllowed = mimeTypes.some((allowed) =>
    allowed.endsWith('/*') ? contentType.startsWith(allowed.slice(0, -1)) : contentType === allowed,
  );
  if (!isAllowed) throw refusals.mimeType(`mime type ${contentType} is not supported`);
}

export interface Written {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly md5: string;
}

/** Writes a body to a file, piece by piece; removes it where it does not come to an end, or beyond `limit` bytes. */
export async function writeBody(
  file: string,
  next: () => Promise<Uint8Array | undefined>,
  limit = Number.POSITIVE_INFINITY,
): Promise<Written> {
  const handle = await open(file, 'w');
  const md5 = createHash('md5');
  let bytes = 0;
  try {
    for (let piece = await next(); piece !== undefined; piece = await next()) {
      bytes += piece.length;
      if (bytes > limit) throw refusals.tooLarge();
      md5.update(piece);
      await handle.write(piece);
    }
  } catch (error) {
    await handle.close();
    await rm(file, { force: true });
    throw error;
  }
  await handle.close();
  return { bytes, md5: md5.digest('hex') };
}

/** MD5 of a file, read piece by piece. */
export async function md5Of(file: string): Promise<string> {
  const md5 = createHash('md5');
  for await (const piece of Bun.file(file).stream()) md5.update(piece);
  return md5.digest('hex');
}
