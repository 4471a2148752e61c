import { TextColumn } from '../../lib/batch.ts';
import type { VectorSpec } from '../../lib/model.ts';
import { DenseColumn, MultiColumn, SparseColumn, type VectorColumn } from '../../lib/vector-columns.ts';
import { BufferPool } from '../../lib/writers/parquet/buffer-pool.ts';
import { CODEC_IDS, type Compression } from '../../lib/writers/parquet/compress.ts';
import { assembleParquet, type Laid } from '../../lib/writers/parquet/parquet-assemble.ts';
import {
  type ColumnSpec,
  encodeText,
  encodeVector,
  type TextCells,
} from '../../lib/writers/parquet/parquet-columns.ts';
import type {
  ColumnPages,
  PageOptions,
  ParquetUnit,
  VectorEncoding,
} from '../../lib/writers/parquet/parquet-page.ts';
import type { SparseCell } from './foreign-readers.ts';

/** A column of a table, cell by cell. */
export type TestColumn =
  | { readonly kind: 'text'; readonly name: string; readonly cells: readonly (string | null)[] }
  | {
      readonly kind: 'dense';
      readonly name: string;
      readonly size: number;
      readonly cells: readonly (Float32Array | null)[];
    }
  | {
      readonly kind: 'multi';
      readonly name: string;
      readonly size: number;
      readonly cells: readonly (readonly Float32Array[] | null)[];
    }
  | { readonly kind: 'sparse'; readonly name: string; readonly cells: readonly (SparseCell | null)[] };

export interface TableOptions {
  readonly compression: Compression;
  readonly encoding: VectorEncoding;
  readonly rowGroupRows: number;
  /** Rows of each unit but the last. */
  readonly unitRows: number;
}

/** Gives out the buffers of a pool and spoils them when they come back, for whoever still looks at one. */
export class SpoilingPool extends BufferPool {
  /** Buffers that were taken and did not come back yet. */
  lent = 0;

  constructor() {
    super(4, 2 * 1024 * 1024);
  }

  override take(bytes: number): Uint8Array<ArrayBuffer> {
    this.lent++;
    return super.take(bytes).fill(0xee);
  }

  override release(buffer: Uint8Array<ArrayBuffer>): void {
    this.lent--;
    buffer.fill(0xee);
    super.release(buffer);
  }
}

/** Writes a table as a format would: unit by unit, every batch spoilt once it was encoded. */
export async function writeTable(
  path: string,
  columns: readonly TestColumn[],
  options: TableOptions,
): Promise<Laid & { readonly lent: number }> {
  const pool = new SpoilingPool();
  const rows = columns[0]?.cells.length ?? 0;
  const page: PageOptions = { compression: options.compression, pool };
  async function* units(): AsyncGenerator<ParquetUnit> {
    for (let from = 0; from < rows; from += options.unitRows) {
      const to = Math.min(rows, from + options.unitRows);
      const parts = columns.map(
        (column) => ({ ...column, cells: column.cells.slice(from, to) }) as TestColumn,
      );
      const leaves = await Promise.all(parts.map((part) => encodeColumn(part, options.encoding, page)));
      yield { rowCount: to - from, columns: leaves.flat() };
    }
  }
  const chunks = assembleParquet(units(), {
    columns: columns.map((column) => specOf(column, options.encoding)),
    codec: CODEC_IDS[options.compression],
    rowGroupRows: options.rowGroupRows,
    createdBy: 'qdrant-export-tools test',
    keyValues: [{ key: 'qdrant.schema', value: 'points' }],
    release: (buffer) => pool.release(buffer),
  });
  const file = Bun.file(path).writer();
  for (;;) {
    const step: IteratorResult<Uint8Array<ArrayBuffer>, Laid> = await chunks.next();
    if (step.done) {
      await file.end();
      return { ...step.value, lent: pool.lent };
    }
    file.write(step.value.slice());
    await file.flush();
  }
}

/** Texts keep bounds in every column whose name does not end in `unbound`. */
export function specOf(column: TestColumn, encoding: VectorEncoding): ColumnSpec {
  const { kind, name } = column;
  return kind === 'text' ? { kind, name, bounds: !name.endsWith('unbound') } : { kind, name, encoding };
}

/** All leaves of a column. */
export async function encodeColumn(
  column: TestColumn,
  encoding: VectorEncoding,
  page: PageOptions,
): Promise<readonly ColumnPages[]> {
  const rows = column.cells.length;
  if (column.kind === 'text') {
    const cells = textCells(column.cells);
    const pages = await encodeText(cells, rows, !column.name.endsWith('unbound'), page);
    cells.column.bytes.fill(0xee);
    cells.present?.fill(0xee);
    return [pages];
  }
  const vectors = vectorColumn(column);
  const leaves = await encodeVector(vectors, rows, encoding, page);
  vectors.values.fill(Number.NaN);
  vectors.present.fill(0xee);
  if (vectors.kind === 'sparse') vectors.indices.fill(0xeeeeeeee);
  return leaves;
}

const encoder = new TextEncoder();

export function textCells(cells: readonly (string | null)[]): TextCells {
  const column = new TextColumn(cells.length, 8);
  const present = new Uint8Array(cells.length);
  for (const [row, cell] of cells.entries()) {
    const bytes = encoder.encode(cell ?? '');
    column.reserve(bytes.length).set(bytes, column.length);
    column.length += bytes.length;
    column.ends[row] = column.length;
    present[row] = cell === null ? 0 : 1;
  }
  return { column, present: cells.includes(null) ? present : undefined };
}

/** A column as a transport would have filled it. */
export function vectorColumn(column: Exclude<TestColumn, { kind: 'text' }>): VectorColumn {
  const rows = column.cells.length;
  switch (column.kind) {
    case 'dense': {
      const filled = new DenseColumn(specOfVector('dense', column.size), rows);
      // What an earlier batch left behind in rows that now lack the vector.
      filled.values.fill(-1);
      for (const [row, cell] of column.cells.entries()) {
        if (cell === null) continue;
        copyBits(cell, filled.values, row * column.size);
        filled.present[row] = 1;
      }
      return filled;
    }
    case 'multi': {
      const filled = new MultiColumn(specOfVector('multi', column.size), rows);
      for (const [row, cell] of column.cells.entries()) {
        for (const vector of cell ?? []) {
          filled.reserve(vector.length);
          copyBits(vector, filled.values, filled.length);
          filled.length += vector.length;
        }
        filled.present[row] = cell === null ? 0 : 1;
        filled.ends[row] = filled.length;
      }
      return filled;
    }
    case 'sparse': {
      const filled = new SparseColumn(specOfVector('sparse', 0), rows);
      for (const [row, cell] of column.cells.entries()) {
        filled.reserve(cell?.indices.length ?? 0);
        if (cell !== null) {
          filled.indices.set(cell.indices, filled.length);
          copyBits(cell.values, filled.values, filled.length);
          filled.length += cell.indices.length;
        }
        filled.present[row] = cell === null ? 0 : 1;
        filled.ends[row] = filled.length;
      }
      return filled;
    }
  }
}

function specOfVector(kind: VectorSpec['kind'], size: number): VectorSpec {
  return { kind, name: '', size, distance: 'Dot', datatype: 'float32' };
}

/** Copies floats as bits: a JavaScript number on the way may lose a NaN's payload. */
function copyBits(from: Float32Array, to: Float32Array, at: number): void {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  new Uint32Array(to.buffer, to.byteOffset, to.length).set(bits, at);
}
