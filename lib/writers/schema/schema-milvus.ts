import type { PointBatch } from '../../batch.ts';
import { ToolError } from '../../errors.ts';
import { type CollectionShape, type PointId, vectorColumnName } from '../../model.ts';
import type { VectorColumn } from '../../vector-columns.ts';
import { describeVectors, vectorWords } from './describe-vectors.ts';
import { idColumn } from './id-column.ts';
import { type Schema, shardKeyNotes, type Totals, textCells, vectorColumns } from './schema.ts';
import { hasNonFinite } from './vector-checks.ts';

/*
 * What Milvus imports (https://milvus.io/docs/prepare-source-data.md, and its reader in milvus-io/milvus,
 * internal/util/importutilv2/parquet): a column a field, FLOAT[] for a dense vector, a struct of `indices` and
 * `values` for a sparse one, and `$meta` with a JSON object of what is no field, in a collection with the dynamic
 * field enabled. Its limits: https://milvus.io/docs/limitations.md.
 */
const META = '$meta';
const FIELD_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MOST_NAME_CHARACTERS = 255;
/** Of a float vector (validateDimension in internal/proxy/util.go). */
const DIMENSIONS = { least: 2, most: 32_768 } as const;
/** proxy.maxVectorFieldNum (https://milvus.io/docs/configure_proxy.md): 4 unless configured, 10 at most. */
const VECTOR_FIELDS = { usual: 4, most: 10 } as const;
/** common.JSONMaxLength, in bytes. */
const MOST_META_BYTES = 65_536;
/** Indices of sparse vectors are below this (ValidateSparseFloatRows in pkg/util/typeutil). */
const SPARSE_INDEX_END = 2 ** 32 - 1;
/** Unless configured: https://github.com/milvus-io/milvus/pull/31497. */
const USUAL_FILE_BYTES = 16 * 2 ** 30;

/** `id`, the vectors and the payload as `$meta`, as Milvus imports them. */
export function milvusSchema(shape: CollectionShape): Schema {
  checkShape(shape);
  const vectors = vectorColumns(shape.vectors);
  const names = ['id', ...vectors.map(({ name }) => name), META];
  return {
    name: 'milvus',
    columns: [
      { kind: 'text', name: 'id', bounds: true },
      ...vectors,
      { kind: 'text', name: META, bounds: false },
    ],
    // Payload fields that must not be there.
    fields: names,
    hasKeys: shape.sharding === 'custom',
    fill(batch) {
      for (let row = 0; row < batch.rowCount; row++) {
        const id = batch.ids[row] as PointId;
        for (const column of batch.vectors) checkVector(column, row, id);
        checkPayload(batch, row, id);
      }
      const ids = idColumn(batch);
      return {
        columns: [textCells(ids), ...batch.vectors, textCells(batch.payload)],
        keys: shape.sharding === 'custom' ? { texts: ids, fromPayload: 0 } : undefined,
        tally: {},
      };
    },
    notes: (totals) => [...shardKeyNotes(shape, 'milvus'), ...milvusNotes(shape, totals)],
  };
}

function checkShape(shape: CollectionShape): void {
  const { vectors } = shape;
  if (vectors.length === 0) throw unfit(shape, 'Milvus wants at least one vector, and none is chosen');
  if (vectors.length > VECTOR_FIELDS.most) {
    throw unfit(shape, `Milvus takes at most ${VECTOR_FIELDS.most} vectors, and there are ${vectors.length}`);
  }
  const multi = vectors.filter(({ kind }) => kind === 'multi');
  if (multi.length > 0) {
    throw unfit(shape, `Milvus imports no multivectors, and found is ${describeVectors(multi)}`);
  }
  for (const spec of vectors) {
    const column = vectorColumnName(spec);
    if (!FIELD_NAME.test(column) || column.length > MOST_NAME_CHARACTERS) {
      throw unfit(
        shape,
        `the field of ${vectorWords(spec)} would be \`${column}\`, and Milvus takes names of at most ${MOST_NAME_CHARACTERS} letters, digits and underscores`,
      );
    }
    if (spec.kind === 'dense' && (spec.size < DIMENSIONS.least || spec.size > DIMENSIONS.most)) {
      throw unfit(
        shape,
        `${vectorWords(spec)} has ${spec.size.toLocaleString('en-US')} ${spec.size === 1 ? 'dimension' : 'dimensions'}, and Milvus takes ${DIMENSIONS.least} to ${DIMENSIONS.most.toLocaleString('en-US')}`,
      );
    }
  }
}

function unfit({ name }: CollectionShape, why: string): ToolError {
  return new ToolError(
    'usage',
    `Collection \`${name}\` does not fit --schema milvus: ${why}. Choose with --vectors NAME, or another --schema.`,
  );
}

function checkVector(column: VectorColumn, row: number, id: PointId): void {
  const { spec, present, values } = column;
  if (present[row] === 0) {
    throw refused(id, `it lacks ${vectorWords(spec)}, and a vector field of Milvus has no NULL`);
  }
  const from = column.kind === 'dense' ? row * spec.size : row === 0 ? 0 : (column.ends[row - 1] as number);
  const to = column.kind === 'dense' ? from + spec.size : (column.ends[row] as number);
  if (hasNonFinite(values, from, to)) {
    throw refused(id, `${vectorWords(spec)} has a NaN or an infinity, and Milvus takes finite numbers only`);
  }
  if (column.kind !== 'sparse') return;
  for (let i = from; i < to; i++) {
    // "Milvus does not currently support sparse vector with negative values": github.com/milvus-io/milvus/issues/41555.
    if ((values[i] as number) < 0) {
      throw refused(
        id,
        `${vectorWords(spec)} has a negative value, and Milvus takes none in a sparse vector`,
      );
    }
    if ((column.indices[i] as number) >= SPARSE_INDEX_END) {
      throw refused(
        id,
        `${vectorWords(spec)} has the index ${column.indices[i]}, and Milvus takes smaller ones only`,
      );
    }
  }
}

function checkPayload({ payload, fields }: PointBatch, row: number, id: PointId): void {
  const taken = fields.find(({ starts }) => (starts[row] as number) >= 0);
  if (taken !== undefined) {
    throw refused(
      id,
      `its payload has a field \`${taken.name}\`, and Milvus takes none that is named like a column of the file`,
    );
  }
  const bytes = payload.end(row) - payload.start(row);
  if (bytes > MOST_META_BYTES) {
    throw refused(
      id,
      `its payload has ${bytes.toLocaleString('en-US')} bytes, and Milvus takes at most ${MOST_META_BYTES.toLocaleString('en-US')} in ${META}`,
    );
  }
}

function refused(id: PointId, why: string): ToolError {
  return new ToolError('format', `Cannot write point ${id} for Milvus: ${why}. Another --schema holds it.`);
}

function milvusNotes({ vectors }: CollectionShape, { bytes }: Totals): readonly string[] {
  const notes: string[] = [];
  // https://github.com/milvus-io/milvus/releases/tag/v2.5.8, #40874.
  if (vectors.some(({ kind }) => kind === 'sparse')) {
    notes.push('Milvus imports sparse vectors from Parquet structs from version 2.5.8 on.');
  }
  if (vectors.length > VECTOR_FIELDS.usual) {
    notes.push(
      `A collection of Milvus has at most ${VECTOR_FIELDS.usual} vector fields until proxy.maxVectorFieldNum is raised, and the file has ${vectors.length}.`,
    );
  }
  if (bytes > USUAL_FILE_BYTES) {
    notes.push(
      'The file is larger than 16 GB, the most that Milvus imports of one file until it is configured to take more.',
    );
  }
  return notes;
}
