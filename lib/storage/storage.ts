/**
 * Bytes on their way to a destination. A chunk belongs to whoever reads it only until its next read(): its
 * buffer is then used again. The stream's highWaterMark is 0, so that nothing is read ahead of demand.
 * It errors instead of ending when what it carries is not whole, so its end is the sign that it is.
 */
export type ByteStream = ReadableStream<Uint8Array<ArrayBuffer>>;

export interface PutRequest {
  /** Object key, or file path for a local file. */
  readonly key: string;
  readonly body: ByteStream;
  /** About how many bytes will come; sizes the parts. */
  readonly estimatedBytes: number;
  /** Exactly how many will come, where that is known. Some doors of some stores take nothing else. */
  readonly bytes?: number | undefined;
  readonly signal: AbortSignal;
  /** Called with the number of bytes that the destination has taken since the last call. */
  readonly onProgress?: (bytes: number) => void;
  /**
   * Hears of the steps that another process needs to know to go on. With it, what was uploaded stays in the store
   * when `put` fails or is cancelled.
   */
  readonly log?: UploadLog | undefined;
  /** The upload to go on with, as `uploads.find` gave it: the body begins behind its parts. */
  readonly from?: OpenUpload | undefined;
  /**
   * The key belongs to this object: it is written only while that one has this entity tag, so that of two runs
   * that race each object and what lies beside it are of one run.
   */
  readonly beside?: { readonly key: string; readonly etag: string } | undefined;
}

/** Proof of what was stored, checked against what was sent. */
export interface Receipt {
  /** For people: a path or s3://bucket/key. */
  readonly location: string;
  readonly bytes: number;
  /** The store's entity tag, without quotes; undefined for a local file. */
  readonly etag: string | undefined;
}

/** A part of an unfinished upload, as the store confirmed it. */
export interface UploadedPart {
  /** From 1 on. */
  readonly number: number;
  readonly bytes: number;
  /** The store's entity tag of it, as it was given. */
  readonly etag: string;
  /** In base64, where the store checked it. */
  readonly crc32: string | undefined;
  /** In hex; undefined where neither side computed it. */
  readonly md5: string | undefined;
}

/** An upload that was begun and not finished: all that another process needs to go on with it. JSON. */
export interface OpenUpload {
  readonly key: string;
  readonly id: string;
  /** Size of every part but the last. */
  readonly partBytes: number;
  /** Whether its parts carry a CRC-32. */
  readonly crc32: boolean;
  /** What the store was told to keep with the object, by which it is known again; undefined where nothing was. */
  readonly mark?: string | undefined;
  /** In order, from the first on, without a gap. */
  readonly parts: readonly UploadedPart[];
}

/** What will be under a key when its publication goes well. JSON. */
export interface ExpectedObject {
  readonly bytes: number;
  /** Undefined where the store's entity tags cannot be foretold. */
  readonly etag: string | undefined;
  /** The upload's; with it, an object of the right size is known whatever its entity tag. */
  readonly mark?: string | undefined;
}

export interface UploadLog {
  /** Resolves when it is on record; no part is sent before. */
  begun(upload: Omit<OpenUpload, 'parts'>): Promise<void>;
  /** Parts are confirmed in any order. Goes on record soon, and nobody waits for it. */
  confirmed(part: UploadedPart): void;
  /**
   * Called once all bytes are in the store (or about to be sent, with the one request that a small body takes),
   * before the request that publishes them; resolves when it is on record.
   */
  publishing(expected: ExpectedObject): Promise<void>;
}

/** Uploads that an earlier process left. */
export interface OpenUploads {
  /**
   * The upload with its first parts up to a gap, or to one that is not what was sent, as the store lists them now;
   * undefined when it is gone.
   */
  find(left: OpenUpload, signal: AbortSignal): Promise<OpenUpload | undefined>;
  /** Removes it; resolves to what remains, a sentence for people. Never rejects. */
  remove(left: Pick<OpenUpload, 'key' | 'id'>, signal: AbortSignal): Promise<string | undefined>;
  /** Whether that object is there, published by a run that did not live to hear of it. */
  published(key: string, expected: ExpectedObject, signal: AbortSignal): Promise<Receipt | undefined>;
}

/** What a store says of an object. */
export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly modified: Date;
}

/** The objects of a store. All reject with a ToolError 'store'. */
export interface Objects {
  /** All whose key begins with the prefix, page by page, in the store's order. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectInfo>;
  /**
   * The object's bytes, read in ranges that are each asked for again where they fail. Undefined when there is
   * none; errors with 'integrity' when its entity tag is, or becomes, another than the one given.
   */
  open(key: string, etag: string | undefined, signal: AbortSignal): Promise<ByteStream | undefined>;
  /** Copies within the store while the source still has the receipt's entity tag; compares size afterwards. */
  copy(from: string, to: string, source: Receipt, signal: AbortSignal): Promise<Receipt>;
  /** Resolves too when it is not there. */
  remove(key: string, signal: AbortSignal): Promise<void>;
}

/** Somewhere durable. */
export interface Destination {
  /** Where `key` would be, for people. */
  locate(key: string): string;
  /**
   * Rejects with a ToolError (code 'store', or 'usage' for a setting) when `key` could not be written; leaves
   * nothing behind. Made before anything is read from the source.
   */
  check(key: string, signal: AbortSignal): Promise<void>;
  /**
   * Rejects with a ToolError where the store would not take about so many bytes under the key, as far as can be
   * known before any is sent; resolves to what is worth a warning, a sentence each. Leaves nothing behind.
   */
  fits?(key: string, estimatedBytes: number, signal: AbortSignal): Promise<readonly string[]>;
  /** How a file of about so many bytes gets in, for people: `S3 endpoint`. Undefined where there is but one way. */
  door?(estimatedBytes: number): string;
  /**
   * Set where the store compares nothing with what was sent: an object that was put counts only when it was read
   * back, by `objects.open`, and compared.
   */
  readonly unverified?: true;
  /**
   * Pulls the body and resolves once its bytes are durable under `key` and were compared. When the body
   * errors, the signal aborts or the store fails, it cancels the body, removes what it had written (with a log: leaves
   * what another process can go on with), waits until that is done, and rejects; `key` is then as it was before.
   */
  put(request: PutRequest): Promise<Receipt>;
  /** Undefined where bytes have to be put. */
  readonly local?: LocalFiles;
  /** Undefined where an upload cannot outlive its process. */
  readonly uploads?: OpenUploads;
  /** Undefined for local files. */
  readonly objects?: Objects;
}

/** A destination on this machine: a file may be made beside its final name and get that in one step. */
export interface LocalFiles {
  /** Where to make the file that is to become `key`: beside what is there now, behind links; `id` tells runs apart. */
  part(key: string, id: string): Promise<string>;
  /** Gives a whole, synced file of `bytes` bytes, made at `part`, the name `key`; compares its size first. */
  adopt(path: string, key: string, bytes: number, signal: AbortSignal): Promise<Receipt>;
}

/** A file that grows at its end and can be cut back to what is safe. */
export interface GrowingFile {
  readonly path: string;
  /** Bytes written, those that are gathered for the next write included. */
  readonly length: number;
  /** Takes a copy, or has written the chunk, when it resolves. */
  write(chunk: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Resolves when all bytes written before the call are on the disk; writing may go on meanwhile. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** An append-only list of records on the disk, each with a checksum. */
export interface Journal {
  /** Those that an earlier process left, oldest first; JSON values. */
  readonly records: readonly unknown[];
  /** Resolves when it is on the disk. Records that are appended meanwhile share the next sync. */
  append(record: object): Promise<void>;
  /** Replaces all records, in one step. */
  replace(records: readonly object[]): Promise<void>;
}

/** The folder of one collection's work files, while this process holds its lock. */
export interface WorkFolder {
  readonly path: string;
  readonly journal: Journal;
  /** Opens a file to write it on from `length`, cutting off what lies behind; 'integrity' when it is shorter. */
  grow(path: string, length: number): Promise<GrowingFile>;
  /** The file as a stream, from `offset` to its end. */
  read(path: string, offset?: number): ByteStream;
  /** Undefined when it is not there. */
  size(path: string): Promise<number | undefined>;
  /** Renames a whole file within its folder and makes the new name durable. */
  rename(from: string, to: string): Promise<void>;
  /** Resolves too when it is not there. */
  remove(path: string): Promise<void>;
  /** Path of the folder's own file of that name. */
  file(name: string): string;
  /** Bytes that the file system of `path` (a file of a folder that is there) has free; undefined where it does not tell. */
  freeBytes(path: string): Promise<number | undefined>;
  /** Removes everything that this folder is known to have, and itself; then the lock is gone too. */
  clear(): Promise<void>;
  /** Gives the lock back and leaves the rest for a later run. */
  close(): Promise<void>;
}
