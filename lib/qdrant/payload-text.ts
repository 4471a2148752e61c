import { type FieldColumn, TextColumn } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { compareBytes, compareEscaped, copyBytes, writeAscii, writeString } from './canonical-json.ts';
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from './json-bytes.ts';
import { copyNumber } from './json-number.ts';
import { type JsonCursor, MAX_NESTING, tooDeep } from './json-scan.ts';
import { copyString } from './json-string.ts';

/** A copy of an object while its members are put in order is kept for the next one up to this size, in bytes. */
const KEPT_SCRATCH = 1024 * 1024;

/** Text columns keep their offsets in 32 signed bits. */
const MAX_TEXT = 0x7fffffff;

/**
 * Turns payloads from the JSON of a REST answer to canonical JSON, bytes to bytes, in one pass; an object's
 * bytes are moved only when its keys were not in order. Not for two texts at once.
 */
export class PayloadText {
  readonly #out: TextColumn;
  readonly #fields: readonly FieldColumn[];
  /** Canonical text of each field's name, quotes included. */
  readonly #fieldNames: readonly Uint8Array[];
  /** For every member of the objects being written: where its name starts and ends in `out`. A stack. */
  readonly #marks: number[] = [];
  #scratch = new Uint8Array(1024);

  constructor(out: TextColumn, fields: readonly FieldColumn[]) {
    this.#out = out;
    this.#fields = fields;
    this.#fieldNames = fields.map((field) => nameText(field.name));
  }

  /** Appends the object at the cursor and notes where the wanted fields of row `row` lie. `null` is `{}`. */
  append(from: JsonCursor, row: number): void {
    this.#marks.length = 0;
    if (from.skipNull()) {
      this.appendEmpty();
      return;
    }
    const members = this.#writeObject(from, 1);
    if (this.#fields.length > 0) this.#findFields(row, members);
    this.#marks.length = 0;
    if (this.#out.length > MAX_TEXT) {
      throw new ToolError('qdrant', 'the payloads of one batch exceed 2 GiB', { remedy: 'smaller' });
    }
  }

  /** Appends the payload of a point that was answered without one. */
  appendEmpty(): void {
    writeAscii(this.#out, '{}');
  }

  #writeValue(from: JsonCursor, depth: number): void {
    const byte = from.peek();
    if (byte === QUOTE) copyString(from, this.#out);
    else if (byte === OPEN_OBJECT) {
      const base = this.#marks.length;
      this.#writeObject(from, depth + 1);
      this.#marks.length = base;
    } else if (byte === OPEN_ARRAY) this.#writeArray(from, depth + 1);
    else if (byte === 0x74) this.#writeLiteral(from, 'true');
    else if (byte === 0x66) this.#writeLiteral(from, 'false');
    else if (byte === 0x6e) this.#writeLiteral(from, 'null');
    else copyNumber(from, this.#out);
  }

  #writeLiteral(from: JsonCursor, word: 'true' | 'false' | 'null'): void {
    from.literal(word);
    writeAscii(this.#out, word);
  }

  #writeByte(byte: number): void {
    const out = this.#out;
    out.reserve(1)[out.length++] = byte;
  }

  #writeArray(from: JsonCursor, depth: number): void {
    if (depth > MAX_NESTING) throw tooDeep(from.at);
    this.#writeByte(OPEN_ARRAY);
    if (from.enterArray()) {
      this.#writeValue(from, depth);
      while (from.nextElement()) {
        this.#writeByte(COMMA);
        this.#writeValue(from, depth);
      }
    }
    this.#writeByte(CLOSE_ARRAY);
  }

  /** Leaves the members' marks on the stack, in their final order, and returns how many members there are. */
  #writeObject(from: JsonCursor, depth: number): number {
    if (depth > MAX_NESTING) throw tooDeep(from.at);
    const base = this.#marks.length;
    this.#writeByte(OPEN_OBJECT);
    const start = this.#out.length;
    let members = 0;
    let ordered = true;
    for (let more = from.enterObject(); more; more = from.nextMember()) {
      if (members > 0) this.#writeByte(COMMA);
      from.peek();
      const nameAt = from.at;
      const nameStart = this.#out.length;
      copyString(from, this.#out);
      this.#marks.push(nameStart, this.#out.length);
      if (members > 0) {
        const order = this.#compareNames(base + 2 * members - 2, base + 2 * members);
        if (order === 0) throw repeated(nameAt);
        if (order > 0) ordered = false;
      }
      members++;
      from.expect(COLON);
      this.#writeByte(COLON);
      this.#writeValue(from, depth);
    }
    if (!ordered) this.#sortMembers(start, base, members, from);
    this.#writeByte(CLOSE_OBJECT);
    return members;
  }

  /** Order of the names of two members, given the places of their marks. */
  #compareNames(a: number, b: number): number {
    const marks = this.#marks;
    const bytes = this.#out.bytes;
    // Without the quotes: `"` sorts after `!`, so a shorter name would not come first.
    const aStart = (marks[a] as number) + 1;
    const aEnd = (marks[a + 1] as number) - 1;
    const bStart = (marks[b] as number) + 1;
    const bEnd = (marks[b + 1] as number) - 1;
    return compareEscaped(bytes, aStart, aEnd, bStart, bEnd);
  }

  /** Puts the members written from `start` on into the order of their names, and their marks with them. */
  #sortMembers(start: number, base: number, members: number, from: JsonCursor): void {
    const out = this.#out;
    const marks = this.#marks;
    const size = out.length - start;
    if (size > this.#scratch.length) this.#scratch = new Uint8Array(Math.max(size, 2 * this.#scratch.length));
    const copy = this.#scratch;
    copyBytes(out.bytes, start, out.length, copy, 0);
    const order = Array.from({ length: members }, (_, i) => base + 2 * i);
    order.sort((a, b) => this.#compareNames(a, b));
    const old = marks.slice(base);
    let at = start;
    for (let i = 0; i < members; i++) {
      const place = order[i] as number;
      if (i > 0 && this.#compareOld(old, base, order[i - 1] as number, place, copy, start) === 0) {
        throw repeated(from.at);
      }
      const nameStart = old[place - base] as number;
      const nameEnd = old[place - base + 1] as number;
      // A member ends before the comma that the next one starts after.
      const next = old[place - base + 2];
      const end = next === undefined ? start + size : next - 1;
      if (i > 0) out.bytes[at++] = COMMA;
      marks[base + 2 * i] = at;
      marks[base + 2 * i + 1] = at + nameEnd - nameStart;
      copyBytes(copy, nameStart - start, end - start, out.bytes, at);
      at += end - nameStart;
    }
    if (this.#scratch.length > KEPT_SCRATCH) this.#scratch = new Uint8Array(1024);
  }

  /** 0 when two members have the same name. Canonical texts are equal exactly when the names are. */
  #compareOld(
    old: readonly number[],
    base: number,
    a: number,
    b: number,
    copy: Uint8Array,
    start: number,
  ): number {
    const aStart = (old[a - base] as number) - start;
    const aEnd = (old[a - base + 1] as number) - start;
    const bStart = (old[b - base] as number) - start;
    const bEnd = (old[b - base + 1] as number) - start;
    return compareBytes(copy, aStart, aEnd, copy, bStart, bEnd);
  }

  #findFields(row: number, members: number): void {
    const out = this.#out;
    const marks = this.#marks;
    for (let i = 0; i < this.#fields.length; i++) {
      const field = this.#fields[i] as FieldColumn;
      const name = this.#fieldNames[i] as Uint8Array;
      for (let member = 0; member < members; member++) {
        const start = marks[2 * member] as number;
        const end = marks[2 * member + 1] as number;
        if (compareBytes(out.bytes, start, end, name, 0, name.length) !== 0) continue;
        field.starts[row] = end + 1;
        field.ends[row] = (marks[2 * member + 2] ?? out.length) - 1;
      }
    }
  }
}

function nameText(name: string): Uint8Array {
  const source = new TextEncoder().encode(name);
  const text = new TextColumn(1, 6 * source.length + 2);
  writeString(text, source, 0, source.length);
  return text.bytes.subarray(0, text.length);
}

/** Qdrant keeps a payload in a map, so a name that comes twice is a damaged answer. */
function repeated(at: number): ToolError {
  return new ToolError('qdrant', `the answer is damaged: a payload has the same key twice near byte ${at}`);
}
