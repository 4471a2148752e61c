import type { CollectionShape, ShardKey } from '../model.ts';
import type { Schema, SchemaColumn } from './schema/schema.ts';

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

export interface FileOrigin {
  /** Name and version of the tool that writes. */
  readonly createdBy: string;
  readonly exportedAt: Date;
}

/**
 * The file's key-value metadata: names and forms that other tools of this field know (qdrant.collection,
 * qdrant.collection_config, qdrant.vectors, qdrant.exporter), and our own.
 */
export function fileMetadata(
  shape: CollectionShape,
  schema: Schema,
  { createdBy, exportedAt }: FileOrigin,
): readonly KeyValue[] {
  const shardKeys =
    shape.sharding === 'custom' ? [{ key: 'qdrant.shard_keys', value: keyList(shape.shardKeys) }] : [];
  return [
    { key: 'qdrant.collection', value: shape.name },
    { key: 'qdrant.collection_config', value: shape.config },
    { key: 'qdrant.vectors', value: vectorsByColumn(schema.columns) },
    ...shardKeys,
    { key: 'qdrant.server_version', value: shape.serverVersion },
    { key: 'qdrant.schema', value: schema.name },
    { key: 'qdrant.exporter', value: createdBy },
    { key: 'qdrant.exported_at', value: exportedAt.toISOString() },
  ];
}

/** A JSON object: what is in each vector column of the file. */
function vectorsByColumn(columns: readonly SchemaColumn[]): string {
  const vectors = columns.flatMap((column) => (column.kind === 'vector' ? [column] : []));
  return JSON.stringify(
    Object.fromEntries(
      vectors.map(({ name: column, spec: { name, kind, size, distance, datatype } }) => [
        column,
        // A sparse vector has neither dimensions nor a distance.
        kind === 'sparse' ? { name, kind, datatype } : { name, kind, size, distance, datatype },
      ]),
    ),
  );
}

/** A JSON list of numbers and strings. */
function keyList(keys: readonly ShardKey[]): string {
  return `[${keys.map(({ kind, text }) => (kind === 'number' ? text : JSON.stringify(text))).join(',')}]`;
}
