import { grouped } from '../screen/human-numbers.ts';
import { wrapped } from '../screen/wrapped.ts';
import { FLAG_GROUPS, type Flag, type FlagGroup, type FlagTable } from './flags.ts';
import { bytesText } from './read-bytes.ts';

const WIDTH = 80;
/** Where the second column begins. */
const INDENT = 28;

/** What a program's help has of its own. */
export interface HelpTexts {
  /** What it is, in lines of at most 80 columns. */
  readonly title: string;
  /** Commands with a comment above each; likewise. */
  readonly examples: string;
  readonly flags: FlagTable;
  /** Variables of its store that no flag stands for. */
  readonly storeVariables: readonly (readonly [string, string])[];
}

const QDRANT_VARIABLES: HelpTexts['storeVariables'] = [
  ['QDRANT_API_KEY', 'Key of the Qdrant server; a read-only one is enough.'],
  ['QDRANT_PORT', 'REST port; counts with --http alone.'],
];

const RUN_VARIABLES: HelpTexts['storeVariables'] = [
  ['OUTPUT_TEMP_FOLDER', "Where work files go; default the system's temp folder."],
  ['SOURCE_DATE_EPOCH', 'Seconds since 1970 to write as time of the export.'],
];

const EXIT_CODES: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  ['2', 'usage or configuration'],
  ['10', 'Qdrant'],
  ['11', 'conversion or format'],
  ['12', 'store'],
  ['13', 'integrity: what was written is not what was counted'],
  ['129, 130, 143', 'stopped by SIGHUP, Ctrl+C, SIGTERM'],
  ['141', 'stopped because nobody read stdout any more'],
];

/** The text of `--help`, at most 80 columns wide, made from the program's flag table. */
export function programHelp({ title, examples, flags, storeVariables }: HelpTexts): string {
  const variables = [...QDRANT_VARIABLES, ...storeVariables, ...RUN_VARIABLES];
  const sections = [
    title,
    `Examples\n${examples}`,
    ...flagSections(flags),
    `Variables (also from .env in ., .. and ../.., where not set)\n${rows(variables)}`,
    `Exit codes\n${rows(EXIT_CODES)}`,
  ];
  return `${sections.join('\n\n')}\n`;
}

function flagSections(table: FlagTable): string[] {
  return (Object.keys(FLAG_GROUPS) as FlagGroup[]).map((group) => {
    const flags = Object.entries(table).filter(([, flag]) => flag.group === group);
    return `${FLAG_GROUPS[group]}\n${rows(flags.map(([name, flag]) => [leftOf(name, flag), rightOf(flag)]))}`;
  });
}

/** In two columns; what does not fit the first has a line of its own. */
function rows(pairs: readonly (readonly [string, string])[]): string {
  return pairs
    .flatMap(([left, right]) => {
      const isWide = left.length + 2 >= INDENT;
      const first = isWide ? ''.padEnd(INDENT) : `  ${left}`.padEnd(INDENT);
      return [...(isWide ? [`  ${left}`] : []), ...wrapped(right, WIDTH, first)];
    })
    .join('\n');
}

function leftOf(name: string, flag: Flag): string {
  switch (flag.kind) {
    case 'switch':
      return name === 'help' ? '-h, --help' : `--${name}`;
    case 'text':
    case 'texts':
      return `--${name} ${flag.hint}`;
    case 'integer':
      return `--${name} N`;
    case 'bytes':
      return `--${name} SIZE`;
    case 'choice':
      return `--${name} ${flag.numbers === undefined ? 'WORD' : 'WORD|N'}`;
  }
}

function rightOf(flag: Flag): string {
  const facts: string[] = [];
  if (flag.kind === 'integer') facts.push(rangeOf(flag));
  if (flag.kind === 'bytes') facts.push(`${bytesText(flag.min)} or more, such as 45MB, 1.5GB or 45MiB`);
  if (flag.kind === 'choice') {
    facts.push([...flag.choices, ...(flag.numbers === undefined ? [] : [rangeOf(flag.numbers)])].join(', '));
  }
  const byDefault = flag.defaultText ?? defaultOf(flag);
  if (flag.env !== undefined) facts.push(`or ${flag.env}`);
  if (byDefault !== undefined) facts.push(`default ${byDefault}`);
  return facts.length === 0 ? flag.help : `${flag.help} [${facts.join('; ')}]`;
}

function rangeOf({ min, max }: { readonly min: number; readonly max: number }): string {
  return max === Number.MAX_SAFE_INTEGER ? `${grouped(min)} or more` : `${grouped(min)} to ${grouped(max)}`;
}

function defaultOf(flag: Flag): string | undefined {
  switch (flag.kind) {
    case 'switch':
    case 'texts':
    case 'bytes':
      return undefined;
    case 'integer':
      return flag.default === undefined ? undefined : grouped(flag.default);
    case 'text':
    case 'choice':
      return flag.default;
  }
}
