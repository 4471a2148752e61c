import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { ToolError } from '../../errors.ts';
import { codeOf, fileError } from './file-errors.ts';
import { syncData } from './growing-file.ts';
import { isGone, isHere, type LockHolder, parseHolder, thisProcess } from './lock-holder.ts';

/** How often a holder shows that it lives. */
const TOUCH_MS = 10_000;
/** A holder that cannot be looked at and was silent for so long is gone. */
const SILENT_MS = 60_000;
/** Others come and go while a lock is taken; that it happens so often in a row means something else. */
const MAX_ATTEMPTS = 100;

/** What tests set otherwise. */
export interface LockSettings {
  readonly touchMs?: number;
  /** Gives a file a second name: not every file system can. */
  readonly link?: (from: string, to: string) => Promise<void>;
}

export interface Lock {
  /** Gives it back, if it still is this process's. Never rejects: a lock that stays is stale when the process ends. */
  release(): Promise<void>;
}

/** A lock file as it was found. */
interface Found {
  readonly text: string;
  /** Undefined when it is empty or damaged. */
  readonly holder: LockHolder | undefined;
  readonly modifiedMs: number;
}

/** Tokens of the locks that this process holds. */
const held = new Set<string>();

/**
 * Takes the lock file at `path` for this process, or rejects with a ToolError 'usage' that names the process which
 * has it; `what` is what it guards, and begins a sentence. A lock whose holder is gone is taken over.
 *
 * The file gets its name whole, by a hard link, so nobody reads half of one. Who finds a stale lock first takes a
 * second lock, of a name made from the stale one's content, and alone may then remove it: no two processes take the
 * same one over, and none removes a lock that took its place. One race remains, with a holder on another host (or
 * in another container) which was suspended for more than a minute: it does not learn that it was taken for gone. Its
 * journal, which is then of another size than it left it, stops it.
 */
export async function takeLock(path: string, what: string, settings: LockSettings = {}): Promise<Lock> {
  const claim = await hold(path, what, settings.link ?? link);
  const timer = setInterval(() => void claim.touch(), settings.touchMs ?? TOUCH_MS);
  // A lock keeps no process from ending.
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      await claim.release();
    },
  };
}

/** Whether a file of that name is one of the lock's: itself, one that is being made, or one that guards a takeover. */
export function isLockName(name: string, lock: string): boolean {
  return name.startsWith(lock) && /^(\.over-[0-9a-f]{16})*(\.[0-9a-f]{16})?$/.test(name.slice(lock.length));
}

type Link = NonNullable<LockSettings['link']>;

async function hold(path: string, what: string, link: Link): Promise<Claim> {
  const claim = await Claim.prepare(path, link);
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (await claim.take()) return claim;
      const found = await readLock(path);
      // Given back a moment ago.
      if (found === undefined) continue;
      const problem = whyHeld(path, what, found, await claim.now());
      if (problem !== undefined) throw problem;
      await removeStale(path, what, found, link);
    }
    throw new ToolError('usage', `${what} is in use: other processes keep taking "${path}". Try again.`);
  } catch (error) {
    await claim.release();
    throw fileError(path, error);
  }
}

/** Removes that lock and no other. Rejects when another process is about to take it over. */
async function removeStale(path: string, what: string, stale: Found, link: Link): Promise<void> {
  const over = await hold(`${path}.over-${keyOf(stale)}`, what, link);
  try {
    const found = await readLock(path);
    if (found !== undefined && keyOf(found) === keyOf(stale)) await unlink(path);
  } finally {
    await over.release();
  }
}

/** A name for a lock: what it says, and for one that says nothing, when. */
function keyOf({ text, holder, modifiedMs }: Found): string {
  return Bun.hash(holder === undefined ? `${modifiedMs} ${text}` : text)
    .toString(16)
    .padStart(16, '0');
}

interface ClaimNames {
  readonly path: string;
  readonly own: string;
  readonly token: string;
  readonly link: Link;
}

/** This process's bid for a lock: a file of its own that becomes the lock. */
class Claim {
  readonly #path: string;
  readonly #own: string;
  readonly #token: string;
  readonly #text: Buffer;
  readonly #linkFile: Link;
  /** Of the lock's file, so that only that one is ever touched. */
  #handle: FileHandle;
  #touching: Promise<void> = Promise.resolve();

  private constructor(names: ClaimNames, text: Buffer, handle: FileHandle) {
    this.#path = names.path;
    this.#own = names.own;
    this.#token = names.token;
    this.#linkFile = names.link;
    this.#text = text;
    this.#handle = handle;
  }

  static async prepare(path: string, link: Link): Promise<Claim> {
    const token = randomBytes(8).toString('hex');
    const text = Buffer.from(JSON.stringify(thisProcess(token)));
    const own = `${path}.${token}`;
    const handle = await open(own, 'wx').catch((error) => {
      throw fileError(path, error);
    });
    const claim = new Claim({ path, own, token, link }, text, handle);
    try {
      await claim.#write();
      return claim;
    } catch (error) {
      await claim.release();
      throw fileError(path, error);
    }
  }

  /** False when the lock is there already. */
  async take(): Promise<boolean> {
    held.add(this.#token);
    const taken = await this.#link();
    if (!taken) held.delete(this.#token);
    return taken;
  }

  /** The time of the file system that has the locks, which on a network is not this machine's. */
  async now(): Promise<number> {
    await this.#write();
    return (await this.#handle.stat()).mtimeMs;
  }

  /** Writes the same bytes again, for their time. What it cannot do now it may be able to the next time. */
  touch(): Promise<void> {
    this.#touching = this.#touching.then(() => this.#write()).catch(() => {});
    return this.#touching;
  }

  async release(): Promise<void> {
    await this.#touching;
    const found = await readLock(this.#path).catch(() => undefined);
    if (found?.holder?.token === this.#token) await unlink(this.#path).catch(() => {});
    await unlink(this.#own).catch(() => {});
    await this.#handle.close().catch(() => {});
    held.delete(this.#token);
  }

  async #write(): Promise<void> {
    await this.#handle.write(this.#text, 0, this.#text.length, 0);
    // Else a network file system's server would hear of it some time later.
    await syncData(this.#handle);
  }

  async #link(): Promise<boolean> {
    try {
      await this.#linkFile(this.#own, this.#path);
    } catch (error) {
      const code = codeOf(error) ?? '';
      if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) return this.#create();
      // Over NFS the answer to a link that was made may get lost, and the call be made twice.
      if (code !== 'EEXIST') throw error;
      if ((await this.#handle.stat()).nlink < 2) return false;
    }
    await unlink(this.#own).catch(() => {});
    return true;
  }

  /** Where there are no hard links: others may see it before its content, and wait until that is old. */
  async #create(): Promise<boolean> {
    let handle: FileHandle;
    try {
      handle = await open(this.#path, 'wx');
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
    await this.#handle.close().catch(() => {});
    this.#handle = handle;
    try {
      await this.#write();
    } catch (error) {
      // Without its content nobody can know whose it is, its maker included.
      await unlink(this.#path).catch(() => {});
      throw error;
    }
    await unlink(this.#own).catch(() => {});
    return true;
  }
}

async function readLock(path: string): Promise<Found | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const text = await handle.readFile('utf8');
    return { text, holder: parseHolder(text), modifiedMs: (await handle.stat()).mtimeMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  } finally {
    await handle?.close().catch(() => {});
  }
}

/** The error for who wants a lock that somebody has; undefined when it is stale. */
function whyHeld(path: string, what: string, found: Found, nowMs: number): ToolError | undefined {
  const { holder } = found;
  const silent = nowMs - found.modifiedMs > SILENT_MS;
  const error = (text: string) => new ToolError('usage', `${what} is being exported by ${text}`);
  // Where there are no hard links it may be one that is just being written; its maker was killed when it is old.
  if (holder === undefined) {
    if (silent) return undefined;
    return error(`a process that has not written its name into "${path}" yet. Try again in a minute.`);
  }
  const who = `process ${holder.pid} on host "${holder.host}" since ${holder.taken}`;
  if (!isHere(holder)) {
    if (silent) return undefined;
    return error(`${who}. Wait until it ends; if it was killed, try again in a minute.`);
  }
  if (isGone(holder, held.has(holder.token))) return undefined;
  return error(`${who}. Wait until it ends, or stop it; if it is no export, delete "${path}".`);
}
