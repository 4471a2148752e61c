import { type FieldColumn, type PointBatch, TextColumn } from '../../batch.ts';
import { appendId } from './id-column.ts';
import type { Keys } from './schema.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** The longest id is a UUID's text. */
const KEY_BYTES_GUESS = 36;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Keys of rows: the payload's key field when that is a non-empty string, else the point's id. */
export function keyColumn(batch: PointBatch, field: FieldColumn): Keys {
  const texts = new TextColumn(batch.rowCount, KEY_BYTES_GUESS);
  let fromPayload = 0;
  for (let row = 0; row < batch.rowCount; row++) {
    const start = field.starts[row] as number;
    if (start >= 0 && appendString(texts, batch.payload.bytes, start, field.ends[row] as number))
      fromPayload++;
    else appendId(texts, batch.ids[row] as string);
    texts.ends[row] = texts.length;
  }
  return { texts, fromPayload };
}

/** Appends the text of a JSON string; false when the value is no string or an empty one. */
function appendString(texts: TextColumn, json: Uint8Array, start: number, end: number): boolean {
  if (json[start] !== QUOTE || end - start <= 2) return false;
  let text = json.subarray(start + 1, end - 1);
  if (text.includes(BACKSLASH)) text = encoder.encode(JSON.parse(decoder.decode(json.subarray(start, end))));
  texts.reserve(text.length).set(text, texts.length);
  texts.length += text.length;
  return true;
}
