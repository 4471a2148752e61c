import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** A row as a foreign reader gives it. */
export interface ForeignRow {
  readonly key: string;
  readonly metadata: string;
  readonly vector: Float32Array | null;
}

export interface PyarrowFile {
  readonly schema: readonly string[];
  readonly keyValues: Readonly<Record<string, string>>;
  readonly createdBy: string;
  readonly rowGroups: readonly number[];
  readonly keyBounds: readonly (readonly [string, string])[];
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
  const script = join(import.meta.dir, 'read-parquet.py');
  const file = JSON.parse(await output([PYTHON, script, path]));
  const { key, metadata, vector } = file.columns as {
    key: string[];
    metadata: string[];
    vector: (string[] | null)[];
  };
  return {
    ...file,
    rows: key.map((text, row) => ({
      key: text,
      metadata: metadata[row] as string,
      vector: fromBits(vector[row] ?? null),
    })),
  };
}

function fromBits(bits: readonly string[] | null): Float32Array | null {
  if (bits === null) return null;
  return new Float32Array(Uint32Array.from(bits, (hex) => Number.parseInt(hex, 16)).buffer);
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

export async function readWithHyparquet(path: string): Promise<readonly ForeignRow[]> {
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors });
  return rows.map(({ key, metadata, vector }) => ({
    key,
    metadata,
    vector: vector === null || vector === undefined ? null : Float32Array.from(vector),
  }));
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
