import { canonicalText } from '../unit/qdrant/canonical-oracle.ts';
import type { ForeignCell, SparseCell } from './foreign-readers.ts';
import type { TestColumn } from './parquet-tables.ts';
import type { RecordedCollection, RecordedPoint, RecordedVector } from './recorded-points.ts';

export type SchemaName = 'keyed' | 'points' | 'pinecone' | 'milvus';

/** What of a recorded collection an export takes. */
export interface Taken {
  readonly schema: SchemaName;
  /** All unless told. */
  readonly vectors?: readonly string[];
  readonly takes?: (point: RecordedPoint) => boolean;
}

/** A column as contract.md's section 5 wants it. */
export interface RecordedColumn {
  readonly name: string;
  /** As DuckDB and pyarrow print its type. */
  readonly types: { readonly duckDb: string; readonly pyarrow: string };
  /** The vector that it has, if any. */
  readonly vector?: RecordedVector;
  readonly cells: readonly ForeignCell[];
}

export interface RecordedTable {
  readonly columns: readonly RecordedColumn[];
  readonly rows: number;
  /** Rows without the vector, by column. */
  readonly emptyVectors: Readonly<Record<string, number>>;
  /** Null in schemas whose rows have no keys of their own. */
  readonly keysFromPayload: number | null;
  readonly duplicateKeys: number | null;
}

const TEXT = { duckDb: 'VARCHAR', pyarrow: 'string' } as const;
const TYPES = {
  dense: { duckDb: 'FLOAT[]', pyarrow: 'list<element: float>' },
  multi: { duckDb: 'FLOAT[][]', pyarrow: 'list<element: list<element: float>>' },
  sparse: {
    duckDb: 'STRUCT(indices UINTEGER[], "values" FLOAT[])',
    pyarrow: 'struct<indices: list<element: uint32>, values: list<element: float>>',
  },
} as const;

/** The table that an export of a recorded collection must be. */
export function recordedTable(collection: RecordedCollection, taken: Taken): RecordedTable {
  const { takes = () => true } = taken;
  const points = collection.points.filter(takes);
  const vectors = collection.vectors.filter(({ name }) => taken.vectors?.includes(name) ?? true);
  const columns = columnsOf(points, vectors, taken.schema);
  const empty = columns.flatMap(({ cells, name, vector }) =>
    vector === undefined ? [] : [[name, cells.filter((cell) => cell === null).length] as const],
  );
  return {
    columns,
    rows: points.length,
    emptyVectors: Object.fromEntries(empty),
    ...keyCounts(collection, points, taken.schema),
  };
}

/** The table's columns as expectColumns() takes them. */
export function testColumns({ columns }: RecordedTable): readonly TestColumn[] {
  return columns.map(
    ({ cells, name, vector }) =>
      ({ kind: vector?.kind ?? 'text', name, size: vector?.size ?? 0, cells }) as TestColumn,
  );
}

function columnsOf(
  points: readonly RecordedPoint[],
  vectors: readonly RecordedVector[],
  schema: SchemaName,
): readonly RecordedColumn[] {
  const text = (name: string, cellOf: (point: RecordedPoint) => string | null): RecordedColumn => ({
    name,
    types: TEXT,
    cells: points.map(cellOf),
  });
  const vector = (spec: RecordedVector, name = columnName(spec)): RecordedColumn => ({
    name,
    types: TYPES[spec.kind],
    vector: spec,
    cells: points.map((point) => point.vectors.get(spec.name) ?? null),
  });
  const ids = text('id', ({ id }) => id);
  const payload = ({ payload: value }: RecordedPoint) => canonicalText(value);
  switch (schema) {
    case 'keyed':
      return [text('key', keyOf), text('metadata', payload), ...vectors.map((spec) => vector(spec))];
    case 'points':
      return [
        ids,
        text('payload', payload),
        ...vectors.map((spec) => vector(spec)),
        text('shard_key', ({ shardKey }) => shardKey ?? null),
      ];
    case 'milvus':
      return [ids, ...vectors.map((spec) => vector(spec)), text('$meta', payload)];
    case 'pinecone': {
      const dense = vectors.filter(({ kind }) => kind === 'dense').map((spec) => vector(spec, 'values'));
      const sparse = vectors.filter(({ kind }) => kind === 'sparse');
      const metadata = text('metadata', (point) => canonicalText(withoutNulls(point.payload)));
      return [
        ids,
        ...dense,
        metadata,
        ...sparse.map((spec) => nullWhereEmpty(vector(spec, 'sparse_values'))),
      ];
    }
  }
}

function columnName({ name }: RecordedVector): string {
  return name === '' ? 'vector' : `vector_${name}`;
}

function keyOf({ id, payload }: RecordedPoint): string {
  return isKey(payload.key) ? payload.key : id;
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** Pinecone's metadata has no nulls. */
function withoutNulls(payload: RecordedPoint['payload']): unknown {
  return Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== null));
}

/** Pinecone takes no sparse vector without values. */
function nullWhereEmpty(column: RecordedColumn): RecordedColumn {
  const isEmpty = (cell: ForeignCell) => cell !== null && (cell as SparseCell).indices.length === 0;
  return { ...column, cells: column.cells.map((cell) => (isEmpty(cell) ? null : cell)) };
}

/** Schemas that take ids for keys count them where an id may lie under several shard keys. */
function keyCounts(
  { shardKeys }: RecordedCollection,
  points: readonly RecordedPoint[],
  schema: SchemaName,
): Pick<RecordedTable, 'keysFromPayload' | 'duplicateKeys'> {
  if (schema === 'points' || (schema !== 'keyed' && shardKeys === undefined)) {
    return { keysFromPayload: null, duplicateKeys: null };
  }
  const keys = points.map((point) => (schema === 'keyed' ? keyOf(point) : point.id));
  return {
    keysFromPayload: schema === 'keyed' ? points.filter(({ payload }) => isKey(payload.key)).length : 0,
    duplicateKeys: keys.length - new Set(keys).size,
  };
}
