import { type PointBatch, TextColumn } from '../../batch.ts';

/** The longest id is a UUID's text. */
const ID_BYTES = 36;

/** The texts of a batch's ids. */
export function idColumn(batch: PointBatch): TextColumn {
  const ids = new TextColumn(batch.rowCount, ID_BYTES);
  for (let row = 0; row < batch.rowCount; row++) {
    appendId(ids, batch.ids[row] as string);
    ids.ends[row] = ids.length;
  }
  return ids;
}

/** Appends the text of an id, which is ASCII. */
export function appendId(texts: TextColumn, id: string): void {
  const bytes = texts.reserve(id.length);
  let at = texts.length;
  for (let i = 0; i < id.length; i++) bytes[at++] = id.charCodeAt(i);
  texts.length = at;
}
