import { ToolError } from '../../errors.ts';
import { SPLIT_SHARE } from '../unit-rows.ts';
import { byteCount } from './byte-count.ts';
import type { ColumnSpec } from './parquet-columns.ts';
import { type ColumnChunk, FooterWriter, statisticsBytes } from './parquet-footer.ts';
import { encodedBytes, type ParquetUnit } from './parquet-page.ts';
import type { Leaf } from './parquet-schema.ts';
import { joinStatistics } from './parquet-statistics.ts';

/**
 * Numbers of a footer take as many bytes as they are large; before they are known they count as these, which no file
 * reaches: some 40 bytes too many a leaf column of the row group that is being laid, and 15 a page of it.
 */
const MOST = 2 ** 52;
const MOST_I32 = 2 ** 31 - 1;
/** What the length of an offset index, an i32, may take above the one byte of a short one's. */
const LONGER_LENGTH_BYTES = 4;
/** The same of a list's length, which is in its header's first byte up to 14. */
const LONGER_LIST_BYTES = 5;
/** Header of the field that holds a chunk's statistics. */
const FIELD_HEADER_BYTES = 1;

/** What is in a file, or waits to be laid into it. */
export interface FileSoFar {
  /** Bytes that were laid, the magic at its start included. */
  readonly offset: number;
  /** Bytes of the structs of the row groups that were laid. */
  readonly structBytes: number;
  readonly group: WaitingGroup;
}

/** The row group that is being laid: nothing of it is among the laid bytes. */
export interface WaitingGroup {
  /** That its pages take in the file. */
  readonly encodedBytes: number;
  /** By leaf. */
  readonly chunks: readonly Pick<ColumnChunk, 'statistics'>[];
  readonly waiting: readonly { readonly length: number }[];
}

export interface FileFrame {
  readonly columns: readonly ColumnSpec[];
  readonly codec: number;
  readonly createdBy: string;
  readonly keyValues: readonly { readonly key: string; readonly value: string }[];
}

/**
 * Knows, before a unit becomes part of a file of at most so many bytes, whether the file would still keep to that when
 * it ended behind the unit. What it counts is never less than what is written, and hardly more.
 */
export class FileRoom {
  readonly #splitBytes: number;
  /** The footer with one row group more, but for the structs of those before and all statistics. */
  readonly #footerBytes: number;
  /** Of an offset index: without its pages, and each of these. */
  readonly #indexBytes: number;
  readonly #locationBytes: number;

  constructor(splitBytes: number, leaves: readonly Leaf[], frame: FileFrame) {
    this.#splitBytes = splitBytes;
    this.#footerBytes = frameBytes(frame) + mostStructBytes(leaves, frame.codec);
    const two = mostIndexBytes(2);
    this.#locationBytes = mostIndexBytes(3) - two;
    this.#indexBytes = two - 2 * this.#locationBytes + LONGER_LIST_BYTES;
  }

  /** Whether the file may take the unit. */
  holds(file: FileSoFar, unit: ParquetUnit): boolean {
    return this.#needed(file, unit) <= this.#splitBytes;
  }

  /**
   * Throws a ToolError 'usage' for a unit that not even this file, which is empty, holds. `row` is the number of the
   * unit's first row, from 1.
   */
  checkAlone(empty: FileSoFar, unit: ParquetUnit, row: number): void {
    const needed = this.#needed(empty, unit);
    if (needed <= this.#splitBytes) return;
    const from = row.toLocaleString('en-US');
    const isOne = unit.rowCount === 1;
    const what = isOne
      ? `row ${from} needs`
      : `the ${unit.rowCount.toLocaleString('en-US')} rows from row ${from} on are written together and need`;
    // Units of a larger limit may be larger by that share before a row this large comes.
    const enough = Math.ceil((needed * SPLIT_SHARE) / (SPLIT_SHARE - 1));
    const fewer = Math.max(1, Math.floor((unit.rowCount * this.#splitBytes) / needed / 2));
    const orFewer = isOne ? '' : `, or --row-group-size ${fewer}`;
    throw new ToolError(
      'usage',
      `Cannot keep files to the ${byteCount(this.#splitBytes)} of --split-size: ${what} a file of ${byteCount(needed)}. Give --split-size ${enough} or more${orFewer}.`,
    );
  }

  /** Throws a ToolError 'usage' where a file of no rows, which is all footer, has more bytes than a file may have. */
  checkEmpty(bytes: number): void {
    if (bytes <= this.#splitBytes) return;
    throw new ToolError(
      'usage',
      `Cannot keep files to the ${byteCount(this.#splitBytes)} of --split-size: one without rows has ${byteCount(bytes)}. Give --split-size ${bytes} or more.`,
    );
  }

  /** Bytes that the file takes at most when it ends behind the unit. */
  #needed({ offset, structBytes, group }: FileSoFar, unit: ParquetUnit): number {
    let bytes = offset + structBytes + group.encodedBytes + encodedBytes(unit) + this.#footerBytes;
    for (const [leaf, { pages, statistics: added }] of unit.columns.entries()) {
      const pageCount = (group.waiting[leaf]?.length ?? 0) + pages.length;
      if (pageCount > 1) bytes += this.#indexBytes + pageCount * this.#locationBytes;
      const known = group.chunks[leaf]?.statistics;
      const statistics = known && added ? joinStatistics(known, added) : (known ?? added);
      if (statistics !== undefined) bytes += FIELD_HEADER_BYTES + statisticsBytes(statistics);
    }
    return bytes;
  }
}

/** Of a footer without row groups, its length and the magic included. */
function frameBytes({ columns, codec, createdBy, keyValues }: FileFrame): number {
  const footer = new FooterWriter(codec);
  footer.restore(new Uint8Array(0), MOST_I32, MOST);
  return footer.finish(columns, createdBy, keyValues).length;
}

/** Of a row group of these leaves, statistics left out. */
function mostStructBytes(leaves: readonly Leaf[], codec: number): number {
  const footer = new FooterWriter(codec);
  // Two, as a chunk of one page has no index to tell of. Their sum is what counts here, not how the index spells them.
  const pages = [1, 2].map(() => ({ offset: MOST, bytes: MOST, firstRow: MOST }));
  const chunks = leaves.map((leaf) => ({
    leaf,
    pages,
    valueCount: MOST,
    uncompressedBytes: MOST,
    statistics: undefined,
  }));
  footer.add(chunks, MOST, MOST);
  return footer.structBytes + leaves.length * LONGER_LENGTH_BYTES;
}

/** Of the offset index of a chunk of few pages. */
function mostIndexBytes(pageCount: number): number {
  const pages = Array.from({ length: pageCount }, () => ({ offset: MOST, bytes: MOST_I32, firstRow: MOST }));
  const leaf: Leaf = { path: [], type: 0, encodings: [] };
  const chunk = { leaf, pages, valueCount: 0, uncompressedBytes: 0, statistics: undefined };
  return new FooterWriter(0).add([chunk], 0, MOST).length;
}
