import type { CollectionShape } from '../../model.ts';
import type { PointSample } from '../format.ts';

/*
 * DuckDB works on 2,048 rows at a time, whatever the row group, and holds them several times over: as JSON, as lists,
 * as pages. Measured with DuckDB 1.5.6, one thread and this limit (peak memory of its process): 97 MB at 64 dimensions
 * and 10,240 rows a group, 167 MB at 384 and 4,096, 240 MB at 1,024 and 2,048, 262 MB at 1,408; 371 MB at 1,536, and
 * at 3,072 the limit is too low.
 */

/** DuckDB's own limit, in millions of bytes. Its process takes up to a tenth more. */
export const DUCKDB_MEMORY_LIMIT = 256;

/** The fewest rows that DuckDB lays into a row group. */
export const DUCKDB_LEAST_ROWS = 2048;

const MOST_ROWS = 5 * DUCKDB_LEAST_ROWS;
/** Of a row group of more rows than the fewest, before compression. */
const GROUP_BYTES = 8 * 1024 * 1024;
/** Of the fewest rows, with which DuckDB stays below 300 MB. */
const MOST_LEAST_GROUP_BYTES = 12 * 1024 * 1024;

/** For the key; ids as text are shorter. */
const KEY_BYTES = 40;

/** About how many bytes a row is, judged by the collection's first points. */
export function rowBytesOf({ vectors }: CollectionShape, sample: PointSample): number {
  const dense = vectors.reduce((sum, { kind, size }) => sum + (kind === 'dense' ? size * 4 : 0), 0);
  return dense + Math.ceil(sample.payloadBytes + sample.raggedVectorBytes) + KEY_BYTES;
}

/** Rows of DuckDB's row groups, at most `wanted`; undefined where even the fewest would take it too much memory. */
export function duckDbRowGroup(rowBytes: number, wanted: number | undefined): number | undefined {
  if (rowBytes * DUCKDB_LEAST_ROWS > MOST_LEAST_GROUP_BYTES) return undefined;
  const most = Math.max(DUCKDB_LEAST_ROWS, wanted ?? MOST_ROWS);
  const vectors = Math.floor(Math.min(most, GROUP_BYTES / rowBytes) / DUCKDB_LEAST_ROWS);
  return Math.max(1, vectors) * DUCKDB_LEAST_ROWS;
}
