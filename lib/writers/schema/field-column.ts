import { type FieldColumn, type PointBatch, TextColumn } from '../../batch.ts';
import { ToolError } from '../../errors.ts';
import { type Cells, textCells } from './schema.ts';

/** Where a field lies that the batch's layout names. */
export function fieldNamed(batch: PointBatch, name: string): FieldColumn {
  const field = batch.fields.find((candidate) => candidate.name === name);
  if (field === undefined)
    throw new ToolError('format', `Cannot find payload field \`${name}\` in a batch without it.`);
  return field;
}

/** A field's values as they lie in the payloads; NULL in rows without it. */
export function fieldCells(batch: PointBatch, name: string): Cells {
  const { starts, ends } = fieldNamed(batch, name);
  const { rowCount, payload } = batch;
  const values = new TextColumn(rowCount, 0);
  const present = new Uint8Array(rowCount);
  for (let row = 0; row < rowCount; row++) {
    const start = starts[row] as number;
    if (start >= 0) {
      const text = payload.bytes.subarray(start, ends[row] as number);
      values.reserve(text.length).set(text, values.length);
      values.length += text.length;
      present[row] = 1;
    }
    values.ends[row] = values.length;
  }
  return textCells(values, present);
}
