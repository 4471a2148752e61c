import type { Manifest, ManifestCounts, ManifestOptions } from './manifest.ts';
import type { CollectionShape } from './model.ts';
import type { Transport } from './qdrant/transport.ts';
import type { RetryNotice } from './retry.ts';
import type { Destination, WorkFile } from './storage/storage.ts';
import type { EncodedUnit, Format, KeySummary, PointSample } from './writers/format.ts';

/** What a run is asked to do; frozen before it starts. */
export interface ExportPlan {
  readonly collection: string;
  /** Names of the vectors to export, the unnamed one being ''; undefined = all. */
  readonly vectors: readonly string[] | undefined;
  /** Qdrant's filter as the text of a JSON object. */
  readonly filter: string | undefined;
  /** Stop after so many points, in id order. */
  readonly limit: number | undefined;
  /** Only the points under this shard key, as it was typed. */
  readonly shardKey: string | undefined;
  /** Any difference between counted, seen and written points is an error. */
  readonly strict: boolean;
  /** Most ids a scroll page. */
  readonly batchSize: number;
  /** Most points a retrieve; undefined = what keeps an answer near 4 MiB. */
  readonly retrieveBatch: number | undefined;
  /** Retrieves in flight at once. */
  readonly parallel: number;
  readonly passes: 'auto' | 'one' | 'two';
  /** Object key or file path of the export. */
  readonly key: string;
  /** Key or path of the manifest, beside the export. */
  readonly manifestKey: string;
  /** For the manifest: what shapes the data, by the names of the flags. */
  readonly options: ManifestOptions;
  /** Straight from the encoder to the store, or from a work file. */
  readonly streaming: boolean;
  /** Connect, count, check the target and report the plan; write nothing. */
  readonly dryRun: boolean;
}

/** What was decided from the plan and the collection, before the first point is read. */
export interface PlanSummary {
  /** With the vectors alone that are exported. */
  readonly shape: CollectionShape;
  readonly protocol: 'grpc' | 'rest';
  /** Exact number of points that there are to export. */
  readonly points: number;
  readonly passes: 'one' | 'two';
  /** Why these passes, in a few words for people. */
  readonly passesReason: string;
  /** For people, e.g. `parquet-med, row groups of 10,000 rows, zstd, plain vectors`. */
  readonly format: string;
  /** Where the export will be, for people. */
  readonly location: string;
  /** Path of the work file, or undefined when there is none. */
  readonly workFile: string | undefined;
  /** About how large the file will be. */
  readonly estimatedBytes: number;
  /** Most points that were asked for and are not in the file's bytes yet. */
  readonly pointsInMemory: number;
}

/** What a run says while it runs. */
export type ExportEvent =
  | { readonly kind: 'plan'; readonly plan: PlanSummary }
  /** A phase begins: `total` rows to read, or bytes to upload. */
  | { readonly kind: 'phase'; readonly phase: 'export' | 'upload'; readonly total: number }
  /** Rows and file bytes so far, or bytes uploaded so far (rows 0) in the phase that runs. */
  | { readonly kind: 'progress'; readonly rows: number; readonly bytes: number }
  | { readonly kind: 'retry'; readonly notice: RetryNotice }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string };

/** What the manifest counts, keys as the format tells them. */
export interface ExportCounts
  extends Omit<ManifestCounts, 'keysFromPayload' | 'duplicateKeys' | 'duplicateKeysExact'> {
  /** Undefined where the schema has no keys beside the points' ids. */
  readonly keys: KeySummary | undefined;
}

export interface ExportReport {
  readonly plan: PlanSummary;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly counts: ExportCounts;
  /** Undefined after a dry run. */
  readonly file:
    | {
        readonly location: string;
        readonly bytes: number;
        /** SHA-256 of the file, in hex. */
        readonly sha256: string;
        readonly rowGroups: number;
        readonly etag: string | undefined;
      }
    | undefined;
  /** What should make the reader look: the counts differ, keys collide, updates were waiting. */
  readonly warnings: readonly string[];
  /** What is as it should be, and good to know: vectors that the server normalised or stores rounded. */
  readonly notes: readonly string[];
  /** What was written beside the export; undefined after a dry run. */
  readonly manifest: Manifest | undefined;
  /**
   * Seconds until the file's last byte was taken, then until it was published (uploaded from the work file, its
   * parts joined by the store, or synced), and of the whole run.
   */
  readonly seconds: { readonly export: number; readonly upload: number; readonly total: number };
}

/** What a run is made of. */
export interface ExportParts<Unit extends EncodedUnit> {
  readonly transport: Transport;
  /**
   * The format for a collection, with the vectors that were asked for alone in `shape.vectors`, whose first points
   * are so large; throws what it cannot hold whole.
   */
  readonly format: (shape: CollectionShape, sample: PointSample) => Format<Unit>;
  readonly destination: Destination;
  /** Undefined when the bytes go straight to the destination. */
  readonly workFile: WorkFile | undefined;
  /** What the manifest names as its maker. */
  readonly tool: { readonly name: string; readonly version: string };
  readonly emit: (event: ExportEvent) => void;
}
