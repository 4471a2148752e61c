import { isUtf8 } from 'node:buffer';
import { ToolError } from '../../errors.ts';
import type { Cells, SchemaColumn } from '../schema/schema.ts';
import { unitBytes } from '../unit-rows.ts';
import { gunzippedFile } from './gunzipped-file.ts';
import { type Line, LineSplitter } from './line-splitter.ts';
import { emptyCells, expect, readCell, resetCells } from './ndjson-cells.ts';
import { cellPrefixes } from './ndjson-lines.ts';

/** A batch holds at most this many rows… */
const BATCH_ROWS = 1024;
/**
 * …and ends with the row that brings it to about this many bytes: of cells, not of text, which is another one over
 * REST. Its buffers begin with about this size; those of texts and ragged vectors grow to the largest batch. Fewer where
 * files may have only so many.
 */
const BATCH_BYTES = 4 * 1024 * 1024;

const CLOSE_OBJECT = 0x7d;

/** Rows of the file, column by column, until the next ones are asked for. */
export interface RowBatch {
  readonly rows: number;
  /** As many and in the same order as the schema's columns. */
  readonly columns: readonly Cells[];
}

/**
 * Reads a gzipped NDJSON file as ndjson.ts writes it, in batches that depend on its rows' contents alone; `groupRows`
 * rows are a whole number of full ones. Throws a ToolError:
 * 'integrity' where the file is damaged or cut off, 'format' with the number of a line that is not one of these
 * columns, 'store' where it cannot be read.
 */
export async function* readNdjson(
  path: string,
  columns: readonly SchemaColumn[],
  groupRows: number,
  splitBytes?: number | undefined,
): AsyncGenerator<RowBatch> {
  const text = new LineSplitter();
  const batch = new GrowingBatch(path, columns, groupRows, unitBytes(BATCH_BYTES, splitBytes));
  for await (const chunk of gunzippedFile(path)) {
    if (!text.append(chunk)) throw batch.problem('it has more than 2 GiB');
    for (let line = text.next(); line !== undefined; line = text.next()) {
      batch.take(text, line);
      if (!batch.isFull) continue;
      yield batch;
      batch.reset();
    }
  }
  if (text.rest > 0) throw batch.problem('it does not end');
  if (batch.rows > 0) yield batch;
}

class GrowingBatch implements RowBatch {
  readonly columns: readonly Cells[];
  rows = 0;
  readonly #path: string;
  readonly #names: readonly string[];
  readonly #prefixes: readonly Uint8Array[];
  readonly #mostRows: number;
  readonly #mostBytes: number;
  /** Lines of the batches before. */
  #linesBefore = 0;

  constructor(path: string, columns: readonly SchemaColumn[], groupRows: number, mostBytes: number) {
    this.#path = path;
    this.#names = columns.map(({ name }) => name);
    this.#prefixes = cellPrefixes(columns);
    this.#mostBytes = mostBytes;
    this.#mostRows = mostRows(columns, groupRows, mostBytes);
    this.columns = columns.map((column) => emptyCells(column, this.#mostRows));
  }

  get isFull(): boolean {
    return this.rows === this.#mostRows || this.#bytes >= this.#mostBytes;
  }

  get #bytes(): number {
    let sum = 0;
    for (const cells of this.columns) {
      sum += cells.kind === 'text' ? cells.column.length : cells.byteLength(this.rows);
    }
    return sum;
  }

  take(text: LineSplitter, line: Line): void {
    const { bytes } = text;
    let at = line.start;
    for (const [index, cells] of this.columns.entries()) {
      const cell = expect(bytes, at, this.#prefixes[index] as Uint8Array);
      at = cell < 0 ? cell : readCell(text, cell, cells, this.rows);
      if (at < 0 || at > line.end) throw this.#misfit(this.#names[index], at < 0 ? ~at : line.end, line);
    }
    if (bytes[at] !== CLOSE_OBJECT || at + 1 !== line.end) throw this.#misfit(undefined, at, line);
    if (!isUtf8(bytes.subarray(line.start, line.end))) throw this.problem('it is not UTF-8');
    this.rows++;
  }

  reset(): void {
    this.#linesBefore += this.rows;
    this.rows = 0;
    for (const cells of this.columns) resetCells(cells);
  }

  /** About the line that comes next. */
  problem(found: string): ToolError {
    const line = (this.#linesBefore + this.rows + 1).toLocaleString('en-US');
    return new ToolError(
      'format',
      `Cannot make Parquet of "${this.#path}": line ${line} is not as this export writes it, ${found}. Start over without --resume.`,
    );
  }

  #misfit(column: string | undefined, at: number, { start, end }: Line): ToolError {
    const where = `at byte ${Math.min(at, end) - start + 1} of ${end - start}`;
    const what =
      column === undefined ? 'something follows its last column' : `column "${column}" does not fit`;
    return this.problem(`${what} ${where}`);
  }
}

/**
 * Rows whose vectors take about so many bytes when buffers have their first size (vector-columns.ts), or somewhat fewer,
 * so that row groups are as large as was asked.
 */
function mostRows(columns: readonly SchemaColumn[], groupRows: number, mostBytes: number): number {
  let rowBytes = 1;
  for (const column of columns) {
    if (column.kind === 'text') continue;
    const { kind, size } = column.spec;
    rowBytes += kind === 'dense' ? size * 4 : kind === 'multi' ? size * 16 : 512;
  }
  const most = Math.max(1, Math.min(BATCH_ROWS, Math.floor(mostBytes / rowBytes)));
  return Math.ceil(groupRows / Math.ceil(groupRows / most));
}
