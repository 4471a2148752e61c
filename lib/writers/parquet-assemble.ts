import { freeNow } from '../free-now.ts';
import type { ColumnSpec } from './parquet-columns.ts';
import { FooterWriter, type PageLocation } from './parquet-footer.ts';
import { type EncodedPage, encodedBytes, type ParquetUnit } from './parquet-page.ts';
import { type Leaf, leavesOf } from './parquet-schema.ts';
import { type ColumnStatistics, joinStatistics } from './parquet-statistics.ts';

const MAGIC = new Uint8Array([0x50, 0x41, 0x52, 0x31]);

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

export interface AssembleOptions<Unit extends ParquetUnit = ParquetUnit> {
  readonly columns: readonly ColumnSpec[];
  readonly codec: number;
  readonly rowGroupRows: number;
  readonly createdBy: string;
  readonly keyValues: readonly { readonly key: string; readonly value: string }[];
  /** Called with a pooled page buffer once the page was taken. */
  readonly release: (buffer: Uint8Array<ArrayBuffer>) => void;
  /** Row groups that lie in the file already; the bytes that are made go on behind them. */
  readonly from?: LaidGroups | undefined;
  /** Called with a unit and its bytes when it becomes part of a row group. */
  readonly onTake?: ((unit: Unit, bytes: number) => void) | undefined;
  /** Called when all bytes of a row group, and of those before it, were taken. */
  readonly onGroup?: ((groups: LaidGroups) => void) | undefined;
}

/** The row groups at the start of a file. */
export interface LaidGroups extends Laid {
  readonly units: number;
  /** Where the last of them ends in the file. */
  readonly bytes: number;
  /** What the footer will say of them; in `onGroup` only of those since its last call. */
  readonly structs: Uint8Array<ArrayBuffer>;
}

/** What was laid into a file. */
export interface Laid {
  readonly rows: number;
  readonly rowGroups: number;
}

/**
 * Lays units into one Parquet file. A chunk is taken when the next one is asked for; its buffer is then used
 * again. Where row groups end depends on the rows' contents alone.
 */
export async function* assembleParquet<Unit extends ParquetUnit>(
  units: AsyncIterable<Unit>,
  options: AssembleOptions<Unit>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, Laid> {
  const { from } = options;
  const leaves = options.columns.flatMap(leavesOf);
  const footer = new FooterWriter(options.codec);
  let offset = from?.bytes ?? 0;
  let taken = from?.units ?? 0;
  let told = from?.structs.length ?? 0;
  let group = new RowGroup(leaves);
  if (from === undefined) {
    offset += MAGIC.length;
    yield MAGIC;
  } else footer.restore(from.structs, from.rowGroups, from.rows);
  for await (const unit of units) {
    const bytes = bytesOf(unit);
    if (group.isFullFor(unit, bytes, options.rowGroupRows)) yield* closeGroup();
    group.take(unit, bytes);
    taken++;
    options.onTake?.(unit, encodedBytes(unit));
  }
  if (group.rows > 0) yield* closeGroup();
  yield footer.finish(options.columns, options.createdBy, options.keyValues);
  return { rows: footer.rowCount, rowGroups: footer.rowGroupCount };

  async function* emit(page: EncodedPage, leaf: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    group.note(leaf, page, offset);
    offset += page.header.length + page.body.length;
    yield page.header;
    yield page.body;
    if (page.pooled === undefined) freeNow(page.body);
    else options.release(page.pooled);
  }

  async function* closeGroup(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (const [leaf, pages] of group.waiting.entries()) {
      for (const page of pages) yield* emit(page, leaf);
    }
    const indexes = footer.add(group.chunks, group.rows, offset);
    offset += indexes.length;
    if (indexes.length > 0) yield indexes;
    group = new RowGroup(leaves);
    if (options.onGroup === undefined) return;
    const { rowCount: rows, rowGroupCount: rowGroups } = footer;
    const structs = footer.structs(told);
    told += structs.length;
    options.onGroup({ units: taken, rows, rowGroups, bytes: offset, structs });
  }
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
class RowGroup {
  /** One a leaf, as all lists of leaves here. */
  readonly chunks: readonly GrowingChunk[];
  readonly waiting: readonly EncodedPage[][];
  rows = 0;
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

  /** A unit that takes so many bytes while it waits. */
  take(unit: ParquetUnit, bytes: number): void {
    this.rows += unit.rowCount;
    this.#bytes += bytes;
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

/** Bytes that it counts for in its row group. */
function bytesOf({ columns }: ParquetUnit): number {
  let sum = 0;
  for (const { pages } of columns) {
    for (const page of pages) sum += page.uncompressedBytes + PAGE_OBJECT_BYTES;
  }
  return sum;
}
