import type { CollectionShape } from '../../model.ts';
import { fieldCells, fieldNamed } from './field-column.ts';
import { keyColumn } from './key-column.ts';
import { type Schema, shardKeyNotes, textCells, vectorColumns } from './schema.ts';

export interface KeyedOptions {
  /** Payload field that becomes the key where it is a non-empty string. */
  readonly keyField: string;
  /** Payload field that alone becomes the metadata; undefined = the whole payload. */
  readonly metadataField: string | undefined;
}

/** `key`, `metadata` and the vectors. */
export function keyedSchema(shape: CollectionShape, { keyField, metadataField }: KeyedOptions): Schema {
  return {
    name: 'keyed',
    columns: [
      { kind: 'text', name: 'key', bounds: true },
      { kind: 'text', name: 'metadata', bounds: false },
      ...vectorColumns(shape.vectors),
    ],
    fields: [...new Set([keyField, metadataField ?? keyField])],
    hasKeys: true,
    fill(batch) {
      const keys = keyColumn(batch, fieldNamed(batch, keyField));
      const metadata =
        metadataField === undefined ? textCells(batch.payload) : fieldCells(batch, metadataField);
      return { columns: [textCells(keys.texts), metadata, ...batch.vectors], keys, tally: {} };
    },
    notes: () => shardKeyNotes(shape, 'keyed'),
  };
}
