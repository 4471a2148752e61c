import { ToolError } from '../../lib/errors.ts';
import type { PointId } from '../../lib/model.ts';
import type { ExportEvent, ExportParts, ExportPlan, ExportReport } from '../../lib/plan.ts';
import { exportCollection } from '../../lib/run/export.ts';
import type { WorkFolder } from '../../lib/storage/storage.ts';
import { type LinesUnit, lineFormat } from './line-format.ts';
import { memoryTransport } from './memory-transport.ts';
import type { MemoryDisk } from './memory-work-folder.ts';
import { planOf, shapeOf } from './plans.ts';

/** One process of a run, over what others left. */
export interface Process {
  readonly ids: readonly PointId[];
  readonly lineOf: (id: PointId) => string;
  readonly disk?: MemoryDisk;
  readonly work?: Partial<WorkFolder>;
  readonly plan?: Partial<ExportPlan>;
  readonly signal?: AbortSignal;
  readonly parts: Pick<ExportParts<LinesUnit>, 'destination'> & Partial<ExportParts<LinesUnit>>;
}

export interface Ended {
  readonly report: ExportReport | undefined;
  readonly error: ToolError | undefined;
  readonly events: readonly ExportEvent[];
  readonly notes: string;
  readonly isResumable: boolean;
}

/** Runs it to its end, whatever that is. */
export async function runProcess({ ids, lineOf, disk, work, plan, signal, parts }: Process): Promise<Ended> {
  const events: ExportEvent[] = [];
  const whole: ExportParts<LinesUnit> = {
    transport: memoryTransport([{ key: '', ids }], [{ shape: shapeOf(), count: ids.length }]),
    format: () => lineFormat({ lineOf }),
    converter: undefined,
    work: disk?.open(work),
    confirm: undefined,
    tool: { name: 'exporter', version: '1.0.0' },
    emit: (event) => events.push(event),
    ...parts,
  };
  const never = new AbortController().signal;
  const outcome = await exportCollection(planOf(plan), whole, signal ?? never).catch((error: unknown) => {
    if (error instanceof ToolError) return error;
    throw error;
  });
  const isError = outcome instanceof ToolError;
  const texts = events.flatMap((event) =>
    event.kind === 'note' || event.kind === 'warning' ? [event.text] : [],
  );
  return {
    report: isError ? undefined : outcome,
    error: isError ? outcome : undefined,
    events,
    notes: texts.join('\n'),
    isResumable: events.some(({ kind }) => kind === 'resumable'),
  };
}

/** The ids from 1 to `count`. */
export function idsTo(count: number): readonly PointId[] {
  return Array.from({ length: count }, (_, index) => String(index + 1));
}

/** What the file of these points holds. */
export function wholeFile(ids: readonly PointId[], lineOf: (id: PointId) => string): string {
  const units = Array.from({ length: Math.ceil(ids.length / 4) }, (_, unit) =>
    Math.min(4, ids.length - unit * 4),
  );
  const lines = ids.map((id) => `${lineOf(id)}\n`).join('');
  return `${lines}${ids.length} rows in units of ${units.join(' ')}\n`;
}
