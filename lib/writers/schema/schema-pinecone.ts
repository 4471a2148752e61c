import type { PointBatch } from '../../batch.ts';
import { ToolError } from '../../errors.ts';
import type { CollectionShape, PointId, VectorSpec } from '../../model.ts';
import { type DenseColumn, SparseColumn } from '../../vector-columns.ts';
import { describeVectors, vectorWords } from './describe-vectors.ts';
import { fieldNamed } from './field-column.ts';
import { idColumn } from './id-column.ts';
import { PineconeMetadata } from './pinecone-metadata.ts';
import { type Schema, type SchemaColumn, shardKeyNotes, type Totals, textCells } from './schema.ts';
import { hasNonFinite, isZero } from './vector-checks.ts';

/*
 * What Pinecone imports (https://docs.pinecone.io/guides/index-data/import-data): the columns `id`, `values` and
 * `metadata`, for hybrid indexes `sparse_values` too, and none else. Its limits: https://docs.pinecone.io/reference/
 * api/database-limits/operation-limits, "Upsert limits" and "Import limits".
 */
const MOST_DIMENSIONS = 20_000;
const MOST_SPARSE_VALUES = 2048;
const MOST_FILE_BYTES = 10e9;

const OPEN_OBJECT = 0x7b;
const LOWER_N = 0x6e;
const EMPTY_OBJECT = new TextEncoder().encode('{}');

/** `id`, `values` and `metadata` as Pinecone imports them, and `sparse_values` where a sparse vector is chosen. */
export function pineconeSchema(shape: CollectionShape, metadataField: string | undefined): Schema {
  const { dense, sparse } = chosen(shape);
  const at = (spec: VectorSpec) => shape.vectors.indexOf(spec);
  const sparseColumns: SchemaColumn[] =
    sparse === undefined ? [] : [{ kind: 'vector', name: 'sparse_values', spec: sparse }];
  return {
    name: 'pinecone',
    columns: [
      { kind: 'text', name: 'id', bounds: true },
      { kind: 'vector', name: 'values', spec: dense },
      { kind: 'text', name: 'metadata', bounds: false },
      ...sparseColumns,
    ],
    fields: metadataField === undefined ? [] : [metadataField],
    hasKeys: shape.sharding === 'custom',
    fill(batch) {
      const values = batch.vectors[at(dense)] as DenseColumn;
      const sparseValues = sparse === undefined ? undefined : (batch.vectors[at(sparse)] as SparseColumn);
      const metadata = new PineconeMetadata(batch.rowCount);
      for (let row = 0; row < batch.rowCount; row++) {
        checkDense(values, row, batch.ids[row] as PointId);
        if (sparseValues !== undefined) checkSparse(sparseValues, row, batch.ids[row] as PointId);
        appendMetadata(metadata, batch, row, metadataField);
      }
      const ids = idColumn(batch);
      const { nulls, inexactIntegers } = metadata;
      const without = sparseValues === undefined ? undefined : withoutEmpty(sparseValues, batch.rowCount);
      return {
        columns: [
          textCells(ids),
          values,
          textCells(metadata.texts),
          ...(without === undefined ? [] : [without.column]),
        ],
        keys: shape.sharding === 'custom' ? { texts: ids, fromPayload: 0 } : undefined,
        tally: { nulls, inexactIntegers, emptySparse: without?.empty ?? 0 },
      };
    },
    notes: (totals) => [...shardKeyNotes(shape, 'pinecone'), ...pineconeNotes(totals)],
  };
}

/** The vectors for `values` and `sparse_values`. */
function chosen(shape: CollectionShape): {
  readonly dense: VectorSpec;
  readonly sparse: VectorSpec | undefined;
} {
  const [dense, ...moreDense] = shape.vectors.filter(({ kind }) => kind === 'dense');
  const [sparse, ...moreSparse] = shape.vectors.filter(({ kind }) => kind === 'sparse');
  const multi = shape.vectors.filter(({ kind }) => kind === 'multi');
  if (dense === undefined || moreDense.length + moreSparse.length + multi.length > 0) {
    throw new ToolError(
      'usage',
      `Collection \`${shape.name}\` does not fit --schema pinecone: Pinecone takes exactly one dense vector, at most one sparse vector and no multivector, and found is ${describeVectors(shape.vectors)}. Choose with --vectors NAME.`,
    );
  }
  if (dense.size > MOST_DIMENSIONS) {
    throw new ToolError(
      'usage',
      `Collection \`${shape.name}\` does not fit --schema pinecone: ${vectorWords(dense)} has ${dense.size.toLocaleString('en-US')} dimensions, and Pinecone takes at most ${MOST_DIMENSIONS.toLocaleString('en-US')}. Choose another with --vectors NAME, or another --schema.`,
    );
  }
  return { dense, sparse };
}

function checkDense({ spec, present, values }: DenseColumn, row: number, id: PointId): void {
  if (present[row] === 0) {
    throw refused(id, `it lacks ${vectorWords(spec)}, and Pinecone wants one in every row`);
  }
  const from = row * spec.size;
  const to = from + spec.size;
  if (hasNonFinite(values, from, to)) {
    throw refused(
      id,
      `${vectorWords(spec)} has a NaN or an infinity, and Pinecone takes finite numbers only`,
    );
  }
  // "Dense vectors must contain at least one non-zero value": https://github.com/deepset-ai/haystack/issues/10194.
  if (isZero(values, from, to)) {
    throw refused(id, `${vectorWords(spec)} is all zeros, and Pinecone wants a number that is not`);
  }
}

function checkSparse({ spec, present, values, ends }: SparseColumn, row: number, id: PointId): void {
  if (present[row] === 0) return;
  const from = row === 0 ? 0 : (ends[row - 1] as number);
  const to = ends[row] as number;
  if (to - from > MOST_SPARSE_VALUES) {
    throw refused(
      id,
      `${vectorWords(spec)} has ${(to - from).toLocaleString('en-US')} values, and Pinecone takes at most ${MOST_SPARSE_VALUES.toLocaleString('en-US')} in a sparse vector`,
    );
  }
  if (hasNonFinite(values, from, to)) {
    throw refused(
      id,
      `${vectorWords(spec)} has a NaN or an infinity, and Pinecone takes finite numbers only`,
    );
  }
}

function appendMetadata(
  metadata: PineconeMetadata,
  batch: PointBatch,
  row: number,
  metadataField: string | undefined,
): void {
  const { bytes } = batch.payload;
  const id = batch.ids[row] as PointId;
  const { start, end } = whereMetadataIs(batch, row, metadataField);
  if (start >= 0 && bytes[start] === OPEN_OBJECT) metadata.append(id, bytes, start, end);
  else if (start < 0 || bytes[start] === LOWER_N) {
    metadata.append(id, EMPTY_OBJECT, 0, EMPTY_OBJECT.length);
    if (start >= 0) metadata.nulls++;
  } else {
    throw refused(id, `payload field \`${metadataField}\` is no object, and Pinecone's metadata is one`);
  }
  metadata.texts.ends[row] = metadata.texts.length;
}

/** start is -1 where the payload has no such field. */
function whereMetadataIs(batch: PointBatch, row: number, metadataField: string | undefined) {
  if (metadataField === undefined) return { start: batch.payload.start(row), end: batch.payload.end(row) };
  const field = fieldNamed(batch, metadataField);
  return { start: field.starts[row] as number, end: field.ends[row] as number };
}

/** The same column with NULL where a vector has no values, as Pinecone takes none such; the batch keeps its own. */
function withoutEmpty(
  column: SparseColumn,
  rows: number,
): { readonly column: SparseColumn; readonly empty: number } {
  const present = column.present.slice(0, rows);
  let empty = 0;
  for (let row = 0; row < rows; row++) {
    if (present[row] === 0 || column.ends[row] !== (row === 0 ? 0 : column.ends[row - 1])) continue;
    present[row] = 0;
    empty++;
  }
  if (empty === 0) return { column, empty };
  return { column: Object.assign(Object.create(SparseColumn.prototype), column, { present }), empty };
}

function refused(id: PointId, why: string): ToolError {
  return new ToolError('format', `Cannot write point ${id} for Pinecone: ${why}. Another --schema holds it.`);
}

function pineconeNotes({ nulls, inexactIntegers, emptySparse, bytes }: Totals): readonly string[] {
  const notes: string[] = [];
  if (nulls > 0) {
    notes.push(
      `${nulls} null ${nulls === 1 ? 'value was' : 'values were'} left out: Pinecone's metadata has no nulls.`,
    );
  }
  if (inexactIntegers > 0) {
    notes.push(
      `${inexactIntegers} ${inexactIntegers === 1 ? 'integer has' : 'integers have'} every digit in the file, but Pinecone will round ${inexactIntegers === 1 ? 'it' : 'them'}: its numbers are 64-bit floats.`,
    );
  }
  if (emptySparse > 0) {
    notes.push(
      `${emptySparse} empty sparse ${emptySparse === 1 ? 'vector is' : 'vectors are'} NULL: Pinecone takes none without values.`,
    );
  }
  if (bytes > MOST_FILE_BYTES) {
    notes.push('The file is larger than 10 GB, the most that Pinecone imports of one file.');
  }
  return notes;
}
