import type { PointId } from '../model.ts';
import { QUOTE } from './json-bytes.ts';
import { damaged, type JsonCursor } from './json-scan.ts';

const MAX_U64 = '18446744073709551615';

/** A u64 in canonical decimals, or a UUID in quotes. */
export function readId(from: JsonCursor): PointId {
  const quoted = from.peek() === QUOTE;
  const start = quoted ? from.at + 1 : from.at;
  if (quoted) from.skipString();
  else from.skipNumber();
  const end = quoted ? from.at - 1 : from.at;
  // No id is longer than a UUID; a damaged one may be.
  const text = end - start > 36 ? '' : asciiText(from.bytes, start, end);
  if (quoted ? /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) : isU64(text)) {
    return quoted ? text.toLowerCase() : text;
  }
  throw damaged(`byte ${start} begins neither a u64 nor a UUID, so it is no point id`);
}

function isU64(text: string): boolean {
  if (text === '' || text.length > MAX_U64.length) return false;
  for (let i = 0; i < text.length; i++)
    if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return false;
  return text.length < MAX_U64.length || text <= MAX_U64;
}

function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}
