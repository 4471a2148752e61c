import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { abortReason, ToolError } from '../errors.ts';
import { drain } from './drain.ts';
import { codeOf, fileError, notAFile, readError, sizeError } from './file-errors.ts';
import type { ByteStream, Destination, PutRequest, Receipt } from './storage.ts';

export interface FileSettings {
  /**
   * Whether `put` resolves only when the bytes are on the disk. Default true; a work file that is read at once
   * and then deleted can do without.
   */
  readonly durable?: boolean;
  /** What to do about a disk that is full: a sentence for the end of the error. */
  readonly whenFull?: string;
}

/** Chunks below this are gathered, larger ones are written as they are, without a copy. */
const SMALL_BYTES = 64 * 1024;
/** Bound of what is gathered: one buffer a file. */
const GATHER_BYTES = 512 * 1024;
/** A `.part` that nobody wrote to for so long belongs to a run that was killed. */
const STALE_MS = 24 * 60 * 60 * 1000;

/**
 * Local files. The key is the path; its folder must exist. The bytes go to `KEY.<random>.part`, which is
 * created by this run alone, so that two runs of one key never write into the same file: the last to finish
 * wins, whole. What killed runs left is removed a day later.
 */
export function fileDestination(settings: FileSettings = {}): Destination {
  const durable = settings.durable ?? true;
  return {
    locate: (key) => key,
    async check(key, signal) {
      if (signal.aborted) throw abortReason(signal);
      const target = await targetOf(key);
      // Permissions, read-only mounts and quotas show only when a file is made.
      const part = await createPart(key, target);
      await part.handle.close();
      await onDisk(key, unlink(part.path));
    },
    put: (request) => putFile(request, durable, settings.whenFull),
  };
}

async function putFile(
  request: PutRequest,
  durable: boolean,
  whenFull: string | undefined,
): Promise<Receipt> {
  const { key, body, signal } = request;
  const { target, part } = await begin(key, signal).catch(async (error) => {
    await body.cancel(error).catch(() => {});
    throw error;
  });
  try {
    const bytes = await writeAll(part.handle, request, whenFull);
    await onDisk(key, settle(part.handle, key, bytes, durable));
    if (signal.aborted) throw abortReason(signal);
    await onDisk(key, rename(part.path, target));
    if (durable) await onDisk(key, syncFolder(dirname(target)));
    return { location: key, bytes, etag: undefined };
  } catch (error) {
    await unlink(part.path).catch(() => {});
    throw error;
  } finally {
    await part.handle.close().catch(() => {});
  }
}

async function begin(key: string, signal: AbortSignal) {
  if (signal.aborted) throw abortReason(signal);
  const target = await targetOf(key);
  await removeStaleParts(target);
  return { target, part: await createPart(key, target) };
}

async function settle(handle: FileHandle, key: string, bytes: number, durable: boolean): Promise<void> {
  if (durable) await handle.sync();
  const found = await handle.stat();
  if (found.size !== bytes) throw sizeError(key, found.size, bytes);
}

/** Errors of the disk become ToolErrors; those of the body pass as they are. */
async function onDisk<T>(key: string, work: Promise<T>, whenFull?: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fileError(key, error, whenFull);
  }
}

/** Each write is awaited before the next read: that is the back-pressure, and keeps the chunk valid. */
async function writeAll(
  handle: FileHandle,
  { key, body, signal, onProgress }: PutRequest,
  whenFull: string | undefined,
): Promise<number> {
  const gathered = new Uint8Array(GATHER_BYTES);
  let held = 0;
  let total = 0;
  const write = async (bytes: Uint8Array) => {
    // A write may be short, for example when the disk is nearly full; the next one then says why.
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await onDisk(key, handle.write(bytes, done, bytes.length - done), whenFull);
      if (bytesWritten === 0) throw new ToolError('store', `Cannot write "${key}": the disk took no bytes.`);
      done += bytesWritten;
    }
    total += bytes.length;
    onProgress?.(bytes.length);
  };
  const flush = async () => {
    const length = held;
    held = 0;
    if (length > 0) await write(gathered.subarray(0, length));
  };
  await drain(body, signal, async (chunk) => {
    const small = chunk.length < SMALL_BYTES;
    if (!small || held + chunk.length > GATHER_BYTES) await flush();
    if (!small) return write(chunk);
    gathered.set(chunk, held);
    held += chunk.length;
  });
  await flush();
  return total;
}

/** The file that is to be replaced: behind a link, not the link; never a folder or a device. */
async function targetOf(key: string): Promise<string> {
  if (key === '' || /[/\\]$/.test(key)) throw notAFile(key, 'a folder');
  let target: string;
  try {
    target = await realpath(key);
    const found = await stat(target);
    if (found.isDirectory()) throw notAFile(key, 'a folder');
    // A rename would put a file in the place of the device or pipe.
    if (!found.isFile()) throw notAFile(key, 'not a regular file');
    return target;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return key;
    throw fileError(key, error);
  }
}

async function createPart(key: string, target: string): Promise<{ path: string; handle: FileHandle }> {
  const path = `${target}.${randomBytes(4).toString('hex')}.part`;
  try {
    return { path, handle: await open(path, 'wx') };
  } catch (error) {
    throw fileError(key, error);
  }
}

/** Housekeeping: what cannot be looked at or removed is left to those who can. */
async function removeStaleParts(target: string): Promise<void> {
  const folder = dirname(target);
  const prefix = `${basename(target)}.`;
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(prefix) || !/^[0-9a-f]{8}\.part$/.test(name.slice(prefix.length))) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > STALE_MS) await unlink(path).catch(() => {});
  }
}

/** Makes the new name itself durable. Windows has no such thing, and some network file systems neither. */
async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle | undefined;
  try {
    folder = await open(path, 'r');
    await folder.sync();
  } catch (error) {
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF'].includes(codeOf(error) ?? ''))
      throw error;
  } finally {
    await folder?.close().catch(() => {});
  }
}

/**
 * A file as a stream of chunks of at most `chunkBytes` that share one buffer. Errors when the file does not
 * have, to its end, the size that it had at the start.
 */
export function fileStream(path: string, chunkBytes = 1024 * 1024): ByteStream {
  const buffer = new Uint8Array(chunkBytes);
  let handle: FileHandle | undefined;
  let size = 0;
  let given = 0;
  const close = async () => {
    const closing = handle;
    handle = undefined;
    await closing?.close();
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          if (handle === undefined) {
            handle = await open(path, 'r');
            size = (await handle.stat()).size;
          }
          const { bytesRead } = await handle.read(buffer, 0, chunkBytes, given);
          given += bytesRead;
          if (given > size || (bytesRead === 0 && given < size)) {
            throw new ToolError(
              'integrity',
              `"${path}" changed while it was read: it had ${size} bytes at first.`,
            );
          }
          if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
          await close();
          controller.close();
        } catch (error) {
          await close().catch(() => {});
          throw error instanceof ToolError ? error : readError(path, error);
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}
