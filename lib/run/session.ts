import { ToolError } from '../errors.ts';
import type { ExportParts, ExportPlan } from '../plan.ts';
import type { WorkFolder } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import type { Start } from './encoded-file.ts';
import type { Prepared } from './prepare.ts';
import type { RunJournal } from './run-journal.ts';
import type { RunHeader, RunState, SafeRecord } from './run-state.ts';

/** A run that moves points: what its phases share. */
export interface Session<Unit extends EncodedUnit> {
  readonly plan: ExportPlan;
  readonly parts: ExportParts<Unit>;
  readonly prepared: Prepared<Unit>;
  readonly run: AbortController;
  readonly header: RunHeader;
  /** What an interrupted run left that this one goes on with. */
  readonly left: RunState | undefined;
  /** Undefined where nothing is kept for a later run. */
  readonly kept: Kept | undefined;
}

/** Where a run keeps what another process needs to go on with it. */
export interface Kept {
  readonly work: WorkFolder;
  readonly journal: RunJournal;
}

/** Name of the file of what the format has to remember, in the work folder. */
export const MEMORY_FILE = 'memory';

/** Where the bytes of a safe point go on, with what the format remembers of those before. */
export async function startAt(safe: SafeRecord, work: WorkFolder): Promise<Start> {
  const path = work.file(MEMORY_FILE);
  const found = (await work.size(path)) ?? 0;
  if (found < safe.memoryBytes) {
    throw new ToolError(
      'integrity',
      `Cannot go on with the interrupted run: "${path}" has ${found} bytes, and the journal knows of ${safe.memoryBytes}. Run it again without --resume.`,
    );
  }
  const memory = new Uint8Array(safe.memoryBytes);
  let read = 0;
  if (safe.memoryBytes > 0) {
    for await (const chunk of work.read(path)) {
      const wanted = chunk.subarray(0, safe.memoryBytes - read);
      memory.set(wanted, read);
      read += wanted.length;
      if (read === safe.memoryBytes) break;
    }
  }
  return { assembled: { ...safe.point, memory }, position: safe.position };
}
