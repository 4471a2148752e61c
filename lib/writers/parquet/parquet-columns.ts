import type { TextColumn } from '../../batch.ts';
import type { VectorColumn } from '../../vector-columns.ts';
import type { ColumnPages, PageOptions, VectorEncoding } from './parquet-page.ts';
import { textPages, textStatistics } from './parquet-text-pages.ts';
import {
  denseLeaf,
  indicesLeaf,
  multiLeaf,
  type VectorLeaf,
  valuesLeaf,
  vectorPages,
} from './parquet-vector-pages.ts';

/** A column of the file as engines see it. */
export type ColumnSpec = TextSpec | DenseSpec | MultiSpec | SparseSpec;

/** VARCHAR */
interface TextSpec {
  readonly kind: 'text';
  readonly name: string;
  /** Whether each row group keeps its least and greatest text. */
  readonly bounds: boolean;
}

/** FLOAT[] */
interface DenseSpec {
  readonly kind: 'dense';
  readonly name: string;
  readonly encoding: VectorEncoding;
}

/** FLOAT[][] */
interface MultiSpec {
  readonly kind: 'multi';
  readonly name: string;
  readonly encoding: VectorEncoding;
}

/** STRUCT(indices UINTEGER[], values FLOAT[]) */
interface SparseSpec {
  readonly kind: 'sparse';
  readonly name: string;
  /** Of the values; indices are always plain. */
  readonly encoding: VectorEncoding;
}

/** Cells of a text column; rows whose `present` is 0 are NULL. Undefined present = none is NULL. */
export interface TextCells {
  readonly column: TextColumn;
  readonly present: Uint8Array | undefined;
}

/** All pages of a text column of one unit, with its least and greatest text when bounds are wanted. */
export async function encodeText(
  { column, present }: TextCells,
  rows: number,
  bounds: boolean,
  options: PageOptions,
): Promise<ColumnPages> {
  const statistics = textStatistics(column, present, rows, bounds);
  return { pages: await textPages(column, present, rows, options), statistics };
}

/** All pages of a vector column of one unit: dense and multi have one leaf, sparse has indices and values. */
export function encodeVector(
  column: VectorColumn,
  rows: number,
  encoding: VectorEncoding,
  options: PageOptions,
): Promise<readonly ColumnPages[]> {
  switch (column.kind) {
    case 'dense':
      return Promise.all([leafPages(denseLeaf(column, rows), rows, encoding, options)]);
    case 'multi':
      return Promise.all([leafPages(multiLeaf(column), rows, encoding, options)]);
    case 'sparse':
      return Promise.all([
        leafPages(indicesLeaf(column), rows, 'plain', options),
        leafPages(valuesLeaf(column), rows, encoding, options),
      ]);
  }
}

async function leafPages(
  leaf: VectorLeaf,
  rows: number,
  encoding: VectorEncoding,
  options: PageOptions,
): Promise<ColumnPages> {
  return { pages: await vectorPages(leaf, rows, encoding, options) };
}
