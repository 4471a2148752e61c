import { ToolError } from '../errors.ts';
import type { ExpectedObject, OpenUpload, Receipt, UploadedPart } from '../storage/storage.ts';
import type { FilePart, SafePoint } from '../writers/format.ts';
import type { Encoded, Start } from './encoded-file.ts';
import type { FoundBefore } from './prepare.ts';
import type { RunIdentity } from './run-identity.ts';

/** What a run keeps to from its first point to its last, whichever process goes on with it. */
export interface RunHeader extends FoundBefore {
  readonly kind: 'run';
  /** Version of the journal's form. */
  readonly version: 1;
  readonly identity: RunIdentity;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** Paths of the data while it grows, and of the whole Parquet file; undefined where nothing is on the disk. */
  readonly files: { readonly data: string; readonly parquet: string } | undefined;
}

/** Bytes that are safe: on the disk, or confirmed by the store. */
export interface SafeRecord {
  readonly kind: 'safe';
  readonly position: Start['position'];
  readonly point: Omit<SafePoint, 'memory'>;
  /** Bytes of the memory file that belong to it. */
  readonly memoryBytes: number;
  /** Of streams: the rolling check of all bytes before it. */
  readonly check?: string | undefined;
}

/** All points are in the data file, or in the stream. */
export interface DataRecord {
  readonly kind: 'data';
  readonly encoded: Encoded;
  /** Undefined where these are not the bytes that are published, or not all of them were seen. */
  readonly sha256: string | undefined;
  /** Of streams that can be gone on with: the rolling check of all bytes. */
  readonly check?: string | undefined;
}

/** The Parquet file is whole. */
export interface ParquetRecord {
  readonly kind: 'parquet';
  readonly bytes: number;
  readonly sha256: string;
  readonly rowGroups: number;
  /** The files that its bytes are, end to end, where the export is split; some 150 bytes each. */
  readonly parts?: readonly SplitPart[] | undefined;
}

/** One of them, with its SHA-256 in hex. */
export interface SplitPart extends FilePart {
  readonly sha256: string;
}

/** A file of a split export is in the store, and was compared; what was on record of its upload is over. */
export interface StoredRecord {
  readonly kind: 'stored';
  /** From 0. */
  readonly number: number;
  readonly receipt: Receipt;
}

/**
 * What the manifest that is about to be written over names, and the new one does not: to be removed once that is there.
 * On record before it is written, as nothing else would know of it afterwards.
 */
export interface ReplacingRecord {
  readonly kind: 'replacing';
  readonly files: readonly ReplacedFile[];
}

export interface ReplacedFile {
  readonly key: string;
  readonly etag: string;
}

/** `key` only where there is more than one object that it could be. */
export interface Publishing extends ExpectedObject {
  readonly key?: string | undefined;
}

export type RunRecord =
  | RunHeader
  | SafeRecord
  | DataRecord
  | ParquetRecord
  | ({ readonly kind: 'upload' } & Omit<OpenUpload, 'parts'>)
  /** Of streams: with the rolling check of all bytes up to the part's end. */
  | ({ readonly kind: 'part'; readonly check?: string | undefined } & UploadedPart)
  | ({ readonly kind: 'publishing' } & Publishing)
  | StoredRecord
  | ReplacingRecord
  | { readonly kind: 'published'; readonly receipt: Receipt };

/** What the records of a run come to. */
export interface RunState {
  readonly header: RunHeader;
  /** The newest. */
  readonly safe: SafeRecord | undefined;
  readonly data: DataRecord | undefined;
  readonly parquet: ParquetRecord | undefined;
  readonly upload: OpenUpload | undefined;
  /** Rolling checks at the ends of parts, by the part's number. */
  readonly partChecks: ReadonlyMap<number, string>;
  readonly publishing: Publishing | undefined;
  readonly published: Receipt | undefined;
  /** Files of a split export that are in the store, by their number. */
  readonly stored: ReadonlyMap<number, Receipt>;
  readonly replacing: readonly ReplacedFile[];
}

/** What an interrupted run left; undefined when there was none. */
export function stateOf(records: readonly unknown[]): RunState | undefined {
  const [header, ...others] = records as readonly RunRecord[];
  if (header === undefined) return undefined;
  if (header.kind !== 'run' || header.version !== 1) {
    throw new ToolError(
      'usage',
      'Cannot go on with the interrupted run: its journal is of another version of this tool. Run it again without --resume.',
    );
  }
  let safe: SafeRecord | undefined;
  const partChecks = new Map<number, string>();
  let parts: UploadedPart[] = [];
  let upload: Omit<OpenUpload, 'parts'> | undefined;
  let data: DataRecord | undefined;
  let parquet: ParquetRecord | undefined;
  let publishing: Publishing | undefined;
  let published: Receipt | undefined;
  const stored = new Map<number, Receipt>();
  let replacing: readonly ReplacedFile[] = [];
  for (const record of others) {
    switch (record.kind) {
      case 'run':
        break;
      case 'safe':
        safe = record;
        break;
      case 'data':
        data = record;
        break;
      case 'parquet':
        parquet = record;
        break;
      case 'upload': {
        const { kind, ...begun } = record;
        upload = begun;
        parts = [];
        partChecks.clear();
        publishing = undefined;
        break;
      }
      case 'part': {
        const { kind, check, ...part } = record;
        parts.push(part);
        if (check !== undefined) partChecks.set(part.number, check);
        break;
      }
      case 'publishing': {
        const { kind, ...expected } = record;
        publishing = expected;
        break;
      }
      case 'stored':
        stored.set(record.number, record.receipt);
        upload = undefined;
        parts = [];
        partChecks.clear();
        publishing = undefined;
        break;
      case 'replacing':
        replacing = record.files;
        break;
      case 'published':
        published = record.receipt;
        break;
    }
  }
  return {
    header,
    safe,
    data,
    parquet,
    upload: upload && { ...upload, parts },
    partChecks,
    publishing,
    published,
    stored,
    replacing,
  };
}
