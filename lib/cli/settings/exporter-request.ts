import { tmpdir } from 'node:os';
import { ToolError } from '../../errors.ts';
import type { ExporterFlags } from '../flags/exporter-flags.ts';
import type { ExporterProgram } from '../flags/exporter-program.ts';
import { type Arguments, readInteger, resolveFlags } from '../flags/parse-flags.ts';
import { contradiction, refuseContradictions } from './contradictions.ts';
import type { Environment } from './env.ts';
import { readFilter } from './filter.ts';
import {
  type CommonSettings,
  type ExporterSettings,
  type FormatSettings,
  type Selection,
  type SourceSettings,
  settingsOf,
  storeAddress,
  type Target,
} from './settings.ts';
import { readTransport, transportWarnings } from './transport-settings.ts';
import { readVectorList } from './vector-list.ts';

const ROW_GROUP_SIZES = { 'parquet-small': 1_000, 'parquet-med': 10_000, 'parquet-large': 100_000 } as const;

/** 9999-12-31T23:59:59Z, the last second that ISO 8601 writes with four digits of year. */
const LAST_SECOND = 253_402_300_799;

/** What a run is asked of one collection, of several, or of all that the server has. */
export interface ExporterRequest extends SourceSettings {
  readonly collections: readonly string[] | 'all';
  readonly format: FormatSettings;
  /** PATH: where other programs are looked for. */
  readonly searchPath: string | undefined;
  /** What is legal and still worth a word before the run. */
  readonly warnings: readonly string[];
  /**
   * Of one collection, by its name as it was given or as the server tells it. Its run is dated when this is called,
   * or as SOURCE_DATE_EPOCH says. A ToolError 'usage' for a name that makes too long a key.
   */
  settingsFor(collection: string): ExporterSettings;
}

/**
 * Flags and variables of a program → what a run is asked; a ToolError 'usage' for the first thing that is wrong.
 * `isInteractive` is whether there is a terminal to ask at.
 */
export function readExporterRequest(
  program: ExporterProgram,
  given: Arguments,
  environment: Environment,
  { isInteractive }: { readonly isInteractive: boolean },
): ExporterRequest {
  const flags = resolveFlags(given, environment, program.flags);
  refuseContradictions(flags, isInteractive);
  // What was typed wrongly comes before what was not typed at all.
  const retrieveBatch = readRetrieveBatch(flags);
  const selection = readSelection(flags);
  const transport = readTransport(flags, environment);
  const sourceDate = readSourceDate(environment);
  const collections = flags.values.all ? 'all' : readCollections(flags);
  const { target, warnings } = readTarget(program, flags, environment);
  const common: CommonSettings = Object.freeze({
    flags,
    protocol: flags.values.http ? 'rest' : 'grpc',
    transport,
    selection,
    retrieveBatch,
    format: readFormat(flags),
    target,
    store: target.kind === 'file' ? '' : storeAddress(target, environment),
    tempFolder: environment.OUTPUT_TEMP_FOLDER ?? tmpdir(),
  });
  const settingsFor = (name: string) => settingsOf(name, common, sourceDate ?? new Date());
  // Of the names that were typed, one that makes no key is told before anything is exported.
  if (collections !== 'all') for (const name of collections) settingsFor(name);
  return Object.freeze({
    collections,
    format: common.format,
    searchPath: environment.PATH,
    protocol: common.protocol,
    transport,
    warnings: Object.freeze([...transportWarnings(transport), ...warnings]),
    settingsFor,
  });
}

function readCollections(flags: ExporterFlags): readonly string[] {
  const names = flags.values.collection;
  const source = flags.source('collection') ?? '--collection';
  if (names === undefined) {
    throw new ToolError(
      'usage',
      'No collection was named; give --collection NAME, set QDRANT_COLLECTION_NAME, or give --all.',
    );
  }
  const wrong = names.find((name) => /[/\0]/.test(name));
  if (wrong !== undefined) {
    throw new ToolError(
      'usage',
      `${source} is ${JSON.stringify(wrong)}; no collection has / or NUL in its name.`,
    );
  }
  return names;
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

function readFormat({ values }: ExporterFlags): FormatSettings {
  const { strategy } = values;
  const rows = values['row-group-size'];
  return Object.freeze({
    ...(strategy === 'ndjson-gz'
      ? { strategy, rowGroupRows: rows }
      : { strategy, rowGroupRows: rows ?? ROW_GROUP_SIZES[strategy] }),
    schema: values.schema,
    compression: values.compression,
    vectorEncoding: values['vector-encoding'],
    keyField: values['key-field'],
    metadataField: values['metadata-field'],
    splitBytes: values['split-size'],
  });
}

function readTarget(
  program: ExporterProgram,
  flags: ExporterFlags,
  environment: Environment,
): { readonly target: Target; readonly warnings: readonly string[] } {
  const path = flags.values.output;
  if (path === undefined) {
    const { target, warnings } = program.readStore(flags, environment);
    return { target: Object.freeze(target), warnings };
  }
  if (path === '-' || /[/\\]$/.test(path) || path.includes('\0')) {
    throw new ToolError('usage', `--output is ${JSON.stringify(path)}; the path of a file is wanted.`);
  }
  if (/\.json$/i.test(path)) {
    throw new ToolError(
      'usage',
      `--output is ${JSON.stringify(path)}, a name for the manifest beside the export; the path of a Parquet file is wanted.`,
    );
  }
  return { target: Object.freeze({ kind: 'file', path }), warnings: [] };
}

function readSourceDate(environment: Environment): Date | undefined {
  const text = environment.SOURCE_DATE_EPOCH;
  if (text === undefined) return undefined;
  return new Date(readInteger(text, 0, LAST_SECOND, 'SOURCE_DATE_EPOCH') * 1000);
}
