import { expect } from 'bun:test';
import { createHash } from 'node:crypto';
import { createClient } from '@supabase/supabase-js';
import { sameBytes } from './long-run-scene.ts';
import type { SupabaseDouble } from './supabase-double/supabase-double.ts';
import { unfinishedAt } from './supabase-scene.ts';

/** All that a double holds below one prefix, as it is at one moment. */
export interface Shelf {
  readonly manifestKey: string;
  /** By key. */
  readonly objects: ReadonlyMap<string, ShelfObject>;
  readonly uploads: readonly ShelfUpload[];
}

export interface ShelfObject {
  readonly bytes: Uint8Array;
  /** Without quotes. */
  readonly etag: string;
}

/** An upload that is not finished. */
export interface ShelfUpload {
  readonly id: string;
  /** Of a resumable upload; of a multipart one the number of parts. */
  readonly holds: number;
}

export async function shelfAt(double: SupabaseDouble, folder: string): Promise<Shelf> {
  const objects = new Map<string, ShelfObject>();
  for (const key of await double.keysOf()) {
    if (!key.startsWith(`${folder}/`)) continue;
    const bytes = (await double.bytes(key)) as Uint8Array;
    objects.set(key, { bytes, etag: await etagOf(double, key) });
  }
  return { manifestKey: `${folder}/latest.json`, objects, uploads: await uploadsAt(double, folder) };
}

async function etagOf({ url, keys, bucket }: SupabaseDouble, key: string): Promise<string> {
  const { storage } = createClient(url, keys.service, { auth: { persistSession: false } });
  const { data, error } = await storage.from(bucket).info(key);
  if (error !== null) throw error;
  return String(data.etag).replaceAll('"', '');
}

async function uploadsAt(double: SupabaseDouble, folder: string): Promise<readonly ShelfUpload[]> {
  const uploads: ShelfUpload[] = [];
  for (const id of await unfinishedAt(double)) {
    const path = Buffer.from(id, 'base64url').toString();
    if (path.startsWith(`${double.bucket}/${folder}/`)) {
      uploads.push({ id, holds: await offsetOf(double, id) });
    } else if (!path.startsWith(`${double.bucket}/`)) {
      uploads.push({ id, holds: partsOf(double, folder, id) });
    }
  }
  return uploads;
}

async function offsetOf({ url, keys }: SupabaseDouble, id: string): Promise<number> {
  const headers = { authorization: `Bearer ${keys.service}`, 'tus-resumable': '1.0.0' };
  const answer = await fetch(`${url}/storage/v1/upload/resumable/${id}`, { method: 'HEAD', headers });
  return Number(answer.headers.get('upload-offset'));
}

/** That it was sent, whether they arrived or not: an upload whose id no client was told has none. */
function partsOf({ requests }: SupabaseDouble, folder: string, id: string): number {
  const isPart = (path: string) => path.includes(`/${folder}/`) && path.includes(`uploadId=${id}`);
  return requests.filter(({ method, path }) => method === 'PUT' && isPart(path)).length;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
export function manifestOn({ objects, manifestKey }: Shelf): any {
  const found = objects.get(manifestKey);
  return found && JSON.parse(Buffer.from(found.bytes).toString());
}

export const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The manifest names these files in this order, as they are; beside them nothing is there, but for what is `spared`. */
export function expectExport(
  shelf: Shelf,
  wanted: readonly Uint8Array[],
  spared: (key: string) => boolean = () => false,
): void {
  const manifest = manifestOn(shelf);
  const files: readonly { readonly key: string }[] = manifest?.files ?? [];
  const found = files.map(({ key }) => shelf.objects.get(key));
  expect(found.map((object, at) => sameBytes(object?.bytes, wanted[at]))).toEqual(wanted.map(() => true));
  expect(files).toMatchObject(
    wanted.map((bytes, at) => ({
      bytes: bytes.length,
      sha256: sha256Of(bytes),
      etag: found[at]?.etag ?? 'none',
    })),
  );
  const named = new Set([shelf.manifestKey, ...files.map(({ key }) => key)]);
  expect([...shelf.objects.keys()].filter((key) => !named.has(key) && !spared(key))).toEqual([]);
}

/** Unfinished uploads hold nothing, or were told of. One whose id was lost with the store's answer is empty and drops out. */
export function expectNoUploads({ uploads }: Shelf, isAllowed: (id: string) => boolean = () => false): void {
  expect(uploads.filter(({ id, holds }) => holds > 0 && !isAllowed(id))).toEqual([]);
}
