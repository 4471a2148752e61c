import { constants } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, ToolError } from '../../errors.ts';
import type { Journal } from '../storage.ts';
import { codeOf, systemProblem } from './file-errors.ts';
import { syncData, syncFolder, writeAt } from './growing-file.ts';
import { MAX_JOURNAL_BYTES, readJournal, toLines } from './journal-lines.ts';

const WHAT_TO_DO =
  'Mend that and go on with --resume, or set OUTPUT_TEMP_FOLDER to another folder and start over.';

/** A journal that can be closed: what was appended is on the disk, or was rejected, when that resolves. */
export interface OpenJournal extends Journal {
  close(): Promise<void>;
}

/** The name under which `replace` writes, until it is whole. */
function nextJournalOf(path: string): string {
  return `${path}.new`;
}

/**
 * The journal at that path, with what a crash left cut off; one that is not there has no records, and is made by the
 * first append. One that is corrupt can be replaced: until then `records` throws and `append` rejects, 'integrity'.
 */
export async function openJournal(path: string): Promise<OpenJournal> {
  const left = await readJournal(path);
  if (left.kind === 'corrupt') return new FileJournal(path, [], 0, left.problem);
  if (left.wholeBytes < left.bytes) await cutBack(path, left.wholeBytes);
  return new FileJournal(path, left.records, left.wholeBytes, undefined);
}

async function cutBack(path: string, length: number): Promise<void> {
  try {
    const handle = await open(path, 'r+');
    try {
      await handle.truncate(length);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw writeError(path, error);
  }
}

/** Records of one commit, in the order of their appends. */
interface Commit {
  /** As JSON. */
  readonly records: string[];
  readonly done: Promise<void>;
}

class FileJournal implements OpenJournal {
  readonly #path: string;
  readonly #left: readonly unknown[];
  #bytes: number;
  /** Why the journal that an earlier process left cannot be used. */
  #corrupt: ToolError | undefined;
  /** Whether the file's name is known to be durable. */
  #named = false;
  /** Why nothing more can be written. */
  #failure: unknown;
  #closed = false;
  /** The commit that has not begun: records that are appended meanwhile share it. */
  #next: Commit | undefined;
  /** Commits and replacements one at a time, in order. Never rejects. */
  #turns: Promise<unknown> = Promise.resolve();

  constructor(path: string, left: readonly unknown[], bytes: number, corrupt: ToolError | undefined) {
    this.#path = path;
    this.#left = left;
    this.#bytes = bytes;
    this.#corrupt = corrupt;
  }

  get records(): readonly unknown[] {
    if (this.#corrupt !== undefined) throw this.#corrupt;
    return this.#left;
  }

  async append(record: object): Promise<void> {
    const json = JSON.stringify(record);
    if (this.#next === undefined) {
      const records: string[] = [];
      this.#next = { records, done: this.#inTurn(() => this.#commit(records)) };
    }
    this.#next.records.push(json);
    return this.#next.done;
  }

  async replace(records: readonly object[]): Promise<void> {
    const text = toLines(records.map((record) => JSON.stringify(record)));
    // Records that are appended from now on come after these.
    this.#next = undefined;
    return this.#inTurn(() => this.#replaceWith(text));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turns;
  }

  /** After the first failure nothing is written: what is behind a torn line would be taken for corrupt. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.reject(new Error(`"${this.#path}" is closed.`));
    const turn = this.#turns.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        await work();
      } catch (error) {
        if (error === this.#corrupt) throw error;
        this.#failure = writeError(this.#path, error);
        throw this.#failure;
      }
    });
    this.#turns = turn.catch(() => {});
    return turn;
  }

  /** The file is opened for each commit, to see that it is there and as this process left it. */
  async #commit(records: readonly string[]): Promise<void> {
    if (this.#next?.records === records) this.#next = undefined;
    if (this.#corrupt !== undefined) throw this.#corrupt;
    const text = toLines(records);
    if (this.#bytes + text.length > MAX_JOURNAL_BYTES) throw fullError(this.#path);
    const flags = this.#bytes > 0 ? 'r+' : constants.O_RDWR | constants.O_CREAT;
    const handle = await open(this.#path, flags, 0o666).catch((error) => {
      throw this.#bytes > 0 && codeOf(error) === 'ENOENT' ? changedError(this.#path) : error;
    });
    try {
      if ((await handle.stat()).size !== this.#bytes) throw changedError(this.#path);
      await writeAt(handle, text, this.#bytes, this.#path);
      await syncData(handle);
    } finally {
      await handle.close().catch(() => {});
    }
    // Once, even when it was there: who made it may have been killed before it came so far.
    if (!this.#named) await syncFolder(dirname(this.#path));
    this.#named = true;
    this.#bytes += text.length;
  }

  async #replaceWith(text: Buffer): Promise<void> {
    if (text.length > MAX_JOURNAL_BYTES) throw fullError(this.#path);
    const next = nextJournalOf(this.#path);
    try {
      const handle = await open(next, 'w');
      try {
        await writeAt(handle, text, 0, next);
        await handle.sync();
      } finally {
        await handle.close().catch(() => {});
      }
      await rename(next, this.#path);
    } catch (error) {
      await unlink(next).catch(() => {});
      throw error;
    }
    await syncFolder(dirname(this.#path));
    this.#named = true;
    this.#bytes = text.length;
    this.#corrupt = undefined;
  }
}

function writeError(path: string, error: unknown): ToolError {
  if (error instanceof ToolError) return error;
  const why = systemProblem(error, dirname(path)) ?? messageOf(error);
  return new ToolError('store', `Cannot write "${path}": ${why}. ${WHAT_TO_DO}`, { cause: error });
}

function fullError(path: string): ToolError {
  return new ToolError(
    'store',
    `Cannot write "${path}": it would have more than ${MAX_JOURNAL_BYTES} bytes, the most that is read again. Go on with --resume.`,
  );
}

function changedError(path: string): ToolError {
  return new ToolError(
    'integrity',
    `Cannot go on with "${path}": another process changed it during the run. See that one run at a time uses that folder, then start over without --resume.`,
  );
}
