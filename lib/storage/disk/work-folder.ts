import type { Dirent, StatsFs } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, ToolError } from '../../errors.ts';
import type { WorkFolder } from '../storage.ts';
import { fileStream } from './file.ts';
import { codeOf, fileError, readError, systemProblem } from './file-errors.ts';
import { growFile, syncFolder } from './growing-file.ts';
import { type OpenJournal, openJournal } from './journal.ts';
import { isLockName, type Lock, takeLock } from './lock.ts';

const LOCK = 'lock';
const JOURNAL = 'journal';
const SCRATCH = 'scratch';
/** The tool's own folder, which holds those of its collections. */
const PARENT = 'qdrant-export';

/**
 * All that a run makes in its folder beside the lock, in the order in which `clear` removes it: the journal first, so
 * that one which is killed meanwhile leaves no journal of files that are gone.
 */
const FILES: readonly RegExp[] = [
  /^journal$/,
  /^journal\.new$/,
  /\.ndjson\.gz$/,
  /\.parquet\.part$/,
  /\.parquet$/,
  /^memory$/,
];
const FOLDERS: readonly string[] = [SCRATCH];

const WHEN_WORK_DISK_FULL =
  'Make room there and go on with --resume, set OUTPUT_TEMP_FOLDER to a folder with more room, or use --stream-upload.';
const WHEN_OTHER_DISK_FULL = 'Make room there and go on with --resume.';
/** How often another run of the collection may remove the folder, having ended, while this one is about to lock it. */
const MAX_ATTEMPTS = 10;

/**
 * Makes `{OUTPUT_TEMP_FOLDER}/qdrant-export/{collection}`, takes its lock and reads its journal. Rejects with 'usage'
 * when it cannot be made or another process has it. A journal that is corrupt says so when its records are asked for.
 */
export async function openWorkFolder(folder: string): Promise<WorkFolder> {
  const lock = await lockFolder(folder, 1);
  try {
    return new LockedFolder(folder, lock, await openJournal(join(folder, JOURNAL)));
  } catch (error) {
    await lock.release();
    await removeEmpty(folder);
    throw error;
  }
}

async function lockFolder(folder: string, attempt: number): Promise<Lock> {
  await makeFolder(folder).catch((error: unknown) => {
    throw folderError('make', folder, dirname(dirname(folder)), error);
  });
  try {
    return await takeLock(join(folder, LOCK), `Collection "${collectionOf(folder)}"`);
  } catch (error) {
    const cause = error instanceof ToolError ? error.cause : error;
    if (codeOf(cause) === 'ENOENT' && attempt < MAX_ATTEMPTS) return lockFolder(folder, attempt + 1);
    throw error instanceof ToolError && error.code === 'usage'
      ? error
      : folderError('lock', folder, folder, cause ?? error);
  }
}

async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true });
  if (made === undefined) return;
  await syncFolder(dirname(folder));
  await syncFolder(dirname(dirname(folder)));
}

function folderError(verb: 'make' | 'lock', folder: string, within: string, error: unknown): ToolError {
  const why = systemProblem(error, within) ?? messageOf(error);
  return new ToolError(
    'usage',
    `Cannot ${verb} the work folder "${folder}": ${why}. Set OUTPUT_TEMP_FOLDER.`,
    {
      cause: error,
    },
  );
}

/** The folder's name is the collection's, percent-encoded. */
function collectionOf(folder: string): string {
  try {
    return decodeURIComponent(basename(folder));
  } catch {
    return basename(folder);
  }
}

class LockedFolder implements WorkFolder {
  readonly path: string;
  readonly journal: OpenJournal;
  readonly #lock: Lock;
  #left = false;

  constructor(path: string, lock: Lock, journal: OpenJournal) {
    this.path = path;
    this.journal = journal;
    this.#lock = lock;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  grow(path: string, length: number) {
    // Another path is one of --output, for which OUTPUT_TEMP_FOLDER means nothing.
    return growFile(path, length, this.#holds(path) ? WHEN_WORK_DISK_FULL : WHEN_OTHER_DISK_FULL);
  }

  read(path: string, offset = 0) {
    return fileStream(path, { offset });
  }

  async size(path: string): Promise<number | undefined> {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw readError(path, error);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
      await syncFolder(dirname(to));
    } catch (error) {
      throw fileError(to, error);
    }
  }

  async remove(path: string): Promise<void> {
    const recursive = this.#holds(path) && FOLDERS.includes(basename(path));
    await rm(path, { force: true, recursive }).catch((error: unknown) => {
      throw removeError(path, error);
    });
  }

  async freeBytes(path: string): Promise<number | undefined> {
    const found = await statfs(dirname(path)).catch((): StatsFs | undefined => undefined);
    // Some network file systems answer with zeros.
    if (found === undefined || !(found.blocks > 0)) return undefined;
    return found.bavail * found.bsize;
  }

  /** Rejects with the first that could not be removed, when all else is gone. */
  async clear(): Promise<void> {
    if (this.#left) throw new Error(`"${this.path}" is closed.`);
    await this.journal.close();
    let failure: unknown;
    for (const name of await this.#names()) {
      await this.remove(this.file(name)).catch((error: unknown) => {
        failure ??= error;
      });
    }
    await this.#leave();
    if (failure !== undefined) throw failure;
  }

  async close(): Promise<void> {
    if (this.#left) return;
    await this.journal.close();
    await this.#leave();
  }

  /** The lock goes last, so that no other run is in the folder while something is removed from it. */
  async #leave(): Promise<void> {
    this.#left = true;
    await this.#lock.release();
    await removeEmpty(this.path);
  }

  #holds(path: string): boolean {
    return dirname(path) === this.path;
  }

  /** What `clear` removes, in that order. */
  async #names(): Promise<readonly string[]> {
    const entries = await readdir(this.path, { withFileTypes: true }).catch((): Dirent[] => []);
    const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    return [
      ...FILES.flatMap((pattern) => files.filter((name) => pattern.test(name))),
      ...folders.filter((name) => FOLDERS.includes(name)),
      // Of processes that were killed while they took the lock; the lock itself is given back.
      ...files.filter((name) => name !== LOCK && isLockName(name, LOCK)),
    ];
  }
}

/** The folder, then the tool's, each unless something is in it. */
async function removeEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => {});
  if (basename(dirname(folder)) === PARENT) await rmdir(dirname(folder)).catch(() => {});
}

function removeError(path: string, error: unknown): ToolError {
  const why = systemProblem(error, dirname(path)) ?? messageOf(error);
  return new ToolError('store', `Cannot remove "${path}": ${why}.`, { cause: error });
}
