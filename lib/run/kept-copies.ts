import { datedKeys, isDatedKey } from '../dated-keys.ts';
import { messageOf, ToolError } from '../errors.ts';
import { type Manifest, manifestBytes } from '../manifest.ts';
import { streamOf } from '../pipeline/stream-of.ts';
import type { ExportParts, ExportPlan, ExportReport } from '../plan.ts';
import type { ByteStream, Objects, Receipt } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';

/** A manifest that is larger is none of ours. */
const MANIFEST_BYTES = 16 * 1024 * 1024;

/**
 * Copies the export and its manifest, within the store, to keys with the time of the export, and removes the
 * copies beyond the newest `keep`: only objects beside which a manifest says that this tool wrote them.
 */
export async function keepCopies(
  plan: ExportPlan,
  { destination, emit }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  manifest: Manifest,
  exported: Receipt,
  exportedAt: Date,
  signal: AbortSignal,
): Promise<ExportReport['copies']> {
  const { objects } = destination;
  if (plan.keep === undefined || objects === undefined) return { made: [], removed: [] };
  try {
    emit({ kind: 'phase', phase: 'copy', total: exported.bytes });
    const to = datedKeys(plan.key, plan.manifestKey, exportedAt);
    const copy = await objects.copy(plan.key, to.key, exported, signal);
    emit({ kind: 'progress', rows: 0, bytes: copy.bytes });
    const files = manifest.files.map((file) => ({ ...file, key: to.key, etag: copy.etag ?? null }));
    const bytes = manifestBytes({ ...manifest, files });
    await destination.put({
      key: to.manifestKey,
      body: oneChunk(bytes),
      estimatedBytes: bytes.length,
      signal,
      // Another run of the same second copies to the same key.
      beside: copy.etag === undefined ? undefined : { key: to.key, etag: copy.etag },
    });
    const removed = await removeOlder(plan, objects, manifest, signal);
    return { made: [copy.location], removed: removed.map((key) => destination.locate(key)) };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    throw new ToolError(
      error.code,
      `The export is published as ${exported.location}, but its dated copies are not as --keep ${plan.keep} wants them: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Resolves to the keys of the copies that were removed. */
async function removeOlder(
  plan: ExportPlan,
  objects: Objects,
  latest: Manifest,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const folder = plan.manifestKey.slice(0, plan.manifestKey.lastIndexOf('/') + 1);
  // One key of some 30 letters for each copy that is there: few, as older ones are removed.
  const manifests: string[] = [];
  for await (const { key } of objects.list(folder, signal)) {
    if (isDatedKey(key, plan.manifestKey)) manifests.push(key);
  }
  const removed: string[] = [];
  let kept = 0;
  // Their names sort by time.
  for (const manifestKey of manifests.sort().reverse()) {
    const found = await readManifest(objects, manifestKey, signal);
    const key = found?.files?.[0]?.key;
    const isOurs = found?.tool?.name === latest.tool.name && askedFor(found) === askedFor(latest);
    if (!isOurs || typeof key !== 'string' || !isCopyBeside(key, manifestKey, plan)) continue;
    if (++kept <= (plan.keep ?? 0)) continue;
    // In this order: without its manifest a copy would be nobody's.
    await objects.remove(key, signal);
    await objects.remove(manifestKey, signal);
    removed.push(key);
  }
  return removed;
}

/** The name that a collection was exported by: behind an alias there may be another one each night. */
function askedFor({ alias, collection }: Partial<Manifest>): string | undefined {
  return alias ?? collection;
}

/** Whether a dated manifest's export is the dated copy beside it, and nothing else that it could name. */
function isCopyBeside(key: string, manifestKey: string, plan: ExportPlan): boolean {
  const stem = (text: string) => text.slice(0, text.lastIndexOf('.'));
  return isDatedKey(key, plan.key) && stem(key) === stem(manifestKey);
}

/** Undefined where there is none, or nothing that can be read as one. */
async function readManifest(
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

/** A body of these bytes. */
export function oneChunk(bytes: Uint8Array<ArrayBuffer>): ByteStream {
  async function* chunks(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    yield bytes;
  }
  return streamOf(chunks(), 0);
}
