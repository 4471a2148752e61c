import { ToolError } from '../errors.ts';
import { numberEnd } from '../float-text.ts';
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from './json-bytes.ts';

/** Deepest nesting that is read, in levels. Qdrant itself takes a payload of about 128 (serde_json's limit). */
export const MAX_NESTING = 512;

/**
 * A place in a JSON text of bytes (RFC 8259), read without making values of it. Anything that is not JSON is a
 * ToolError with the place. Past the end a typed array gives undefined, which is in no range of bytes and equal
 * to none; conditions are written so that every loop ends there.
 */
export class JsonCursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Skips white space and gives the byte that follows, undefined at the end. */
  peek(): number | undefined {
    let byte = this.bytes[this.at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      byte = this.bytes[++this.at];
    }
    return byte;
  }

  expect(byte: number): void {
    if (this.peek() !== byte) throw this.malformed();
    this.at++;
  }

  /** Enters an object; false when it is empty and already left again. */
  enterObject(): boolean {
    this.expect(OPEN_OBJECT);
    if (this.peek() !== CLOSE_OBJECT) return true;
    this.at++;
    return false;
  }

  /** After a member's value: true when another one follows, false when the object was left. */
  nextMember(): boolean {
    return this.#next(CLOSE_OBJECT);
  }

  enterArray(): boolean {
    this.expect(OPEN_ARRAY);
    if (this.peek() !== CLOSE_ARRAY) return true;
    this.at++;
    return false;
  }

  nextElement(): boolean {
    return this.#next(CLOSE_ARRAY);
  }

  #next(close: number): boolean {
    const byte = this.peek();
    if (byte !== COMMA && byte !== close) throw this.malformed();
    this.at++;
    return byte === COMMA;
  }

  /**
   * Takes a member's name and the colon after it when the name is spelled as `quoted`, quotes included. False,
   * and nothing taken, for any other name, which may be the same one in other escapes.
   */
  takeName(quoted: Uint8Array): boolean {
    this.peek();
    const { bytes, at } = this;
    for (let i = 0; i < quoted.length; i++) if (bytes[at + i] !== quoted[i]) return false;
    this.at += quoted.length;
    this.expect(COLON);
    return true;
  }

  /** A member's name, unescaped, and the colon after it. */
  memberName(): string {
    const name = this.string();
    this.expect(COLON);
    return name;
  }

  string(): string {
    this.peek();
    const start = this.at;
    this.skipString();
    // Names and ids only, so the price of a decoder does not matter; it also undoes the escapes.
    const text = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, this.at - start).toString();
    try {
      return JSON.parse(text) as string;
    } catch {
      this.at = start;
      throw this.malformed();
    }
  }

  /** Skips `null`; false, and nothing skipped, when something else is here. */
  skipNull(): boolean {
    if (this.peek() !== 0x6e) return false;
    this.literal('null');
    return true;
  }

  literal(word: 'null' | 'true' | 'false'): void {
    for (let i = 0; i < word.length; i++) {
      if (this.bytes[this.at + i] !== word.charCodeAt(i)) {
        this.at += i;
        throw this.malformed();
      }
    }
    this.at += word.length;
  }

  /** Skips one value of any kind, checking its grammar; `depth` is the nesting it is in. */
  skipValue(depth = 0): void {
    if (depth > MAX_NESTING) throw tooDeep(this.at);
    const byte = this.peek();
    if (byte === QUOTE) this.skipString();
    else if (byte === OPEN_OBJECT) this.#skipObject(depth);
    else if (byte === OPEN_ARRAY) this.#skipArray(depth);
    else if (byte === 0x6e) this.literal('null');
    else if (byte === 0x74) this.literal('true');
    else if (byte === 0x66) this.literal('false');
    else this.skipNumber();
  }

  #skipObject(depth: number): void {
    if (!this.enterObject()) return;
    do {
      this.peek();
      this.skipString();
      this.expect(COLON);
      this.skipValue(depth + 1);
    } while (this.nextMember());
  }

  #skipArray(depth: number): void {
    if (!this.enterArray()) return;
    do this.skipValue(depth + 1);
    while (this.nextElement());
  }

  skipNumber(): void {
    const end = numberEnd(this.bytes, this.at);
    if (end < 0) {
      this.at = ~end;
      throw this.malformed();
    }
    this.at = end;
  }

  /** Skips a string, quotes included; its escapes are not looked into. */
  skipString(): void {
    const bytes = this.bytes;
    if (bytes[this.at] !== QUOTE) throw this.malformed();
    let at = this.at + 1;
    for (;;) {
      const byte = bytes[at] as number;
      if (byte === QUOTE) break;
      if (!(byte >= 0x20)) {
        this.at = at;
        throw this.malformed();
      }
      at += byte === BACKSLASH ? 2 : 1;
    }
    this.at = at + 1;
  }

  /** Only white space may follow. */
  expectEnd(): void {
    this.peek();
    if (this.at !== this.bytes.length) throw this.malformed();
  }

  malformed(): ToolError {
    if (this.at >= this.bytes.length) return endsTooEarly(this.bytes.length);
    const found = JSON.stringify(String.fromCharCode(this.bytes[this.at] as number));
    return new ToolError('qdrant', `the answer is not the JSON it should be: ${found} at byte ${this.at}`);
  }
}

export function tooDeep(at: number): ToolError {
  return new ToolError('qdrant', `the answer nests more than ${MAX_NESTING} levels deep at byte ${at}`);
}

/** An answer that just stops may have been cut off on its way, so another try may bring it whole. */
export function endsTooEarly(length: number): ToolError {
  return new ToolError('qdrant', `the answer ends too early, after ${length} bytes`, { remedy: 'again' });
}

/** An answer that is JSON, but not of the shape it should have. */
export function damaged(what: string): ToolError {
  return new ToolError('qdrant', `the answer is not what was asked for: ${what}`);
}
