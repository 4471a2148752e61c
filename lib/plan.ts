import type { Manifest, ManifestCounts, ManifestFile, ManifestOptions } from './manifest.ts';
import type { CollectionShape } from './model.ts';
import type { Transport } from './qdrant/transport.ts';
import type { RetryNotice } from './retry.ts';
import type { Destination, WorkFolder } from './storage/storage.ts';
import type { Converter } from './writers/converter.ts';
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
  /**
   * Most bytes of a file; undefined = one file, whatever its size. With it the export is as many files as it takes, in a
   * folder of their own beside `key` (split-keys.ts), and nothing is under `key` itself.
   */
  readonly splitBytes: number | undefined;
  /** Key or path of the manifest, beside the export. */
  readonly manifestKey: string;
  /** For the manifest: what shapes the data, by the names of the flags. */
  readonly options: ManifestOptions;
  /** Address of the server, without secrets: an interrupted run is gone on with at the same one only. */
  readonly server: string;
  /** The store and its address, or the absolute path of the file: likewise. */
  readonly target: string;
  /** What the file and the manifest name as the time of the export. */
  readonly exportedAt: Date;
  /** Straight from the encoder to the store, or from a work file. */
  readonly streaming: boolean;
  /** Go on from what an interrupted run left. */
  readonly resume: boolean;
  /** Keep the work files, and ask before the upload. */
  readonly debug: boolean;
  /** Dated copies that are kept beside the latest export; undefined = none are made. */
  readonly keep: number | undefined;
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
  /** How it gets into the store, for people; undefined where there is but one way. */
  readonly door: string | undefined;
  /** What makes Parquet of the data, for people; undefined where it is written directly. */
  readonly converter: string | undefined;
  /** Folder of the work files and the journal; undefined when nothing is written to one. */
  readonly workFolder: string | undefined;
  /** About how large the file will be. */
  readonly estimatedBytes: number;
  /** Most points that were asked for and are not in the file's bytes yet. */
  readonly pointsInMemory: number;
}

export type Phase = 'export' | 'convert' | 'upload' | 'verify' | 'copy';

/** What a run says while it runs. */
export type ExportEvent =
  | { readonly kind: 'plan'; readonly plan: PlanSummary }
  /** A phase begins: `total` rows to read or convert, or bytes to upload, copy or read back. */
  | { readonly kind: 'phase'; readonly phase: Phase; readonly total: number }
  /** Rows and file bytes so far in the phase that runs; rows 0 where bytes are its measure. */
  | { readonly kind: 'progress'; readonly rows: number; readonly bytes: number }
  | { readonly kind: 'retry'; readonly notice: RetryNotice }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string }
  /** The run fails, and what it has done so far is kept: the same command with --resume goes on from there. */
  | { readonly kind: 'resumable' };

/** What the manifest counts, keys as the format tells them. */
export interface ExportCounts
  extends Omit<ManifestCounts, 'keysFromPayload' | 'duplicateKeys' | 'duplicateKeysExact'> {
  /** Undefined where the schema has no keys beside the points' ids. */
  readonly keys: KeySummary | undefined;
}

/** What was published: one file, or with --split-size as many as it took. */
export interface ExportedData {
  /** Of the one file; of several, a pattern that the keys of all of them match. */
  readonly key: string;
  /** For people, and for readers: of several files, a pattern that the locations of all of them match. */
  readonly location: string;
  readonly manifestLocation: string;
  /** Of all files. */
  readonly bytes: number;
  readonly rowGroups: number;
  /** In the order of their rows; some 300 bytes each. */
  readonly files: readonly ExportedFile[];
}

export interface ExportedFile extends Omit<ManifestFile, 'etag'> {
  readonly location: string;
  readonly etag: string | undefined;
}

export interface ExportReport {
  readonly plan: PlanSummary;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly counts: ExportCounts;
  /** Undefined after a dry run. */
  readonly file: ExportedData | undefined;
  /** What should make the reader look: the counts differ, keys collide, updates were waiting. */
  readonly warnings: readonly string[];
  /** What is as it should be, and good to know: vectors that the server normalised or stores rounded. */
  readonly notes: readonly string[];
  /** What was written beside the export; undefined after a dry run. */
  readonly manifest: Manifest | undefined;
  /** Dated copies that were made, and older ones that were removed: their locations. */
  readonly copies: { readonly made: readonly string[]; readonly removed: readonly string[] };
  /** Work files that --debug kept: their paths. */
  readonly workFiles: readonly string[];
  /**
   * Seconds until the data's last byte was taken, then until the Parquet file was whole, then until it was published
   * (uploaded, its parts joined by the store, or renamed), and of the whole run. Of this process alone.
   */
  readonly seconds: {
    readonly export: number;
    readonly convert: number;
    readonly upload: number;
    readonly total: number;
  };
}

/** What is to be uploaded, from where and to where. */
export interface UploadQuestion {
  readonly path: string;
  readonly bytes: number;
  /** How many files that is. */
  readonly files: number;
  readonly location: string;
}

/** What a run is made of. */
export interface ExportParts<Unit extends EncodedUnit> {
  readonly transport: Transport;
  /**
   * The format for a collection, with the vectors that were asked for alone in `shape.vectors`, whose first points
   * are so large; throws what it cannot hold whole.
   */
  readonly format: (shape: CollectionShape, sample: PointSample, exportedAt: Date) => Format<Unit>;
  /** For formats that are not Parquet. */
  readonly converter:
    | ((shape: CollectionShape, sample: PointSample, exportedAt: Date) => Converter)
    | undefined;
  readonly destination: Destination;
  /** Where work files and the journal go; undefined when the run leaves nothing that could be gone on with. */
  readonly work: WorkFolder | undefined;
  /** Asked before the upload: false leaves everything for a later run. */
  readonly confirm: ((upload: UploadQuestion) => Promise<boolean>) | undefined;
  /** What the manifest names as its maker. */
  readonly tool: { readonly name: string; readonly version: string };
  readonly emit: (event: ExportEvent) => void;
}
