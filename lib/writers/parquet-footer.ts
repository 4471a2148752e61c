import type { SchemaElement } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { serializeTCompactProtocol } from 'hyparquet-writer/src/thrift.js';
import { unconvertStatistics } from 'hyparquet-writer/src/unconvert.js';

/*
 * The footer's structures (parquet-format, parquet.thrift), kept as serialized bytes: a row group takes about
 * 400 bytes here, where objects would take kilobytes. It is the one thing that grows with the file, as the
 * format wants it: 4 MB for 100 million points in row groups of 10,000.
 */

/** Enumerations of parquet.thrift. */
const TYPE = { FLOAT: 4, BYTE_ARRAY: 6 } as const;
const REPETITION = { REQUIRED: 0, OPTIONAL: 1, REPEATED: 2 } as const;
const ENCODING = { PLAIN: 0, RLE: 3, BYTE_STREAM_SPLIT: 9 } as const;
const CONVERTED = { UTF8: 0, LIST: 3 } as const;
/** LogicalType is a union: the number of the field that is set. */
const LOGICAL_STRING = { field_1: {} };
const LOGICAL_LIST = { field_3: {} };
/** Thrift's compact protocol: type of a struct, and the field header of a list one field further on. */
const STRUCT = 12;
const NEXT_FIELD_LIST = 0x19;

export type ColumnSpec =
  | { readonly kind: 'text'; readonly name: string; readonly bounds: boolean }
  | { readonly kind: 'vector'; readonly name: string; readonly encoding: 'PLAIN' | 'BYTE_STREAM_SPLIT' };

/** Where one page of a column chunk lies. */
export interface PageLocation {
  readonly offset: number;
  /** Header and body. */
  readonly bytes: number;
  /** Number of its first row within the row group. */
  readonly firstRow: number;
}

export interface ColumnChunk {
  readonly column: ColumnSpec;
  readonly pages: readonly PageLocation[];
  readonly valueCount: number;
  readonly uncompressedBytes: number;
  /** Least and greatest text, for columns that keep them. */
  readonly min?: Uint8Array | undefined;
  readonly max?: Uint8Array | undefined;
}

/** Collects what the footer needs, row group by row group. */
export class FooterWriter {
  readonly #codec: number;
  /** RowGroup structs, one after the other. */
  readonly #rowGroups = new ByteWriter(64 * 1024);
  #count = 0;
  #rows = 0;

  constructor(codec: number) {
    this.#codec = codec;
  }

  get rowGroupCount(): number {
    return this.#count;
  }

  get rowCount(): number {
    return this.#rows;
  }

  /**
   * Takes a row group whose last page ends at file offset `end`, and returns the bytes of its offset indexes
   * (parquet-format, PageIndex.md), which the caller writes at that offset.
   */
  add(chunks: readonly ColumnChunk[], rows: number, end: number): Uint8Array<ArrayBuffer> {
    const indexes = new ByteWriter();
    const columns = chunks.map((chunk) => {
      const index = offsetIndex(indexes, chunk.pages, end);
      return { field_2: 0n, field_3: this.#metaData(chunk), ...index };
    });
    const compressed = chunks.reduce((sum, chunk) => sum + chunkBytes(chunk), 0);
    const uncompressed = chunks.reduce((sum, chunk) => sum + chunk.uncompressedBytes, 0);
    const first = Math.min(...chunks.map((chunk) => chunk.pages[0]?.offset ?? end));
    serializeTCompactProtocol(this.#rowGroups, {
      field_1: columns,
      field_2: BigInt(uncompressed),
      field_3: BigInt(rows),
      field_5: BigInt(first),
      field_6: BigInt(compressed),
    });
    this.#count++;
    this.#rows += rows;
    return new Uint8Array(indexes.getBytes());
  }

  /** FileMetaData, its length and the closing magic: the last bytes of the file. */
  finish(
    columns: readonly ColumnSpec[],
    createdBy: string,
    keyValues: readonly { readonly key: string; readonly value: string }[],
  ): Uint8Array<ArrayBuffer> {
    const writer = new ByteWriter(this.#rowGroups.offset + 4096);
    const start = struct({ field_1: 2, field_2: schemaElements(columns), field_3: BigInt(this.#rows) });
    // Without the stop byte: field 4, the row groups, goes on from here.
    writer.appendBytes(start.subarray(0, -1));
    writer.appendUint8(NEXT_FIELD_LIST);
    appendListHeader(writer, this.#count);
    writer.appendBytes(this.#rowGroups.getBytes());
    const rest = struct({
      field_5: keyValues.map(({ key, value }) => ({ field_1: key, field_2: value })),
      field_6: createdBy,
      // TYPE_ORDER for every leaf: bytes compare unsigned, as `min` and `max` here do.
      field_7: columns.map(() => ({ field_1: {} })),
    });
    // Field headers say how far on from the last field they are: field 5 comes after field 4, not after 0.
    rest[0] = NEXT_FIELD_LIST;
    writer.appendBytes(rest);
    writer.appendUint32(writer.offset);
    writer.appendUint32(0x31524150); // PAR1
    return new Uint8Array(writer.getBytes());
  }

  #metaData(chunk: ColumnChunk) {
    const { column } = chunk;
    const vector = column.kind === 'vector';
    return {
      field_1: vector ? TYPE.FLOAT : TYPE.BYTE_ARRAY,
      field_2: [vector ? ENCODING[column.encoding] : ENCODING.PLAIN, ENCODING.RLE],
      field_3: vector ? [column.name, 'list', 'element'] : [column.name],
      field_4: this.#codec,
      field_5: BigInt(chunk.valueCount),
      field_6: BigInt(chunk.uncompressedBytes),
      field_7: BigInt(chunkBytes(chunk)),
      field_9: BigInt(chunk.pages[0]?.offset ?? 0),
      field_12: chunk.min === undefined ? undefined : statistics(chunk.min, chunk.max as Uint8Array),
    };
  }
}

function chunkBytes(chunk: ColumnChunk): number {
  return chunk.pages.reduce((sum, page) => sum + page.bytes, 0);
}

/** Appends a chunk's OffsetIndex; a chunk of one page has none, as its metadata says the same. */
function offsetIndex(writer: ByteWriter, pages: readonly PageLocation[], base: number) {
  if (pages.length < 2) return {};
  const start = writer.offset;
  serializeTCompactProtocol(writer, {
    field_1: pages.map((page) => ({
      field_1: BigInt(page.offset),
      field_2: page.bytes,
      field_3: BigInt(page.firstRow),
    })),
  });
  return { field_4: BigInt(base + start), field_5: writer.offset - start };
}

/** Bounds of a text column; long ones are cut as the format allows, the maximum rounded up. */
function statistics(min: Uint8Array, max: Uint8Array) {
  const element: SchemaElement = { name: '', type: 'BYTE_ARRAY', converted_type: 'UTF8' };
  return unconvertStatistics({ min_value: min, max_value: max, null_count: 0n }, element);
}

function schemaElements(columns: readonly ColumnSpec[]) {
  const root = { field_4: 'schema', field_5: columns.length };
  return [root, ...columns.flatMap(columnElements)];
}

/** LogicalTypes.md, "Lists": the standard three levels. */
function columnElements(column: ColumnSpec): readonly Record<`field_${number}`, unknown>[] {
  if (column.kind === 'text') {
    return [
      {
        field_1: TYPE.BYTE_ARRAY,
        field_3: REPETITION.OPTIONAL,
        field_4: column.name,
        field_6: CONVERTED.UTF8,
        field_10: LOGICAL_STRING,
      },
    ];
  }
  return [
    {
      field_3: REPETITION.OPTIONAL,
      field_4: column.name,
      field_5: 1,
      field_6: CONVERTED.LIST,
      field_10: LOGICAL_LIST,
    },
    { field_3: REPETITION.REPEATED, field_4: 'list', field_5: 1 },
    { field_1: TYPE.FLOAT, field_3: REPETITION.OPTIONAL, field_4: 'element' },
  ];
}

function struct(fields: Record<`field_${number}`, unknown>): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  serializeTCompactProtocol(writer, fields);
  return new Uint8Array(writer.getBytes());
}

/** Header of a list of structs in the compact protocol: short form up to 14 elements. */
function appendListHeader(writer: ByteWriter, size: number): void {
  if (size < 15) writer.appendUint8((size << 4) | STRUCT);
  else {
    writer.appendUint8(0xf0 | STRUCT);
    writer.appendVarInt(size);
  }
}
