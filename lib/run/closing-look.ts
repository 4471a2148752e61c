import { ToolError } from '../errors.ts';
import type { CollectionShape, VectorSpec } from '../model.ts';
import type { ExportPlan } from '../plan.ts';
import type { PointSet, Transport } from '../qdrant/transport.ts';
import { checkShape, countFindings, stateFindings } from './findings.ts';

/** What the first look told. */
export interface FirstLook {
  /** The collection with all its vectors. */
  readonly described: CollectionShape;
  /** All points that are exported, for counts. */
  readonly all: PointSet;
  /** Their exact count. */
  readonly before: number;
}

/** What a look at the collection tells after its last point was read. */
export interface ClosingLook {
  /** Exact count. */
  readonly after: number;
  readonly warnings: readonly string[];
}

/**
 * Looks at the collection once more before the file becomes whole. Rejects with a ToolError 'integrity' when its
 * vectors are others than at the start, and, where the plan is strict, when any two counts differ.
 */
export async function closingLook(
  plan: ExportPlan,
  { described, all, before }: FirstLook,
  exported: readonly VectorSpec[],
  found: { readonly idsSeen: number; readonly rows: number; readonly missing: number },
  transport: Transport,
  signal: AbortSignal,
): Promise<ClosingLook> {
  const after = await transport.count(all, signal);
  const again = await transport.describe(described.collection, signal);
  checkShape(described, again, exported, plan.vectors === undefined);
  const limit = plan.limit ?? Number.POSITIVE_INFINITY;
  const changes = countFindings({ before, after, ...found }, limit);
  if (plan.strict && changes.length > 0) {
    throw new ToolError(
      'integrity',
      `Cannot export collection \`${described.name}\` with --strict: ${before} points were counted before and ${after} after, ${found.idsSeen} found and ${found.rows} written.`,
    );
  }
  return { after, warnings: [...changes, ...stateFindings(described, again)] };
}
