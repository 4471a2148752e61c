import type { DenseColumn, PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import type { PointId } from '../model.ts';
import { numberEnd, readFloats } from './float-text.ts';
import { CLOSE_ARRAY, OPEN_ARRAY, OPEN_OBJECT } from './json-bytes.ts';
import { damaged, endsTooEarly, type JsonCursor } from './json-scan.ts';
import { PayloadText } from './payload-text.ts';

const LETTER_N = 0x6e;

/** Fills the rows of a batch one after the other. */
export class RestRows {
  readonly #into: PointBatch;
  readonly #last: number;
  readonly #limit: number;
  readonly #text: PayloadText;
  readonly #unnamed: DenseColumn | undefined;
  /** What is wrong with a vector of the row, told when the point's id is known. */
  #complaint: string | undefined;

  constructor(into: PointBatch, limit: number) {
    for (const { spec } of into.vectors) {
      if (spec.kind !== 'dense') throw damaged(`vectors of kind ${spec.kind} cannot be read yet`);
    }
    this.#into = into;
    this.#limit = limit;
    this.#last = Math.min(into.rowCount + limit, into.layout.rows);
    this.#text = new PayloadText(into.payload, into.fields);
    this.#unnamed = into.vectors.find((column) => column.spec.name === '');
  }

  /** To be called before each point. */
  begin(): void {
    if (this.#into.rowCount === this.#last) throw tooMany(this.#limit);
  }

  payload(from: JsonCursor): void {
    this.#text.append(from, this.#into.rowCount);
  }

  /** `[floats]` of the unnamed vector, `{name: …}` of named ones, or null. */
  vector(from: JsonCursor): void {
    const byte = from.peek();
    if (byte === LETTER_N) {
      from.skipNull();
      return;
    }
    if (byte === OPEN_OBJECT) {
      for (let more = from.enterObject(); more; more = from.nextMember()) {
        const name = from.memberName();
        this.#oneVector(
          from,
          this.#into.vectors.find((column) => column.spec.name === name),
        );
      }
      return;
    }
    if (byte !== OPEN_ARRAY) throw from.malformed();
    if (this.#unnamed === undefined && this.#into.vectors.length > 0) {
      this.#complaint = 'has an unnamed vector where named ones were declared';
    }
    this.#oneVector(from, this.#unnamed);
  }

  #oneVector(from: JsonCursor, column: DenseColumn | undefined): void {
    if (column === undefined) {
      from.skipValue();
      return;
    }
    if (from.skipNull()) return;
    const row = this.#into.rowCount;
    if (column.present[row] === 1) throw damaged('a point has the same vector twice');
    const start = from.at;
    if (from.enterArray()) {
      from.peek();
      const end = floatsEnd(from, column, row);
      if (end > 0) {
        from.at = end;
        if (from.peek() === CLOSE_ARRAY) {
          from.at++;
          column.present[row] = 1;
          return;
        }
      }
    }
    from.at = start;
    this.#complaint = this.#whatIsWrong(from, column);
  }

  /** Reads over a vector that is not `size` floats and says why. */
  #whatIsWrong(from: JsonCursor, column: DenseColumn): string {
    const { name, size } = column.spec;
    const which = name === '' ? 'vector' : `vector "${name}"`;
    if (from.peek() !== OPEN_ARRAY) {
      from.skipValue();
      return `has a ${which} that is not a list of numbers`;
    }
    let found = 0;
    let strange: number | undefined;
    let allNumbers = true;
    for (let more = from.enterArray(); more; more = from.nextElement()) {
      const first = from.peek();
      if (allNumbers && numberEnd(from.bytes, from.at) < 0) {
        strange = first;
        allNumbers = false;
      }
      from.skipValue(1);
      found++;
    }
    // serde_json, which Qdrant writes its answers with, spells NaN and the infinities null.
    if (strange === LETTER_N)
      return `has a ${which} with a number that REST cannot carry (NaN or infinite); use gRPC`;
    if (!allNumbers) return `has a ${which} that is not a list of numbers`;
    if (found === size) return `has a ${which} with a number beyond float32`;
    return `has a ${which} of ${found} dimensions where the collection declares ${size}`;
  }

  end(id: PointId, hasPayload: boolean): void {
    if (this.#complaint !== undefined) throw new ToolError('integrity', `point ${id} ${this.#complaint}`);
    if (!hasPayload) this.#text.appendEmpty();
    this.#into.endRow(id);
  }
}

/** readFloats, with the end of the bytes as a ToolError. */
function floatsEnd(from: JsonCursor, column: DenseColumn, row: number): number {
  const { size } = column.spec;
  try {
    return readFloats(from.bytes, from.view, from.at, column.values, row * size, size);
  } catch (error) {
    if (error instanceof RangeError) throw endsTooEarly(from.bytes.length);
    throw error;
  }
}

export function tooMany(limit: number): ToolError {
  return new ToolError('integrity', `the answer holds more points than the ${limit} that were asked for`);
}
