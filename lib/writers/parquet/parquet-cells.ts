import type { Cells, SchemaColumn } from '../schema/schema.ts';
import { type ColumnSpec, encodeText, encodeVector } from './parquet-columns.ts';
import type { ColumnPages, PageOptions, VectorEncoding } from './parquet-page.ts';

/** How a schema's column lies in a Parquet file. */
export function columnSpec(column: SchemaColumn, encoding: VectorEncoding): ColumnSpec {
  return column.kind === 'text' ? column : { kind: column.spec.kind, name: column.name, encoding };
}

/** Pages of a column's first `rows` cells, leaf by leaf. */
export async function encodeCells(
  column: ColumnSpec,
  cells: Cells,
  rows: number,
  page: PageOptions,
): Promise<readonly ColumnPages[]> {
  if (cells.kind !== 'text') {
    return encodeVector(cells, rows, column.kind === 'text' ? 'plain' : column.encoding, page);
  }
  return [await encodeText(cells, rows, column.kind === 'text' && column.bounds, page)];
}
