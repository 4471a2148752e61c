import { resolve } from 'node:path';
import { ToolError } from '../../errors.ts';
import type { KeyValue } from '../file-metadata.ts';
import type { Compression } from '../parquet/compress.ts';
import type { SchemaColumn } from '../schema/schema.ts';

/** DuckDB's reader of JSON refuses longer lines; shorter ones need no more than this. */
const LEAST_OBJECT_BYTES = 64 * 1024;
/** What it may count beside the line itself. */
const OBJECT_SLACK_BYTES = 1024;

const CODECS: Readonly<Record<Compression, string>> = {
  zstd: 'zstd',
  snappy: 'snappy',
  gzip: 'gzip',
  none: 'uncompressed',
};

export interface DuckDbJob {
  /** Path of the gzipped NDJSON file. */
  readonly from: string;
  /** Path of the Parquet file. */
  readonly to: string;
  /** Folder for what does not fit into memory. */
  readonly spill: string;
  readonly columns: readonly SchemaColumn[];
  readonly compression: Compression;
  readonly rowGroupRows: number;
  readonly keyValues: readonly KeyValue[];
  /** Bytes of the longest line. */
  readonly longestRow: number;
  /** In millions of bytes. */
  readonly memoryLimit: number;
}

/**
 * The statements that make DuckDB convert a file. Throws a ToolError 'format' for texts that no statement can hold.
 */
export function duckDbSql(job: DuckDbJob): string {
  const types = job.columns.map((column) => `${quoted(column.name)}: ${quoted(typeOf(column))}`);
  const keyValues = job.keyValues.map(({ key, value }) => `${quoted(key)}: ${quoted(value)}`);
  const objectSize = Math.max(LEAST_OBJECT_BYTES, job.longestRow + OBJECT_SLACK_BYTES);
  return [
    `SET memory_limit = '${job.memoryLimit}MB';`,
    // More threads take more memory than the limit says, each for pages of its own.
    'SET threads = 1;',
    'SET preserve_insertion_order = true;',
    `SET temp_directory = ${quoted(resolve(job.spill))};`,
    `COPY (SELECT * FROM read_json(${quoted(globEscaped(resolve(job.from)))},`,
    "  format = 'newline_delimited', compression = 'gzip',",
    // A folder called a=b would become a column a.
    `  hive_partitioning = false, maximum_object_size = ${objectSize},`,
    `  columns = {${types.join(', ')}}))`,
    // No file but that one: a run that was killed may have left a DuckDB behind, which writes into its own still.
    `TO ${quoted(resolve(job.to))} (FORMAT parquet, USE_TMP_FILE false, COMPRESSION ${CODECS[job.compression]},`,
    `  ROW_GROUP_SIZE ${job.rowGroupRows}, KV_METADATA {${keyValues.join(', ')}});`,
    '',
  ].join('\n');
}

/** Why DuckDB cannot read columns of these names, for people; undefined where it can. */
export function duckDbMisfit(columns: readonly SchemaColumn[]): string | undefined {
  const names = columns.map(({ name }) => name);
  if (names.some((name) => name === '' || name.includes('\0'))) {
    return 'DuckDB cannot take all column names';
  }
  // DuckDB compares ASCII letters so; what only Unicode folds is rare enough to be left to the other converter.
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    return 'column names differ only in case';
  }
  return undefined;
}

function typeOf(column: SchemaColumn): string {
  if (column.kind === 'text') return 'VARCHAR';
  switch (column.spec.kind) {
    case 'dense':
      return 'FLOAT[]';
    case 'multi':
      return 'FLOAT[][]';
    case 'sparse':
      return 'STRUCT(indices UINTEGER[], "values" FLOAT[])';
  }
}

function quoted(text: string): string {
  if (text.includes('\0')) {
    const shown = JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
    throw new ToolError('format', `Cannot hand ${shown} to DuckDB, whose statements hold no NUL.`);
  }
  return `'${text.replaceAll("'", "''")}'`;
}

/** read_json takes a path for a pattern, in which a class of one letter stands for that letter. */
function globEscaped(path: string): string {
  return path.replaceAll(/[*?[]/g, '[$&]');
}
