import type { FlagTable, SwitchFlag, TextFlag } from './flags.ts';
import type { Flags, FlagValue } from './parse-flags.ts';

/** Flags that all exporters have, in the order of --help. */
export const EXPORTER_FLAGS = {
  collection: {
    kind: 'texts',
    hint: 'NAME',
    env: 'QDRANT_COLLECTION_NAME',
    group: 'source',
    help: 'Collection or alias to export. May be repeated; required without --all.',
  },
  all: {
    kind: 'switch',
    group: 'source',
    help: 'Every collection of the server, one after the other. One that fails does not stop the rest.',
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
  consistency: {
    kind: 'choice',
    choices: ['all', 'majority', 'quorum'],
    numbers: { min: 1, max: Number.MAX_SAFE_INTEGER },
    defaultText: "the server's",
    group: 'source',
    help: 'How many replicas must agree on what is read.',
  },
  vectors: {
    kind: 'text',
    hint: 'LIST',
    defaultText: 'all',
    group: 'selection',
    help: `Names of vectors with commas between them, or none. '""' is the unnamed one; names with a comma go in double quotes.`,
  },
  filter: {
    kind: 'text',
    hint: 'JSON|@FILE',
    group: 'selection',
    help: 'Only the points that match this filter of Qdrant, which checks it before anything is written.',
  },
  limit: {
    kind: 'integer',
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    group: 'selection',
    help: 'Stop after so many points, in id order.',
  },
  'shard-key': {
    kind: 'text',
    hint: 'KEY',
    defaultText: 'all, one after the other',
    group: 'selection',
    help: 'Only the points under this key of a collection with custom sharding.',
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
  schema: {
    kind: 'choice',
    choices: ['keyed', 'points', 'pinecone', 'milvus'],
    default: 'keyed',
    group: 'file',
    help: 'Which columns: keyed = key, metadata, vectors; points = id, payload, vectors, shard_key; or those that Pinecone or Milvus import.',
  },
  strategy: {
    kind: 'choice',
    choices: ['ndjson-gz', 'parquet-small', 'parquet-med', 'parquet-large'],
    default: 'ndjson-gz',
    group: 'file',
    help: 'ndjson-gz = compressed text on disk first, made Parquet when it is whole; the others write Parquet at once, in row groups of 1,000, 10,000 or 100,000 rows.',
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
  'metadata-field': {
    kind: 'text',
    hint: 'FIELD',
    defaultText: 'the whole payload',
    group: 'file',
    help: 'Payload field that alone goes into the metadata column.',
  },
  prefix: { kind: 'text', hint: 'PATH', group: 'target', help: 'Goes before the object key.' },
  output: {
    kind: 'text',
    hint: 'FILE',
    group: 'target',
    help: 'Write this local file instead, and its manifest beside it (.json); needs no store credentials.',
  },
  'split-size': {
    kind: 'bytes',
    min: 1_000_000,
    defaultText: 'one file',
    group: 'target',
    help: 'Write part-00000.parquet, part-00001.parquet and so on, each a whole Parquet file of at most so many bytes, with one manifest.',
  },
  'stream-upload': {
    kind: 'switch',
    group: 'target',
    help: 'Upload while reading, no data on disk. Needs a --strategy that writes Parquet.',
  },
  keep: {
    kind: 'integer',
    min: 1,
    max: 1_000_000,
    defaultText: 'latest alone',
    group: 'target',
    help: 'Keep dated copies beside latest, too: the newest N.',
  },
  resume: {
    kind: 'switch',
    group: 'run',
    help: 'Go on from what an interrupted run left.',
  },
  debug: {
    kind: 'switch',
    group: 'run',
    help: 'Keep the work files, and ask before the upload.',
  },
  'dry-run': {
    kind: 'switch',
    group: 'run',
    help: 'Connect, count, check the target and print the plan; write nothing.',
  },
  strict: {
    kind: 'switch',
    group: 'run',
    help: 'Points counted, seen and written that differ are an error (13), and nothing is published.',
  },
  yes: { kind: 'switch', group: 'run', help: 'Never ask; the answer is yes.' },
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

/** An exporter's table: beside what all have, how its bucket is named, and whether it can make one. */
export type ExporterTable = typeof EXPORTER_FLAGS & { readonly bucket: TextFlag };

type ExporterValues = Flags<ExporterTable>['values'] & {
  /** Undefined in a program that makes no buckets. */
  readonly 'create-bucket'?: FlagValue<SwitchFlag>;
};

/** What an exporter was given. */
export interface ExporterFlags {
  readonly values: ExporterValues;
  /** As Flags.source. */
  source(name: keyof ExporterValues): string | undefined;
}

export type Strategy = (typeof EXPORTER_FLAGS.strategy.choices)[number];
export type ParquetStrategy = Exclude<Strategy, 'ndjson-gz'>;
