import type { GrowingFile } from '../storage/storage.ts';
import type { SafePoint } from '../writers/format.ts';
import type { Position } from './encoded-file.ts';
import type { RunJournal } from './run-journal.ts';
import type { SafeRecord } from './run-state.ts';

/** A run that ends waits so long for its last safe point to go on record. */
export const LAST_WORD_MS = 1_000;

/** Safe points that may wait for the ones before them to go on record. */
const MOST_WAITING = 2;

/** A safe point that is not on record yet. */
interface Pending {
  readonly point: SafePoint;
  readonly position: Position;
  readonly check: string | undefined;
}

/**
 * Puts safe points on record, in the background: what they need to be remembered goes to a file beside the journal, and
 * both wait for the disk while the run goes on. Points that come meanwhile wait for their turn and go on record
 * together, as the last of them.
 */
export class Checkpoints {
  readonly #journal: RunJournal;
  /** What the format remembers, end to end. */
  readonly #memory: GrowingFile;
  /** Made before a point goes on record: its bytes have to be safe. */
  readonly #sync: () => Promise<void>;
  #waiting: Pending[] = [];
  #underway: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** Told when waiting points were taken, or nothing is under way any more. */
  #onTaken: PromiseWithResolvers<void> | undefined;

  constructor(journal: RunJournal, memory: GrowingFile, sync: () => Promise<void>) {
    this.#journal = journal;
    this.#memory = memory;
    this.#sync = sync;
  }

  /**
   * Undefined while few points wait; otherwise resolves when that is so again: a disk that is slow holds the run back,
   * so that no more is lost by a kill than the points that wait, and as many that are on their way.
   */
  room(): Promise<void> | undefined {
    return this.#waiting.length < MOST_WAITING ? undefined : this.#roomAgain();
  }

  async #roomAgain(): Promise<void> {
    while (this.#waiting.length >= MOST_WAITING && this.#underway !== undefined) {
      this.#onTaken ??= Promise.withResolvers<void>();
      await this.#onTaken.promise;
    }
  }

  /** Throws what an earlier point failed with: a disk that is full, most likely. */
  add(point: SafePoint, position: Position, check?: string): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#waiting.push({ point, position, check });
    this.#underway ??= this.#record().catch((error: unknown) => {
      this.#failure = { error };
    });
  }

  /** Resolves when all points are on record; rejects when one could not be. */
  async settled(): Promise<void> {
    while (this.#underway !== undefined) await this.#underway;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #record(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const points = this.#waiting;
        this.#waiting = [];
        this.#tellTaken();
        for (const { point } of points) await this.#memory.write(point.memory);
        const { point, position, check } = points.at(-1) as Pending;
        const memoryBytes = this.#memory.length;
        await Promise.all([this.#sync(), this.#memory.sync()]);
        const { memory, ...rest } = point;
        const record: SafeRecord = { kind: 'safe', position, point: rest, memoryBytes, check };
        await this.#journal.append(record);
      }
    } finally {
      this.#underway = undefined;
      this.#tellTaken();
    }
  }

  #tellTaken(): void {
    this.#onTaken?.resolve();
    this.#onTaken = undefined;
  }
}
