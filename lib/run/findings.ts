import { ToolError } from '../errors.ts';
import type { CollectionShape, VectorSpec } from '../model.ts';
import type { ExportCounts } from '../plan.ts';
import type { KeySummary } from '../writers/format.ts';
import { vectorName } from './selection.ts';

/** How many points were counted and found, and how many there should be. */
export type PointCounts = Pick<ExportCounts, 'before' | 'after' | 'idsSeen' | 'missing'>;

/** Sentences about counts that differ from one another; none when the collection stood still. */
export function countFindings(counts: PointCounts, limit: number): readonly string[] {
  const { before, after, idsSeen, missing } = counts;
  const findings: string[] = [];
  if (missing > 0) {
    findings.push(
      `${missing} ${missing === 1 ? 'point was' : 'points were'} deleted while the export ran and ${missing === 1 ? 'is' : 'are'} not in the file.`,
    );
  }
  const least = Math.min(before, after, limit);
  if (idsSeen < least) {
    findings.push(
      `Only ${idsSeen} of at least ${least} points were found that were counted both before and after the export: the others moved while it ran, or are missing.`,
    );
  } else if (idsSeen !== Math.min(before, limit) || before !== after) {
    findings.push(
      `The collection changed during the export: it had ${before} points before and ${after} after, and ${idsSeen} were found.`,
    );
  }
  return findings;
}

/**
 * What changed between two looks at a collection and makes a file of the first shape wrong: its vectors. Only
 * those that the export reads count.
 */
export function checkShape(
  before: CollectionShape,
  after: CollectionShape,
  chosen: readonly VectorSpec[],
  all: boolean,
): void {
  for (const spec of chosen) {
    const now = after.vectors.find(({ name }) => name === spec.name);
    if (now === undefined) throw drift(before, `${vectorName(spec.name)} was dropped`);
    if (declared(now) !== declared(spec)) {
      throw drift(before, `${vectorName(spec.name)} was ${declared(spec)} and is ${declared(now)}`);
    }
  }
  const added = all && after.vectors.find(({ name }) => before.vectors.every((old) => old.name !== name));
  if (added) throw drift(before, `${vectorName(added.name)} was added`);
}

function drift(shape: CollectionShape, what: string): ToolError {
  return new ToolError(
    'integrity',
    `Cannot export collection \`${shape.name}\`: its vectors changed during the export, ${what}. Run it again.`,
  );
}

function declared({ kind, size, datatype, distance }: VectorSpec): string {
  return `${kind} of ${size} dimensions, ${datatype}, ${distance}`;
}

/** Sentences about what a second look at the collection tells beside its vectors. */
export function stateFindings(before: CollectionShape, after: CollectionShape): readonly string[] {
  const findings: string[] = [];
  const waiting = Math.max(before.updateQueue ?? 0, after.updateQueue ?? 0);
  if (waiting > 0) {
    findings.push(
      `${waiting} ${waiting === 1 ? 'update was' : 'updates were'} waiting in Qdrant's queue: what they change is not in the file.`,
    );
  }
  if (JSON.stringify(before.shardKeys) !== JSON.stringify(after.shardKeys)) {
    findings.push('Shard keys were added or dropped during the export: their points may not be in the file.');
  }
  return findings;
}

/** Sentences about keys that more than one row has. */
export function keyFindings(keys: KeySummary | undefined): readonly string[] {
  if (keys === undefined || keys.duplicates === 0) return [];
  const rows = `${keys.exact ? '' : 'About '}${keys.duplicates} ${keys.duplicates === 1 ? 'row has' : 'rows have'}`;
  return [`${rows} a key that a row before has too: the key alone does not tell rows apart.`];
}

/** Sentences about what Qdrant itself did to vectors when they were stored. */
export function vectorNotes(vectors: readonly VectorSpec[]): readonly string[] {
  const notes: string[] = [];
  const normalised = vectors.filter(({ kind, distance }) => kind !== 'sparse' && distance === 'Cosine');
  if (normalised.length > 0) {
    notes.push(
      `Qdrant normalises vectors of distance Cosine when it stores them, so their lengths are gone: ${names(normalised)}.`,
    );
  }
  for (const datatype of new Set(vectors.map((spec) => spec.datatype))) {
    if (datatype === 'float32') continue;
    const rounded = vectors.filter((spec) => spec.datatype === datatype);
    notes.push(`Qdrant stores these vectors rounded to ${datatype}: ${names(rounded)}.`);
  }
  return notes;
}

function names(vectors: readonly VectorSpec[]): string {
  return vectors.map(({ name }) => vectorName(name)).join(', ');
}
