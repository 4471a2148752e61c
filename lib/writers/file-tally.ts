import type { ShardKey } from '../model.ts';
import type { FileSummary, KeySummary } from './format.ts';
import { KeyTracker } from './key-tracker.ts';
import type { ParquetUnit } from './parquet-page.ts';
import type { Schema, Tally } from './schema.ts';

/** Pages of a unit, and what was counted while they were made. */
export interface TalliedUnit extends ParquetUnit {
  /** Rows whose cell is NULL, by the schema's vector columns. */
  readonly emptyVectors: readonly number[];
  /** Hashes of the rows' keys; undefined where the schema has none. */
  readonly keys: { readonly hashes: Int32Array; readonly fromPayload: number } | undefined;
  readonly tally: Tally;
}

/** Adds up what the units of one file tell, in memory that does not grow with their number. */
export class FileTally {
  readonly #schema: Schema;
  readonly #emptyVectors: Record<string, number>;
  /** Shard keys that look like another one; at most as many as the collection has. */
  readonly #ambiguousKeys: ShardKey[] = [];
  readonly #tracker: KeyTracker | undefined;
  #fromPayload = 0;
  #nulls = 0;
  #inexactIntegers = 0;
  #emptySparse = 0;
  #bytes = 0;

  constructor(schema: Schema) {
    this.#schema = schema;
    const vectors = schema.columns.filter(({ kind }) => kind === 'vector');
    this.#emptyVectors = Object.fromEntries(vectors.map(({ name }) => [name, 0]));
    this.#tracker = schema.hasKeys ? new KeyTracker() : undefined;
  }

  /** Passes units on, counted. */
  async *counting(units: AsyncIterable<TalliedUnit>): AsyncGenerator<TalliedUnit> {
    for await (const unit of units) {
      this.#add(unit);
      yield unit;
    }
  }

  /** What the finished file holds beside its rows. */
  summary(): Pick<FileSummary, 'emptyVectors' | 'keys' | 'notes'> {
    return { emptyVectors: this.#emptyVectors, keys: this.#keySummary(), notes: this.#notes() };
  }

  #add(unit: TalliedUnit): void {
    for (const [index, name] of Object.keys(this.#emptyVectors).entries()) {
      this.#emptyVectors[name] = (this.#emptyVectors[name] ?? 0) + (unit.emptyVectors[index] ?? 0);
    }
    if (unit.keys !== undefined) {
      this.#tracker?.add(unit.keys.hashes);
      this.#fromPayload += unit.keys.fromPayload;
    }
    const { nulls = 0, inexactIntegers = 0, emptySparse = 0, ambiguousKey } = unit.tally;
    this.#nulls += nulls;
    this.#inexactIntegers += inexactIntegers;
    this.#emptySparse += emptySparse;
    if (ambiguousKey !== undefined) this.#meet(ambiguousKey);
    for (const { pages } of unit.columns) {
      for (const { header, body } of pages) this.#bytes += header.length + body.length;
    }
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
