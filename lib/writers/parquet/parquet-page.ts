import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { ToolError } from '../../errors.ts';
import type { EncodedUnit } from '../format.ts';
import type { BufferPool } from './buffer-pool.ts';
import { type Compression, compress } from './compress.ts';
import type { RowRange } from './parquet-levels.ts';
import type { ColumnStatistics } from './parquet-statistics.ts';

/** How floats are written. */
export type VectorEncoding = 'plain' | 'byte-stream-split';

/** One data page (version 1) of one leaf column, ready to be laid into the file. */
export interface EncodedPage {
  readonly rowCount: number;
  /** Entries of the leaf column, NULLs included. */
  readonly valueCount: number;
  readonly header: Uint8Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
  /**
   * The pooled buffer that `body` lies in, to be released once the body was written: at most twice as large as the
   * body.
   */
  readonly pooled: Uint8Array<ArrayBuffer> | undefined;
  /** Header and body before compression. */
  readonly uncompressedBytes: number;
}

/** One unit's pages: those of each leaf column, in the schema's order. */
export interface ParquetUnit extends EncodedUnit {
  readonly columns: readonly ColumnPages[];
}

/** Bytes that a unit takes in the file. */
export function encodedBytes({ columns }: ParquetUnit): number {
  let sum = 0;
  for (const { pages } of columns) {
    for (const { header, body } of pages) sum += header.length + body.length;
  }
  return sum;
}

/** All pages of one leaf column of a unit. */
export interface ColumnPages {
  readonly pages: readonly EncodedPage[];
  /** Of text columns; vectors keep none. */
  readonly statistics?: ColumnStatistics;
}

export interface PageOptions {
  readonly compression: Compression;
  readonly pool: BufferPool;
}

/** A page body in a pooled buffer, before compression. */
export interface RawPage {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly length: number;
  readonly rowCount: number;
  readonly valueCount: number;
  readonly encoding: 'PLAIN' | 'BYTE_STREAM_SPLIT';
}

/** Pages of about this size keep readers' memory low. */
export const PAGE_BYTES = 1024 * 1024;

/** Page sizes are i32 in parquet.thrift, in the offset index with the page's header, which takes less than 1 KiB. */
const MOST_PAGE_BYTES = 2 ** 31 - 1 - 1024;

/**
 * Cuts rows into pages of about PAGE_BYTES at row ends; a row that is larger by itself has a page of its own.
 * `end` says where a row's bytes end, counted from the first row's.
 */
export function pageRanges(rows: number, end: (row: number) => number): readonly RowRange[] {
  const ranges: RowRange[] = [];
  for (let from = 0; from < rows; ) {
    const start = from === 0 ? 0 : end(from - 1);
    let to = from + 1;
    while (to < rows && end(to) - start <= PAGE_BYTES) to++;
    ranges.push({ from, to });
    from = to;
  }
  return ranges;
}

/** A buffer for a page body of at most `bytes` bytes. */
export function takePage(bytes: number, pool: BufferPool): Uint8Array<ArrayBuffer> {
  checkPageBytes(bytes);
  return pool.take(bytes);
}

/** Compresses a page, gives its buffer back where that is no longer needed, and puts the header before it. */
export async function finishPage(raw: RawPage, { compression, pool }: PageOptions): Promise<EncodedPage> {
  // Single bytes behind the end of a buffer are dropped without a word.
  if (raw.length > raw.buffer.length) {
    const found = `${raw.length} bytes in a buffer of ${raw.buffer.length}`;
    throw new ToolError('format', `Cannot write a page of ${found}: its size was foreseen wrongly.`);
  }
  const whole = raw.buffer.subarray(0, raw.length);
  if (compression !== 'none') {
    const body = await compress(compression, whole);
    pool.release(raw.buffer);
    checkPageBytes(body.length);
    return withHeader(raw, body, undefined);
  }
  // Pages may wait for the end of their row group, and small ones would hold many times their bytes until then.
  if (raw.buffer.length <= 2 * raw.length) return withHeader(raw, whole, raw.buffer);
  const body = whole.slice();
  pool.release(raw.buffer);
  return withHeader(raw, body, undefined);
}

function checkPageBytes(bytes: number): void {
  if (bytes <= MOST_PAGE_BYTES) return;
  throw new ToolError(
    'format',
    `Cannot write a point's text or vector of ${bytes.toLocaleString('en-US')} bytes to Parquet, whose pages hold less than 2 GiB and a row whole.`,
  );
}

function withHeader(
  raw: RawPage,
  body: Uint8Array<ArrayBuffer>,
  pooled: Uint8Array<ArrayBuffer> | undefined,
): EncodedPage {
  const writer = new ByteWriter(64);
  writePageHeader(writer, {
    type: 'DATA_PAGE',
    uncompressed_page_size: raw.length,
    compressed_page_size: body.length,
    // CRC-32 of the body as stored, as a signed 32-bit number (parquet-format, README.md, "Checksumming").
    crc: Bun.hash.crc32(body) | 0,
    data_page_header: {
      num_values: raw.valueCount,
      encoding: raw.encoding,
      definition_level_encoding: 'RLE',
      repetition_level_encoding: 'RLE',
    },
  });
  const header = new Uint8Array(writer.getBytes());
  return {
    rowCount: raw.rowCount,
    valueCount: raw.valueCount,
    header,
    body,
    pooled,
    uncompressedBytes: header.length + raw.length,
  };
}
