import { FileStore } from '@tus/file-store';
import { type BucketStore, checkNoDots } from './bucket-store.ts';
import { StorageRefusal } from './refusal.ts';

export interface OpenUpload {
  readonly bucket: string;
  readonly key: string;
  readonly version: string;
  done: boolean;
}

/** The engine's file store, with the keys that Supabase's own store of files refuses. */
export class PickyFileStore extends FileStore {
  constructor(
    private readonly store: BucketStore,
    private readonly uploads: ReadonlyMap<string, OpenUpload>,
    options: ConstructorParameters<typeof FileStore>[0],
  ) {
    super(options);
  }

  override async create(file: Parameters<FileStore['create']>[0]): ReturnType<FileStore['create']> {
    const { bucket, key } = this.uploads.get(file.id) as OpenUpload;
    if (this.store.backend === 'file') {
      inText(() => checkNoDots(key, bucket, 'projectrefprojectref'));
      if (key.split('/').some((segment) => segment.length > 255)) {
        const path = `${this.store.folder}/stub/projectrefprojectref/${bucket}/${key}`;
        throw new Error(`ENAMETOOLONG: name too long, mkdir '${path}'`);
      }
    }
    return await super.create(file);
  }
}

/** The engine writes errors of this shape as plain text. */
export function inText<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof StorageRefusal)) throw error;
    throw { status_code: error.status, body: error.message };
  }
}
