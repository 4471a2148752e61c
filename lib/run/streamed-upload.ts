import { ToolError } from '../errors.ts';
import { streamOf } from '../pipeline/stream-of.ts';
import { startSha256 } from '../sha256.ts';
import type { OpenUpload, Receipt } from '../storage/storage.ts';
import type { EncodedUnit, SafePoint } from '../writers/format.ts';
import { Checkpoints, LAST_WORD_MS } from './checkpoints.ts';
import { type Encoded, encodedFile, type Position, type Start } from './encoded-file.ts';
import { isSameCheck, RollingCheck } from './rolling-check.ts';
import type { DataRecord } from './run-state.ts';
import { type Kept, MEMORY_FILE, type Session, startAt } from './session.ts';
import { StreamLog } from './stream-log.ts';
import { within } from './within.ts';

export interface Streamed {
  readonly receipt: Receipt;
  readonly data: DataRecord;
  /** When the last byte was made. */
  readonly endedAt: Date;
}

/** Where a stream goes on in the store. */
interface Going {
  readonly upload: OpenUpload;
  /** Bytes that the store has. */
  readonly confirmed: number;
  readonly from: Start | undefined;
  /** The rolling check at `from`, and the one at `confirmed`. */
  readonly checkFrom: string | undefined;
  readonly checkConfirmed: string | undefined;
}

/**
 * Moves all points straight into the store. With a journal, what the store has confirmed is on record, and a run that
 * goes on makes the bytes behind it again, from the start of their row group.
 */
export async function streamToStore<Unit extends EncodedUnit>(session: Session<Unit>): Promise<Streamed> {
  const { kept, left, parts, header } = session;
  if (kept === undefined) return await stream(session, undefined, undefined);
  const going = left?.upload && (await goingOn(session, kept, left.upload));
  if (going !== undefined) {
    try {
      return await stream(session, kept, going);
    } catch (error) {
      if (!isOtherBytes(error)) throw error;
    }
  }
  if (left !== undefined) {
    if (left.upload !== undefined) {
      const what = going === undefined ? 'what was uploaded is gone' : 'points have changed since';
      parts.emit({
        kind: 'note',
        text: `The interrupted upload cannot be gone on with, as ${what}: it starts over.`,
      });
      const remains = await parts.destination.uploads?.remove(left.upload, session.run.signal);
      if (remains !== undefined) parts.emit({ kind: 'warning', text: remains });
    }
    await kept.journal.begin(header);
  }
  return await stream({ ...session, left: undefined }, kept, undefined);
}

/** Undefined where the store no longer has what it would take. */
async function goingOn<Unit extends EncodedUnit>(
  { parts, left, run }: Session<Unit>,
  { work }: Kept,
  upload: OpenUpload,
): Promise<Going | undefined> {
  const found = await parts.destination.uploads?.find(upload, run.signal);
  if (found === undefined) return undefined;
  const whole = left?.data?.encoded.bytes;
  const confirmed = found.parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const safe = left?.safe;
  if ((safe?.point.bytes ?? 0) > confirmed) return undefined;
  const checkConfirmed = left?.partChecks.get(found.parts.length);
  // Nothing is made again that could be compared.
  const isOther = safe?.point.bytes === confirmed && !isSameCheck(safe.check, checkConfirmed);
  if (isOther && confirmed !== whole) return undefined;
  if (confirmed > 0 && confirmed !== whole && checkConfirmed === undefined) return undefined;
  return {
    upload: found,
    confirmed,
    from: safe && (await startAt(safe, work)),
    checkFrom: safe?.check,
    checkConfirmed,
  };
}

async function stream<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept | undefined,
  going: Going | undefined,
): Promise<Streamed> {
  const { plan, parts, prepared, run, left } = session;
  const { estimatedBytes } = prepared.summary;
  const rolling = new RollingCheck(going?.checkFrom, going?.from?.assembled.bytes);
  const memory = await kept?.work.grow(
    kept.work.file(MEMORY_FILE),
    going?.from?.assembled.memory.length ?? 0,
  );
  const hash = going === undefined ? startSha256(estimatedBytes) : undefined;
  // Nothing has to be made again where the store has all of it.
  let data = going !== undefined && going.confirmed === left?.data?.encoded.bytes ? left.data : undefined;
  // An end that is made again may be another one.
  if (data === undefined && left?.data !== undefined) await kept?.journal.forgetEnd();
  const log =
    kept &&
    memory &&
    new StreamLog({
      journal: kept.journal,
      checkpoints: new Checkpoints(kept.journal, memory, async () => {}),
      rolling,
      from: going?.upload,
      data,
    });
  let endedAt = new Date();

  async function* body(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    if (data !== undefined) return;
    let encoded: Encoded;
    const onSafe = log && ((point: SafePoint, position: Position) => log.safe(point, position));
    const chunks = encodedFile(plan, parts, prepared, run, { from: going?.from, onSafe });
    try {
      let offset = going?.from?.assembled.bytes ?? 0;
      const confirmed = going?.confirmed ?? 0;
      for (;;) {
        const step: IteratorResult<Uint8Array<ArrayBuffer>, Encoded> = await chunks.next();
        if (step.done) {
          encoded = step.value;
          break;
        }
        const chunk = step.value;
        // Without a log nobody would forget its values.
        if (log !== undefined) rolling.take(chunk);
        const room = hash?.update(chunk);
        if (room !== undefined) await room;
        const start = Math.max(0, confirmed - offset);
        offset += chunk.length;
        const isReached = start > 0 && offset >= confirmed;
        if (isReached && !isSameCheck(rolling.at(confirmed), going?.checkConfirmed)) throw otherBytes();
        if (start < chunk.length) yield chunk.subarray(start);
      }
      // What the store has would be taken for the whole file.
      if (offset < confirmed) throw otherBytes();
    } finally {
      await chunks.return(undefined as never);
    }
    // Before the stream ends: bytes without their hash are not published.
    const check = log && rolling.value;
    data = { kind: 'data', encoded, sha256: await hash?.digest(), check };
    endedAt = new Date();
    log?.ended(data);
  }

  try {
    const receipt = await parts.destination.put({
      key: plan.key,
      body: streamOf(body(), 0, (reason) => run.abort(reason)),
      estimatedBytes,
      signal: run.signal,
      log,
      from: going?.upload,
    });
    if (data === undefined)
      throw new ToolError('integrity', 'Cannot finish the upload: the file has no end.');
    return { receipt, data, endedAt };
  } finally {
    hash?.close();
    const lastWord = log?.settled().finally(() => memory?.close());
    if (lastWord !== undefined) await within(lastWord, LAST_WORD_MS);
  }
}

class OtherBytes extends Error {}

/** What was made of it too: that something could not be cleaned up. */
function isOtherBytes(error: unknown): boolean {
  return error instanceof OtherBytes || (error instanceof ToolError && isOtherBytes(error.cause));
}

function otherBytes(): ToolError {
  const text = 'Cannot go on with the interrupted upload: points that are in it already have changed since.';
  return new ToolError('integrity', text, { cause: new OtherBytes(text) });
}
