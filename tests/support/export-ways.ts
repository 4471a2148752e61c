import { DUCKDB_MISSING } from './foreign-readers.ts';
import type { QdrantDouble } from './qdrant-double/qdrant-double.ts';

/** 12 MB: one whole part of an upload and a rest. */
export const POINTS = 3_000;
export const DIMENSIONS = 1024;
/** 1.2 MB. */
export const ROW_GROUP_ROWS = 300;
/** Points that are asked for before a run is held: the first part of an upload, and more than a row group behind it. */
export const HELD_AT = 2_700;

/** How points get to their target. */
export interface Way {
  readonly name: string;
  readonly args: readonly string[];
  readonly target: 'store' | 'file';
  readonly protocol: 'grpc' | 'rest';
  /** Without it no DuckDB is found. */
  readonly duckdb?: boolean;
}

const SMALL = ['--strategy', 'parquet-small', '--row-group-size', String(ROW_GROUP_ROWS)];

export const PARQUET: Way = { name: 'parquet to a store', args: SMALL, target: 'store', protocol: 'grpc' };
export const PARQUET_FILE: Way = {
  name: 'parquet to a file',
  args: SMALL,
  target: 'file',
  protocol: 'rest',
};
export const NDJSON: Way = {
  name: 'ndjson-gz by the built-in converter',
  args: [],
  target: 'store',
  protocol: 'grpc',
};
export const NDJSON_FILE: Way = { ...NDJSON, name: `${NDJSON.name} to a file`, target: 'file' };
export const DUCKDB: Way = {
  name: 'ndjson-gz by DuckDB',
  args: [],
  target: 'store',
  protocol: 'rest',
  duckdb: true,
};
export const STREAMED: Way = {
  name: 'streaming',
  args: [...SMALL, '--stream-upload'],
  target: 'store',
  protocol: 'grpc',
};

/** Ways by work file, and all. */
export const BY_FILE: readonly Way[] = [PARQUET, NDJSON, ...(DUCKDB_MISSING ? [] : [DUCKDB])];
export const WAYS: readonly Way[] = [...BY_FILE, STREAMED];

/** Where a double speaks the way's protocol. */
export function serverOf({ protocol }: Way, { grpcUrl, restUrl }: QdrantDouble): string {
  return protocol === 'grpc' ? grpcUrl : restUrl;
}
