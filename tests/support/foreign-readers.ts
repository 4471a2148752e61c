import { join } from 'node:path';
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** A row of schema keyed as a foreign reader gives it. */
export interface ForeignRow {
  readonly key: string;
  readonly metadata: string;
  readonly vector: Float32Array | null;
}

export interface SparseCell {
  readonly indices: Uint32Array;
  readonly values: Float32Array;
}

/** A cell of any column: NULL, a text, FLOAT[], FLOAT[][] or a sparse vector. */
export type ForeignCell = null | string | Float32Array | readonly Float32Array[] | SparseCell;

/** Cells by column and row. */
export type ForeignColumns = Readonly<Record<string, readonly ForeignCell[]>>;

/** What the footer says about a leaf column of a row group. */
export interface PyarrowChunk {
  readonly path: string;
  readonly entries: number;
  readonly encodings: readonly string[];
  readonly compression: string;
  readonly statistics: {
    readonly nullCount: number | null;
    readonly min: string | null;
    readonly max: string | null;
  } | null;
}

export interface PyarrowFile {
  readonly schema: readonly string[];
  readonly keyValues: Readonly<Record<string, string>>;
  readonly createdBy: string;
  readonly rowGroups: readonly number[];
  /** By row group and leaf column. */
  readonly chunks: readonly (readonly PyarrowChunk[])[];
  /** Least and greatest key of each row group, in a file of schema keyed. */
  readonly keyBounds: readonly (readonly [string, string])[];
  /** Floats with all their bits. */
  readonly columns: ForeignColumns;
  /** Of a file of schema keyed. */
  readonly rows: readonly ForeignRow[];
}

/** The Python that has pyarrow. */
const PYTHON = process.env.PYTHON ?? 'python3';

/** Why a reader is not there, for the name of a skipped test; undefined when it is. */
export const PYARROW_MISSING = await missing([PYTHON, '-c', 'import pyarrow.parquet']);
export const DUCKDB_MISSING = await missing(['duckdb', '--version']);

async function missing(command: string[]): Promise<string | undefined> {
  const name = command[0] === 'duckdb' ? 'the DuckDB CLI' : 'pyarrow';
  try {
    const { exitCode } = Bun.spawnSync(command, { stdout: 'ignore', stderr: 'ignore' });
    if (exitCode === 0) return undefined;
  } catch {
    // Not on the PATH.
  }
  if (process.env.REQUIRE_FOREIGN_READERS === '1') throw new Error(`${name} is required and not there`);
  console.warn(`skipped: what ${name} would read, as it is not installed`);
  return `${name} is not installed`;
}

export async function readWithPyarrow(path: string): Promise<PyarrowFile> {
  return (await readAllWithPyarrow([path]))[0] as PyarrowFile;
}

/** Reads files in one process, which takes longer to start than to read a small one. */
export async function readAllWithPyarrow(paths: readonly string[]): Promise<readonly PyarrowFile[]> {
  const text = await output([PYTHON, join(import.meta.dir, 'read-parquet.py'), ...paths]);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => pyarrowFile(JSON.parse(line)));
}

interface PyarrowColumn {
  readonly name: string;
  readonly type: string;
  readonly cells: readonly unknown[];
}

function pyarrowFile(
  document: Omit<PyarrowFile, 'columns' | 'keyBounds' | 'rows'> & { columns: readonly PyarrowColumn[] },
): PyarrowFile {
  const columns: ForeignColumns = Object.fromEntries(
    document.columns.map(({ name, type, cells }) => [name, cells.map((cell) => pyarrowCell(type, cell))]),
  );
  const keys = document.chunks.map((leaves) => leaves.find(({ path }) => path === 'key')?.statistics);
  return {
    ...document,
    columns,
    keyBounds: keys.map((key) => [key?.min as string, key?.max as string]),
    rows: keyedRows(columns),
  };
}

function pyarrowCell(type: string, cell: unknown): ForeignCell {
  if (cell === null) return null;
  switch (type) {
    case 'string':
      return cell as string;
    case 'list<element: float>':
      return floatsOfHex(cell as string);
    case 'list<element: list<element: float>>':
      return (cell as string[]).map(floatsOfHex);
    case 'struct<indices: list<element: uint32>, values: list<element: float>>': {
      const { indices, values } = cell as { indices: number[]; values: string };
      return { indices: Uint32Array.from(indices), values: floatsOfHex(values) };
    }
    default:
      throw new Error(`a column of type ${type}`);
  }
}

function floatsOfHex(hex: string): Float32Array {
  return new Float32Array(Uint8Array.fromHex(hex).buffer);
}

function keyedRows({ key = [], metadata = [], vector = [] }: ForeignColumns): readonly ForeignRow[] {
  return key.map((text, row) => ({
    key: text as string,
    metadata: metadata[row] as string,
    vector: (vector[row] ?? null) as Float32Array | null,
  }));
}

/** Rows of a query over the file, which it names as `file`. */
export async function queryWithDuckDb(path: string, query: string): Promise<readonly unknown[]> {
  const text = await output([
    'duckdb',
    '-json',
    '-c',
    `CREATE VIEW file AS SELECT * FROM read_parquet('${path.replaceAll("'", "''")}'); ${query}`,
  ]);
  return text.trim() === '' ? [] : JSON.parse(text);
}

export async function readWithDuckDb(path: string): Promise<readonly ForeignRow[]> {
  const rows = await queryWithDuckDb(path, 'SELECT key, metadata, vector FROM file');
  return (rows as { key: string; metadata: string; vector: number[] | null }[]).map((row) => ({
    ...row,
    vector: row.vector === null ? null : Float32Array.from(row.vector),
  }));
}

/** The types of all columns as DuckDB prints them. */
export async function typesInDuckDb(path: string): Promise<Readonly<Record<string, string>>> {
  const rows = await queryWithDuckDb(path, 'SELECT column_name, column_type FROM (DESCRIBE file)');
  return Object.fromEntries(
    (rows as { column_name: string; column_type: string }[]).map((row) => [row.column_name, row.column_type]),
  );
}

/** All columns, floats with all their bits and texts as their bytes are, which JSON output would not keep. */
export async function readColumnsWithDuckDb(path: string): Promise<ForeignColumns> {
  const types = Object.entries(await typesInDuckDb(path));
  const exact = types.map(([name, type]) => {
    const column = `"${name.replaceAll('"', '""')}"`;
    return `${exactInDuckDb(type, column)} AS ${column}`;
  });
  const rows = (await queryWithDuckDb(path, `SELECT ${exact.join(', ')} FROM file`)) as Record<
    string,
    unknown
  >[];
  return Object.fromEntries(
    types.map(([name, type]) => [name, rows.map((row) => duckDbCell(type, row[name]))]),
  );
}

function exactInDuckDb(type: string, column: string): string {
  const bits = (list: string) => `list_transform(${list}, lambda x: x::BIT::VARCHAR)`;
  switch (type) {
    case 'VARCHAR':
      return `hex(${column})`;
    case 'FLOAT[]':
      return bits(column);
    case 'FLOAT[][]':
      return `list_transform(${column}, lambda vector: ${bits('vector')})`;
    case 'STRUCT(indices UINTEGER[], "values" FLOAT[])':
      // A struct of NULLs is not a NULL struct.
      return `CASE WHEN ${column} IS NULL THEN NULL ELSE {'indices': ${column}.indices, 'values': ${bits(`${column}."values"`)}} END`;
    default:
      throw new Error(`a column of type ${type}`);
  }
}

function duckDbCell(type: string, cell: unknown): ForeignCell {
  if (cell === null) return null;
  switch (type) {
    case 'VARCHAR':
      return Buffer.from(cell as string, 'hex').toString();
    case 'FLOAT[]':
      return floatsOfBits(cell as string[]);
    case 'FLOAT[][]':
      return (cell as string[][]).map(floatsOfBits);
    default: {
      const { indices, values } = cell as { indices: number[]; values: string[] };
      return { indices: Uint32Array.from(indices), values: floatsOfBits(values) };
    }
  }
}

function floatsOfBits(floats: readonly string[]): Float32Array {
  return new Float32Array(Uint32Array.from(floats, (bits) => Number.parseInt(bits, 2)).buffer);
}

export async function readWithHyparquet(path: string): Promise<readonly ForeignRow[]> {
  return keyedRows(await readColumnsWithHyparquet(path));
}

/** All columns; floats pass through JavaScript's numbers, which have but one NaN. */
export async function readColumnsWithHyparquet(path: string): Promise<ForeignColumns> {
  return columnsWithHyparquet(await asyncBufferFromFile(path), {});
}

/** Rows [rowStart, rowEnd) by way of the offset index, and how many bytes of the file that took. */
export async function readRowsWithHyparquet(
  path: string,
  rowStart: number,
  rowEnd: number,
): Promise<{ readonly columns: ForeignColumns; readonly bytesRead: number }> {
  const file = await asyncBufferFromFile(path);
  let bytesRead = 0;
  const counted: AsyncBuffer = {
    byteLength: file.byteLength,
    slice(start, end = file.byteLength) {
      bytesRead += end - start;
      return file.slice(start, end);
    },
  };
  const columns = await columnsWithHyparquet(counted, { rowStart, rowEnd, useOffsetIndex: true });
  return { columns, bytesRead };
}

async function columnsWithHyparquet(
  file: AsyncBuffer,
  range: { rowStart?: number; rowEnd?: number; useOffsetIndex?: boolean },
): Promise<ForeignColumns> {
  const metadata = await parquetMetadataAsync(file);
  const { children } = parquetSchema(metadata);
  // All columns at once, as its users do: it then takes the chunks of a row group to lie in the schema's order.
  const rows = await parquetReadObjects({ file, metadata, compressors, ...range });
  return Object.fromEntries(
    children.map((column) => [
      column.element.name,
      rows.map((row) => hyparquetCell(column, row[column.element.name])),
    ]),
  );
}

function hyparquetCell(column: SchemaTree, cell: unknown): ForeignCell {
  if (cell === null || cell === undefined) return null;
  if (column.children.length === 0) return cell as string;
  if (column.children.length === 2) {
    const { indices, values } = cell as { indices: number[]; values: number[] };
    return { indices: Uint32Array.from(indices), values: Float32Array.from(values) };
  }
  const nested = column.children[0]?.children[0]?.children.length === 1;
  return nested
    ? (cell as number[][]).map((inner) => Float32Array.from(inner))
    : Float32Array.from(cell as number[]);
}

async function output(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdout: 'pipe', stderr: 'pipe', stdin: 'ignore' });
  const [text, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${errors}`);
  return text;
}
