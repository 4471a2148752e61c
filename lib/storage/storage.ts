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
  readonly signal: AbortSignal;
  /** Called with the number of bytes that the destination has taken since the last call. */
  readonly onProgress?: (bytes: number) => void;
}

/** Proof of what was stored, checked against what was sent. */
export interface Receipt {
  /** For people: a path or s3://bucket/key. */
  readonly location: string;
  readonly bytes: number;
  /** The store's entity tag, without quotes; undefined for a local file. */
  readonly etag: string | undefined;
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
   * Pulls the body and resolves once its bytes are durable under `key` and were compared. When the body
   * errors, the signal aborts or the store fails, it cancels the body, removes what it had written, waits
   * until that is done, and rejects; `key` is then as it was before.
   */
  put(request: PutRequest): Promise<Receipt>;
}

/** The file that an export is written to before it is uploaded. */
export interface WorkFile {
  readonly path: string;
  readonly destination: Destination;
  open(): ByteStream;
  remove(): Promise<void>;
}
