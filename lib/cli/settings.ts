import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../errors.ts';
import type { ExportPlan } from '../plan.ts';
import type { TransportSettings } from '../qdrant/transport.ts';
import { contradiction, refuseContradictions } from './contradictions.ts';
import type { Environment } from './env.ts';
import { EXPORTER_R2_FLAGS, type ExporterFlags } from './exporter-r2-flags.ts';
import { readFilter } from './filter.ts';
import { manifestKey, manifestPath } from './manifest-key.ts';
import { encodeFolderName, objectKey } from './object-key.ts';
import { type Arguments, readInteger, resolveFlags } from './parse-flags.ts';
import { readStore, type StoreTarget } from './store-settings.ts';
import { readTransport, transportWarnings } from './transport-settings.ts';
import { readVectorList } from './vector-list.ts';

const ROW_GROUP_SIZES = { 'parquet-small': 1_000, 'parquet-med': 10_000, 'parquet-large': 100_000 } as const;

/** 9999-12-31T23:59:59Z, the last second that ISO 8601 writes with four digits of year. */
const LAST_SECOND = 253_402_300_799;

/** How the file is made, as the Parquet format takes it. */
export interface FormatSettings {
  readonly schema: 'keyed' | 'points' | 'pinecone' | 'milvus';
  readonly strategy: keyof typeof ROW_GROUP_SIZES;
  readonly rowGroupRows: number;
  readonly compression: 'zstd' | 'snappy' | 'gzip' | 'none';
  readonly vectorEncoding: 'plain' | 'byte-stream-split';
  /** Payload field that becomes the key, in the one schema that has keys. */
  readonly keyField: string;
  /** Payload field that alone becomes the metadata; undefined = the whole payload. */
  readonly metadataField: string | undefined;
}

export type Target = { readonly kind: 'file'; readonly path: string } | StoreTarget;

export interface ExporterSettings {
  /** `streaming` holds for a local file too: it needs no work file beside its own `.part`. */
  readonly plan: ExportPlan;
  readonly protocol: 'grpc' | 'rest';
  readonly transport: TransportSettings;
  readonly format: FormatSettings;
  readonly target: Target;
  /** Folder of this collection's work files; it need not exist. */
  readonly workFolder: string;
  /** SOURCE_DATE_EPOCH: what is written as the time of the export instead of the clock's. */
  readonly sourceDate: Date | undefined;
  readonly assumeYes: boolean;
  /** What is legal and still worth a word before the run. */
  readonly warnings: readonly string[];
}

/** Flags and variables of exporter-r2 → what a run is asked; a ToolError 'usage' for the first thing that is wrong. */
export function readExporterSettings(given: Arguments, environment: Environment): ExporterSettings {
  const flags = resolveFlags(given, environment, EXPORTER_R2_FLAGS);
  refuseContradictions(flags);
  // What was typed wrongly comes before what was not typed at all.
  const retrieveBatch = readRetrieveBatch(flags);
  const selection = readSelection(flags);
  const transport = readTransport(flags, environment);
  const sourceDate = readSourceDate(environment);
  const collection = readCollection(flags);
  const target = readTarget(flags, environment);
  const format = readFormat(flags);
  return Object.freeze({
    plan: readPlan(flags, { collection, ...selection, retrieveBatch }, target, format),
    protocol: flags.values.http ? 'rest' : 'grpc',
    transport,
    format,
    target,
    workFolder: join(
      environment.OUTPUT_TEMP_FOLDER ?? tmpdir(),
      'qdrant-export',
      encodeFolderName(collection),
    ),
    sourceDate,
    assumeYes: flags.values.yes,
    warnings: Object.freeze(transportWarnings(transport)),
  });
}

function readCollection(flags: ExporterFlags): string {
  const name = flags.values.collection;
  const source = flags.source('collection') ?? '--collection';
  if (name === undefined) {
    throw new ToolError(
      'usage',
      'No collection was named; give --collection NAME or set QDRANT_COLLECTION_NAME.',
    );
  }
  if (/[/\0]/.test(name)) {
    throw new ToolError(
      'usage',
      `${source} is ${JSON.stringify(name)}; no collection has / or NUL in its name.`,
    );
  }
  return name;
}

function readRetrieveBatch(flags: ExporterFlags): number | undefined {
  const batchSize = flags.values['batch-size'];
  const retrieveBatch = flags.values['retrieve-batch'];
  const half = Math.max(1, Math.floor(batchSize / 2));
  if (retrieveBatch === undefined || retrieveBatch <= half) return retrieveBatch;
  throw new ToolError(
    'usage',
    `--retrieve-batch is ${retrieveBatch}; at most ${half}, half of --batch-size ${batchSize}, is wanted.`,
  );
}

type Selection = Pick<ExportPlan, 'vectors' | 'filter' | 'limit' | 'shardKey'>;

/** Which points are exported, and which of their vectors. */
function readSelection({ values }: ExporterFlags): Selection {
  const vectors =
    values.vectors === undefined ? undefined : Object.freeze(readVectorList(values.vectors, '--vectors'));
  const { schema } = values;
  if (vectors?.length === 0 && (schema === 'pinecone' || schema === 'milvus')) {
    throw contradiction('--vectors none', `--schema ${schema}`, 'every row of it has a vector');
  }
  return {
    vectors,
    filter: values.filter === undefined ? undefined : readFilter(values.filter, '--filter'),
    limit: values.limit,
    shardKey: values['shard-key'],
  };
}

function readPlan(
  flags: ExporterFlags,
  asked: Selection & Pick<ExportPlan, 'collection' | 'retrieveBatch'>,
  target: Target,
  format: FormatSettings,
): ExportPlan {
  const { values } = flags;
  const key = target.kind === 'file' ? target.path : objectKey(values.prefix, asked.collection);
  return Object.freeze({
    ...asked,
    strict: values.strict,
    batchSize: values['batch-size'],
    // A machine of more than 256 CPUs has no use for more requests at once either.
    parallel: values.parallel ?? Math.min(availableParallelism(), EXPORTER_R2_FLAGS.parallel.max),
    passes: values.passes,
    key,
    manifestKey: target.kind === 'file' ? manifestPath(key) : manifestKey(key),
    options: dataOptions(asked, format),
    streaming: values['stream-upload'] || target.kind === 'file',
    dryRun: values['dry-run'],
  });
}

/** What shapes the data, by the names of the flags in camel case; null where a flag says nothing of it. */
function dataOptions(asked: Selection, format: FormatSettings): ExportPlan['options'] {
  return Object.freeze({
    schema: format.schema,
    strategy: format.strategy,
    rowGroupSize: format.rowGroupRows,
    compression: format.compression,
    vectorEncoding: format.vectorEncoding,
    keyField: format.schema === 'keyed' ? format.keyField : null,
    metadataField: format.metadataField ?? null,
    vectors: asked.vectors ?? null,
    filter: asked.filter ?? null,
    limit: asked.limit ?? null,
    shardKey: asked.shardKey ?? null,
  });
}

function readFormat({ values }: ExporterFlags): FormatSettings {
  return Object.freeze({
    schema: values.schema,
    strategy: values.strategy,
    rowGroupRows: values['row-group-size'] ?? ROW_GROUP_SIZES[values.strategy],
    compression: values.compression,
    vectorEncoding: values['vector-encoding'],
    keyField: values['key-field'],
    metadataField: values['metadata-field'],
  });
}

function readTarget(flags: ExporterFlags, environment: Environment): Target {
  const path = flags.values.output;
  if (path === undefined)
    return Object.freeze(readStore(flags.values.bucket, flags.source('bucket'), environment));
  if (path === '-' || /[/\\]$/.test(path) || path.includes('\0')) {
    throw new ToolError('usage', `--output is ${JSON.stringify(path)}; the path of a file is wanted.`);
  }
  if (/\.json$/i.test(path)) {
    throw new ToolError(
      'usage',
      `--output is ${JSON.stringify(path)}, a name for the manifest beside the export; the path of a Parquet file is wanted.`,
    );
  }
  return Object.freeze({ kind: 'file', path });
}

function readSourceDate(environment: Environment): Date | undefined {
  const text = environment.SOURCE_DATE_EPOCH;
  if (text === undefined) return undefined;
  return new Date(readInteger(text, 0, LAST_SECOND, 'SOURCE_DATE_EPOCH') * 1000);
}
