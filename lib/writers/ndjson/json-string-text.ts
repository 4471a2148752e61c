import type { LineBuffer } from './line-buffer.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What JSON does not let stand in a string (RFC 8259, section 7): by byte, the bytes instead; most need none. */
const ESCAPES: readonly (Uint8Array | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === QUOTE || byte === BACKSLASH
    ? new TextEncoder().encode(JSON.stringify(String.fromCharCode(byte)).slice(1, -1))
    : undefined,
);
const IS_ESCAPED = Uint8Array.from(ESCAPES, (escaped) => (escaped === undefined ? 0 : 1));

/** `\u0000` */
const MOST_ESCAPE_BYTES = 6;
/** Room is made for so many bytes of a text at a time, in case each is escaped. */
const STRETCH_BYTES = 16 * 1024;

/** Appends the UTF-8 text from[start .. end) as a JSON string, with the escapes alone that JSON requires. */
export function appendString(into: LineBuffer, from: Uint8Array, start: number, end: number): void {
  into.reserve(2);
  into.bytes[into.length++] = QUOTE;
  for (let at = start; at < end; at += STRETCH_BYTES) {
    appendStretch(into, from, at, Math.min(end, at + STRETCH_BYTES));
  }
  into.reserve(1);
  into.bytes[into.length++] = QUOTE;
}

function appendStretch(into: LineBuffer, from: Uint8Array, start: number, end: number): void {
  into.reserve((end - start) * MOST_ESCAPE_BYTES);
  const { bytes } = into;
  let { length } = into;
  for (let at = start; at < end; at++) {
    const byte = from[at] as number;
    if (IS_ESCAPED[byte] === 0) bytes[length++] = byte;
    else {
      const escaped = ESCAPES[byte] as Uint8Array;
      for (let i = 0; i < escaped.length; i++) bytes[length++] = escaped[i] as number;
    }
  }
  into.length = length;
}
