import type { PointBatch } from '../../batch.ts';
import type { CollectionShape } from '../../model.ts';
import { fileMetadata } from '../file-metadata.ts';
import { FileTally, type Tallied, tallyOf } from '../file-tally.ts';
import type { Format, PointSample } from '../format.ts';
import type { Cells, Schema, SchemaName } from '../schema/schema.ts';
import { schemaOf } from '../schema/schema-of.ts';
import { unitRows } from '../unit-rows.ts';
import { BufferPool } from './buffer-pool.ts';
import { byteCount } from './byte-count.ts';
import { CODEC_IDS, type Compression } from './compress.ts';
import { assembleParquet } from './parquet-assemble.ts';
import { columnSpec, encodeCells } from './parquet-cells.ts';
import type { ColumnSpec } from './parquet-columns.ts';
import { estimateParquetBytes } from './parquet-estimate.ts';
import type { PageOptions, ParquetUnit, VectorEncoding } from './parquet-page.ts';
import { mostWaitingRows } from './parquet-row-group.ts';
import { restoreSafePoint, safePointOf } from './parquet-safe-point.ts';

export type ParquetStrategy = 'parquet-small' | 'parquet-med' | 'parquet-large';

/**
 * Page bodies that wait to be used again, of up to 2 MiB each: as many bytes as an uncompressed row group and the
 * next units take. What is in use is bounded by the row group (parquet-row-group.ts) and the pipeline's window.
 */
const POOLED_PAGES = 64;
const POOLED_PAGE_BYTES = 2 * 1024 * 1024;

/** Pages of a unit, and what was counted while they were made. */
export type TalliedUnit = ParquetUnit & Tallied;

export interface ParquetOptions {
  readonly strategy: ParquetStrategy;
  readonly rowGroupRows: number;
  /** Most bytes of a file; undefined = one file, whatever its size. */
  readonly splitBytes: number | undefined;
  readonly compression: Compression;
  readonly vectorEncoding: VectorEncoding;
  readonly schema: SchemaName;
  /** Payload field that becomes the key, in schema `keyed`. */
  readonly keyField: string;
  /** Payload field that alone becomes the metadata, in schemas `keyed` and `pinecone`. */
  readonly metadataField: string | undefined;
  /** Name and version of the tool that writes. */
  readonly createdBy: string;
  readonly exportedAt: Date;
  /** Bytes of the collection's first points. */
  readonly sample: PointSample;
}

/**
 * Parquet in one of the schemas, written directly. Throws a ToolError 'usage' for a collection that the schema
 * cannot hold, rather than dropping part of it.
 */
export function parquetFormat(shape: CollectionShape, options: ParquetOptions): Format<TalliedUnit> {
  const schema = schemaOf(shape, options);
  const rows = unitRows(shape.vectors, options.sample, options.rowGroupRows, options.splitBytes);
  const pool = new BufferPool(POOLED_PAGES, POOLED_PAGE_BYTES);
  const page: PageOptions = { compression: options.compression, pool };
  const columns = schema.columns.map((column) => columnSpec(column, options.vectorEncoding));
  return {
    layout: { rows: rows.most, vectors: shape.vectors, fields: schema.fields },
    description: describe(shape, options),
    estimateBytes: estimateParquetBytes,
    unitRows: rows.of,
    rowsHeld: (pointBytes) => mostWaitingRows(options.rowGroupRows, pointBytes),
    encode: (batch) => encodeUnit(batch, schema, columns, page),
    async *assemble(units, { from, onSafe } = {}) {
      const tally = new FileTally(schema, onSafe !== undefined);
      const laying = options.splitBytes === undefined ? 'one file' : 'several files';
      const laid = yield* assembleParquet(units, {
        columns,
        codec: CODEC_IDS[options.compression],
        rowGroupRows: options.rowGroupRows,
        splitBytes: options.splitBytes,
        createdBy: options.createdBy,
        keyValues: fileMetadata(shape, schema, options),
        release: (buffer) => pool.release(buffer),
        from: from && restoreSafePoint(from, tally, laying),
        onTake: (unit, bytes) => tally.take(unit, bytes),
        onGroup: onSafe && ((groups) => onSafe(safePointOf(groups, tally, laying))),
      });
      return { ...laid, ...tally.summary() };
    },
  };
}

async function encodeUnit(
  batch: PointBatch,
  schema: Schema,
  columns: readonly ColumnSpec[],
  page: PageOptions,
): Promise<TalliedUnit> {
  const { rowCount } = batch;
  const filled = schema.fill(batch);
  const pages = await Promise.all(
    columns.map((column, index) => encodeCells(column, filled.columns[index] as Cells, rowCount, page)),
  );
  return { rowCount, columns: pages.flat(), ...tallyOf(filled, rowCount) };
}

/** For people, e.g. `parquet-med, schema points, row groups of 10,000, zstd, plain vectors`. */
function describe({ vectors }: CollectionShape, options: ParquetOptions): string {
  return [
    options.strategy,
    ...(options.schema === 'keyed' ? [] : [`schema ${options.schema}`]),
    `row groups of ${options.rowGroupRows.toLocaleString('en-US')}`,
    options.compression === 'none' ? 'uncompressed' : options.compression,
    vectors.length === 0 ? 'no vectors' : `${options.vectorEncoding} vectors`,
    ...(options.splitBytes === undefined ? [] : [`files of at most ${byteCount(options.splitBytes)}`]),
  ].join(', ');
}
