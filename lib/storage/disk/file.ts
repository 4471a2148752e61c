import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { abortReason, ToolError } from '../../errors.ts';
import { drain } from '../drain.ts';
import type { ByteStream, Destination, PutRequest, Receipt } from '../storage.ts';
import { codeOf, fileError, notAFile, readError, shortError, sizeError } from './file-errors.ts';
import { HandleWriter, syncData, syncFolder } from './growing-file.ts';

/** A `.part` that nobody wrote to for so long belongs to a run that was killed. */
const STALE_MS = 24 * 60 * 60 * 1000;

/** What a run names its part with, so that housekeeping knows the part again: 8 to 32 hex digits. */
const PART_ID = /^[0-9a-f]{8,32}$/;

/**
 * Local files. The key is the path; its folder must exist. The bytes go to `KEY.<id>.part`, which belongs to this run
 * alone, so that two runs of one key never write into the same file: the last to finish wins, whole. What killed runs
 * left is removed a day later.
 */
export function fileDestination(): Destination {
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
    put: putFile,
    local: {
      async part(key, id) {
        if (!PART_ID.test(id)) throw new Error(`A part's id has 8 to 32 hex digits, not "${id}".`);
        const target = await targetOf(key);
        await removeStaleParts(target, id);
        return partOf(target, id);
      },
      adopt: adoptFile,
    },
  };
}

/**
 * Ignores `log` and `from`: there is no upload. Ignores `beside` too: a local file has no entity tag to hold on to,
 * and of two runs of one output, each renames its export first and writes its manifest next, so a manifest may lie
 * beside the other's export only where both end at the same moment; runs of one collection are kept apart by the lock.
 */
async function putFile({ key, body, signal, onProgress }: PutRequest): Promise<Receipt> {
  const { target, part } = await begin(key, signal).catch(async (error) => {
    await body.cancel(error).catch(() => {});
    throw error;
  });
  const file = new HandleWriter(part.handle, key, 0);
  try {
    // Each write is awaited before the next read: that is the back-pressure, and keeps the chunk valid.
    await drain(body, signal, async (chunk) => {
      await file.write(chunk);
      onProgress?.(chunk.length);
    });
    await file.sync();
    await onDisk(key, checkSize(part.handle, key, file.length));
    return await publish(part.path, target, { key, bytes: file.length, signal });
  } catch (error) {
    await unlink(part.path).catch(() => {});
    throw error;
  } finally {
    await file.close().catch(() => {});
  }
}

async function begin(key: string, signal: AbortSignal) {
  if (signal.aborted) throw abortReason(signal);
  const target = await targetOf(key);
  await removeStaleParts(target);
  return { target, part: await createPart(key, target) };
}

/** Leaves the part where it is when it fails, for a run that goes on with it. */
async function adoptFile(path: string, key: string, bytes: number, signal: AbortSignal): Promise<Receipt> {
  if (signal.aborted) throw abortReason(signal);
  const target = await targetOf(key);
  const handle = await open(path, 'r+').catch((error) => {
    throw codeOf(error) === 'ENOENT' ? shortError(path, undefined, bytes, error) : fileError(path, error);
  });
  try {
    await onDisk(path, checkSize(handle, path, bytes));
    // Costs nothing when it was synced, as it should be; after the rename it would be too late.
    await onDisk(path, syncData(handle));
  } finally {
    await handle.close().catch(() => {});
  }
  return publish(path, target, { key, bytes, signal });
}

interface Publication {
  readonly key: string;
  readonly bytes: number;
  readonly signal: AbortSignal;
}

async function publish(path: string, target: string, { key, bytes, signal }: Publication): Promise<Receipt> {
  if (signal.aborted) throw abortReason(signal);
  await onDisk(key, rename(path, target));
  await onDisk(key, syncFolder(dirname(target)));
  return { location: key, bytes, etag: undefined };
}

async function checkSize(handle: FileHandle, path: string, bytes: number): Promise<void> {
  const found = await handle.stat();
  if (found.size !== bytes) throw sizeError(path, found.size, bytes);
}

/** Errors of the disk become ToolErrors; others pass as they are. */
async function onDisk<T>(key: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fileError(key, error);
  }
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

function partOf(target: string, id: string): string {
  return `${target}.${id}.part`;
}

async function createPart(key: string, target: string): Promise<{ path: string; handle: FileHandle }> {
  const path = partOf(target, randomBytes(4).toString('hex'));
  try {
    return { path, handle: await open(path, 'wx') };
  } catch (error) {
    throw fileError(key, error);
  }
}

/** Housekeeping: what cannot be looked at or removed is left to those who can. */
async function removeStaleParts(target: string, ownId?: string): Promise<void> {
  const folder = dirname(target);
  const prefix = `${basename(target)}.`;
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(prefix) || !name.endsWith('.part')) continue;
    const id = name.slice(prefix.length, -'.part'.length);
    if (!PART_ID.test(id) || id === ownId) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > STALE_MS) await unlink(path).catch(() => {});
  }
}

export interface FileStreamOptions {
  /** Where to begin; default the start. */
  readonly offset?: number;
  /** Bound of a chunk, and of what is held: one buffer that all chunks share. */
  readonly chunkBytes?: number;
}

/**
 * A file as a stream, from an offset to its end. Errors when the file ends before the offset, or does not have, to its
 * end, the size that it had at the start.
 */
export function fileStream(path: string, options: FileStreamOptions = {}): ByteStream {
  const { offset = 0, chunkBytes = 1024 * 1024 } = options;
  const buffer = new Uint8Array(chunkBytes);
  let handle: FileHandle | undefined;
  let size = 0;
  let position = offset;
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
            if (size < offset) throw shortError(path, size, offset);
          }
          const { bytesRead } = await handle.read(buffer, 0, chunkBytes, position);
          position += bytesRead;
          if (position > size || (bytesRead === 0 && position < size)) {
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
