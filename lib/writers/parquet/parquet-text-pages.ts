import type { TextColumn } from '../../batch.ts';
import { flatLevelsBound, type RowRange, writeFlatLevels } from './parquet-levels.ts';
import { type EncodedPage, finishPage, type PageOptions, pageRanges, takePage } from './parquet-page.ts';
import type { ColumnStatistics } from './parquet-statistics.ts';

/** Pages of an optional BYTE_ARRAY column; rows whose `present` is 0 are NULL, none is without it. */
export function textPages(
  column: TextColumn,
  present: Uint8Array | undefined,
  rows: number,
  options: PageOptions,
): Promise<EncodedPage[]> {
  const ranges = pageRanges(rows, (row) => column.end(row));
  return Promise.all(ranges.map((range) => textPage(column, present, range, options)));
}

/** Each text behind its little-endian length, and nothing of a NULL. */
async function textPage(
  column: TextColumn,
  present: Uint8Array | undefined,
  range: RowRange,
  options: PageOptions,
): Promise<EncodedPage> {
  const { from, to } = range;
  const rowCount = to - from;
  const textBytes = column.end(to - 1) - column.start(from);
  const levelBytes = flatLevelsBound(present === undefined ? 1 : rowCount);
  const buffer = takePage(levelBytes + rowCount * 4 + textBytes, options.pool);
  let at = writeFlatLevels(buffer, 0, present, range);
  for (let row = from; row < to; row++) {
    if (present?.[row] === 0) continue;
    const start = column.start(row);
    const end = column.end(row);
    const length = end - start;
    buffer[at++] = length;
    buffer[at++] = length >>> 8;
    buffer[at++] = length >>> 16;
    buffer[at++] = length >>> 24;
    buffer.set(column.bytes.subarray(start, end), at);
    at += length;
  }
  return finishPage({ buffer, length: at, rowCount, valueCount: rowCount, encoding: 'PLAIN' }, options);
}

/** Counts NULLs and, where bounds are wanted, copies the least and the greatest text out of the batch. */
export function textStatistics(
  column: TextColumn,
  present: Uint8Array | undefined,
  rows: number,
  bounds: boolean,
): ColumnStatistics {
  let nullCount = 0;
  let min = -1;
  let max = -1;
  for (let row = 0; row < rows; row++) {
    if (present?.[row] === 0) nullCount++;
    else if (!bounds) continue;
    else if (min === -1) min = max = row;
    else if (compareTexts(column, row, min) < 0) min = row;
    else if (compareTexts(column, row, max) > 0) max = row;
  }
  const text = (row: number) =>
    row === -1 ? undefined : column.bytes.slice(column.start(row), column.end(row));
  return { nullCount, min: text(min), max: text(max) };
}

function compareTexts(column: TextColumn, a: number, b: number): number {
  const { bytes } = column;
  const aStart = column.start(a);
  const bStart = column.start(b);
  const aLength = column.end(a) - aStart;
  const bLength = column.end(b) - bStart;
  for (let i = 0; i < aLength && i < bLength; i++) {
    const difference = (bytes[aStart + i] as number) - (bytes[bStart + i] as number);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}
