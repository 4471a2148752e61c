import type { ExportReport } from '../../plan.ts';
import type { ErrorDocument } from '../error-document.ts';
import { byteSize, duration, grouped } from './human-numbers.ts';

/** What became of one collection of several. */
export type Outcome =
  | { readonly kind: 'done'; readonly name: string; readonly figures: ExportFigures }
  | { readonly kind: 'failed'; readonly name: string; readonly error: ErrorDocument['error'] }
  /** The run was stopped before its turn came. */
  | { readonly kind: 'left'; readonly name: string };

/** Undefined bytes are those of a dry run. */
export interface ExportFigures {
  readonly rows: number;
  readonly bytes: number | undefined;
  readonly seconds: number;
}

/** Longer names stand for themselves, and do not move the others' figures away. */
const WIDEST_NAME = 40;

export function figuresOf({ plan, counts, file, seconds }: ExportReport): ExportFigures {
  return { rows: file === undefined ? plan.points : counts.rows, bytes: file?.bytes, seconds: seconds.total };
}

/** What became of several collections: a line each, and how many it went well with. */
export function summaryLines(outcomes: readonly Outcome[]): string[] {
  const widths = outcomes.map(({ name }) => Bun.stringWidth(name)).filter((width) => width <= WIDEST_NAME);
  const widest = Math.max(0, ...widths);
  const lines = outcomes.map((outcome) => {
    const blanks = ' '.repeat(Math.max(0, widest - Bun.stringWidth(outcome.name)) + 2);
    return `${outcome.name}${blanks}${outcomeText(outcome)}`;
  });
  return [...lines, totalText(outcomes)];
}

function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'done': {
      const { rows, bytes, seconds } = outcome.figures;
      if (bytes === undefined) return `${grouped(rows)} points to export`;
      return `${grouped(rows)} rows, ${byteSize(bytes)}, ${duration(seconds)}`;
    }
    case 'failed':
      return outcome.error.message.split('\n', 1)[0] ?? '';
    case 'left':
      return 'not begun';
  }
}

function totalText(outcomes: readonly Outcome[]): string {
  const done = outcomes.filter((each) => each.kind === 'done');
  const isDryRun = done.length > 0 && done.every(({ figures }) => figures.bytes === undefined);
  const stopped = outcomes.filter((each) => each.kind === 'failed' && each.error.code === 'cancelled').length;
  const failed = outcomes.filter(({ kind }) => kind === 'failed').length - stopped;
  const left = outcomes.filter(({ kind }) => kind === 'left').length;
  const texts = [
    `${grouped(done.length)} of ${grouped(outcomes.length)} ${isDryRun ? 'can be exported' : 'exported'}`,
  ];
  if (failed > 0) texts.push(`${grouped(failed)} failed`);
  if (stopped > 0) texts.push(`${grouped(stopped)} stopped`);
  if (left > 0) texts.push(`${grouped(left)} not begun`);
  return texts.join(', ');
}
