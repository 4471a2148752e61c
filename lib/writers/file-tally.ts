import type { ShardKey } from '../model.ts';
import type { VectorColumn } from '../vector-columns.ts';
import type { FileSummary, KeySummary } from './format.ts';
import { keyHashes } from './key-hashes.ts';
import { KeyTracker } from './key-tracker.ts';
import type { Filled, Schema, Tally } from './schema/schema.ts';

/** What was counted while a unit was encoded. */
export interface Tallied {
  /** Rows whose cell is NULL, by the schema's vector columns. */
  readonly emptyVectors: readonly number[];
  /** Hashes of the rows' keys; undefined where the schema has none. */
  readonly keys: { readonly hashes: Int32Array; readonly fromPayload: number } | undefined;
  readonly tally: Tally;
}

/** What is counted of a unit of so many rows. */
export function tallyOf({ columns, keys, tally }: Filled, rows: number): Tallied {
  const vectors = columns.flatMap((column) => (column.kind === 'text' ? [] : [column]));
  return {
    emptyVectors: vectors.map((column) => emptyRows(column, rows)),
    keys: keys && { hashes: keyHashes(keys.texts, rows), fromPayload: keys.fromPayload },
    tally,
  };
}

function emptyRows({ present }: VectorColumn, rows: number): number {
  let empty = 0;
  for (let row = 0; row < rows; row++) if (present[row] === 0) empty++;
  return empty;
}

/** All counts of a file so far, as JSON: what a tally of another process goes on from. */
interface Counts {
  readonly emptyVectors: readonly number[];
  readonly fromPayload: number;
  readonly keyRows: number;
  readonly nulls: number;
  readonly inexactIntegers: number;
  readonly emptySparse: number;
  readonly ambiguousKeys: readonly ShardKey[];
  readonly bytes: number;
}

/** Adds up what the units of one file tell, in memory that does not grow with their number. */
export class FileTally {
  readonly #schema: Schema;
  readonly #columns: readonly string[];
  readonly #emptyVectors: number[];
  /** Shard keys that look like another one; at most as many as the collection has. */
  readonly #ambiguousKeys: ShardKey[] = [];
  readonly #tracker: KeyTracker | undefined;
  #fromPayload = 0;
  #nulls = 0;
  #inexactIntegers = 0;
  #emptySparse = 0;
  #bytes = 0;

  /** Logged where `memory` is asked for from time to time. */
  constructor(schema: Schema, logged = false) {
    this.#schema = schema;
    this.#columns = schema.columns.filter(({ kind }) => kind === 'vector').map(({ name }) => name);
    this.#emptyVectors = this.#columns.map(() => 0);
    this.#tracker = schema.hasKeys ? new KeyTracker(undefined, logged) : undefined;
  }

  /** What the finished file holds beside its rows. */
  summary(): Pick<FileSummary, 'emptyVectors' | 'keys' | 'notes'> {
    const emptyVectors = Object.fromEntries(
      this.#columns.map((name, index) => [name, this.#emptyVectors[index] as number]),
    );
    return { emptyVectors, keys: this.#keySummary(), notes: this.#notes() };
  }

  /** Adds a unit that takes so many bytes of the file. */
  take({ emptyVectors, keys, tally }: Tallied, bytes: number): void {
    for (const [index, rows] of emptyVectors.entries()) {
      this.#emptyVectors[index] = (this.#emptyVectors[index] as number) + rows;
    }
    if (keys !== undefined) {
      this.#tracker?.add(keys.hashes);
      this.#fromPayload += keys.fromPayload;
    }
    const { nulls = 0, inexactIntegers = 0, emptySparse = 0, ambiguousKey } = tally;
    this.#nulls += nulls;
    this.#inexactIntegers += inexactIntegers;
    this.#emptySparse += emptySparse;
    if (ambiguousKey !== undefined) this.#meet(ambiguousKey);
    this.#bytes += bytes;
  }

  /** JSON of some hundred bytes; together with all that `memory` gave so far it is the whole state. */
  counts(): unknown {
    const counts: Counts = {
      emptyVectors: this.#emptyVectors,
      fromPayload: this.#fromPayload,
      keyRows: this.#tracker?.rows ?? 0,
      nulls: this.#nulls,
      inexactIntegers: this.#inexactIntegers,
      emptySparse: this.#emptySparse,
      ambiguousKeys: this.#ambiguousKeys,
      bytes: this.#bytes,
    };
    return structuredClone(counts);
  }

  /** What has to be remembered of the units since the last call. */
  memory(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#tracker?.takeLog().buffer ?? new ArrayBuffer(0));
  }

  /** Brings a new tally to the state of another one. `memory` is all that the other's gave, end to end. */
  restore(state: unknown, memory: Uint8Array): void {
    const counts = state as Counts;
    for (const [index, rows] of counts.emptyVectors.entries()) this.#emptyVectors[index] = rows;
    this.#fromPayload = counts.fromPayload;
    this.#nulls = counts.nulls;
    this.#inexactIntegers = counts.inexactIntegers;
    this.#emptySparse = counts.emptySparse;
    this.#ambiguousKeys.push(...counts.ambiguousKeys);
    this.#bytes = counts.bytes;
    // Copied: words have to be aligned.
    this.#tracker?.restore(new Int32Array(new Uint8Array(memory).buffer), counts.keyRows);
  }

  #meet(key: ShardKey): void {
    const known = this.#ambiguousKeys.some(({ kind, text }) => kind === key.kind && text === key.text);
    if (!known) this.#ambiguousKeys.push(key);
  }

  #keySummary(): KeySummary | undefined {
    if (this.#tracker === undefined) return undefined;
    const { duplicates, exact } = this.#tracker;
    return { fromPayload: this.#fromPayload, duplicates, exact };
  }

  #notes(): readonly string[] {
    return this.#schema.notes({
      nulls: this.#nulls,
      inexactIntegers: this.#inexactIntegers,
      emptySparse: this.#emptySparse,
      ambiguousKeys: this.#ambiguousKeys,
      bytes: this.#bytes,
    });
  }
}
