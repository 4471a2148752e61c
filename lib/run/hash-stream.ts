import { abortReason } from '../errors.ts';
import { type Sha256, startSha256 } from '../sha256.ts';
import type { ByteStream, WorkFolder } from '../storage/storage.ts';

/** Gives all bytes of the stream to the hash, and resolves to their number. Stops at the chunk at which the signal aborts. */
export async function hashStream(
  hash: Sha256,
  stream: ByteStream,
  signal: AbortSignal,
  onChunk: (chunk: Uint8Array, bytes: number) => void = () => {},
): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) {
    if (signal.aborted) throw abortReason(signal);
    const taken = hash.update(chunk);
    bytes += chunk.length;
    onChunk(chunk, bytes);
    if (taken !== undefined) await taken;
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

/** Of a whole file, and of the stretches that it is, end to end. */
export interface FileHashes {
  readonly whole: string;
  readonly parts: readonly string[];
}

/**
 * SHA-256 in hex of a file on the disk and of its stretches of so many bytes, in one reading. The whole is hashed on its
 * thread while the stretches, of which there may be thousands, are hashed here.
 */
export async function hashParts(
  work: WorkFolder,
  path: string,
  lengths: readonly number[],
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<FileHashes> {
  const whole = startSha256(lengths.reduce((sum, length) => sum + length, 0));
  const parts: string[] = [];
  let part = new Bun.CryptoHasher('sha256');
  let left = lengths[0] ?? 0;
  let bytes = 0;
  try {
    for await (const chunk of work.read(path)) {
      if (signal.aborted) throw abortReason(signal);
      const taken = whole.update(chunk);
      for (let rest = chunk; rest.length > 0; ) {
        const stretch = rest.subarray(0, left);
        part.update(stretch);
        left -= stretch.length;
        rest = rest.subarray(stretch.length);
        if (left > 0) continue;
        // Bytes behind the last stretch are the whole's alone, which then is another.
        parts.push(part.digest('hex'));
        part = new Bun.CryptoHasher('sha256');
        left = lengths[parts.length] ?? Number.POSITIVE_INFINITY;
      }
      await taken;
      bytes += chunk.length;
      onBytes(bytes);
    }
    return { whole: await whole.digest(), parts };
  } finally {
    whole.close();
  }
}
