import type { ExportedFile } from '../plan.ts';
import { partKey } from '../split-keys.ts';
import type { Receipt } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { type Slice, uploadSlice } from './publish.ts';
import { compareStored } from './read-back.ts';
import type { ParquetRecord, SplitPart } from './run-state.ts';
import type { Kept, Session } from './session.ts';

interface Part extends Slice, SplitPart {
  /** From 0. */
  readonly number: number;
}

/**
 * Makes the files of a split export appear, one after the other; resolves when all are there, were compared, and that is
 * on record. Until the manifest is written, which names all of them, or the run is given up, those that are there are in the
 * store without being an export: their folder is this run's own, so no reader takes them for one.
 */
export async function publishParts<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
  file: ParquetRecord & { readonly parts: readonly SplitPart[] },
): Promise<readonly ExportedFile[]> {
  const all = partsOf(session, file.parts);
  const receipts = new Map<number, Receipt>();
  for (const part of underWayFirst(all, session)) {
    receipts.set(part.number, await storePart(session, kept, path, file, part));
  }
  return all.flatMap(({ number, key, sha256, rows, rowGroups }) => {
    const receipt = receipts.get(number);
    return receipt === undefined ? [] : [{ key, sha256, rows, rowGroups, ...receipt }];
  });
}

function partsOf({ plan, header }: Session<EncodedUnit>, parts: readonly SplitPart[]): readonly Part[] {
  let start = 0;
  return parts.map((part, number) => {
    const key = partKey(plan.key, new Date(header.exportedAt), header.id, number);
    const slice = { ...part, number, key, start };
    start += part.bytes;
    return slice;
  });
}

/** What is on record of an upload is overwritten by the next one, so that one is finished first. */
function underWayFirst(parts: readonly Part[], { left }: Session<EncodedUnit>): readonly Part[] {
  const key = left?.upload?.key ?? left?.publishing?.key;
  const underWay = parts.filter((part) => part.key === key);
  return [...underWay, ...parts.filter((part) => part.key !== key)];
}

async function storePart<Unit extends EncodedUnit>(
  session: Session<Unit>,
  kept: Kept,
  path: string,
  file: ParquetRecord,
  part: Part,
): Promise<Receipt> {
  const { parts, left, run } = session;
  const { destination } = parts;
  const { number, key } = part;
  const stored = left?.stored.get(number);
  // Looked at although it is on record: a manifest that names what is not there would be a lie.
  const there = stored && (await destination.uploads?.published(key, stored, run.signal));
  if (there !== undefined) return there;
  const publishing = left?.publishing?.key === key ? left.publishing : undefined;
  const before = publishing && (await destination.uploads?.published(key, publishing, run.signal));
  const begun = left?.upload?.key === key ? left.upload : undefined;
  const receipt = before ?? (await uploadSlice(session, kept, { path, slice: part, file, left: begun }));
  await compareStored(parts, key, receipt, part.sha256, run.signal);
  await kept.journal.append({ kind: 'stored', number, receipt });
  return receipt;
}
