import type { CollectionShape } from './model.ts';
import type { Transport } from './qdrant/transport.ts';
import type { RetryNotice } from './retry.ts';
import type { Destination, WorkFile } from './storage/storage.ts';
import type { EncodedUnit, Format } from './writers/format.ts';

/** What a run is asked to do; frozen before it starts. */
export interface ExportPlan {
  readonly collection: string;
  /** Most ids a scroll page. */
  readonly batchSize: number;
  /** Most points a retrieve; undefined = what keeps an answer near 4 MiB. */
  readonly retrieveBatch: number | undefined;
  /** Retrieves in flight at once. */
  readonly parallel: number;
  readonly passes: 'auto' | 'one' | 'two';
  /** Object key or file path of the export. */
  readonly key: string;
  /** Straight from the encoder to the store, or from a work file. */
  readonly streaming: boolean;
  /** Connect, count, check the target and report the plan; write nothing. */
  readonly dryRun: boolean;
}

/** What was decided from the plan and the collection, before the first point is read. */
export interface PlanSummary {
  readonly shape: CollectionShape;
  readonly protocol: 'grpc' | 'rest';
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
  /**
   * Most points that were asked for and are not in the file's bytes yet. Their vectors are then gone from
   * memory; keys and payloads wait for the end of their row group (parquet-assemble.ts bounds them in bytes).
   */
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
  | { readonly kind: 'warning'; readonly text: string };

export interface ExportReport {
  readonly plan: PlanSummary;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly counts: {
    /** Exact count before the run. */
    readonly before: number;
    /** Ids that scroll gave. */
    readonly idsSeen: number;
    /** Rows in the file. */
    readonly rows: number;
    /** Ids that retrieve left out: deleted meanwhile. */
    readonly missing: number;
  };
  /** Undefined after a dry run. */
  readonly file:
    | {
        readonly location: string;
        readonly bytes: number;
        readonly rowGroups: number;
        readonly etag: string | undefined;
      }
    | undefined;
  readonly warnings: readonly string[];
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
   * The format for a collection whose first payloads have so many bytes on average; throws what it cannot hold
   * whole.
   */
  readonly format: (shape: CollectionShape, payloadBytes: number) => Format<Unit>;
  readonly destination: Destination;
  /** Undefined when the bytes go straight to the destination. */
  readonly workFile: WorkFile | undefined;
  readonly emit: (event: ExportEvent) => void;
}
