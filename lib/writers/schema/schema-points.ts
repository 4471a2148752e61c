import { TextColumn } from '../../batch.ts';
import type { CollectionShape, ShardKey } from '../../model.ts';
import { idColumn } from './id-column.ts';
import { type Cells, type Schema, textCells, vectorColumns } from './schema.ts';

const encoder = new TextEncoder();

/** Everything that a point has: `id`, `payload`, the vectors and `shard_key`. */
export function pointsSchema(shape: CollectionShape): Schema {
  return {
    name: 'points',
    columns: [
      { kind: 'text', name: 'id', bounds: true },
      { kind: 'text', name: 'payload', bounds: false },
      ...vectorColumns(shape.vectors),
      { kind: 'text', name: 'shard_key', bounds: false },
    ],
    fields: [],
    hasKeys: false,
    fill: (batch) => ({
      columns: [
        textCells(idColumn(batch)),
        textCells(batch.payload),
        ...batch.vectors,
        shardKeyCells(batch.shardKey, batch.rowCount),
      ],
      keys: undefined,
      tally: { ambiguousKey: hasTwin(batch.shardKey, shape.shardKeys) ? batch.shardKey : undefined },
    }),
    notes: ({ ambiguousKeys }) =>
      ambiguousKeys
        .filter((key) => key.kind === 'number' && hasTwin(key, ambiguousKeys))
        .map(
          ({ text }) =>
            `Rows under the shard key ${text} (a number) and under ${JSON.stringify(text)} (a keyword) look the same in column shard_key.`,
        ),
  };
}

/** All rows of a batch lie under the same key; without custom sharding it is NULL. */
function shardKeyCells(key: ShardKey | undefined, rows: number): Cells {
  if (key === undefined) return textCells(new TextColumn(rows, 0), new Uint8Array(rows));
  const text = encoder.encode(key.text);
  const texts = new TextColumn(rows, text.length);
  for (let row = 0; row < rows; row++) {
    texts.bytes.set(text, texts.length);
    texts.length += text.length;
    texts.ends[row] = texts.length;
  }
  return textCells(texts);
}

/** Whether there is a key of the other kind with the same text. */
function hasTwin(key: ShardKey | undefined, keys: readonly ShardKey[]): boolean {
  return keys.some(({ kind, text }) => text === key?.text && kind !== key.kind);
}
