import { abortReason } from '../errors.ts';
import { type Sha256, startSha256 } from '../sha256.ts';
import type { ByteStream, WorkFolder } from '../storage/storage.ts';

/** Gives all bytes of the stream to the hash, and resolves to their number. Stops at the chunk at which the signal aborts. */
export async function hashStream(
  hash: Sha256,
  stream: ByteStream,
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) {
    if (signal.aborted) throw abortReason(signal);
    await hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  }
  return bytes;
}

/** SHA-256 in hex of a file of about so many bytes, read from the disk. */
export async function hashFile(
  work: WorkFolder,
  path: string,
  bytes: number,
  signal: AbortSignal,
): Promise<string> {
  const hash = startSha256(bytes);
  try {
    await hashStream(hash, work.read(path), signal);
    return await hash.digest();
  } finally {
    hash.close();
  }
}
