import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { snappyCompress } from 'hyparquet-writer/src/snappy.js';

export type Compression = 'zstd' | 'snappy' | 'gzip' | 'none';

/** CompressionCodec of parquet.thrift. */
export const CODEC_IDS: Readonly<Record<Compression, number>> = { none: 0, snappy: 1, gzip: 2, zstd: 6 };

/** Below this many bytes a hop to the thread pool costs more than the compression. */
const SMALL_BYTES = 16 * 1024;

const gzipOnPool = promisify(gzip);

/**
 * Compresses one page body. zstd and gzip run at level 1, on a thread pool: vectors hardly compress, and
 * higher levels cost several times the time for a per cent or two.
 */
export async function compress(
  compression: Exclude<Compression, 'none'>,
  body: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  switch (compression) {
    case 'zstd':
      if (body.length < SMALL_BYTES) return asBytes(Bun.zstdCompressSync(body, { level: 1 }));
      return asBytes(await Bun.zstdCompress(body, { level: 1 }));
    case 'gzip':
      return asBytes(await gzipOnPool(body, { level: constants.Z_BEST_SPEED }));
    case 'snappy':
      return new Uint8Array(snappyCompress(body));
  }
}

/** The types say that a Buffer may lie in shared memory; what a compressor returns never does. */
function asBytes(buffer: Buffer): Uint8Array<ArrayBuffer> {
  return buffer as Uint8Array<ArrayBuffer>;
}
