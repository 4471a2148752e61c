import { constants, createGzip } from 'node:zlib';

/** Offsets of RFC 1952, section 2.3: four bytes of time, and the system that compressed. */
const MTIME = 4;
const SYSTEM = 9;
const UNKNOWN_SYSTEM = 255;

/**
 * Least size of the buffer that a member comes in: smaller ones may share their memory with others, and could not be
 * freed on their own (Buffer.poolSize of Node is 8 KiB).
 */
const LEAST_BYTES = 64 * 1024;

/**
 * One gzip member of the text, which must stay as it is until then. Level 1, on a thread pool: floats' digits hardly
 * compress, and higher levels cost several times the time. The same bytes on every system.
 */
export function gzipMember(text: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    // Room for all of it, as it is hardly ever longer than the text: one job for the pool, and no copy. Only what is
    // used of it becomes memory.
    const chunkSize = Math.max(LEAST_BYTES, text.length);
    const chunks: Buffer<ArrayBuffer>[] = [];
    const stream = createGzip({ level: constants.Z_BEST_SPEED, chunkSize });
    stream.on('data', (chunk: Buffer<ArrayBuffer>) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => resolve(headed(joined(chunks, chunkSize))));
    stream.end(text);
  });
}

/** Gives a member's memory back without waiting for the collector; nobody may look at it any more. */
export function freeMember({ buffer }: Uint8Array<ArrayBuffer>): void {
  if (buffer.byteLength >= LEAST_BYTES) buffer.transfer(0);
}

/**
 * The chunks as one. Most of them are views of the one buffer that they were made in, one after the other; small ones
 * come as copies, and go back to where they were.
 */
function joined(chunks: readonly Buffer<ArrayBuffer>[], chunkSize: number): Uint8Array<ArrayBuffer> {
  const made = chunks.find(({ buffer }) => buffer.byteLength === chunkSize)?.buffer;
  if (made === undefined || !followOneAnother(chunks, made)) return new Uint8Array(Buffer.concat(chunks));
  const member = new Uint8Array(made);
  let end = 0;
  for (const chunk of chunks) {
    if (chunk.buffer !== made) member.set(chunk, end);
    end += chunk.length;
  }
  return member.subarray(0, end);
}

/** Whether all fit in where they were made: those that are there still are where the ones before them end. */
function followOneAnother(chunks: readonly Buffer<ArrayBuffer>[], made: ArrayBuffer): boolean {
  let end = 0;
  for (const { buffer, byteOffset, length } of chunks) {
    if (buffer === made && byteOffset !== end) return false;
    end += length;
  }
  return end <= made.byteLength;
}

function headed(member: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  member.fill(0, MTIME, MTIME + 4);
  member[SYSTEM] = UNKNOWN_SYSTEM;
  return member;
}
