import { expect } from 'bun:test';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3';
import type { Outcome, Place, Settings } from './disturbed-exports.ts';
import type { S3Server } from './s3-server.ts';

const PREVIOUS = Buffer.from('what an earlier run published');
const PREVIOUS_MANIFEST = Buffer.from('its manifest');

/** Puts an export and its manifest where the run's own are to be. */
export async function writePrevious({ target }: Settings, place: Place): Promise<void> {
  const { key, manifestKey, output, store } = place;
  if (target === 'output') {
    await writeFile(output, PREVIOUS);
    await writeFile(`${output}.json`, PREVIOUS_MANIFEST);
  } else {
    await store?.write(key, PREVIOUS);
    await store?.write(manifestKey, PREVIOUS_MANIFEST);
  }
}

/** What lies where the run was to put it. */
export interface Published {
  readonly stored: Uint8Array | undefined;
  readonly manifest: Uint8Array | undefined;
}

export async function publishedBy({ target }: Settings, place: Place): Promise<Published> {
  const { key, manifestKey, output, store } = place;
  const read = (path: string) => readFile(path).catch(() => undefined);
  return target === 'output'
    ? { stored: await read(output), manifest: await read(`${output}.json`) }
    : { stored: await store?.bytes(key), manifest: await store?.bytes(manifestKey) };
}

export function expectWhole({ stored }: Pick<Published, 'stored'>, wanted: Uint8Array): void {
  expect(Buffer.compare(stored ?? Buffer.alloc(0), wanted)).toBe(0);
}

/** The manifest says just what was published. */
export function expectManifest({ manifest }: Pick<Published, 'manifest'>, wanted: Uint8Array): void {
  const { files } = JSON.parse(textOf(manifest) ?? '{}');
  const sha256 = createHash('sha256').update(wanted).digest('hex');
  expect(files).toMatchObject([{ bytes: wanted.length, sha256 }]);
}

export const textOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1');

export function expectOldManifest({ manifest }: Pick<Published, 'manifest'>, hasPrevious: boolean): void {
  expect(textOf(manifest)).toBe(hasPrevious ? PREVIOUS_MANIFEST.toString() : undefined);
}

/** Nothing was published: what was there before is there. */
export function expectAsBefore(published: Published, hasPrevious: boolean): void {
  expect(textOf(published.stored)?.slice(0, 100)).toBe(hasPrevious ? PREVIOUS.toString() : undefined);
  expectOldManifest(published, hasPrevious);
}

export interface Left {
  /** Beside the export and its manifest. */
  readonly beside: readonly string[];
  /** Files in the collection's work folder. */
  readonly work: readonly string[];
  /** Unfinished uploads of the run's keys. */
  readonly uploads: readonly LeftUpload[];
}

interface LeftUpload {
  readonly id: string;
  readonly parts: number;
  /** The run was told of it: the store's answer was not lost. */
  readonly isKnown: boolean;
  /** The journal names it. */
  readonly isOnRecord: boolean;
}

export async function leftBy({ target, collection }: Settings, place: Place): Promise<Left> {
  const { key, output, proxy, store, work } = place;
  const told = new Set(proxy?.seen.map(({ query }) => query.get('uploadId')));
  const names = await readdir(dirname(output));
  const own = join(work, 'qdrant-export', collection.name);
  const journal = await readFile(join(own, 'journal'), 'utf8').catch(() => '');
  const uploads = target === 'output' || store === undefined ? [] : await openUploads(store, dirname(key));
  return {
    beside: names.filter((name) => ![output, `${output}.json`].includes(join(dirname(output), name))),
    work: (await readdir(own).catch(() => [])).sort(),
    uploads: uploads.map((upload) => ({
      ...upload,
      isKnown: told.has(upload.id),
      isOnRecord: journal.includes(upload.id),
    })),
  };
}

/** Of every key in a folder. */
async function openUploads(server: S3Server, prefix: string) {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
  });
  try {
    const Bucket = server.bucket;
    const answer = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    const uploads = (answer.Uploads ?? []).filter(({ Key }) => Key?.startsWith(`${prefix}/`));
    return await Promise.all(
      uploads.map(async ({ Key, UploadId = '' }) => {
        const parts = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
        return { id: UploadId, parts: parts.Parts?.length ?? 0 };
      }),
    );
  } finally {
    client.destroy();
  }
}

/** A growing file beside the export's name, in LocalFiles' form. */
const GROWING = /^file\.parquet\.[0-9a-f]{8}\.part$/;

/** What a failed run leaves is what its journal names, or what it has told of; without a journal, nothing. */
export function expectOnlyWhatGoesOn({ code, isResumable, said, warned }: Outcome, left: Left): void {
  if (isResumable) {
    expect(code).not.toBe(13);
    expect(left.work).toContain('journal');
    for (const name of left.beside) expect(name).toMatch(GROWING);
  } else {
    expect(left.work).toEqual([]);
    expect(left.beside).toEqual([]);
  }
  expect(left.work.filter((name) => name.startsWith('lock'))).toEqual([]);
  expectNoLostUpload(left, `${said}\n${warned}`, ({ isOnRecord }) => isOnRecord);
}

/** Nothing at all is left, but uploads that were told of. */
export function expectNothingLeft(left: Left, told: string): void {
  expect({ beside: left.beside, work: left.work }).toEqual({ beside: [], work: [] });
  expectNoLostUpload(left, told, () => false);
}

/** An upload whose id was lost with the store's answer cannot be removed, but holds nothing. */
function expectNoLostUpload(left: Left, told: string, mayBe: (upload: LeftUpload) => boolean): void {
  const uploads = left.uploads.filter((upload) => !mayBe(upload) && !told.includes(upload.id));
  expect(uploads.filter(({ isKnown, parts }) => isKnown || parts > 0)).toEqual([]);
}
