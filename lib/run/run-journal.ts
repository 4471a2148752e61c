import { ToolError } from '../errors.ts';
import type { ExpectedObject, Journal, OpenUpload, Receipt, UploadedPart } from '../storage/storage.ts';
import type { SafePoint } from '../writers/format.ts';
import type { Encoded, Start } from './encoded-file.ts';
import type { FoundBefore } from './prepare.ts';
import type { RunIdentity } from './run-identity.ts';

/** What a run keeps to from its first point to its last, whichever process goes on with it. */
export interface RunHeader extends FoundBefore {
  readonly kind: 'run';
  /** Version of the journal's form. */
  readonly version: 1;
  /** Tells the files of this run from those of others. */
  readonly id: string;
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
}

/** The Parquet file is whole. */
export interface ParquetRecord {
  readonly kind: 'parquet';
  readonly bytes: number;
  readonly sha256: string;
  readonly rowGroups: number;
}

type RunRecord =
  | RunHeader
  | SafeRecord
  | DataRecord
  | ParquetRecord
  | ({ readonly kind: 'upload' } & Omit<OpenUpload, 'parts'>)
  /** Of streams: with the rolling check of all bytes up to the part's end. */
  | ({ readonly kind: 'part'; readonly check?: string | undefined } & UploadedPart)
  | ({ readonly kind: 'publishing' } & ExpectedObject)
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
  readonly publishing: ExpectedObject | undefined;
  readonly published: Receipt | undefined;
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
  let publishing: ExpectedObject | undefined;
  let published: Receipt | undefined;
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
      case 'publishing':
        publishing = { bytes: record.bytes, etag: record.etag };
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
  };
}

/** Records that are superseded may lie in the journal for a while: as many as are valid, and these. */
const SUPERSEDED_RECORDS = 256;

/**
 * The journal of a run, in its own words. It holds one record each of what there is one of, and one a part of the
 * upload: 10,000 of some 250 bytes at most.
 */
export class RunJournal {
  readonly #journal: Journal;
  /** Those that are valid: what the journal comes down to when it is written anew. */
  #valid: RunRecord[] = [];
  #written = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Begins a new run, or goes back to the beginning of one; all other records are forgotten. */
  begin(header: RunHeader): Promise<void> {
    this.#valid = [header];
    return this.#rewrite();
  }

  /** Goes on with the run that the journal holds. */
  goOn(): void {
    this.#valid = [...(this.#journal.records as readonly RunRecord[])];
    this.#written = this.#valid.length;
  }

  /** Resolves when it is on the disk, and all before it. */
  append(record: Exclude<RunRecord, RunHeader>): Promise<void> {
    if (record.kind !== 'part') this.#valid = this.#valid.filter(({ kind }) => kind !== record.kind);
    if (record.kind === 'upload') this.#forget('part', 'publishing');
    this.#valid.push(record);
    if (++this.#written > this.#valid.length * 2 + SUPERSEDED_RECORDS) return this.#rewrite();
    return this.#after(() => this.#journal.append(record));
  }

  /** The unfinished upload that it knows of. */
  get upload(): OpenUpload | undefined {
    const state = stateOf(this.#valid);
    return state?.published === undefined ? state?.upload : undefined;
  }

  /** Goes back to before the upload was begun. */
  forgetUpload(): Promise<void> {
    this.#forget('upload', 'part', 'publishing');
    return this.#rewrite();
  }

  /** Goes back to before the data's end was made. */
  forgetEnd(): Promise<void> {
    this.#forget('data', 'publishing');
    return this.#rewrite();
  }

  #forget(...kinds: readonly RunRecord['kind'][]): void {
    this.#valid = this.#valid.filter(({ kind }) => !kinds.includes(kind));
  }

  #rewrite(): Promise<void> {
    const records = [...this.#valid];
    this.#written = records.length;
    return this.#after(() => this.#journal.replace(records));
  }

  #after(write: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(write);
    return this.#last;
  }
}
