import { MOST_BYTES } from '../../vector-columns.ts';

/** What readers of numbers may look at behind the last line. */
const SLACK_BYTES = 16;
const FIRST_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

/** A line's bytes, its line feed left out. */
export interface Line {
  readonly start: number;
  readonly end: number;
}

/** Chunks in, lines out. Holds the longest line and a chunk twice at most, and 1 MiB at least. */
export class LineSplitter {
  bytes = new Uint8Array(FIRST_BYTES);
  view = new DataView(this.bytes.buffer);
  #start = 0;
  #end = 0;
  /** No line feed lies before this. */
  #searched = 0;

  /** Bytes of a line that has not ended. */
  get rest(): number {
    return this.#end - this.#start;
  }

  /** Lines that were given out are gone. False where a line is longer than can be held. */
  append(chunk: Uint8Array): boolean {
    const rest = this.rest;
    const needed = rest + chunk.length + SLACK_BYTES;
    if (needed > MOST_BYTES) return false;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.min(MOST_BYTES, Math.max(needed, this.bytes.length * 2)));
      grown.set(this.bytes.subarray(this.#start, this.#end));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    } else this.bytes.copyWithin(0, this.#start, this.#end);
    this.bytes.set(chunk, rest);
    this.#searched -= this.#start;
    this.#start = 0;
    this.#end = rest + chunk.length;
    return true;
  }

  /** The next whole line, until then undefined. */
  next(): Line | undefined {
    const found = this.bytes.indexOf(LINE_FEED, this.#searched);
    if (found === -1 || found >= this.#end) {
      this.#searched = this.#end;
      return undefined;
    }
    const line = { start: this.#start, end: found };
    this.#start = found + 1;
    this.#searched = found + 1;
    return line;
  }
}
