const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const LETTER_U = 0x75;

/** What a backslash and a letter stand for; -1 for letters that stand for nothing. */
const ESCAPED = new Int16Array(256).fill(-1);
for (const [letter, byte] of Object.entries({
  '"': 0x22,
  '\\': 0x5c,
  b: 0x08,
  t: 0x09,
  n: 0x0a,
  f: 0x0c,
  r: 0x0d,
})) {
  ESCAPED[letter.charCodeAt(0)] = byte;
}

/** Where the quote is that ends a string, or ~position of a control character, which no string has. */
export function stringEnd(bytes: Uint8Array, start: number): number {
  for (let at = start; ; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at++;
    // Also behind the end of the bytes.
    else if (!(byte >= 0x20)) return ~at;
  }
}

/**
 * The byte that the escape after a backslash stands for, -1 where it is none that is written here: `\u` only for ASCII,
 * as other characters stand for themselves.
 */
export function escapedByte(bytes: Uint8Array, at: number): number {
  const letter = bytes[at] as number;
  if (letter !== LETTER_U) return ESCAPED[letter] as number;
  if (bytes[at + 1] !== ZERO || bytes[at + 2] !== ZERO) return -1;
  const code = hexDigit(bytes[at + 3] as number) * 16 + hexDigit(bytes[at + 4] as number);
  return code >= 0 && code < 0x80 ? code : -1;
}

/** A large negative number for what is no digit. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1000;
}
