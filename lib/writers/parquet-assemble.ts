import { freeNow } from '../free-now.ts';
import type { FileSummary } from './format.ts';
import { type ColumnSpec, FooterWriter, type PageLocation } from './parquet-footer.ts';
import type { ColumnPages, EncodedPage, ParquetUnit } from './parquet-page.ts';

const MAGIC = new Uint8Array([0x50, 0x41, 0x52, 0x31]);

/**
 * Bytes, before compression, of the columns that wait in memory until their row group ends. All but the last
 * column do, which goes straight to the file: the chunks of a row group may lie in any order. Large payloads
 * therefore close a row group early.
 */
const WAITING_BYTES = 64 * 1024 * 1024;

/** A row group holds at most this many bytes before compression, for its readers' sake. */
const ROW_GROUP_BYTES = 512 * 1024 * 1024;

export interface AssembleOptions {
  readonly columns: readonly ColumnSpec[];
  readonly codec: number;
  readonly rowGroupRows: number;
  readonly createdBy: string;
  readonly keyValues: readonly { readonly key: string; readonly value: string }[];
  /** Called with a pooled page buffer once the page was taken. */
  readonly release: (buffer: Uint8Array<ArrayBuffer>) => void;
}

/**
 * Lays units into one Parquet file. A chunk is taken when the next one is asked for; its buffer is then used
 * again. Where row groups end depends on the rows' contents alone.
 */
export async function* assembleParquet(
  units: AsyncIterable<ParquetUnit>,
  options: AssembleOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, FileSummary> {
  const footer = new FooterWriter(options.codec);
  let offset = MAGIC.length;
  let group = new RowGroup(options.columns);
  yield MAGIC;
  for await (const unit of units) {
    if (unit.rowCount === 0) continue;
    if (group.isFullFor(unit, options.rowGroupRows)) {
      yield* closeGroup();
    }
    for (const page of group.take(unit)) yield* emit(page, group.columns.length - 1);
  }
  if (group.rows > 0) yield* closeGroup();
  yield footer.finish(options.columns, options.createdBy, options.keyValues);
  return { rows: footer.rowCount, rowGroups: footer.rowGroupCount };

  async function* emit(page: EncodedPage, column: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    group.note(column, page, offset);
    offset += page.header.length + page.body.length;
    yield page.header;
    yield page.body;
    if (page.pooled === undefined) freeNow(page.body);
    else options.release(page.pooled);
  }

  async function* closeGroup(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (const [column, pages] of group.waiting.entries()) {
      for (const page of pages) yield* emit(page, column);
    }
    const indexes = footer.add(group.columns, group.rows, offset);
    offset += indexes.length;
    if (indexes.length > 0) yield indexes;
    group = new RowGroup(options.columns);
  }
}

interface GrowingChunk {
  readonly column: ColumnSpec;
  readonly pages: PageLocation[];
  rows: number;
  valueCount: number;
  uncompressedBytes: number;
  min: Uint8Array | undefined;
  max: Uint8Array | undefined;
}

/** The row group that is being laid. */
class RowGroup {
  readonly columns: readonly GrowingChunk[];
  /** Pages of all columns but the last. */
  readonly waiting: EncodedPage[][];
  rows = 0;
  #waitingBytes = 0;
  #bytes = 0;

  constructor(columns: readonly ColumnSpec[]) {
    this.columns = columns.map((column) => ({
      column,
      pages: [],
      rows: 0,
      valueCount: 0,
      uncompressedBytes: 0,
      min: undefined,
      max: undefined,
    }));
    this.waiting = columns.slice(0, -1).map(() => []);
  }

  isFullFor(unit: ParquetUnit, rowGroupRows: number): boolean {
    if (this.rows === 0) return false;
    return (
      this.rows + unit.rowCount > rowGroupRows ||
      this.#waitingBytes + bytesOf(unit.columns.slice(0, -1)) > WAITING_BYTES ||
      this.#bytes + bytesOf(unit.columns) > ROW_GROUP_BYTES
    );
  }

  /** Takes a unit in and returns the pages that can be written at once: those of the last column. */
  take(unit: ParquetUnit): readonly EncodedPage[] {
    this.rows += unit.rowCount;
    this.#bytes += bytesOf(unit.columns);
    this.#waitingBytes += bytesOf(unit.columns.slice(0, -1));
    for (const [index, { min, max }] of unit.columns.entries()) {
      const chunk = this.columns[index] as GrowingChunk;
      if (min !== undefined && (chunk.min === undefined || Buffer.compare(min, chunk.min) < 0))
        chunk.min = min;
      if (max !== undefined && (chunk.max === undefined || Buffer.compare(max, chunk.max) > 0))
        chunk.max = max;
    }
    for (const [index, pages] of this.waiting.entries()) pages.push(...(unit.columns[index]?.pages ?? []));
    return unit.columns.at(-1)?.pages ?? [];
  }

  note(column: number, page: EncodedPage, offset: number): void {
    const chunk = this.columns[column] as GrowingChunk;
    const bytes = page.header.length + page.body.length;
    chunk.pages.push({ offset, bytes, firstRow: chunk.rows });
    chunk.rows += page.rowCount;
    chunk.valueCount += page.valueCount;
    chunk.uncompressedBytes += page.uncompressedBytes;
  }
}

function bytesOf(columns: readonly ColumnPages[]): number {
  let sum = 0;
  for (const { pages } of columns) for (const page of pages) sum += page.uncompressedBytes;
  return sum;
}
