import { ToolError } from '../../lib/errors.ts';
import type { ByteStream, GrowingFile, WorkFolder } from '../../lib/storage/storage.ts';
import { memoryJournal } from './memory-journal.ts';

/** What outlives a process: files by path, and the records of the journal. */
export interface MemoryDisk {
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  readonly records: () => readonly unknown[];
  /** The folder as another process finds it. Free bytes are undefined unless a test says otherwise. */
  open(other?: Partial<WorkFolder>): WorkFolder;
  /** The disk as a kill at this moment leaves it. */
  copy(): MemoryDisk;
}

/** Work folders without a disk: what was written is safe at once. */
export function memoryDisk(
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>> = new Map(),
  records: readonly unknown[] = [],
): MemoryDisk {
  const own = new Map([...files].map(([path, bytes]) => [path, bytes.slice()]));
  const journal = memoryJournal(records);
  return {
    files: own,
    records: () => journal.reopened().records,
    open: (other) => ({ ...folderOf(own, journal.reopened()), ...other }),
    copy: () => memoryDisk(own, journal.reopened().records),
  };
}

const CHUNK_BYTES = 64 * 1024;

function folderOf(files: Map<string, Uint8Array<ArrayBuffer>>, journal: WorkFolder['journal']): WorkFolder {
  return {
    path: 'work',
    journal,
    async grow(path, length) {
      const found = files.get(path)?.length ?? 0;
      if (found < length) throw new ToolError('integrity', `"${path}" has ${found} bytes, not ${length}.`);
      files.set(path, (files.get(path) ?? new Uint8Array()).slice(0, length));
      return growing(files, path);
    },
    read: (path, offset = 0) => streamOfFile(files, path, offset),
    size: async (path) => files.get(path)?.length,
    async rename(from, to) {
      files.set(to, files.get(from) ?? new Uint8Array());
      files.delete(from);
    },
    remove: async (path) => void files.delete(path),
    file: (name) => `work/${name}`,
    freeBytes: async () => undefined,
    async clear() {
      await journal.replace([]);
      for (const path of files.keys()) if (path.startsWith('work/')) files.delete(path);
    },
    close: async () => {},
  };
}

function growing(files: Map<string, Uint8Array<ArrayBuffer>>, path: string): GrowingFile {
  const bytes = () => files.get(path) ?? new Uint8Array();
  return {
    path,
    get length() {
      return bytes().length;
    },
    write: async (chunk) => void files.set(path, new Uint8Array(Buffer.concat([bytes(), chunk]))),
    sync: async () => {},
    close: async () => {},
  };
}

function streamOfFile(
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  path: string,
  offset: number,
): ByteStream {
  let at = offset;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        const bytes = files.get(path);
        if (bytes === undefined) throw new ToolError('store', `Cannot read "${path}": ENOENT.`);
        if (at >= bytes.length) return controller.close();
        const chunk = bytes.slice(at, at + CHUNK_BYTES);
        at += chunk.length;
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 0 },
  );
}
