import type { Manifest } from '../manifest.ts';
import type { ByteStream, Objects } from '../storage/storage.ts';

/** A manifest that is larger is none of ours. */
const MANIFEST_BYTES = 16 * 1024 * 1024;

/** What a manifest in a store says, of which nothing is certain. Undefined where there is none, or nothing that can be read as one. */
export async function readManifest(
  objects: Objects,
  key: string,
  signal: AbortSignal,
): Promise<Partial<Manifest> | undefined> {
  const body = await objects.open(key, undefined, signal);
  if (body === undefined) return undefined;
  const text = await textOf(body);
  try {
    const found: unknown = JSON.parse(text ?? '');
    const isManifest = typeof found === 'object' && found !== null && 'manifest' in found;
    return isManifest ? (found as Partial<Manifest>) : undefined;
  } catch {
    return undefined;
  }
}

async function textOf(body: ByteStream): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MANIFEST_BYTES) return undefined;
    chunks.push(new Uint8Array(chunk));
  }
  return Buffer.concat(chunks).toString();
}

/** Whether this tool wrote it, of the collection that `own` is of. */
export function isOfSame(
  found: Partial<Manifest>,
  own: Pick<Manifest, 'tool' | 'alias' | 'collection'>,
): boolean {
  return found.tool?.name === own.tool.name && askedFor(found) === askedFor(own);
}

/** The name that a collection was exported by: behind an alias there may be another one each night. */
function askedFor({ alias, collection }: Partial<Manifest>): string | undefined {
  return alias ?? collection;
}

export interface NamedFile {
  readonly key: string;
  readonly etag: string | undefined;
}

/** The objects that it names, with the entity tags that they had; what has neither is left out. */
export function namedFiles(found: Partial<Manifest> | undefined): readonly NamedFile[] {
  const files: unknown = found?.files;
  if (!Array.isArray(files)) return [];
  return files.flatMap((file: { readonly key?: unknown; readonly etag?: unknown } | null) => {
    if (typeof file?.key !== 'string') return [];
    return [{ key: file.key, etag: typeof file.etag === 'string' ? file.etag : undefined }];
  });
}
