import { isUuid, type PointId } from '../model.ts';

/** Bytes that an id takes in a request at most: two tags, two lengths and a UUID's text. */
const ID_BYTES = 40;
/** Tags of GetPoints.ids, PointId.num and PointId.uuid (points.proto). */
const IDS_TAG = (2 << 3) | 2;
const NUM_TAG = 1 << 3;
const UUID_TAG = (2 << 3) | 2;

/** The ids of a GetPoints, as its bytes: thousands a request, without an object for each. */
export function idsField(ids: readonly PointId[]): Uint8Array {
  const field = Buffer.allocUnsafe(ids.length * ID_BYTES);
  let at = 0;
  for (const id of ids) at = writeId(field, at, id);
  return field.subarray(0, at);
}

function writeId(message: Buffer, start: number, id: PointId): number {
  let at = start;
  message[at] = IDS_TAG;
  const lengthAt = at + 1;
  at += 2;
  if (isUuid(id)) {
    message[at++] = UUID_TAG;
    message[at++] = id.length;
    at += message.write(id, at, 'latin1');
  } else {
    message[at++] = NUM_TAG;
    at = writeVarint(message, at, id);
  }
  message[lengthAt] = at - lengthAt - 1;
  return at;
}

/** A u64 in decimal as a varint. Doubles are exact for up to 15 digits; the rest goes through BigInt. */
function writeVarint(message: Buffer, start: number, text: string): number {
  let at = start;
  let small: number;
  if (text.length <= 15) small = Number(text);
  else {
    let big = BigInt(text);
    while (big > 0xffffffffn) {
      message[at++] = Number(big & 0x7fn) | 0x80;
      big >>= 7n;
    }
    small = Number(big);
  }
  while (small >= 0x80) {
    message[at++] = (small % 0x80) | 0x80;
    small = Math.floor(small / 0x80);
  }
  message[at++] = small;
  return at;
}
