/** What every kind of flag says of itself. The table below is all there is: parsing and help come from it. */
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

/** A whole number from min to max, both included; `auto: true` also takes the word auto, which means no number. */
export interface IntegerFlag extends FlagBase {
  readonly kind: 'integer';
  readonly min: number;
  readonly max: number;
  readonly auto?: true;
  readonly default?: number;
}

/** One of a few words. */
export interface ChoiceFlag extends FlagBase {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  readonly default?: string;
  /** Words that are known and not to be had yet. */
  readonly unavailable?: readonly string[];
}

export type Flag = SwitchFlag | TextFlag | IntegerFlag | ChoiceFlag;
export type FlagTable = Readonly<Record<string, Flag>>;

export const FLAG_GROUPS = {
  source: 'Source',
  reading: 'Reading',
  file: 'The file',
  target: 'Where to',
  run: 'The run',
} as const;

export type FlagGroup = keyof typeof FLAG_GROUPS;

/** Flags of exporter-r2, in the order of --help. */
export const EXPORTER_R2_FLAGS = {
  collection: {
    kind: 'text',
    hint: 'NAME',
    env: 'QDRANT_COLLECTION_NAME',
    group: 'source',
    help: 'Collection or alias to export. Required.',
  },
  url: {
    kind: 'text',
    hint: 'ADDRESS',
    env: 'QDRANT_URL',
    defaultText: 'localhost',
    group: 'source',
    help: 'Host, host:port or URL of Qdrant; https means TLS.',
  },
  http: { kind: 'switch', group: 'source', help: 'REST instead of gRPC.' },
  'ca-cert': {
    kind: 'text',
    hint: 'FILE',
    env: 'QDRANT_CA_CERT',
    group: 'source',
    help: 'Also trust this certificate authority (PEM).',
  },
  timeout: {
    kind: 'integer',
    min: 1,
    max: 86_400,
    default: 60,
    group: 'source',
    help: 'Seconds that Qdrant is given for one request.',
  },
  'batch-size': {
    kind: 'integer',
    min: 1,
    max: 1_000_000,
    default: 10_000,
    group: 'reading',
    help: 'Ids a scroll page.',
  },
  'retrieve-batch': {
    kind: 'integer',
    min: 1,
    max: 500_000,
    auto: true,
    defaultText: 'auto, about 4 MiB an answer',
    group: 'reading',
    help: 'Most points a retrieve, up to half of --batch-size.',
  },
  parallel: {
    kind: 'integer',
    min: 1,
    max: 256,
    defaultText: 'the number of CPUs',
    group: 'reading',
    help: 'Retrieves in flight at once.',
  },
  passes: {
    kind: 'choice',
    choices: ['auto', 'one', 'two'],
    default: 'auto',
    group: 'reading',
    help: 'two = ids, then points by id; one = scroll with vectors.',
  },
  strategy: {
    kind: 'choice',
    choices: ['parquet-small', 'parquet-med', 'parquet-large'],
    default: 'parquet-med',
    unavailable: ['ndjson-gz'],
    group: 'file',
    help: 'How large row groups are: 1,000, 10,000 or 100,000 rows.',
  },
  'row-group-size': {
    kind: 'integer',
    min: 1,
    max: 10_000_000,
    defaultText: 'by --strategy',
    group: 'file',
    help: 'Rows a row group.',
  },
  compression: {
    kind: 'choice',
    choices: ['zstd', 'snappy', 'gzip', 'none'],
    default: 'zstd',
    group: 'file',
    help: 'How pages are compressed.',
  },
  'vector-encoding': {
    kind: 'choice',
    choices: ['plain', 'byte-stream-split'],
    default: 'plain',
    group: 'file',
    help: 'byte-stream-split is smaller and slower.',
  },
  'key-field': {
    kind: 'text',
    hint: 'FIELD',
    default: 'key',
    group: 'file',
    help: 'Payload field that becomes the key column where it is a non-empty string; elsewhere the point id does.',
  },
  bucket: { kind: 'text', hint: 'NAME', env: 'R2_BUCKET', group: 'target', help: 'Bucket to write to.' },
  prefix: { kind: 'text', hint: 'PATH', group: 'target', help: 'Goes before the object key.' },
  output: {
    kind: 'text',
    hint: 'FILE',
    group: 'target',
    help: 'Write this local file instead; needs no store credentials.',
  },
  'stream-upload': {
    kind: 'switch',
    group: 'target',
    help: 'Upload while reading, no data on disk. Needs --strategy.',
  },
  'dry-run': {
    kind: 'switch',
    group: 'run',
    help: 'Connect, count, check the target and print the plan; write nothing.',
  },
  yes: { kind: 'switch', group: 'run', help: 'Never ask.' },
  'env-file': {
    kind: 'text',
    hint: 'FILE',
    defaultText: '.env in ., .. and ../..',
    group: 'run',
    help: 'Read variables from this file alone.',
  },
  json: { kind: 'switch', group: 'run', help: 'One JSON document on stdout at the end.' },
  quiet: { kind: 'switch', group: 'run', help: 'Nothing but warnings and errors.' },
  verbose: { kind: 'switch', group: 'run', help: 'Causes, stack traces and every retry.' },
  'no-color': { kind: 'switch', group: 'run', help: 'No colours; NO_COLOR=1 means the same.' },
  help: { kind: 'switch', group: 'run', help: 'This text.' },
  version: { kind: 'switch', group: 'run', help: 'Name and version.' },
} as const satisfies FlagTable;

/** Flags of later versions: known, so that who uses them is told that, and not that they are misspelt. */
export const LATER_FLAGS: readonly string[] = [
  'all',
  'consistency',
  'debug',
  'filter',
  'keep',
  'limit',
  'metadata-field',
  'resume',
  'schema',
  'shard-key',
  'strict',
  'vectors',
];
