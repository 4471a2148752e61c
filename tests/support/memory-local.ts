import { ToolError } from '../../lib/errors.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import type { MemoryDisk } from './memory-work-folder.ts';

/** Local files on that disk, beside its work folder. */
export function memoryLocal({ files }: Pick<MemoryDisk, 'files'>): Destination {
  const locate = (key: string) => key;
  return {
    locate,
    check: async () => {},
    async put({ key, body }) {
      const bytes = new Uint8Array(await new Response(body as ReadableStream).arrayBuffer());
      files.set(key, bytes);
      return { location: key, bytes: bytes.length, etag: undefined };
    },
    local: {
      part: async (key, id) => `${key}.${id}.part`,
      async adopt(path, key, bytes) {
        const found = files.get(path);
        if (found?.length !== bytes) throw new ToolError('integrity', `"${path}" is not there whole.`);
        files.set(key, found);
        files.delete(path);
        return { location: key, bytes, etag: undefined };
      },
    },
  };
}
