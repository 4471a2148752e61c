import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ToolError } from '../../errors.ts';
import type { GrowingFile } from '../storage.ts';
import { codeOf, fileError, notAFile, shortError } from './file-errors.ts';

/** Chunks below this are gathered, larger ones are written as they are, without a copy. */
const SMALL_BYTES = 64 * 1024;
/** Bound of what is gathered: one buffer a file. */
const GATHER_BYTES = 512 * 1024;

/**
 * Opens the file to write it on from `length`: cuts off what lies behind, makes it (and its name durable) when it is
 * not there and nothing has to be. Rejects with 'integrity' when it is shorter; `whenFull` ends the error of a full
 * disk.
 */
export async function growFile(path: string, length: number, whenFull?: string): Promise<GrowingFile> {
  let handle: FileHandle | undefined;
  try {
    // Never truncated by opening: what is there may be all that is left of hours of work.
    handle = await open(path, length > 0 ? 'r+' : constants.O_RDWR | constants.O_CREAT, 0o666);
    const found = await handle.stat();
    if (!found.isFile()) throw notAFile(path, 'not a regular file');
    if (found.size < length) throw shortError(path, found.size, length);
    if (found.size > length) await handle.truncate(length);
    // Always: the process that made it may have been killed before it came so far.
    await syncFolder(dirname(path));
    return new HandleWriter(handle, path, length, whenFull);
  } catch (error) {
    await handle?.close().catch(() => {});
    if (length > 0 && codeOf(error) === 'ENOENT') throw shortError(path, undefined, length, error);
    throw fileError(path, error, whenFull);
  }
}

/**
 * Writes at the end of what is known to be in an open file, wherever its own end is. After the first failure every
 * call rejects with that: a second sync may say that all is well of pages that the first could not write.
 */
export class HandleWriter implements GrowingFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #whenFull: string | undefined;
  readonly #gathered = new Uint8Array(GATHER_BYTES);
  #held = 0;
  /** Where the next write goes. */
  #offset: number;
  /** Writes one at a time, in the order of the calls. Never rejects. */
  #turns: Promise<unknown> = Promise.resolve();
  /** The sync that has not begun yet: it covers whatever is written until it does. */
  #nextSync: Promise<void> | undefined;
  #runningSync: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #failure: unknown;

  /** Takes the handle: close() closes it. `path` is what errors name. */
  constructor(handle: FileHandle, path: string, length: number, whenFull?: string) {
    this.#handle = handle;
    this.path = path;
    this.#offset = length;
    this.#whenFull = whenFull;
  }

  get length(): number {
    return this.#offset + this.#held;
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed());
    return this.#inTurn(async () => {
      const small = chunk.length < SMALL_BYTES;
      if (!small || this.#held + chunk.length > GATHER_BYTES) await this.#flush();
      if (!small) return this.#writeOut(chunk);
      this.#gathered.set(chunk, this.#held);
      this.#held += chunk.length;
    });
  }

  sync(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed());
    if (this.#nextSync === undefined) {
      this.#nextSync = this.#syncAfter(this.#runningSync);
      this.#runningSync = this.#nextSync.catch(() => {});
    }
    return this.#nextSync;
  }

  /** Writes what is gathered, without waiting for the disk, and closes. Rejects when that fails for the first time. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #syncAfter(running: Promise<unknown>): Promise<void> {
    await running;
    this.#nextSync = undefined;
    await this.#inTurn(() => this.#flush());
    // Outside the turn, so that writing goes on meanwhile.
    await this.#orFail(syncData(this.#handle));
  }

  async #close(): Promise<void> {
    try {
      await (this.#failure === undefined ? this.#inTurn(() => this.#flush()) : this.#turns);
    } finally {
      await this.#runningSync;
      await this.#handle.close().catch(() => {});
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const turn = this.#turns.then(() => this.#orFail(work()));
    this.#turns = turn.catch(() => {});
    return turn;
  }

  async #orFail(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#failure ??= fileError(this.path, error, this.#whenFull);
      throw this.#failure;
    }
  }

  #closed(): Error {
    return new Error(`"${this.path}" is closed.`);
  }

  async #flush(): Promise<void> {
    const length = this.#held;
    if (length === 0) return;
    await this.#writeOut(this.#gathered.subarray(0, length), () => {
      this.#held = 0;
    });
  }

  async #writeOut(bytes: Uint8Array, done: () => void = () => {}): Promise<void> {
    await writeAt(this.#handle, bytes, this.#offset, this.path);
    done();
    this.#offset += bytes.length;
  }
}

/** Writes all the bytes. A write may be short, for example when the disk is nearly full; the next one then says why. */
export async function writeAt(
  handle: FileHandle,
  bytes: Uint8Array,
  offset: number,
  path: string,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done);
    if (bytesWritten === 0) throw new ToolError('store', `Cannot write "${path}": the disk took no bytes.`);
    done += bytesWritten;
  }
}

/**
 * Linux's fdatasync writes the size too where it changed (fdatasync(2)). macOS has another call of that name, and its
 * fsync hands the bytes to the drive, which may hold them in its cache (fsync(2), F_FULLFSYNC): there a power cut, not
 * a crash, can still take them.
 */
export function syncData(handle: FileHandle): Promise<void> {
  return process.platform === 'linux' ? handle.datasync() : handle.sync();
}

/** Makes the names in it durable. Windows has no such thing, and some network file systems neither. */
export async function syncFolder(path: string): Promise<void> {
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
