import type { SchemaElement } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { serializeTCompactProtocol } from 'hyparquet-writer/src/thrift.js';
import { unconvertStatistics } from 'hyparquet-writer/src/unconvert.js';
import type { ColumnSpec } from './parquet-columns.ts';
import { type Leaf, leavesOf, schemaElements } from './parquet-schema.ts';
import type { ColumnStatistics } from './parquet-statistics.ts';

/*
 * The footer's structures (parquet-format, parquet.thrift), kept as serialized bytes: a row group takes about
 * 130 bytes a leaf column here, where objects would take kilobytes. It is the one thing that grows with the file,
 * as the format wants it: 4 MB for 100 million points of three columns in row groups of 10,000.
 */

/** Thrift's compact protocol: type of a struct, and the field header of a list one field further on. */
const STRUCT = 12;
const NEXT_FIELD_LIST = 0x19;
/** A field header's upper half says how far it is on from the field before. */
const FIELD_DELTA = 0x10;

/** Where one page of a column chunk lies. */
export interface PageLocation {
  readonly offset: number;
  /** Header and body. */
  readonly bytes: number;
  /** Number of its first row within the row group. */
  readonly firstRow: number;
}

export interface ColumnChunk {
  readonly leaf: Leaf;
  readonly pages: readonly PageLocation[];
  readonly valueCount: number;
  readonly uncompressedBytes: number;
  /** Of text columns; vectors keep none. */
  readonly statistics: ColumnStatistics | undefined;
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

  /** Of the structs of all row groups. */
  get structBytes(): number {
    return this.#rowGroups.offset;
  }

  /** The structs of all row groups from the one at byte `start` of them on: what `restore` wants. */
  structs(start: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#rowGroups.getBytes().subarray(start));
  }

  /** Goes on behind `count` row groups of `rows` rows that another writer was given. */
  restore(structs: Uint8Array, count: number, rows: number): void {
    this.#rowGroups.appendBytes(structs);
    this.#count = count;
    this.#rows = rows;
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
      field_5:
        keyValues.length === 0
          ? undefined
          : keyValues.map(({ key, value }) => ({ field_1: key, field_2: value })),
      field_6: createdBy,
      // TYPE_ORDER for every leaf: bytes compare unsigned, as `min` and `max` here do.
      field_7: columns.flatMap(leavesOf).map(() => ({ field_1: {} })),
    });
    // Its first field comes after field 4, not after 0.
    rest[0] = (rest[0] as number) - 4 * FIELD_DELTA;
    writer.appendBytes(rest);
    writer.appendUint32(writer.offset);
    writer.appendUint32(0x31524150); // PAR1
    return new Uint8Array(writer.getBytes());
  }

  #metaData(chunk: ColumnChunk) {
    return {
      field_1: chunk.leaf.type,
      field_2: chunk.leaf.encodings,
      field_3: chunk.leaf.path,
      field_4: this.#codec,
      field_5: BigInt(chunk.valueCount),
      field_6: BigInt(chunk.uncompressedBytes),
      field_7: BigInt(chunkBytes(chunk)),
      field_9: BigInt(chunk.pages[0]?.offset ?? 0),
      field_12: chunk.statistics === undefined ? undefined : statistics(chunk.statistics),
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

/** What a chunk's statistics take in its row group's struct. */
export function statisticsBytes(values: ColumnStatistics): number {
  return struct(statistics(values)).length;
}

/** Of a text column: long bounds are cut as the format allows, the maximum rounded up. */
function statistics({ min, max, nullCount }: ColumnStatistics) {
  const element: SchemaElement = { name: '', type: 'BYTE_ARRAY', converted_type: 'UTF8' };
  const bounds = min === undefined || max === undefined ? {} : { min_value: min, max_value: max };
  return unconvertStatistics({ ...bounds, null_count: BigInt(nullCount) }, element);
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
