import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { abortReason, messageOf, ToolError } from '../../errors.ts';
import { freeNow } from '../../free-now.ts';

/** Bytes read, and bytes unpacked, at a time; the streams hold a few of them. */
const CHUNK_BYTES = 256 * 1024;

/**
 * The contents of a file of one or more gzip members, each of which is checked against its checksum. A chunk belongs to
 * the reader until it asks for the next one. Throws a ToolError:
 * 'integrity' where the file is damaged or cut off within a member, 'store' where it cannot be read.
 */
export async function* gunzippedFile(path: string): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // Errors of both arrive at whoever reads the second one.
  const done = () => undefined;
  pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), unzip, done);
  try {
    for await (const chunk of unzip) {
      yield chunk as Uint8Array;
      freeNow(chunk as Uint8Array);
    }
  } catch (error) {
    throw readProblem(path, error);
  } finally {
    unzip.destroy();
  }
}

/** Reads the file to its end for the sake of the checks alone, or throws what the signal says. */
export async function checkGzip(path: string, signal: AbortSignal): Promise<void> {
  for await (const _ of gunzippedFile(path)) if (signal.aborted) throw abortReason(signal);
}

function readProblem(path: string, error: unknown): ToolError {
  const code = String((error as { code?: unknown }).code);
  if (!code.startsWith('Z_')) {
    return new ToolError('store', `Cannot read "${path}": ${messageOf(error)}.`, { cause: error });
  }
  return new ToolError(
    'integrity',
    `Cannot make Parquet of "${path}": it is damaged or cut off (${messageOf(error)}). Start over without --resume.`,
    { cause: error },
  );
}
