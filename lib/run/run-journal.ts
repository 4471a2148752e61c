import type { Journal, OpenUpload } from '../storage/storage.ts';
import { type RunHeader, type RunRecord, type RunState, stateOf } from './run-state.ts';

/** Records that are superseded may lie in the journal for a while: as many as are valid, and these. */
const SUPERSEDED_RECORDS = 256;

/**
 * The journal of a run, in its own words. It holds one record each of what there is one of, one a part of the
 * upload: 10,000 of some 250 bytes at most; and one a file of a split export, of some 250 bytes too.
 */
export class RunJournal {
  readonly #journal: Journal;
  /** Those that are valid: what the journal comes down to when it is written anew. */
  #valid: RunRecord[] = [];
  #written = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Begins a new run, or goes back to the beginning of one; all other records are forgotten. */
  begin(header: RunHeader): Promise<void> {
    this.#valid = [header];
    return this.#rewrite();
  }

  /** Goes on with the run that the journal holds. */
  goOn(): void {
    this.#valid = [...(this.#journal.records as readonly RunRecord[])];
    this.#written = this.#valid.length;
  }

  /** Resolves when it is on the disk, and all before it. */
  append(record: Exclude<RunRecord, RunHeader>): Promise<void> {
    if (record.kind !== 'part' && record.kind !== 'stored') this.#forget(record.kind);
    if (record.kind === 'upload') this.#forget('part', 'publishing');
    if (record.kind === 'stored') this.#forget('upload', 'part', 'publishing');
    this.#valid.push(record);
    if (++this.#written > this.#valid.length * 2 + SUPERSEDED_RECORDS) return this.#rewrite();
    return this.#after(() => this.#journal.append(record));
  }

  /** What its records come to now. */
  get state(): RunState | undefined {
    return stateOf(this.#valid);
  }

  /** The unfinished upload that it knows of. */
  get upload(): OpenUpload | undefined {
    const { state } = this;
    return state?.published === undefined ? state?.upload : undefined;
  }

  /** Goes back to before the upload was begun. */
  forgetUpload(): Promise<void> {
    this.#forget('upload', 'part', 'publishing');
    return this.#rewrite();
  }

  /** Goes back to before the data's end was made. */
  forgetEnd(): Promise<void> {
    this.#forget('data', 'publishing');
    return this.#rewrite();
  }

  #forget(...kinds: readonly RunRecord['kind'][]): void {
    this.#valid = this.#valid.filter(({ kind }) => !kinds.includes(kind));
  }

  #rewrite(): Promise<void> {
    const records = [...this.#valid];
    this.#written = records.length;
    return this.#after(() => this.#journal.replace(records));
  }

  #after(write: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(write);
    return this.#last;
  }
}
