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
   * collection's first payloads, never by batch sizes, workers or transport.
   */
  unitRows(unit: number): number;
  /** Copies out of the batch all that it needs before it resolves; the batch may then be filled again. */
  encode(batch: PointBatch): Promise<Unit>;
  /** Lays units, in order, into the bytes of one file. Chunks follow the rules of storage.ts's ByteStream. */
  assemble(units: AsyncIterable<Unit>): AsyncGenerator<Uint8Array<ArrayBuffer>, FileSummary>;
  /** For people, e.g. `parquet-med, row groups of 10,000, zstd`. */
  readonly description: string;
  /** About how large a file of so many points is, which take `pointBytes` bytes each in memory. */
  estimateBytes(points: number, pointBytes: number): number;
}

/** The bytes of one work unit, column by column. */
export interface EncodedUnit {
  readonly rowCount: number;
}

/** What a finished file holds. */
export interface FileSummary {
  readonly rows: number;
  readonly rowGroups: number;
}
