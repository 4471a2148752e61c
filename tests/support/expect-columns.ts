import { expect } from 'bun:test';
import type { ForeignCell, ForeignColumns, SparseCell } from './foreign-readers.ts';
import type { TestColumn } from './parquet-tables.ts';

/** Expects the same columns in the same order, cell by cell and bit by bit, NULL and empty told apart. */
export function expectColumns(found: ForeignColumns, columns: readonly TestColumn[], floats = bits): void {
  expect(Object.keys(found)).toEqual(columns.map(({ name }) => name));
  for (const { name, cells } of columns) {
    const wanted = cells.map((cell) => comparable(cell, floats));
    expect((found[name] ?? []).map((cell) => comparable(cell, floats))).toEqual(wanted);
  }
}

/** For readers that have but one NaN. */
export function bitsOfOneNaN(values: Float32Array): string {
  return bits(Float32Array.from(values, (value) => (Number.isNaN(value) ? Number.NaN : value)));
}

function bits(values: Float32Array): string {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).toHex();
}

function comparable(cell: ForeignCell, floats: (values: Float32Array) => string): unknown {
  if (cell === null || typeof cell === 'string') return cell;
  if (cell instanceof Float32Array) return floats(cell);
  if (Array.isArray(cell)) return cell.map(floats);
  const { indices, values } = cell as SparseCell;
  return { indices: indices.join(), values: floats(values) };
}
