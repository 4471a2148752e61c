import type { PointBatch } from '../batch.ts';
import type { CollectionShape } from '../model.ts';
import type { VectorColumn } from '../vector-columns.ts';
import { BufferPool } from './buffer-pool.ts';
import { CODEC_IDS, type Compression } from './compress.ts';
import { fileMetadata } from './file-metadata.ts';
import { FileTally, type TalliedUnit } from './file-tally.ts';
import type { Format, PointSample } from './format.ts';
import { keyHashes } from './key-hashes.ts';
import { assembleParquet, mostWaitingRows } from './parquet-assemble.ts';
import { type ColumnSpec, encodeText, encodeVector } from './parquet-columns.ts';
import type { ColumnPages, PageOptions, VectorEncoding } from './parquet-page.ts';
import type { Cells, Schema, SchemaColumn, SchemaName } from './schema.ts';
import { keyedSchema } from './schema-keyed.ts';
import { milvusSchema } from './schema-milvus.ts';
import { pineconeSchema } from './schema-pinecone.ts';
import { pointsSchema } from './schema-points.ts';
import { unitRows } from './unit-rows.ts';

export type ParquetStrategy = 'parquet-small' | 'parquet-med' | 'parquet-large';

/**
 * Page bodies that wait to be used again, of up to 2 MiB each: as many bytes as an uncompressed row group and the
 * next units take. What is in use is bounded by the row group (parquet-assemble.ts) and the pipeline's window.
 */
const POOLED_PAGES = 64;
const POOLED_PAGE_BYTES = 2 * 1024 * 1024;

/** For estimates, which rather err on the large side: compression is left out. */
const KEY_BYTES = 40;
const FILE_OVERHEAD_BYTES = 4096;

export interface ParquetOptions {
  readonly strategy: ParquetStrategy;
  readonly rowGroupRows: number;
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
  const rows = unitRows(shape.vectors, options.sample, options.rowGroupRows);
  const pool = new BufferPool(POOLED_PAGES, POOLED_PAGE_BYTES);
  const page: PageOptions = { compression: options.compression, pool };
  const columns = schema.columns.map((column) => columnSpec(column, options.vectorEncoding));
  return {
    layout: { rows: rows.most, vectors: shape.vectors, fields: schema.fields },
    description: describe(shape, options),
    estimateBytes: (points, pointBytes) => Math.ceil(FILE_OVERHEAD_BYTES + points * (pointBytes + KEY_BYTES)),
    unitRows: rows.of,
    rowsHeld: (pointBytes) => mostWaitingRows(options.rowGroupRows, pointBytes),
    encode: (batch) => encodeUnit(batch, schema, columns, page),
    async *assemble(units) {
      const tally = new FileTally(schema);
      const laid = yield* assembleParquet(tally.counting(units), {
        columns,
        codec: CODEC_IDS[options.compression],
        rowGroupRows: options.rowGroupRows,
        createdBy: options.createdBy,
        keyValues: fileMetadata(shape, schema, options),
        release: (buffer) => pool.release(buffer),
      });
      return { ...laid, ...tally.summary() };
    },
  };
}

function schemaOf(shape: CollectionShape, options: ParquetOptions): Schema {
  switch (options.schema) {
    case 'keyed':
      return keyedSchema(shape, options);
    case 'points':
      return pointsSchema(shape);
    case 'pinecone':
      return pineconeSchema(shape, options.metadataField);
    case 'milvus':
      return milvusSchema(shape);
  }
}

function columnSpec(column: SchemaColumn, encoding: VectorEncoding): ColumnSpec {
  return column.kind === 'text' ? column : { kind: column.spec.kind, name: column.name, encoding };
}

async function encodeUnit(
  batch: PointBatch,
  schema: Schema,
  columns: readonly ColumnSpec[],
  page: PageOptions,
): Promise<TalliedUnit> {
  const { rowCount } = batch;
  const { columns: cells, keys, tally } = schema.fill(batch);
  const pages = await Promise.all(
    columns.map((column, index) => encodeColumn(column, cells[index] as Cells, rowCount, page)),
  );
  const vectors = cells.flatMap((column) => (column.kind === 'text' ? [] : [column]));
  return {
    rowCount,
    columns: pages.flat(),
    emptyVectors: vectors.map((column) => emptyRows(column, rowCount)),
    keys: keys && { hashes: keyHashes(keys.texts, rowCount), fromPayload: keys.fromPayload },
    tally,
  };
}

async function encodeColumn(
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

function emptyRows({ present }: VectorColumn, rows: number): number {
  let empty = 0;
  for (let row = 0; row < rows; row++) if (present[row] === 0) empty++;
  return empty;
}

/** For people, e.g. `parquet-med, schema points, row groups of 10,000, zstd, plain vectors`. */
function describe({ vectors }: CollectionShape, options: ParquetOptions): string {
  return [
    options.strategy,
    ...(options.schema === 'keyed' ? [] : [`schema ${options.schema}`]),
    `row groups of ${options.rowGroupRows.toLocaleString('en-US')}`,
    options.compression === 'none' ? 'uncompressed' : options.compression,
    vectors.length === 0 ? 'no vectors' : `${options.vectorEncoding} vectors`,
  ].join(', ');
}
