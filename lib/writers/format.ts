import type { BatchLayout, PointBatch } from '../batch.ts';

/**
 * A file format in two halves: `encode` is pure and may run for several units at once; `assemble` is ordered
 * and cheap. `Unit` is what passes between the two; only the format itself looks into it.
 */
export interface Format<Unit extends EncodedUnit = EncodedUnit> {
  /** The layout of the batches that `encode` takes; its rows are the most ids of one work unit. */
  readonly layout: BatchLayout;
  /**
   * How many ids the unit with this number (from 0) takes: fixed by the format, the schema and the size of the
   * collection's first points, never by batch sizes, workers or transport.
   */
  unitRows(unit: number): number;
  /**
   * Copies out of the batch all that it needs before it resolves; the batch may then be filled again. Rejects
   * with a ToolError 'format' that names the first id that the schema cannot hold.
   */
  encode(batch: PointBatch): Promise<Unit>;
  /**
   * Lays units, in order, into the bytes of one file, or, from a safe point of an earlier run on, into the rest of
   * its bytes. Where files may have only so many bytes, these are several files, end to end, as the summary tells.
   * Chunks follow the rules of storage.ts's ByteStream.
   */
  assemble(
    units: AsyncIterable<Unit>,
    options?: AssembleOptions,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, FileSummary>;
  /** Most rows of units that were taken and are not in the file's bytes yet, where points take so many bytes. */
  rowsHeld(pointBytes: number): number;
  /** For people, e.g. `parquet-med, row groups of 10,000, zstd`. */
  readonly description: string;
  /** About how large a file of so many points is, which take `pointBytes` bytes each in memory. */
  estimateBytes(points: number, pointBytes: number): number;
}

export interface AssembleOptions {
  /** Where the file was whole so far; undefined = from its start. */
  readonly from?: Assembled | undefined;
  /** Called when every chunk so far was taken, at places where the file may be cut and gone on with. */
  readonly onSafe?: ((point: SafePoint) => void) | undefined;
}

/** A place between two units in a file's bytes. */
export interface SafePoint {
  /** Units whose rows lie before it, since the start of the file. */
  readonly units: number;
  readonly rows: number;
  /** Offset in the file. */
  readonly bytes: number;
  /** All counts of the file so far: JSON of some hundred bytes that only the format looks into. */
  readonly counts: unknown;
  /** What the format has to remember of the units since the last safe point, beside the counts; may be empty. */
  readonly memory: Uint8Array<ArrayBuffer>;
}

/** A safe point as another process finds it: with `memory` of all safe points up to it, one after the other. */
export type Assembled = SafePoint;

/** The bytes of one work unit, column by column. */
export interface EncodedUnit {
  readonly rowCount: number;
}

/** Bytes a point takes on average, from a look at the collection's first ones; 0 in an empty collection. */
export interface PointSample {
  /** Of its payload's canonical text. */
  readonly payloadBytes: number;
  /** Of its multivectors and sparse vectors, whose sizes the collection does not say. */
  readonly raggedVectorBytes: number;
}

/** One of the files that a format's bytes are: whole by itself. */
export interface FilePart {
  readonly bytes: number;
  readonly rows: number;
  readonly rowGroups: number;
}

/** What a finished file holds. */
export interface FileSummary {
  /**
   * The files that its bytes are, end to end, where files may have only so many bytes: at least one, each within
   * that. Some 50 bytes of JSON each. Undefined where all is one file, whatever its size.
   */
  readonly parts?: readonly FilePart[] | undefined;
  readonly rows: number;
  /** 0 in a file that has none. */
  readonly rowGroups: number;
  /** Rows without the vector, by vector column of the file. */
  readonly emptyVectors: Readonly<Record<string, number>>;
  /** Of schemas whose rows have keys that are not the points' own by definition; else undefined. */
  readonly keys: KeySummary | undefined;
  /** Bytes of the longest row's text, where rows are texts. */
  readonly longestRow?: number | undefined;
  /** What readers should know, a sentence each: what the schema left out, which values it changed. */
  readonly notes: readonly string[];
}

export interface KeySummary {
  /** Rows whose key came from the payload. */
  readonly fromPayload: number;
  /** Rows whose key another row before them has. */
  readonly duplicates: number;
  /** Whether `duplicates` was counted, or estimated from a sample of the keys. */
  readonly exact: boolean;
}
