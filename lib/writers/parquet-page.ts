import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import type { DenseColumn } from '../batch.ts';
import type { BufferPool } from './buffer-pool.ts';
import { type Compression, compress } from './compress.ts';
import type { EncodedUnit } from './format.ts';
import { levelsBound, writeFlatLevels, writeListLevels } from './parquet-levels.ts';

export type VectorEncoding = 'plain' | 'byte-stream-split';

/** One data page (version 1) of one column, ready to be laid into the file. */
export interface EncodedPage {
  readonly rowCount: number;
  /** Entries of the leaf column, NULLs included. */
  readonly valueCount: number;
  readonly header: Uint8Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
  /** The pooled buffer that `body` lies in, to be released once the body was written. */
  readonly pooled: Uint8Array<ArrayBuffer> | undefined;
  /** Header and body before compression. */
  readonly uncompressedBytes: number;
}

/** One unit's pages: a list a column, in the schema's order. */
export interface ParquetUnit extends EncodedUnit {
  readonly columns: readonly ColumnPages[];
}

export interface ColumnPages {
  readonly pages: readonly EncodedPage[];
  /** Least and greatest text by bytes, for columns that keep them. */
  readonly min?: Uint8Array;
  readonly max?: Uint8Array;
}

export interface PageOptions {
  readonly compression: Compression;
  readonly pool: BufferPool;
}

/** A page body in a pooled buffer, before compression. */
interface RawPage {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly length: number;
  readonly rowCount: number;
  readonly valueCount: number;
  readonly encoding: 'PLAIN' | 'BYTE_STREAM_SPLIT';
}

/** Texts of rows [from, to), row i being bytes[starts(i) .. ends(i)). */
export interface TextRows {
  readonly bytes: (row: number) => Uint8Array;
  readonly start: (row: number) => number;
  readonly end: (row: number) => number;
}

/** A page of an optional BYTE_ARRAY column without NULLs: each text behind its little-endian length. */
export function textPage(
  texts: TextRows,
  from: number,
  to: number,
  textBytes: number,
  options: PageOptions,
): Promise<EncodedPage> {
  const rows = to - from;
  const buffer = options.pool.take(levelsBound(1) + rows * 4 + textBytes);
  let at = writeFlatLevels(buffer, 0, rows);
  for (let row = from; row < to; row++) {
    const source = texts.bytes(row);
    const start = texts.start(row);
    const end = texts.end(row);
    const length = end - start;
    buffer[at++] = length;
    buffer[at++] = length >>> 8;
    buffer[at++] = length >>> 16;
    buffer[at++] = length >>> 24;
    buffer.set(source.subarray(start, end), at);
    at += length;
  }
  return finish({ buffer, length: at, rowCount: rows, valueCount: rows, encoding: 'PLAIN' }, options);
}

/** A page of LIST<FLOAT> for rows [from, to): levels as runs, floats copied as they are. */
export function vectorPage(
  column: DenseColumn,
  from: number,
  to: number,
  encoding: VectorEncoding,
  options: PageOptions,
): Promise<EncodedPage> {
  const { size } = column.spec;
  const rows = to - from;
  const buffer = options.pool.take(levelsBound(rows) + rows * size * 4);
  const levels = writeListLevels(buffer, 0, column.present, from, to, size);
  const floats = presentFloats(column, from, to);
  let length = levels.end;
  if (encoding === 'plain') {
    for (const run of floats) {
      buffer.set(run, length);
      length += run.length;
    }
  } else length = writeByteStreamSplit(buffer, length, floats);
  return finish(
    {
      buffer,
      length,
      rowCount: rows,
      valueCount: levels.values,
      encoding: encoding === 'plain' ? 'PLAIN' : 'BYTE_STREAM_SPLIT',
    },
    options,
  );
}

/** The bytes of the vectors of rows [from, to) in as few runs as rows without a vector allow. */
function presentFloats(column: DenseColumn, from: number, to: number): Uint8Array[] {
  const rowBytes = column.spec.size * 4;
  const runs: Uint8Array[] = [];
  for (let row = from; row < to; ) {
    let end = row;
    while (end < to && column.present[end] === 1) end++;
    if (end > row) runs.push(column.bytes.subarray(row * rowBytes, end * rowBytes));
    row = end + 1;
  }
  return runs;
}

/** All first bytes of the floats, then all second ones… (Encodings.md, "Byte Stream Split"). */
function writeByteStreamSplit(out: Uint8Array, start: number, runs: readonly Uint8Array[]): number {
  let total = 0;
  for (const run of runs) total += run.length;
  const stream = total / 4;
  let first = start;
  for (const run of runs) {
    for (let at = 0; at < run.length; at += 4, first++) {
      out[first] = run[at] as number;
      out[first + stream] = run[at + 1] as number;
      out[first + 2 * stream] = run[at + 2] as number;
      out[first + 3 * stream] = run[at + 3] as number;
    }
  }
  return start + total;
}

async function finish(raw: RawPage, { compression, pool }: PageOptions): Promise<EncodedPage> {
  const whole = raw.buffer.subarray(0, raw.length);
  if (compression === 'none') return withHeader(raw, whole, raw.buffer);
  const body = await compress(compression, whole);
  pool.release(raw.buffer);
  return withHeader(raw, body, undefined);
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
