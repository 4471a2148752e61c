import { ToolError } from '../errors.ts';
import type { ExpectedObject, OpenUpload, UploadedPart, UploadLog } from '../storage/storage.ts';
import type { SafePoint } from '../writers/format.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { Position } from './encoded-file.ts';
import type { RollingCheck } from './rolling-check.ts';
import type { RunJournal } from './run-journal.ts';
import type { DataRecord } from './run-state.ts';

export interface StreamLogParts {
  readonly journal: RunJournal;
  readonly checkpoints: Checkpoints;
  readonly rolling: RollingCheck;
  /** The upload that is gone on with. */
  readonly from: OpenUpload | undefined;
  /** Where that has the whole stream already. */
  readonly data: DataRecord | undefined;
}

interface Unconfirmed {
  readonly point: SafePoint;
  readonly position: Position;
  readonly check: string;
}

/** Puts on record what the store has confirmed of a stream, and the safe points that lie in it. */
export class StreamLog implements UploadLog {
  readonly #journal: RunJournal;
  readonly #checkpoints: Checkpoints;
  readonly #rolling: RollingCheck;
  #partBytes: number;
  /** Parts from the first on without a gap, and those behind that: as many as are in flight at most. */
  #prefix: number;
  readonly #beyond = new Set<number>();
  /** Safe points in bytes that are not confirmed: as many as lie in the parts in flight. */
  readonly #unconfirmed: Unconfirmed[] = [];
  #failure: { readonly error: unknown } | undefined;
  #data: DataRecord | undefined;

  constructor({ journal, checkpoints, rolling, from, data }: StreamLogParts) {
    this.#journal = journal;
    this.#checkpoints = checkpoints;
    this.#rolling = rolling;
    this.#partBytes = from?.partBytes ?? 0;
    this.#prefix = from?.parts.length ?? 0;
    this.#data = data;
  }

  safe(point: SafePoint, position: Position): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#unconfirmed.push({ point, position, check: this.#rolling.value });
    this.#advance();
  }

  /** Goes on record before the last part does, so that whoever finds that one confirmed knows it for the last. */
  ended(data: DataRecord): void {
    this.#data = data;
    this.#record(data);
  }

  async begun(upload: Omit<OpenUpload, 'parts'>): Promise<void> {
    this.#partBytes = upload.partBytes;
    await this.#journal.append({ kind: 'upload', ...upload });
  }

  confirmed(part: UploadedPart): void {
    const check = this.#rolling.at(part.number * this.#partBytes);
    this.#record({ kind: 'part', check, ...part });
    this.#beyond.add(part.number);
    while (this.#beyond.delete(this.#prefix + 1)) this.#prefix++;
    this.#rolling.forgetBefore(this.#prefix * this.#partBytes);
    this.#advance();
  }

  async publishing(expected: ExpectedObject): Promise<void> {
    const made = this.#data?.encoded.bytes;
    if (expected.bytes !== made) {
      throw new ToolError(
        'integrity',
        `Cannot publish the stream: the store has ${expected.bytes} bytes of it, and ${made ?? 'not all'} were made.`,
      );
    }
    await this.settled();
    await this.#journal.append({ kind: 'publishing', ...expected });
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async settled(): Promise<void> {
    await this.#checkpoints.settled();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Soon, and in the order of the calls; that it failed is told by what is called next. */
  #record(record: Parameters<RunJournal['append']>[0]): void {
    this.#journal.append(record).catch((error: unknown) => {
      this.#failure ??= { error };
    });
  }

  /** Hands on the safe points whose bytes are all confirmed. */
  #advance(): void {
    const confirmed = this.#prefix * this.#partBytes;
    while ((this.#unconfirmed[0]?.point.bytes ?? Number.POSITIVE_INFINITY) <= confirmed) {
      const { point, position, check } = this.#unconfirmed.shift() as Unconfirmed;
      this.#checkpoints.add(point, position, check);
    }
  }
}
