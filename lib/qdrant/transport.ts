import type { PointBatch } from '../batch.ts';
import type { CollectionShape, PointId, ShardKey } from '../model.ts';
import type { RetryNotice, RetryPolicy } from '../retry.ts';
import type { Secret } from '../secret.ts';

/** Which points of a collection are meant: all, or those under one shard key, or those that match a filter. */
export interface PointSet {
  readonly collection: string;
  readonly shardKey: ShardKey | undefined;
  /** Qdrant's filter as the text of a JSON object. */
  readonly filter: string | undefined;
}

/** For sentences. */
export function pointsName({ collection, shardKey }: PointSet): string {
  const under = shardKey === undefined ? '' : ` under shard key \`${shardKey.text}\``;
  return `collection \`${collection}\`${under}`;
}

/** How many replicas must agree on a read: a word of Qdrant's, or their number. */
export type Consistency = 'all' | 'majority' | 'quorum' | number;

export interface PageRequest {
  /** First id of the page (inclusive; it need not exist), or undefined for the first page. */
  readonly offset: PointId | undefined;
  readonly limit: number;
}

/** For sentences. */
export function pageStart({ offset }: PageRequest): string {
  return offset === undefined ? 'from the first' : `from id ${offset}`;
}

export interface IdPage {
  readonly ids: readonly PointId[];
  /** Offset of the next page; undefined after the last one. */
  readonly next: PointId | undefined;
}

/**
 * What an export needs of a Qdrant, whichever protocol carries it. Every method retries by itself what can
 * pass (errors with the remedy 'again'), gives every request a deadline, and rejects with a ToolError of code
 * 'qdrant' or 'integrity', or with the signal's reason. Errors with the remedy 'smaller' (answer too large,
 * time-out) are the caller's: it asks for fewer points.
 *
 * retrieve and scroll append whole rows to `into` or none: vectors by `into.layout.vectors`, payloads as
 * canonical JSON. They append only what was answered: points that do not exist (any more) are left out.
 */
export interface Transport {
  readonly protocol: 'grpc' | 'rest';
  /**
   * Names of the server's collections, by code point, without aliases. A read-only key is enough; a key for some
   * collections only is told of those, and not that there are others.
   */
  collections(signal: AbortSignal): Promise<readonly string[]>;
  /** Server version and frozen shape; a collection that does not exist is a ToolError that says so. */
  describe(collection: string, signal: AbortSignal): Promise<CollectionShape>;
  /** Exact number of points. */
  count(points: PointSet, signal: AbortSignal): Promise<number>;
  scrollIds(points: PointSet, page: PageRequest, signal: AbortSignal): Promise<IdPage>;
  /** Looks for the ids under the set's shard key; its filter does not count. */
  retrieve(points: PointSet, ids: readonly PointId[], into: PointBatch, signal: AbortSignal): Promise<void>;
  /** Appends a page with payloads and vectors and returns the next page's offset, undefined after the last. */
  scroll(
    points: PointSet,
    page: PageRequest,
    into: PointBatch,
    signal: AbortSignal,
  ): Promise<PointId | undefined>;
  close(): void;
}

export interface TransportSettings {
  /** Where the server is; its path, if any, is a prefix that requests keep. */
  readonly url: URL;
  readonly apiKey: Secret | undefined;
  /** PEM text of a private certificate authority, trusted beside the system's. */
  readonly caCertificate: string | undefined;
  /** Seconds that the server is given for one request; our own deadline is a little later. */
  readonly timeoutSeconds: number;
  /** Of every read; undefined is the server's own choice. */
  readonly consistency?: Consistency | undefined;
  readonly retryPolicy?: RetryPolicy;
  readonly onRetry?: (notice: RetryNotice) => void;
}

/**
 * Largest answer that is read, in bytes. Requests are sized for about 4 MiB; 256 MiB leaves room for single
 * points of tens of megabytes and still bounds what a broken or hostile server can make us hold.
 */
export const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/** Our own deadline for one request in milliseconds: the server's time and, again, up to 10 s for the way. */
export function deadlineMs(timeoutSeconds: number): number {
  return timeoutSeconds * 1000 + Math.min(timeoutSeconds * 1000, 10_000);
}
