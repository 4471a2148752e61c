import type { CollectionShape } from '../../model.ts';
import type { Schema, SchemaName } from './schema.ts';
import { type KeyedOptions, keyedSchema } from './schema-keyed.ts';
import { milvusSchema } from './schema-milvus.ts';
import { pineconeSchema } from './schema-pinecone.ts';
import { pointsSchema } from './schema-points.ts';

export interface SchemaOptions extends KeyedOptions {
  readonly schema: SchemaName;
}

/** Throws a ToolError 'usage' for a collection that the schema cannot hold. */
export function schemaOf(shape: CollectionShape, options: SchemaOptions): Schema {
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
