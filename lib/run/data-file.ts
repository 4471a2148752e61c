import { dirname } from 'node:path';
import type { ToolError } from '../errors.ts';
import { type Sha256, startSha256 } from '../sha256.ts';
import type { GrowingFile } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { beforeAbort } from './before-abort.ts';
import { Checkpoints, LAST_WORD_MS } from './checkpoints.ts';
import { roomProblem } from './disk-room.ts';
import { type Encoded, type EncodingOptions, encodedFile } from './encoded-file.ts';
import { hashStream } from './hash-stream.ts';
import type { DataRecord } from './run-state.ts';
import { type Kept, MEMORY_FILE, type Session, startAt } from './session.ts';
import { within } from './within.ts';

/**
 * Writes all points to the data file, from the last safe point that is on record, and puts further ones on record
 * as it goes. Resolves when the file is whole and on the disk, and that is on record too.
 */
export async function writeDataFile<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
): Promise<DataRecord> {
  const { parts, prepared, left, run } = session;
  const { work, journal } = kept;
  const from = left?.safe && (await startAt(left.safe, work));
  const memory = await work.grow(work.file(MEMORY_FILE), left?.safe?.memoryBytes ?? 0);
  const file = await work.grow(path, from?.assembled.bytes ?? 0).catch(async (error: unknown) => {
    await memory.close();
    throw error;
  });
  const folder = dirname(path);
  /** Of a disk that was nearly full at the last safe point: what is written in spite of that may be the end. */
  let noRoom: ToolError | undefined;
  const checkpoints = new Checkpoints(journal, memory, async () => {
    await file.sync();
    noRoom = roomProblem(folder, await work.freeBytes(path), folder === work.path);
  });
  const onSafe: typeof checkpoints.add = (...point) => {
    if (noRoom !== undefined) throw noRoom;
    checkpoints.add(...point);
  };
  // Data that is converted is not what is published.
  const hash = parts.converter === undefined ? startSha256(prepared.summary.estimatedBytes) : undefined;
  const close = () => Promise.all([file.close(), memory.close()]);
  try {
    // What the file holds already.
    if (hash !== undefined && from !== undefined) await hashStream(hash, work.read(path), run.signal);
    const encoded = await written(session, file, hash, checkpoints, { from, onSafe });
    await beforeAbort(file.sync(), run.signal);
    const data: DataRecord = { kind: 'data', encoded, sha256: await hash?.digest() };
    await beforeAbort(checkpoints.settled(), run.signal);
    await journal.append(data);
    await close();
    return data;
  } catch (error) {
    // What was safe a moment ago is still worth to be known; why the run fails is said by the first error.
    const lastWord = checkpoints.settled().finally(close);
    await within(lastWord, LAST_WORD_MS);
    throw error;
  } finally {
    hash?.close();
  }
}

async function written<Unit extends EncodedUnit>(
  { plan, parts, prepared, run }: Session<Unit>,
  file: GrowingFile,
  hash: Sha256 | undefined,
  checkpoints: Checkpoints,
  options: EncodingOptions,
): Promise<Encoded> {
  const chunks = encodedFile(plan, parts, prepared, run, options);
  for (;;) {
    const behind = checkpoints.room();
    if (behind !== undefined) await beforeAbort(behind, run.signal);
    const step: IteratorResult<Uint8Array<ArrayBuffer>, Encoded> = await chunks.next();
    if (step.done) return step.value;
    const room = hash?.update(step.value);
    if (room !== undefined) await room;
    await file.write(step.value);
  }
}
