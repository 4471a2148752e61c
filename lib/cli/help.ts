import { EXPORTER_R2_FLAGS } from './exporter-r2-flags.ts';
import { FLAG_GROUPS, type Flag, type FlagGroup, type FlagTable } from './flags.ts';
import { grouped } from './human-numbers.ts';
import { wrapped } from './wrapped.ts';

const WIDTH = 80;
/** Where the second column begins. */
const INDENT = 28;

const EXAMPLES = `  # A collection of a local Qdrant into a local file
  exporter-r2 --collection docs --output docs.parquet

  # Into Cloudflare R2, with QDRANT_* and R2_* variables set or in .env
  exporter-r2 --collection docs --bucket backups

  # The points that match a filter, with two of their vectors
  exporter-r2 --collection docs --output en.parquet --schema points \\
    --vectors text,image \\
    --filter '{"must":[{"key":"lang","match":{"value":"en"}}]}'

  # Every collection by night, a month of dated copies of each
  exporter-r2 --all --keep 30 --quiet

  # Go on where a run of the same command was interrupted
  exporter-r2 --collection docs --bucket backups --resume

  # What it would do, over REST
  exporter-r2 --collection docs --output docs.parquet --http --dry-run`;

/** Variables that no flag stands for. */
const VARIABLES: readonly (readonly [string, string])[] = [
  ['QDRANT_API_KEY', 'Key of the Qdrant server; a read-only one is enough.'],
  ['QDRANT_PORT', 'REST port; counts with --http alone.'],
  ['R2_ENDPOINT', 'https://ACCOUNT.r2.cloudflarestorage.com, or that of any S3 service.'],
  ['R2_ACCESS_KEY_ID', 'Its access key.'],
  [
    'R2_SECRET_ACCESS_KEY',
    'Its secret key. With none of these three set, the AWS SDK finds credentials (AWS_*, profiles, roles) for AWS S3.',
  ],
  ['R2_REGION', 'Default auto.'],
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

/** The text of `exporter-r2 --help`, made from the flag table. */
export function exporterR2Help(): string {
  const sections = [
    'exporter-r2: Qdrant collections as Parquet objects in Cloudflare R2, any S3\nbucket, or a local file.',
    `Examples\n${EXAMPLES}`,
    ...flagSections(EXPORTER_R2_FLAGS),
    `Variables (also from .env in ., .. and ../.., where not set)\n${rows(VARIABLES)}`,
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

function rows(pairs: readonly (readonly [string, string])[]): string {
  return pairs.flatMap(([left, right]) => wrapped(right, WIDTH, `  ${left}`.padEnd(INDENT))).join('\n');
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
    case 'choice':
      return `--${name} ${flag.numbers === undefined ? 'WORD' : 'WORD|N'}`;
  }
}

function rightOf(flag: Flag): string {
  const facts: string[] = [];
  if (flag.kind === 'integer') facts.push(rangeOf(flag));
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
      return undefined;
    case 'integer':
      return flag.default === undefined ? undefined : grouped(flag.default);
    case 'text':
    case 'choice':
      return flag.default;
  }
}
