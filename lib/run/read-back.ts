import { ToolError } from '../errors.ts';
import type { ExportParts } from '../plan.ts';
import { startSha256 } from '../sha256.ts';
import type { Receipt } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { hashStream } from './hash-stream.ts';

/**
 * SHA-256 in hex of a published object, read from the store: of an upload that several processes made, none has
 * seen all bytes.
 */
export async function readBack(
  { destination, emit }: Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>,
  key: string,
  { bytes, etag, location }: Receipt,
  signal: AbortSignal,
): Promise<string> {
  emit({ kind: 'phase', phase: 'verify', total: bytes });
  const body = await destination.objects?.open(key, etag, signal);
  if (body === undefined) {
    throw new ToolError('store', `Cannot read ${location} back to compute its SHA-256: it is not there.`);
  }
  const hash = startSha256(bytes);
  try {
    const read = await hashStream(hash, body, signal, (done) =>
      emit({ kind: 'progress', rows: 0, bytes: done }),
    );
    if (read === bytes) return await hash.digest();
    throw new ToolError('integrity', `${location} has ${read} bytes where ${bytes} were sent.`);
  } finally {
    hash.close();
  }
}
