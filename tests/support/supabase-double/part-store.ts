/** A body on its way to the store. */
export interface StreamedBody {
  next(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  readonly length: number;
}

export interface WrittenPart {
  /** As clients see it: without quotes from a store of files, with quotes from S3. */
  readonly etag: string;
}

export interface FinishedUpload {
  /** Without quotes. */
  readonly etag: string;
  readonly size: number;
  readonly file: string;
}

/** Where the S3 door keeps bytes: files of its own, or a real S3 server. All of it is named by versions. */
export interface PartStore {
  putObject(version: string, body: StreamedBody): Promise<FinishedUpload>;
  /** Resolves to the upload's id. */
  begin(version: string): Promise<string>;
  putPart(version: string, uploadId: string, number: number, body: StreamedBody): Promise<WrittenPart>;
  complete(version: string, uploadId: string, parts: readonly NamedPart[]): Promise<FinishedUpload>;
  abort(version: string, uploadId: string): Promise<void>;
}

export interface NamedPart {
  readonly number: number;
  readonly etag: string;
}
