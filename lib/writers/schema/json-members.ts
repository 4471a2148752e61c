const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** Goes through the members of an object in canonical JSON: compact, and valid. */
export class JsonMembers {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  /** Of the key with its quotes. */
  keyStart = 0;
  valueStart = 0;
  valueEnd = 0;

  /** The object's text is bytes[start .. end), braces included. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start + 1;
    this.#end = end - 1;
  }

  /** Goes to the next member; false when there is none. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    this.keyStart = this.#at;
    // Behind the colon.
    this.valueStart = endOfString(this.#bytes, this.#at, this.#end) + 1;
    this.valueEnd = endOfValue(this.#bytes, this.valueStart, this.#end);
    // Behind the comma, or the closing brace.
    this.#at = this.valueEnd + 1;
    return true;
  }

  /** The key in code, for messages. */
  get key(): string {
    const text = this.#bytes.subarray(this.keyStart, this.valueStart - 1);
    return JSON.parse(new TextDecoder().decode(text));
  }
}

/** Whether the list bytes[start .. end), in canonical JSON, has nothing but strings. */
export function isListOfStrings(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start === 2) return true;
  for (let at = start + 1; at < end; at = endOfString(bytes, at, end) + 1) {
    if (bytes[at] !== QUOTE) return false;
  }
  return true;
}

function endOfValue(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === QUOTE) return endOfString(bytes, start, end);
  let depth = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfString(bytes, at, end) - 1;
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) depth--;
    else if (byte === COMMA && depth === 0) return at;
  }
  return end;
}

/** Behind the closing quote. */
function endOfString(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start + 1; at < end; at++) {
    if (bytes[at] === BACKSLASH) at++;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  return end;
}
