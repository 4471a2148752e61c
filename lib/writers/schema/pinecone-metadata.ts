import { TextColumn } from '../../batch.ts';
import { ToolError } from '../../errors.ts';
import type { PointId } from '../../model.ts';
import { isListOfStrings, JsonMembers } from './json-members.ts';

/**
 * Pinecone refuses more with "metadata size is 41804 bytes, which exceeds the limit of 40960 bytes per vector"; its
 * SDK counts the bytes of the JSON text (https://github.com/pinecone-io/python-sdk/pull/638).
 */
const MOST_BYTES = 40 * 1024;
/** First guess of a row's text; the buffer grows. */
const ROW_BYTES_GUESS = 256;
/** Every integer of so many digits is a 64-bit float too. */
const EXACT_DIGITS = 15;

/** For sentences. */
const VALUES = 'strings, numbers, booleans and lists of strings';

const QUOTE = 0x22;
const DOLLAR = 0x24;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_T = 0x74;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const decoder = new TextDecoder();

/**
 * Texts of the `metadata` column: a flat JSON object of strings, numbers, booleans and lists of strings, whose keys
 * do not begin with `$`, and without nulls (https://docs.pinecone.io/guides/index-data/indexing-overview,
 * "Metadata format"). Members are copied as they are spelled.
 */
export class PineconeMetadata {
  readonly texts: TextColumn;
  /** Members that were left out because they are null. */
  nulls = 0;
  /** Integers that Pinecone, which keeps numbers as 64-bit floats, will not hold. */
  inexactIntegers = 0;

  constructor(rows: number) {
    this.texts = new TextColumn(rows, ROW_BYTES_GUESS);
  }

  /** Appends the object json[start .. end), which is canonical; throws what Pinecone would not take. */
  append(id: PointId, json: Uint8Array, start: number, end: number): void {
    const from = this.texts.length;
    const nulls = this.#check(id, json, start, end);
    if (nulls === 0) this.#copy(json, start, end);
    else this.#copyWithoutNulls(json, start, end);
    this.nulls += nulls;
    const bytes = this.texts.length - from;
    if (bytes <= MOST_BYTES) return;
    throw new ToolError(
      'format',
      `Cannot write point ${id} for Pinecone: its metadata has ${bytes.toLocaleString('en-US')} bytes, and Pinecone takes ${MOST_BYTES.toLocaleString('en-US')}. Choose less of it with --metadata-field, or another --schema.`,
    );
  }

  /** The number of nulls among the members. */
  #check(id: PointId, json: Uint8Array, start: number, end: number): number {
    const members = new JsonMembers(json, start, end);
    let nulls = 0;
    while (members.next()) {
      const { keyStart, valueStart, valueEnd } = members;
      if (json[keyStart + 1] === DOLLAR)
        throw refused(id, members.key, 'begins with `$`', 'names that do not');
      switch (json[valueStart]) {
        case LOWER_N:
          nulls++;
          break;
        case OPEN_OBJECT:
          throw refused(id, members.key, 'is an object', VALUES);
        case OPEN_LIST:
          if (isListOfStrings(json, valueStart, valueEnd)) break;
          throw refused(id, members.key, 'is a list of other things than strings', VALUES);
        case QUOTE:
        case LOWER_T:
        case LOWER_F:
          break;
        default:
          if (!isExact(json, valueStart, valueEnd)) this.inexactIntegers++;
      }
    }
    return nulls;
  }

  #copyWithoutNulls(json: Uint8Array, start: number, end: number): void {
    const members = new JsonMembers(json, start, end);
    let first = true;
    this.#put(OPEN_OBJECT);
    while (members.next()) {
      if (json[members.valueStart] === LOWER_N) continue;
      if (!first) this.#put(COMMA);
      first = false;
      this.#copy(json, members.keyStart, members.valueEnd);
    }
    this.#put(CLOSE_OBJECT);
  }

  #copy(json: Uint8Array, start: number, end: number): void {
    const { texts } = this;
    texts.reserve(end - start).set(json.subarray(start, end), texts.length);
    texts.length += end - start;
  }

  #put(byte: number): void {
    const bytes = this.texts.reserve(1);
    bytes[this.texts.length++] = byte;
  }
}

function refused(id: PointId, field: string, what: string, wanted: string): ToolError {
  return new ToolError(
    'format',
    `Cannot write point ${id} for Pinecone: payload field \`${field}\` ${what}, and Pinecone's metadata takes ${wanted}. Choose a flat object with --metadata-field, or another --schema.`,
  );
}

/** Whether the number json[start .. end) is a 64-bit float; numbers with a point or an exponent are spelled as one. */
function isExact(json: Uint8Array, start: number, end: number): boolean {
  if (end - start <= EXACT_DIGITS) return true;
  const text = decoder.decode(json.subarray(start, end));
  if (!/^-?\d+$/.test(text)) return true;
  const float = Number(text);
  return Number.isFinite(float) && BigInt(float) === BigInt(text);
}
