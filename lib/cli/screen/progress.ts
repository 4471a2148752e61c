import type { ExportEvent, Phase, PlanSummary } from '../../plan.ts';
import type { RetryNotice } from '../../retry.ts';
import { duration } from './human-numbers.ts';
import { type Asked, planLines } from './plan-lines.ts';
import { type PhaseState, progressFields, progressLine } from './progress-line.ts';
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

/** What a phase has done this soon was there before it: the part of an interrupted run, which says nothing of the rate. */
const HEAD_START_MS = 50;

export interface ProgressOptions {
  readonly screen: Screen;
  readonly asked: Asked;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** What stands before each warning, such as `docs: `; '' where it is plain what they are about. */
  readonly about: string;
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
        this.#begin(event.phase, event.total);
        return;
      case 'progress':
        this.#advance(event.rows, event.bytes);
        return;
      case 'retry':
        this.#showRetry(event.notice);
        return;
      case 'warning':
        this.#options.screen.line(`${this.#options.about}${event.text}`, 'Warning: ', 'yellow');
        return;
      case 'note':
        if (!this.#options.quiet) this.#options.screen.line(event.text, 'Note: ', 'cyan');
        return;
      case 'resumable':
        // Of use to whoever tells the failure.
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

  #begin(name: Phase, total: number): void {
    const startedAt = this.#options.now();
    this.#phase = { name, total, rows: 0, bytes: 0, startedAt, meter: new RateMeter(startedAt) };
    this.#redraw();
  }

  #advance(rows: number, bytes: number): void {
    const phase = this.#phase;
    if (phase === undefined) return;
    const now = this.#options.now();
    phase.rows = rows;
    phase.bytes = bytes;
    if (now - phase.startedAt < HEAD_START_MS) phase.meter = new RateMeter(now, rows, bytes);
    else phase.meter.add(now, rows, bytes);
    if (now - this.#drawnAt >= REDRAW_MS) this.#redraw();
  }

  #tick(): void {
    const { screen } = this.#options;
    if (this.#phase === undefined) return;
    this.#phase.meter.add(this.#options.now(), this.#phase.rows, this.#phase.bytes);
    if (screen.isTerminal) this.#redraw();
    else
      screen.line(
        progressFields(this.#phase, this.#options.peakMemory(), this.#options.now()).join('  '),
        `${this.#phase.name}  `,
      );
  }

  #redraw(): void {
    const { screen, quiet, now, peakMemory } = this.#options;
    if (quiet || !screen.isTerminal || this.#phase === undefined) return;
    this.#drawnAt = now();
    screen.bar(progressLine(this.#phase, peakMemory(), screen, now()));
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
