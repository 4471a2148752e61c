import type { VectorColumn } from '../vector-columns.ts';
import type { JsonCursor } from './json-scan.ts';

/**
 * Finds the columns of a batch by the names of the members in an answer, comparing bytes, so that no string is
 * made of a name in its usual spelling. Servers give a point's vectors in an order of their own; the guess is
 * that it stays the same from point to point.
 */
export class RestVectorNames {
  readonly #columns: readonly VectorColumn[];
  /** The names as JSON, quotes included; serde_json, which Qdrant uses, escapes what JSON.stringify does. */
  readonly #quoted: readonly Uint8Array[];
  #next = 0;

  constructor(columns: readonly VectorColumn[]) {
    this.#columns = columns;
    this.#quoted = columns.map(({ spec }) => Buffer.from(JSON.stringify(spec.name)));
  }

  /** Takes the member's name at the cursor; gives its column, or the name itself where there is none. */
  take(from: JsonCursor): VectorColumn | string {
    const { length } = this.#columns;
    for (let i = 0, at = this.#next; i < length; i++, at = at + 1 < length ? at + 1 : 0) {
      if (!from.takeName(this.#quoted[at] as Uint8Array)) continue;
      this.#next = at + 1 < length ? at + 1 : 0;
      return this.#columns[at] as VectorColumn;
    }
    const name = from.memberName();
    return this.#columns.find(({ spec }) => spec.name === name) ?? name;
  }
}
