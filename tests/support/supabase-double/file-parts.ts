import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { type BucketStore, writeBody } from './bucket-store.ts';
import type { NamedPart, PartStore } from './part-store.ts';
import { StorageRefusal } from './refusal.ts';

interface PartFile {
  readonly etag: string;
  readonly file: string;
}

/** As Supabase Storage over files: a part's last try counts, and the object's ETag is the MD5 of all its bytes. */
export function fileParts(store: BucketStore): PartStore {
  const uploads = new Map<string, Map<number, PartFile>>();
  const drop = async (uploadId: string) => {
    for (const { file } of uploads.get(uploadId)?.values() ?? []) await rm(file, { force: true });
    uploads.delete(uploadId);
  };
  return {
    async putObject(version, body) {
      const file = store.newFile(version);
      const { bytes, md5 } = await writeBody(file, () => body.next());
      return { etag: md5, size: bytes, file };
    },
    async begin() {
      const id = crypto.randomUUID();
      uploads.set(id, new Map());
      return id;
    },
    async putPart(_version, uploadId, number, body) {
      const file = store.newFile(`${uploadId}-${number}-${crypto.randomUUID()}`);
      const { md5 } = await writeBody(file, () => body.next());
      const parts = uploads.get(uploadId);
      const before = parts?.get(number);
      parts?.set(number, { etag: md5, file });
      if (before !== undefined || parts === undefined) await rm(before?.file ?? file, { force: true });
      return { etag: md5 };
    },
    async complete(version, uploadId, named) {
      const files = named.map((part) => checked(part, uploads.get(uploadId), uploadId));
      const joined = await joinFiles(files, store.newFile(version));
      await drop(uploadId);
      return joined;
    },
    abort: (_version, uploadId) => drop(uploadId),
  };
}

function checked(
  part: NamedPart,
  parts: ReadonlyMap<number, PartFile> | undefined,
  uploadId: string,
): string {
  const { number, etag } = part;
  const found = parts?.get(number);
  if (found === undefined) {
    const message = `Part ${number} is missing for upload id ${uploadId}`;
    throw new StorageRefusal(400, 'Error', message, 'MissingPart');
  }
  if (found.etag !== etag) {
    throw new StorageRefusal(400, 'Error', `Invalid ETag for part ${number}`, 'InvalidChecksum');
  }
  return found.file;
}

async function joinFiles(files: readonly string[], file: string) {
  const md5 = createHash('md5');
  const target = await open(file, 'w');
  let size = 0;
  try {
    for (const part of files) {
      for await (const bytes of Bun.file(part).stream()) {
        md5.update(bytes);
        await target.write(bytes);
        size += bytes.length;
      }
    }
  } finally {
    await target.close();
  }
  return { etag: md5.digest('hex'), size, file };
}
