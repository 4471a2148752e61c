/** What every kind of flag says of itself. A program's table is all there is: parsing and help come from it. */
interface FlagBase {
  readonly group: FlagGroup;
  /** One or two short sentences for --help; default, range and variable are added from the other fields. */
  readonly help: string;
  /** The environment variable that speaks when the flag is not given. */
  readonly env?: string;
  /** How the default reads in --help, where it is not one plain value. */
  readonly defaultText?: string;
}

/** Given or not; takes no value. */
export interface SwitchFlag extends FlagBase {
  readonly kind: 'switch';
}

/** Any text but the empty one. */
export interface TextFlag extends FlagBase {
  readonly kind: 'text';
  /** What stands for the value in --help. */
  readonly hint: string;
  readonly default?: string;
}

/** A text that may be given several times, each time another one; a variable gives one of them. */
export interface TextsFlag extends FlagBase {
  readonly kind: 'texts';
  /** What stands for one value in --help. */
  readonly hint: string;
}

/** A whole number from min to max, both included; `auto: true` also takes the word auto, which means no number. */
export interface IntegerFlag extends FlagBase {
  readonly kind: 'integer';
  readonly min: number;
  readonly max: number;
  readonly auto?: true;
  readonly default?: number;
}

/** A number of bytes, `min` or more: plain, or with a unit in powers of 1000 (MB) or of 1024 (MiB). */
export interface BytesFlag extends FlagBase {
  readonly kind: 'bytes';
  readonly min: number;
}

/** One of a few words, or a whole number where `numbers` says which. */
export interface ChoiceFlag extends FlagBase {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  readonly numbers?: { readonly min: number; readonly max: number };
  readonly default?: string;
}

export type Flag = SwitchFlag | TextFlag | TextsFlag | IntegerFlag | BytesFlag | ChoiceFlag;
export type FlagTable = Readonly<Record<string, Flag>>;

export const FLAG_GROUPS = {
  source: 'Source',
  selection: 'What is exported',
  reading: 'Reading',
  file: 'The file',
  target: 'Where to',
  run: 'The run',
} as const;

export type FlagGroup = keyof typeof FLAG_GROUPS;
