import type { BatchLayout, DenseColumn, TextColumn } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { type CollectionShape, type VectorSpec, vectorColumnName } from '../model.ts';
import { BufferPool } from './buffer-pool.ts';
import { CODEC_IDS, type Compression } from './compress.ts';
import type { Format } from './format.ts';
import { keyColumn } from './keyed.ts';
import { assembleParquet } from './parquet-assemble.ts';
import type { ColumnSpec } from './parquet-footer.ts';
import {
  type ColumnPages,
  type EncodedPage,
  type ParquetUnit,
  textPage,
  type VectorEncoding,
  vectorPage,
} from './parquet-page.ts';

export type ParquetStrategy = 'parquet-small' | 'parquet-med' | 'parquet-large';

/** Rows a row group. */
export const ROW_GROUP_ROWS: Readonly<Record<ParquetStrategy, number>> = {
  'parquet-small': 1_000,
  'parquet-med': 10_000,
  'parquet-large': 100_000,
};

/** Pages of about this size keep readers' memory low. */
const PAGE_BYTES = 1024 * 1024;
/** A work unit holds about this many bytes of vectors… */
const UNIT_VECTOR_BYTES = 4 * 1024 * 1024;
/** …at most this many points… */
const UNIT_ROWS = 1024;
/** …and about this many bytes of payloads, judged by the collection's first ones. */
const UNIT_PAYLOAD_BYTES = 8 * 1024 * 1024;
/**
 * Page bodies that wait to be used again: those of two work units. What is in use is bounded by the pipeline's
 * window.
 */
const POOLED_PAGES = 16;

/** For estimates, which rather err on the large side: compression is left out. */
const KEY_BYTES = 40;
const FILE_OVERHEAD_BYTES = 4096;

export interface ParquetOptions {
  readonly strategy: ParquetStrategy;
  readonly rowGroupRows: number;
  readonly compression: Compression;
  readonly vectorEncoding: VectorEncoding;
  /** Payload field that becomes the key. */
  readonly keyField: string;
  /** Name and version of the tool that writes. */
  readonly createdBy: string;
  readonly exportedAt: Date;
  /** Average bytes of a payload's text, from a look at the collection's first points; 0 when not known. */
  readonly payloadBytes: number;
}

/**
 * Parquet of schema `keyed`: key, metadata and the vector, written directly. Rejects shapes that it cannot
 * hold whole, rather than dropping part of them.
 */
export function parquetFormat(shape: CollectionShape, options: ParquetOptions): Format<ParquetUnit> {
  const vectors = supportedVectors(shape);
  const unitsPerGroup = Math.ceil(options.rowGroupRows / mostUnitRows(vectors, options.payloadBytes));
  const smallest = Math.floor(options.rowGroupRows / unitsPerGroup);
  const longer = options.rowGroupRows % unitsPerGroup;
  const layout: BatchLayout = {
    rows: smallest + (longer > 0 ? 1 : 0),
    vectors,
    fields: [options.keyField],
  };
  const pool = new BufferPool(POOLED_PAGES, 2 * PAGE_BYTES);
  const page = { compression: options.compression, pool };
  const columns = columnsOf(vectors, options.vectorEncoding);

  return {
    layout,
    description: describeFormat(options),
    estimateBytes: (points, pointBytes) => Math.ceil(FILE_OVERHEAD_BYTES + points * (pointBytes + KEY_BYTES)),

    unitRows: (unit) => smallest + (unit % unitsPerGroup < longer ? 1 : 0),

    async encode(batch) {
      const keys = keyColumn(batch);
      const [min, max] = bounds(keys, batch.rowCount);
      const pages = await Promise.all([
        textPages(keys, batch.rowCount, page),
        textPages(batch.payload, batch.rowCount, page),
        ...batch.vectors.map((column) => vectorPages(column, batch.rowCount, options.vectorEncoding, page)),
      ]);
      const [keyPages, ...others] = pages.map((list) => ({ pages: list }));
      return {
        rowCount: batch.rowCount,
        columns: [{ ...(keyPages as ColumnPages), min, max }, ...others],
      };
    },

    assemble: (units) =>
      assembleParquet(units, {
        columns,
        codec: CODEC_IDS[options.compression],
        rowGroupRows: options.rowGroupRows,
        createdBy: options.createdBy,
        keyValues: keyValues(shape, options),
        release: (buffer) => pool.release(buffer),
      }),
  };
}

function supportedVectors(shape: CollectionShape): readonly VectorSpec[] {
  const [first, ...others] = shape.vectors;
  const whole = others.length === 0 && (first === undefined || (first.kind === 'dense' && first.name === ''));
  if (whole && first !== undefined && shape.sharding === 'auto') return [first];
  if (shape.sharding === 'custom') {
    throw new ToolError(
      'format',
      `Cannot export collection \`${shape.name}\` whole: its points lie under shard keys of its own (custom sharding), which this version does not read.`,
    );
  }
  const found = first === undefined ? 'no vector' : shape.vectors.map((spec) => describe(spec)).join(', ');
  throw new ToolError(
    'format',
    `Cannot export collection \`${shape.name}\` whole: it has ${found}, and this version writes only collections with one unnamed dense vector.`,
  );
}

function describe(spec: VectorSpec): string {
  const name = spec.name === '' ? 'an unnamed' : `a named`;
  const kind = { dense: 'dense vector', multi: 'multivector', sparse: 'sparse vector' }[spec.kind];
  return `${name} ${kind}${spec.name === '' ? '' : ` \`${spec.name}\``}`;
}

function describeFormat(options: ParquetOptions): string {
  const rows = options.rowGroupRows.toLocaleString('en-US');
  return `${options.strategy}, row groups of ${rows}, ${options.compression === 'none' ? 'uncompressed' : options.compression}, ${options.vectorEncoding} vectors`;
}

function mostUnitRows(vectors: readonly VectorSpec[], payloadBytes: number): number {
  const rowBytes = vectors.reduce((sum, spec) => sum + spec.size * 4, 0);
  const byVectors = Math.min(UNIT_ROWS, Math.floor(UNIT_VECTOR_BYTES / Math.max(1, rowBytes)));
  // In powers of two, so that a payload that grew by a word does not cut the file in other places.
  const byPayloads = 2 ** Math.floor(Math.log2(UNIT_PAYLOAD_BYTES / Math.max(1, payloadBytes)));
  return Math.max(1, Math.min(byVectors, byPayloads));
}

function columnsOf(vectors: readonly VectorSpec[], encoding: VectorEncoding): readonly ColumnSpec[] {
  return [
    { kind: 'text', name: 'key', bounds: true },
    { kind: 'text', name: 'metadata', bounds: false },
    ...vectors.map(
      (spec): ColumnSpec => ({
        kind: 'vector',
        name: vectorColumnName(spec),
        encoding: encoding === 'plain' ? 'PLAIN' : 'BYTE_STREAM_SPLIT',
      }),
    ),
  ];
}

function keyValues(shape: CollectionShape, options: ParquetOptions) {
  return [
    { key: 'qdrant.collection', value: shape.name },
    { key: 'qdrant.vectors', value: JSON.stringify(shape.vectors) },
    { key: 'qdrant.server_version', value: shape.serverVersion },
    { key: 'qdrant.schema', value: 'keyed' },
    { key: 'qdrant.exporter', value: options.createdBy },
    { key: 'qdrant.exported_at', value: options.exportedAt.toISOString() },
  ];
}

type PageSettings = Parameters<typeof vectorPage>[4];

function vectorPages(
  column: DenseColumn,
  rows: number,
  encoding: VectorEncoding,
  page: PageSettings,
): Promise<EncodedPage[]> {
  const pageRows = Math.max(1, Math.floor(PAGE_BYTES / (column.spec.size * 4)));
  const pages: Promise<EncodedPage>[] = [];
  for (let from = 0; from < rows; from += pageRows) {
    pages.push(vectorPage(column, from, Math.min(rows, from + pageRows), encoding, page));
  }
  return Promise.all(pages);
}

function textPages(column: TextColumn, rows: number, page: PageSettings): Promise<EncodedPage[]> {
  const texts = {
    bytes: () => column.bytes,
    start: (row: number) => column.start(row),
    end: (row: number) => column.end(row),
  };
  const pages: Promise<EncodedPage>[] = [];
  for (let from = 0; from < rows; ) {
    let to = from + 1;
    while (to < rows && column.end(to) - column.start(from) <= PAGE_BYTES) to++;
    pages.push(textPage(texts, from, to, column.end(to - 1) - column.start(from), page));
    from = to;
  }
  return Promise.all(pages);
}

/** Least and greatest text by unsigned bytes, copied out of the batch. */
function bounds(column: TextColumn, rows: number): [min: Uint8Array, max: Uint8Array] {
  let min = 0;
  let max = 0;
  for (let row = 1; row < rows; row++) {
    if (compareTexts(column, row, min) < 0) min = row;
    else if (compareTexts(column, row, max) > 0) max = row;
  }
  const text = (row: number) =>
    rows === 0 ? new Uint8Array() : column.bytes.slice(column.start(row), column.end(row));
  return [text(min), text(max)];
}

function compareTexts(column: TextColumn, a: number, b: number): number {
  const { bytes } = column;
  const aStart = column.start(a);
  const bStart = column.start(b);
  const aLength = column.end(a) - aStart;
  const bLength = column.end(b) - bStart;
  for (let i = 0; i < aLength && i < bLength; i++) {
    const difference = (bytes[aStart + i] as number) - (bytes[bStart + i] as number);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}
