import type { ExportEvent, PlanSummary } from '../plan.ts';
import type { RetryNotice } from '../retry.ts';
import { byteSize, duration, grouped } from './human-numbers.ts';
import { type Asked, planLines } from './plan-lines.ts';
import { RateMeter } from './rate-meter.ts';
import type { Screen } from './screen.ts';

/** Time between two redraws on a terminal at least; 10 a second. */
const REDRAW_MS = 100;
/** Redraws without news, so that a stalled run shows a falling rate. */
const IDLE_REDRAW_MS = 1_000;
/** Time between two lines where nothing can be redrawn. */
const LINE_MS = 5_000;
/** Many requests fail at once when a server goes away: one word about it in this time is enough. */
const RETRY_WORD_MS = 5_000;
/** A first contact gives up this soon, and then says itself what was wrong. */
const FIRST_CONTACT_MS = 2_000;
/** Pauses of a first contact are shorter. */
const SHORT_PAUSE_MS = 1_000;

const LONGEST_BAR = 24;
const SHORTEST_BAR = 6;

export interface ProgressOptions {
  readonly screen: Screen;
  readonly asked: Asked;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number;
  /** Calls back every so many milliseconds until the function it returns is called. */
  readonly every: (milliseconds: number, call: () => void) => () => void;
  /** Bytes. */
  readonly peakMemory: () => number;
}

/** Shows a run's events: a redrawn line on a terminal, elsewhere a line every 5 s; warnings even when quiet. */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #stopTicking: () => void;
  #phase: PhaseState | undefined;
  readonly #startedAt: number;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #retryWordAt = Number.NEGATIVE_INFINITY;

  constructor(options: ProgressOptions) {
    this.#options = options;
    const { quiet, screen, every, now } = options;
    this.#startedAt = now();
    const period = screen.isTerminal ? IDLE_REDRAW_MS : LINE_MS;
    this.#stopTicking = quiet ? () => {} : every(period, () => this.#tick());
  }

  show(event: ExportEvent): void {
    switch (event.kind) {
      case 'plan':
        this.#showPlan(event.plan);
        return;
      case 'phase':
        this.#phase = {
          name: event.phase,
          total: event.total,
          rows: 0,
          bytes: 0,
          meter: new RateMeter(this.#options.now()),
        };
        this.#redraw();
        return;
      case 'progress':
        if (this.#phase === undefined) return;
        this.#phase.rows = event.rows;
        this.#phase.bytes = event.bytes;
        this.#phase.meter.add(this.#options.now(), event.rows, event.bytes);
        if (this.#options.now() - this.#drawnAt >= REDRAW_MS) this.#redraw();
        return;
      case 'retry':
        this.#showRetry(event.notice);
        return;
      case 'warning':
        this.#options.screen.line(event.text, 'Warning: ', 'yellow');
        return;
      case 'note':
        if (!this.#options.quiet) this.#options.screen.line(event.text, 'Note: ', 'cyan');
        return;
    }
  }

  /** Takes the line away; the run is over. */
  end(): void {
    this.#stopTicking();
    this.#phase = undefined;
    this.#options.screen.clearBar();
  }

  #showPlan(plan: PlanSummary): void {
    const { screen, asked, quiet } = this.#options;
    if (quiet) return;
    for (const line of planLines(plan, asked, screen.width)) screen.line(line);
  }

  #tick(): void {
    const { screen } = this.#options;
    if (this.#phase === undefined) return;
    this.#phase.meter.add(this.#options.now(), this.#phase.rows, this.#phase.bytes);
    if (screen.isTerminal) this.#redraw();
    else
      screen.line(
        progressFields(this.#phase, this.#options.peakMemory()).join('  '),
        `${this.#phase.name}  `,
      );
  }

  #redraw(): void {
    const { screen, quiet, now, peakMemory } = this.#options;
    if (quiet || !screen.isTerminal || this.#phase === undefined) return;
    this.#drawnAt = now();
    screen.bar(progressLine(this.#phase, peakMemory(), screen));
  }

  #showRetry(notice: RetryNotice): void {
    const { quiet, verbose, now, screen } = this.#options;
    if (quiet || (!verbose && (now() - this.#retryWordAt < RETRY_WORD_MS || this.#isFirstContact(notice))))
      return;
    this.#retryWordAt = now();
    const wait = duration(notice.waitMs / 1000);
    screen.line(
      `${notice.error.message} Attempt ${notice.attempt + 1} follows in ${wait}.`,
      'Retrying: ',
      'yellow',
    );
  }

  #isFirstContact({ waitMs }: RetryNotice): boolean {
    const since = this.#options.now() - this.#startedAt;
    return this.#phase === undefined && waitMs < SHORT_PAUSE_MS && since < FIRST_CONTACT_MS;
  }
}

interface PhaseState {
  readonly name: 'export' | 'upload';
  readonly total: number;
  rows: number;
  bytes: number;
  readonly meter: RateMeter;
}

/**
 * The redrawn line: the bar takes what the numbers leave, blanks between them are halved to make room for it;
 * where even the numbers do not fit, the last ones go first.
 */
function progressLine(phase: PhaseState, peakMemory: number, screen: Screen): string {
  const parts = [phase.name, ...progressFields(phase, peakMemory)];
  for (const blanks of ['  ', ' ']) {
    const room = Math.min(LONGEST_BAR, screen.width - parts.join(blanks).length - blanks.length);
    if (room < SHORTEST_BAR) continue;
    const drawn = screen.paint(bar(doneShare(phase), room), 'cyan');
    return [phase.name, drawn, ...parts.slice(1)].join(blanks);
  }
  while (parts.length > 2 && parts.join('  ').length > screen.width) parts.pop();
  return parts.join('  ').slice(0, screen.width);
}

/** Most telling first. */
function progressFields(phase: PhaseState, peakMemory: number): string[] {
  const { rows, bytes } = phase.meter.perSecond();
  const share = doneShare(phase);
  const done = phase.name === 'export' ? phase.rows : phase.bytes;
  const speed = phase.name === 'export' ? rows : bytes;
  // Rounded down: 100 % is said when it is reached.
  const fields = [`${Math.floor(share * 100)}%`];
  if (phase.name === 'export') fields.push(`${grouped(phase.rows)}/${grouped(phase.total)} rows`);
  else fields.push(`${byteSize(phase.bytes)}/${byteSize(phase.total)}`);
  const left = Math.max(0, phase.total - done);
  fields.push(`ETA ${speed > 0 ? duration(left / speed) : '?'}`);
  if (phase.name === 'export') fields.push(`${grouped(rows)}/s`);
  fields.push(`${byteSize(bytes)}/s`, `peak ${byteSize(peakMemory)}`);
  return fields;
}

function doneShare(phase: PhaseState): number {
  const done = phase.name === 'export' ? phase.rows : phase.bytes;
  return phase.total === 0 ? 1 : Math.min(1, done / phase.total);
}

function bar(share: number, length: number): string {
  const filled = Math.floor(share * length);
  return '█'.repeat(filled) + '░'.repeat(length - filled);
}
