import { messageOf, ToolError } from '../errors.ts';
import { type Manifest, type ManifestFile, manifestBytes } from '../manifest.ts';
import { streamOf } from '../pipeline/stream-of.ts';
import type { ExportedData, ExportedFile } from '../plan.ts';
import type { ByteStream, PutRequest } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { replacedFiles } from './replaced-files.ts';
import type { ReplacedFile } from './run-state.ts';
import type { Session } from './session.ts';

/**
 * Beside the export, after it: who reads in between finds a manifest whose entity tag or hash is another's, or, where the
 * export is split, the last one whole. Resolves to what the manifest that it is written over names and this one does not.
 */
export async function writeManifest(
  session: Session<EncodedUnit>,
  manifest: Manifest,
  { location, files }: ExportedData,
): Promise<readonly ReplacedFile[]> {
  const { plan, parts, run } = session;
  const bytes = manifestBytes(manifest);
  try {
    const replaced = await replacedFiles(session, manifest);
    await parts.destination.put({
      key: plan.manifestKey,
      body: oneChunk(bytes),
      estimatedBytes: bytes.length,
      bytes: bytes.length,
      signal: run.signal,
      beside: besideOf(files),
    });
    return replaced;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // What a signal says of the run, that nothing was published, no longer holds.
    const why = error.code === 'cancelled' ? 'the run was stopped.' : messageOf(error);
    throw new ToolError(
      error.code,
      `The export is whole and published as ${location}, but its manifest is not: ${why}`,
      { cause: error },
    );
  }
}

/** What a manifest says of a file. */
export function manifestFile({ location, etag, ...file }: ExportedFile): ManifestFile {
  const { key, bytes, sha256, rows, rowGroups } = file;
  return { key, bytes, sha256, rows, rowGroups, etag: etag ?? null };
}

/** What a manifest is written beside: the first of its files. */
export function besideOf([first]: readonly ExportedFile[]): PutRequest['beside'] {
  return first?.etag === undefined ? undefined : { key: first.key, etag: first.etag };
}

/** A body of these bytes. */
export function oneChunk(bytes: Uint8Array<ArrayBuffer>): ByteStream {
  async function* chunks(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    yield bytes;
  }
  return streamOf(chunks(), 0);
}
