import type { PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import type { PointId } from '../model.ts';
import type { VectorColumn } from '../vector-columns.ts';
import { OPEN_ARRAY, OPEN_OBJECT } from './json-bytes.ts';
import { damaged, type JsonCursor } from './json-scan.ts';
import { PayloadText } from './payload-text.ts';
import { readVector } from './rest-vector.ts';
import { RestVectorNames } from './rest-vector-names.ts';
import { vectorProblem } from './rest-vector-problem.ts';

/** Characters of a strange vector's name that an error shows at most. */
const SHOWN = 80;

/** Fills the rows of a batch one after the other. */
export class RestRows {
  readonly #into: PointBatch;
  readonly #last: number;
  readonly #limit: number;
  readonly #text: PayloadText;
  readonly #names: RestVectorNames;
  readonly #unnamed: VectorColumn | undefined;
  /** What is wrong with a vector of the row, told when the point's id is known. */
  #complaint: string | undefined;

  constructor(into: PointBatch, limit: number) {
    this.#into = into;
    this.#limit = limit;
    this.#last = Math.min(into.rowCount + limit, into.layout.rows);
    this.#text = new PayloadText(into.payload, into.fields);
    this.#names = new RestVectorNames(into.vectors);
    this.#unnamed = into.vectors.find(({ spec }) => spec.name === '');
  }

  /** To be called before each point. */
  begin(): void {
    if (this.#into.rowCount === this.#last) throw tooMany(this.#limit);
  }

  payload(from: JsonCursor): void {
    this.#text.append(from, this.#into.rowCount);
  }

  /**
   * A point's vectors: one without a name as a list, which a server also makes of it in a point that lacks the
   * named ones beside it; else `{name: …}`, where `""` is the unnamed one; or null.
   */
  vector(from: JsonCursor): void {
    if (this.#into.vectors.length === 0) {
      from.skipValue();
      return;
    }
    const byte = from.peek();
    if (byte === OPEN_ARRAY) this.#oneVector(from, this.#unnamed ?? '');
    else if (byte === OPEN_OBJECT) {
      for (let more = from.enterObject(); more; more = from.nextMember()) {
        this.#oneVector(from, this.#names.take(from));
      }
    } else if (!from.skipNull()) {
      from.skipValue();
      this.#complaint ??= 'has a vector that is neither a list nor a map of vectors';
    }
  }

  /** Into its column, or of no column: then by its name. */
  #oneVector(from: JsonCursor, column: VectorColumn | string): void {
    if (typeof column === 'string') {
      from.skipValue();
      const which = column === '' ? 'an unnamed vector' : `a vector \`${inShort(column)}\``;
      this.#complaint ??= `has ${which}, which was not asked for: the collection's vectors changed meanwhile`;
      return;
    }
    if (from.skipNull()) return;
    const row = this.#into.rowCount;
    if (column.present[row] === 1) throw damaged('a point has the same vector twice');
    const start = from.at;
    if (readVector(from, column, row)) return;
    from.at = start;
    const problem = vectorProblem(from, column);
    this.#complaint ??= problem;
  }

  end(id: PointId, hasPayload: boolean): void {
    if (this.#complaint !== undefined) throw new ToolError('integrity', `point ${id} ${this.#complaint}`);
    if (!hasPayload) this.#text.appendEmpty();
    this.#into.endRow(id);
  }
}

/** A strange name, which may be long and hold anything. */
function inShort(name: string): string {
  const text = JSON.stringify(name).slice(1, -1);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

export function tooMany(limit: number): ToolError {
  return new ToolError('integrity', `the answer holds more points than the ${limit} that were asked for`);
}
