import { ThriftStruct } from 'hyparquet-writer/src/thrift.js';
import type { ColumnSpec } from './parquet-columns.ts';

/** Enumerations of parquet.thrift. */
const TYPE = { INT32: 1, FLOAT: 4, BYTE_ARRAY: 6 } as const;
const REPETITION = { OPTIONAL: 1, REPEATED: 2 } as const;
const ENCODING = { plain: 0, rle: 3, 'byte-stream-split': 9 } as const;
const CONVERTED = { UTF8: 0, LIST: 3, UINT_32: 13 } as const;
/** Types of the compact protocol. */
const BYTE = 3;
const FALSE = 2;
/** LogicalType is a union: the number of the field that is set. */
const LOGICAL_STRING = { field_1: {} };
const LOGICAL_LIST = { field_3: {} };
/** IntType: bitWidth, an i8, and isSigned. */
const LOGICAL_UINT_32 = {
  field_10: new ThriftStruct([
    [1, BYTE, 32],
    [2, FALSE, false],
  ]),
};

/** A column of the file as Parquet sees it: what has pages. */
export interface Leaf {
  readonly path: readonly string[];
  /** Numbers of parquet.thrift's Type and Encoding. */
  readonly type: number;
  readonly encodings: readonly number[];
}

/** The leaves of a column, in the order of the schema. */
export function leavesOf(column: ColumnSpec): readonly Leaf[] {
  const { name } = column;
  switch (column.kind) {
    case 'text':
      return [leaf(TYPE.BYTE_ARRAY, ENCODING.plain, [name])];
    case 'dense':
      return [leaf(TYPE.FLOAT, ENCODING[column.encoding], [name, 'list', 'element'])];
    case 'multi':
      return [leaf(TYPE.FLOAT, ENCODING[column.encoding], [name, 'list', 'element', 'list', 'element'])];
    case 'sparse':
      return [
        leaf(TYPE.INT32, ENCODING.plain, [name, 'indices', 'list', 'element']),
        leaf(TYPE.FLOAT, ENCODING[column.encoding], [name, 'values', 'list', 'element']),
      ];
  }
}

function leaf(type: number, encoding: number, path: readonly string[]): Leaf {
  return { path, type, encodings: [encoding, ENCODING.rle] };
}

/** A SchemaElement of parquet.thrift, as fields by number. */
type Element = Readonly<Record<`field_${number}`, unknown>>;

/** The schema, flat and in the order of a walk that takes parents first. */
export function schemaElements(columns: readonly ColumnSpec[]): readonly Element[] {
  const root = { field_4: 'schema', field_5: columns.length };
  return [root, ...columns.flatMap(columnElements)];
}

function columnElements(column: ColumnSpec): readonly Element[] {
  const { name } = column;
  switch (column.kind) {
    case 'text':
      return [
        {
          field_1: TYPE.BYTE_ARRAY,
          field_3: REPETITION.OPTIONAL,
          field_4: name,
          field_6: CONVERTED.UTF8,
          field_10: LOGICAL_STRING,
        },
      ];
    case 'dense':
      return listOf(name, [floats('element')]);
    case 'multi':
      return listOf(name, listOf('element', [floats('element')]));
    case 'sparse':
      return [
        { field_3: REPETITION.OPTIONAL, field_4: name, field_5: 2 },
        ...listOf('indices', [unsignedIntegers('element')]),
        ...listOf('values', [floats('element')]),
      ];
  }
}

/** LogicalTypes.md, "Lists": the standard three levels. */
function listOf(name: string, element: readonly Element[]): readonly Element[] {
  return [
    {
      field_3: REPETITION.OPTIONAL,
      field_4: name,
      field_5: 1,
      field_6: CONVERTED.LIST,
      field_10: LOGICAL_LIST,
    },
    { field_3: REPETITION.REPEATED, field_4: 'list', field_5: 1 },
    ...element,
  ];
}

function floats(name: string): Element {
  return { field_1: TYPE.FLOAT, field_3: REPETITION.OPTIONAL, field_4: name };
}

function unsignedIntegers(name: string): Element {
  return {
    field_1: TYPE.INT32,
    field_3: REPETITION.OPTIONAL,
    field_4: name,
    field_6: CONVERTED.UINT_32,
    field_10: LOGICAL_UINT_32,
  };
}
