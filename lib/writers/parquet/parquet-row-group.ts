import type { PageLocation } from './parquet-footer.ts';
import type { EncodedPage, ParquetUnit } from './parquet-page.ts';
import type { Leaf } from './parquet-schema.ts';
import { type ColumnStatistics, joinStatistics } from './parquet-statistics.ts';

/**
 * Bytes of a row group before compression: its pages wait in memory until it is whole, so that its column chunks
 * lie in the schema's order. The format allows any order, but readers rely on this one: Spark takes a row group
 * for one of the split that holds the middle of it, counted from the first column's chunk
 * (parquet-java, ParquetMetadataConverter.filterFileMetaDataByMidpoint), and would lose groups whose first chunk
 * lies behind the others. Large vectors or payloads therefore close a row group early. Uncompressed pages lie in
 * pooled buffers, usually a sixteenth larger, at most twice as large.
 */
const ROW_GROUP_BYTES = 80 * 1024 * 1024;

/** What a waiting page takes beside its bytes: a file of many columns has many small ones. */
const PAGE_OBJECT_BYTES = 512;

/** Most rows that wait for their row group to become whole, of so many bytes each. */
export function mostWaitingRows(rowGroupRows: number, rowBytes: number): number {
  return Math.min(rowGroupRows, Math.ceil(ROW_GROUP_BYTES / rowBytes));
}

/** Bytes that a unit counts for in its row group. */
export function waitingBytes({ columns }: ParquetUnit): number {
  let sum = 0;
  for (const { pages } of columns) {
    for (const page of pages) sum += page.uncompressedBytes + PAGE_OBJECT_BYTES;
  }
  return sum;
}

interface GrowingChunk {
  readonly leaf: Leaf;
  readonly pages: PageLocation[];
  rows: number;
  valueCount: number;
  uncompressedBytes: number;
  statistics: ColumnStatistics | undefined;
}

/** The row group that is being laid. */
export class RowGroup {
  /** One a leaf, as all lists of leaves here. */
  readonly chunks: readonly GrowingChunk[];
  readonly waiting: readonly EncodedPage[][];
  rows = 0;
  /** That its pages take in the file. */
  encodedBytes = 0;
  #bytes = 0;

  constructor(leaves: readonly Leaf[]) {
    this.chunks = leaves.map((leaf) => ({
      leaf,
      pages: [],
      rows: 0,
      valueCount: 0,
      uncompressedBytes: 0,
      statistics: undefined,
    }));
    this.waiting = leaves.map(() => []);
  }

  isFullFor(unit: ParquetUnit, bytes: number, rowGroupRows: number): boolean {
    if (this.rows === 0) return false;
    return this.rows + unit.rowCount > rowGroupRows || this.#bytes + bytes > ROW_GROUP_BYTES;
  }

  /** A unit that takes so many bytes while it waits, and so many in the file. */
  take(unit: ParquetUnit, bytes: number, encodedBytes: number): void {
    this.rows += unit.rowCount;
    this.#bytes += bytes;
    this.encodedBytes += encodedBytes;
    for (const [leaf, { pages, statistics }] of unit.columns.entries()) {
      const chunk = this.chunks[leaf] as GrowingChunk;
      if (statistics !== undefined) {
        chunk.statistics =
          chunk.statistics === undefined ? statistics : joinStatistics(chunk.statistics, statistics);
      }
      (this.waiting[leaf] as EncodedPage[]).push(...pages);
    }
  }

  note(leaf: number, page: EncodedPage, offset: number): void {
    const chunk = this.chunks[leaf] as GrowingChunk;
    const bytes = page.header.length + page.body.length;
    chunk.pages.push({ offset, bytes, firstRow: chunk.rows });
    chunk.rows += page.rowCount;
    chunk.valueCount += page.valueCount;
    chunk.uncompressedBytes += page.uncompressedBytes;
  }
}
