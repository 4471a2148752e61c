import type { Phase } from '../../plan.ts';
import { byteSize, duration, grouped } from './human-numbers.ts';
import type { RateMeter } from './rate-meter.ts';
import type { Screen } from './screen.ts';

const LONGEST_BAR = 24;
const SHORTEST_BAR = 6;

/** Where a phase of a run is. */
export interface PhaseState {
  readonly name: Phase;
  readonly total: number;
  rows: number;
  bytes: number;
  readonly startedAt: number;
  meter: RateMeter;
}

/** What the total of a phase counts. */
const MEASURES: Readonly<Record<Phase, 'rows' | 'bytes'>> = {
  export: 'rows',
  convert: 'rows',
  upload: 'bytes',
  verify: 'bytes',
  copy: 'bytes',
};

/**
 * The redrawn line: the bar takes what the numbers leave, blanks between them are halved to make room for it;
 * where even the numbers do not fit, the last ones go first.
 */
export function progressLine(phase: PhaseState, peakMemory: number, screen: Screen, now: number): string {
  const parts = [phase.name, ...progressFields(phase, peakMemory, now)];
  for (const blanks of isSilent(phase) ? [] : ['  ', ' ']) {
    const room = Math.min(LONGEST_BAR, screen.width - parts.join(blanks).length - blanks.length);
    if (room < SHORTEST_BAR) continue;
    const drawn = screen.paint(bar(doneShare(phase), room), 'cyan');
    return [phase.name, drawn, ...parts.slice(1)].join(blanks);
  }
  while (parts.length > 2 && parts.join('  ').length > screen.width) parts.pop();
  return parts.join('  ').slice(0, screen.width);
}

/** Per cent, amount, time left, rates and memory: most telling first. `now` is in milliseconds. */
export function progressFields(phase: PhaseState, peakMemory: number, now: number): string[] {
  const peak = `peak ${byteSize(peakMemory)}`;
  if (isSilent(phase)) {
    return [`${grouped(phase.total)} rows`, `${duration((now - phase.startedAt) / 1000)} so far`, peak];
  }
  const { rows, bytes } = phase.meter.perSecond();
  const counts = MEASURES[phase.name];
  const speed = counts === 'rows' ? rows : bytes;
  // Rounded down: 100 % is said when it is reached.
  const fields = [`${Math.floor(doneShare(phase) * 100)}%`];
  if (counts === 'rows') fields.push(`${grouped(phase.rows)}/${grouped(phase.total)} rows`);
  else fields.push(`${byteSize(phase.bytes)}/${byteSize(phase.total)}`);
  const left = Math.max(0, phase.total - phase[counts]);
  fields.push(`ETA ${speed > 0 ? duration(left / speed) : '?'}`);
  if (counts === 'rows') fields.push(`${grouped(rows)}/s`);
  fields.push(`${byteSize(bytes)}/s`, peak);
  return fields;
}

/** DuckDB does not say how far it is. */
function isSilent({ name, rows, bytes }: PhaseState): boolean {
  return name === 'convert' && rows === 0 && bytes === 0;
}

function doneShare(phase: PhaseState): number {
  return phase.total === 0 ? 1 : Math.min(1, phase[MEASURES[phase.name]] / phase.total);
}

function bar(share: number, length: number): string {
  const filled = Math.floor(share * length);
  return '█'.repeat(filled) + '░'.repeat(length - filled);
}
