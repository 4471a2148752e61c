import { type PointBatch, TextColumn } from '../batch.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** The longest id is a UUID's text. */
const KEY_BYTES_GUESS = 36;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/**
 * The `key` column of schema `keyed`: the payload's key field when it is a non-empty string, else the point
 * id. The batch's first field column is the key field.
 */
export function keyColumn(batch: PointBatch): TextColumn {
  const keys = new TextColumn(batch.rowCount, KEY_BYTES_GUESS);
  const field = batch.fields[0];
  for (let row = 0; row < batch.rowCount; row++) {
    const start = field?.starts[row] ?? -1;
    if (start < 0 || !writeFieldText(keys, batch.payload.bytes, start, field?.ends[row] ?? start)) {
      writeId(keys, batch.ids[row] as string);
    }
    keys.ends[row] = keys.length;
  }
  return keys;
}

/** Appends the text of a JSON string; false when the value is no string or an empty one. */
function writeFieldText(keys: TextColumn, json: Uint8Array, start: number, end: number): boolean {
  if (json[start] !== QUOTE || end - start <= 2) return false;
  let text = json.subarray(start + 1, end - 1);
  if (text.includes(BACKSLASH)) text = encoder.encode(JSON.parse(decoder.decode(json.subarray(start, end))));
  keys.reserve(text.length).set(text, keys.length);
  keys.length += text.length;
  return true;
}

function writeId(keys: TextColumn, id: string): void {
  const bytes = keys.reserve(id.length);
  let at = keys.length;
  for (let i = 0; i < id.length; i++) bytes[at++] = id.charCodeAt(i);
  keys.length = at;
}
