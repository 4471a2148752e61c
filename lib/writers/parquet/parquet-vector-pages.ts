import type { DenseColumn, MultiColumn, SparseColumn } from '../../vector-columns.ts';
import { type ListRows, listLevelsBound, type RowRange, writeListLevels } from './parquet-levels.ts';
import {
  type EncodedPage,
  finishPage,
  type PageOptions,
  pageRanges,
  takePage,
  type VectorEncoding,
} from './parquet-page.ts';

/** Bytes of a float, and of an index. */
const VALUE_BYTES = 4;

/** A leaf of a vector column: lists of values, each row's behind the last one's. */
export interface VectorLeaf extends ListRows {
  /** Where the row's bytes end, counted from the first row's. */
  readonly end: (row: number) => number;
  /** The bytes of the rows' values, in as few pieces as NULL rows allow. */
  readonly pieces: (range: RowRange) => readonly Uint8Array[];
}

/** FLOAT[]: the definition levels are optional list 1, repeated 2, optional element 3. */
export function denseLeaf(column: DenseColumn, rows: number): VectorLeaf {
  const { present, bytes } = column;
  const { size } = column.spec;
  const rowBytes = size * VALUE_BYTES;
  const vectors = presentUntil(present, rows);
  return {
    present,
    valuesIn: () => size,
    innerSize: 1,
    emptyLevel: 1,
    valueLevel: 3,
    end: (row) => (vectors[row] as number) * rowBytes,
    pieces: (range) =>
      presentRuns(present, range).map(({ from, to }) => bytes.subarray(from * rowBytes, to * rowBytes)),
  };
}

/** FLOAT[][]: as for FLOAT[], and then optional inner list 3, repeated 4, optional element 5. */
export function multiLeaf(column: MultiColumn): VectorLeaf {
  return raggedLeaf(column, column.bytes, { innerSize: column.spec.size, emptyLevel: 1, valueLevel: 5 });
}

/** STRUCT(indices UINTEGER[], …): optional struct 1, optional list 2, repeated 3, optional element 4. */
export function indicesLeaf(column: SparseColumn): VectorLeaf {
  const bytes = new Uint8Array(column.indices.buffer);
  return raggedLeaf(column, bytes, { innerSize: 1, emptyLevel: 2, valueLevel: 4 });
}

/** STRUCT(…, values FLOAT[]): as the indices. */
export function valuesLeaf(column: SparseColumn): VectorLeaf {
  const bytes = new Uint8Array(column.values.buffer);
  return raggedLeaf(column, bytes, { innerSize: 1, emptyLevel: 2, valueLevel: 4 });
}

function raggedLeaf(
  { present, ends }: MultiColumn | SparseColumn,
  bytes: Uint8Array,
  nesting: Pick<ListRows, 'innerSize' | 'emptyLevel' | 'valueLevel'>,
): VectorLeaf {
  const end = (row: number) => (row < 0 ? 0 : (ends[row] as number));
  return {
    ...nesting,
    present,
    valuesIn: (row) => end(row) - end(row - 1),
    end: (row) => end(row) * VALUE_BYTES,
    pieces: ({ from, to }) => [bytes.subarray(end(from - 1) * VALUE_BYTES, end(to - 1) * VALUE_BYTES)],
  };
}

export function vectorPages(
  leaf: VectorLeaf,
  rows: number,
  encoding: VectorEncoding,
  options: PageOptions,
): Promise<EncodedPage[]> {
  return Promise.all(pageRanges(rows, leaf.end).map((range) => vectorPage(leaf, range, encoding, options)));
}

/** Levels as runs, values copied as they are. */
async function vectorPage(
  leaf: VectorLeaf,
  range: RowRange,
  encoding: VectorEncoding,
  options: PageOptions,
): Promise<EncodedPage> {
  const { from, to } = range;
  const valueBytes = leaf.end(to - 1) - (from === 0 ? 0 : leaf.end(from - 1));
  const levelBytes = listLevelsBound(range, valueBytes / VALUE_BYTES, leaf.innerSize);
  const buffer = takePage(levelBytes + valueBytes, options.pool);
  const levels = writeListLevels(buffer, 0, leaf, range);
  const pieces = leaf.pieces(range);
  switch (encoding) {
    case 'plain':
      writePlain(buffer, levels.end, pieces);
      break;
    case 'byte-stream-split':
      writeByteStreamSplit(buffer, levels.end, pieces, valueBytes);
      break;
  }
  return finishPage(
    {
      buffer,
      length: levels.end + valueBytes,
      rowCount: to - from,
      valueCount: levels.entries,
      encoding: encoding === 'plain' ? 'PLAIN' : 'BYTE_STREAM_SPLIT',
    },
    options,
  );
}

function writePlain(out: Uint8Array, start: number, pieces: readonly Uint8Array[]): void {
  let at = start;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
}

/** All first bytes of the floats, then all second ones… (Encodings.md, "Byte Stream Split"). */
function writeByteStreamSplit(
  out: Uint8Array,
  start: number,
  pieces: readonly Uint8Array[],
  valueBytes: number,
): void {
  const stream = valueBytes / VALUE_BYTES;
  let first = start;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += VALUE_BYTES, first++) {
      out[first] = piece[at] as number;
      out[first + stream] = piece[at + 1] as number;
      out[first + 2 * stream] = piece[at + 2] as number;
      out[first + 3 * stream] = piece[at + 3] as number;
    }
  }
}

/** How many rows up to each one, itself included, have a vector. */
function presentUntil(present: Uint8Array, rows: number): Int32Array {
  const counts = new Int32Array(rows);
  let count = 0;
  for (let row = 0; row < rows; row++) {
    count += present[row] as number;
    counts[row] = count;
  }
  return counts;
}

/** Ranges of neighbouring rows that have a vector. */
function presentRuns(present: Uint8Array, { from, to }: RowRange): readonly RowRange[] {
  const runs: RowRange[] = [];
  for (let row = from; row < to; ) {
    let end = row;
    while (end < to && present[end] === 1) end++;
    if (end > row) runs.push({ from: row, to: end });
    row = end + 1;
  }
  return runs;
}
