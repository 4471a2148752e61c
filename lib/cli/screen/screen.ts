import { printable, type Redactor } from '../redact.ts';

export interface ScreenOptions {
  /** Where it goes: stderr. */
  readonly write: (text: string) => void;
  /** A terminal that a line can be redrawn on. */
  readonly isTerminal: boolean;
  readonly colour: boolean;
  readonly columns: () => number | undefined;
  readonly redactor: Redactor;
}

const CODES = { red: 31, yellow: 33, cyan: 36, dim: 2 } as const;
export type Style = keyof typeof CODES;

const CLEAR_LINE = '\r\u001b[2K';

/** What the user looks at: lines that stay, and below them one that is redrawn on a terminal, or a question. */
export class Screen {
  readonly #options: ScreenOptions;
  #bar = '';
  #question = '';

  constructor(options: ScreenOptions) {
    this.#options = options;
  }

  get isTerminal(): boolean {
    return this.#options.isTerminal;
  }

  /**
   * Columns that a line may fill without wrapping: three stay free, two for the `^C` that terminals echo behind
   * the bar and one because some wrap at their last column.
   */
  get width(): number {
    return Math.max(20, this.#options.columns() ?? 80) - 3;
  }

  /** A line that stays, without secrets and steering characters; `label` is the part of it with a style. */
  line(text: string, label = '', style?: Style): void {
    const body = this.#options.redactor.redact(printable(text));
    const whole = `${style === undefined ? label : this.paint(label, style)}${body}\n`;
    const last = this.#question === '' ? this.#bar : this.#question;
    const above = this.isTerminal ? CLEAR_LINE : '\n';
    this.#options.write(last === '' ? whole : `${above}${whole}${last}`);
  }

  /** Redraws the line at the bottom; the text is ours and fits the width. Nothing where it cannot be redrawn. */
  bar(text: string): void {
    if (!this.isTerminal || text === this.#bar || this.#question !== '') return;
    this.#bar = text;
    this.#options.write(`${CLEAR_LINE}${text}`);
  }

  clearBar(): void {
    if (this.#bar === '') return;
    this.#bar = '';
    this.#options.write(CLEAR_LINE);
  }

  /** Puts a question below all lines, where it stays until `answered()`; nothing is redrawn meanwhile. */
  ask(question: string): void {
    this.clearBar();
    this.#question = this.#options.redactor.redact(printable(question));
    this.#options.write(this.#question);
  }

  /** The question's line is over; the terminal itself ended it where somebody typed an answer. */
  answered(lineEnded: boolean): void {
    if (this.#question === '') return;
    this.#question = '';
    if (!lineEnded) this.#options.write('\n');
  }

  paint(text: string, style: Style): string {
    return this.#options.colour && text !== '' ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text;
  }
}
