import type { FieldColumn, TextColumn } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { compareBytes, doubleText, writeAscii, writeByte, writeString } from './canonical-json.ts';
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT } from './json-bytes.ts';
import { ENTRY_KEY, ENTRY_VALUE, LENGTH, type ProtoReader } from './proto-reader.ts';

/** Numbers an entry takes on the stack: where its key and its value begin and end. */
const ENTRY = 4;

/** Deeper payloads are refused; Qdrant itself reads JSON of 128 levels at most. */
const MAX_DEPTH = 512;

/** Up to this many entries, insertion is the faster sort. */
const FEW_ENTRIES = 24;

/** Tags of qdrant.Value's fields (json_with_int.proto). */
const NULL_VALUE = 1 << 3;
const DOUBLE_VALUE = (2 << 3) | 1;
const INTEGER_VALUE = 3 << 3;
const STRING_VALUE = (4 << 3) | LENGTH;
const BOOL_VALUE = 5 << 3;
const STRUCT_VALUE = (6 << 3) | LENGTH;
const LIST_VALUE = (7 << 3) | LENGTH;

/** Tag of Struct.fields and of ListValue.values. */
const CHILD = (1 << 3) | LENGTH;

/**
 * Turns payloads from protobuf into canonical JSON, bytes to bytes: no JavaScript string or object is made of
 * them on the way. Maps come in no order, so the entries of each are noted on a stack, sorted, then written.
 */
export class GrpcPayloadWriter {
  readonly #fields: readonly { readonly column: FieldColumn; readonly name: Buffer }[];
  /** Entries of the maps that are being written, the innermost last. */
  readonly #stack: number[] = [];

  constructor(fields: readonly FieldColumn[]) {
    this.#fields = fields.map((column) => ({ column, name: Buffer.from(column.name) }));
  }

  /** Forgets the entries noted so far: a new point begins. */
  begin(): void {
    this.#stack.length = 0;
  }

  /** Notes the map entry that begins at the reader and ends at `end`. */
  note(reader: ProtoReader, end: number): void {
    let keyStart = end;
    let keyEnd = end;
    let valueStart = end;
    let valueEnd = end;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === ENTRY_KEY) {
        keyEnd = reader.lengthEnd(end);
        keyStart = reader.at;
        reader.at = keyEnd;
      } else if (tag === ENTRY_VALUE) {
        valueEnd = reader.lengthEnd(end);
        valueStart = reader.at;
        reader.at = valueEnd;
      } else reader.skip(tag, end);
    }
    reader.ended(end);
    this.#stack.push(keyStart, keyEnd, valueStart, valueEnd);
  }

  /** Writes the noted entries as the payload of `row`, and where the wanted fields' values are. */
  write(reader: ProtoReader, out: TextColumn, row: number): void {
    this.#writeEntries(reader, out, 0, 1, row);
  }

  /** Writes the entries from stack position `base` on as one object and takes them off the stack. */
  #writeEntries(reader: ProtoReader, out: TextColumn, base: number, depth: number, row: number): void {
    if (depth > MAX_DEPTH) throw tooDeep();
    const { bytes } = reader;
    this.#sort(bytes, base);
    const end = this.#stack.length;
    let separator = OPEN_OBJECT;
    for (let at = base; at < end; at += ENTRY) {
      const keyStart = this.#stack[at] as number;
      const keyEnd = this.#stack[at + 1] as number;
      // A key that occurs twice counts as its last occurrence (protobuf.dev, "Maps").
      if (at + ENTRY < end && compareTo(bytes, this.#stack, at + ENTRY, keyStart, keyEnd) === 0) continue;
      writeByte(out, separator);
      separator = COMMA;
      writeString(out, bytes, keyStart, keyEnd);
      writeByte(out, COLON);
      const start = out.length;
      reader.at = this.#stack[at + 2] as number;
      this.#writeValue(reader, out, this.#stack[at + 3] as number, depth);
      if (depth === 1) this.#noteField(bytes, keyStart, keyEnd, row, start, out.length);
    }
    if (separator === OPEN_OBJECT) writeByte(out, OPEN_OBJECT);
    writeByte(out, CLOSE_OBJECT);
    this.#stack.length = base;
  }

  #noteField(bytes: Buffer, keyStart: number, keyEnd: number, row: number, start: number, end: number): void {
    for (const { column, name } of this.#fields) {
      if (
        keyEnd - keyStart === name.length &&
        compareBytes(bytes, keyStart, keyEnd, name, 0, name.length) === 0
      ) {
        column.starts[row] = start;
        column.ends[row] = end;
      }
    }
  }

  #writeValue(reader: ProtoReader, out: TextColumn, end: number, depth: number): void {
    const start = out.length;
    // An empty message is a value of no kind: null, as the server itself reads it.
    if (reader.at === end) writeAscii(out, 'null');
    while (reader.at < end) {
      // Of a oneof that occurs twice the last one counts (protobuf.dev, "Last One Wins").
      out.length = start;
      const tag = reader.tag();
      switch (tag) {
        case NULL_VALUE:
          reader.varint32();
          writeAscii(out, 'null');
          break;
        case DOUBLE_VALUE:
          writeDouble(out, reader.double());
          break;
        case INTEGER_VALUE:
          writeAscii(out, reader.int64Text());
          break;
        case STRING_VALUE: {
          const textEnd = reader.lengthEnd(end);
          writeString(out, reader.bytes, reader.at, textEnd);
          reader.at = textEnd;
          break;
        }
        case BOOL_VALUE:
          writeAscii(out, reader.varint32() === 0 ? 'false' : 'true');
          break;
        case STRUCT_VALUE:
          this.#writeStruct(reader, out, reader.lengthEnd(end), depth + 1);
          break;
        case LIST_VALUE:
          this.#writeList(reader, out, reader.lengthEnd(end), depth + 1);
          break;
        default:
          throw new ToolError(
            'qdrant',
            `Cannot read a payload: it has a value of a kind (${tag >> 3}) that this version does not know.`,
          );
      }
    }
    reader.ended(end);
  }

  #writeStruct(reader: ProtoReader, out: TextColumn, end: number, depth: number): void {
    const base = this.#stack.length;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === CHILD) this.note(reader, reader.lengthEnd(end));
      else reader.skip(tag, end);
    }
    reader.ended(end);
    this.#writeEntries(reader, out, base, depth, -1);
    reader.at = end;
  }

  #writeList(reader: ProtoReader, out: TextColumn, end: number, depth: number): void {
    if (depth > MAX_DEPTH) throw tooDeep();
    writeByte(out, OPEN_ARRAY);
    let first = true;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag !== CHILD) {
        reader.skip(tag, end);
        continue;
      }
      if (!first) writeByte(out, COMMA);
      first = false;
      this.#writeValue(reader, out, reader.lengthEnd(end), depth);
    }
    reader.ended(end);
    writeByte(out, CLOSE_ARRAY);
  }

  /** Sorts the entries from `base` on by key; entries of equal keys keep their order. */
  #sort(bytes: Buffer, base: number): void {
    const stack = this.#stack;
    if (stack.length - base > FEW_ENTRIES * ENTRY) {
      this.#sortMany(bytes, base);
      return;
    }
    for (let at = base + ENTRY; at < stack.length; at += ENTRY) {
      const keyStart = stack[at] as number;
      const keyEnd = stack[at + 1] as number;
      const valueStart = stack[at + 2] as number;
      const valueEnd = stack[at + 3] as number;
      let to = at;
      for (; to > base && compareTo(bytes, stack, to - ENTRY, keyStart, keyEnd) > 0; to -= ENTRY) {
        stack[to] = stack[to - 4] as number;
        stack[to + 1] = stack[to - 3] as number;
        stack[to + 2] = stack[to - 2] as number;
        stack[to + 3] = stack[to - 1] as number;
      }
      stack[to] = keyStart;
      stack[to + 1] = keyEnd;
      stack[to + 2] = valueStart;
      stack[to + 3] = valueEnd;
    }
  }

  #sortMany(bytes: Buffer, base: number): void {
    const entries = this.#stack.slice(base);
    const positions = Array.from({ length: entries.length / ENTRY }, (_, index) => index * ENTRY);
    positions.sort((a, b) => compareTo(bytes, entries, a, entries[b] as number, entries[b + 1] as number));
    let to = base;
    for (const at of positions) {
      for (let part = 0; part < ENTRY; part++) this.#stack[to++] = entries[at + part] as number;
    }
  }
}

/** Order of the key of the entry at `at` against another key in the same bytes. */
function compareTo(bytes: Buffer, entries: number[], at: number, start: number, end: number): number {
  return compareBytes(bytes, entries[at] as number, entries[at + 1] as number, bytes, start, end);
}

/** Refuses what JSON cannot spell, rather than writing null in its place. */
function writeDouble(out: TextColumn, value: number): void {
  if (!Number.isFinite(value)) {
    throw new ToolError(
      'format',
      `Cannot write a payload as JSON: it holds ${value}, which JSON has no text for.`,
    );
  }
  writeAscii(out, doubleText(value));
}

function tooDeep(): ToolError {
  return new ToolError('qdrant', `Cannot read a payload: it is nested deeper than ${MAX_DEPTH} levels.`);
}
