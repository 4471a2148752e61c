import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../errors.ts';
import type { ExportPlan } from '../plan.ts';
import type { TransportSettings } from '../qdrant/transport.ts';
import { Secret } from '../secret.ts';
import { isLoopback, readAddress } from './address.ts';
import { readCertificate } from './certificate.ts';
import type { Environment } from './env.ts';
import { EXPORTER_R2_FLAGS } from './flags.ts';
import { encodeFolderName, objectKey } from './object-key.ts';
import { type Arguments, type Flags, readInteger, resolveFlags } from './parse-flags.ts';
import { readStore, type StoreTarget } from './store-settings.ts';

const ROW_GROUP_SIZES = { 'parquet-small': 1_000, 'parquet-med': 10_000, 'parquet-large': 100_000 } as const;

/** 9999-12-31T23:59:59Z, the last second that ISO 8601 writes with four digits of year. */
const LAST_SECOND = 253_402_300_799;

export interface StrategySettings {
  readonly name: keyof typeof ROW_GROUP_SIZES;
  readonly rowGroupSize: number;
  readonly compression: 'zstd' | 'snappy' | 'gzip' | 'none';
  readonly vectorEncoding: 'plain' | 'byte-stream-split';
  readonly keyField: string;
}

export type Target = { readonly kind: 'file'; readonly path: string } | StoreTarget;

export interface ExporterSettings {
  /** `streaming` holds for a local file too: it needs no work file beside its own `.part`. */
  readonly plan: ExportPlan;
  readonly protocol: 'grpc' | 'rest';
  readonly transport: TransportSettings;
  readonly strategy: StrategySettings;
  readonly target: Target;
  /** Folder of this collection's work files; it need not exist. */
  readonly workFolder: string;
  /** SOURCE_DATE_EPOCH: what is written as the time of the export instead of the clock's. */
  readonly sourceDate: Date | undefined;
  readonly assumeYes: boolean;
  /** What is legal and still worth a word before the run. */
  readonly warnings: readonly string[];
}

type ExporterFlags = Flags<typeof EXPORTER_R2_FLAGS>;

/** Flags and variables of exporter-r2 → what a run is asked; a ToolError 'usage' for the first thing that is wrong. */
export function readExporterSettings(given: Arguments, environment: Environment): ExporterSettings {
  const flags = resolveFlags(given, environment, EXPORTER_R2_FLAGS);
  refuseContradictions(flags);
  // What was typed wrongly comes before what was not typed at all.
  const retrieveBatch = readRetrieveBatch(flags);
  const transport = readTransport(flags, environment);
  const sourceDate = readSourceDate(environment);
  const collection = readCollection(flags);
  const target = readTarget(flags, environment);
  return Object.freeze({
    plan: readPlan(flags, collection, target, retrieveBatch),
    protocol: flags.values.http ? 'rest' : 'grpc',
    transport,
    strategy: readStrategy(flags),
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

function refuseContradictions(flags: ExporterFlags): void {
  const { values, source } = flags;
  const both = (a: string, b: string, why: string) =>
    new ToolError('usage', `${a} and ${b} contradict: ${why}.`);
  if (values.quiet && values.verbose) throw both('--quiet', '--verbose', 'give one of them');
  if (values.output !== undefined) {
    const local = '--output writes a local file, so nothing goes to a store';
    if (values['stream-upload']) throw both('--stream-upload', '--output', local);
    if (source('bucket') === '--bucket') throw both('--bucket', '--output', local);
    if (values.prefix !== undefined) throw both('--prefix', '--output', local);
  }
  if (values['stream-upload'] && source('strategy') === undefined) {
    const names = EXPORTER_R2_FLAGS.strategy.choices.map((name) => `--strategy ${name}`);
    throw new ToolError(
      'usage',
      `--stream-upload wants a strategy to be named: ${names.slice(0, -1).join(', ')} or ${names.at(-1)}.`,
    );
  }
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

function readPlan(
  flags: ExporterFlags,
  collection: string,
  target: Target,
  retrieveBatch: number | undefined,
): ExportPlan {
  const { values } = flags;
  return Object.freeze({
    collection,
    batchSize: values['batch-size'],
    retrieveBatch,
    // A machine of more than 256 CPUs has no use for more requests at once either.
    parallel: values.parallel ?? Math.min(availableParallelism(), EXPORTER_R2_FLAGS.parallel.max),
    passes: values.passes,
    key: target.kind === 'file' ? target.path : objectKey(values.prefix, collection),
    streaming: values['stream-upload'] || target.kind === 'file',
    dryRun: values['dry-run'],
  });
}

function readStrategy(flags: ExporterFlags): StrategySettings {
  const { values } = flags;
  return Object.freeze({
    name: values.strategy,
    rowGroupSize: values['row-group-size'] ?? ROW_GROUP_SIZES[values.strategy],
    compression: values.compression,
    vectorEncoding: values['vector-encoding'],
    keyField: values['key-field'],
  });
}

function readTarget(flags: ExporterFlags, environment: Environment): Target {
  const path = flags.values.output;
  if (path === undefined)
    return Object.freeze(readStore(flags.values.bucket, flags.source('bucket'), environment));
  if (path === '-' || /[/\\]$/.test(path) || path.includes('\0')) {
    throw new ToolError('usage', `--output is ${JSON.stringify(path)}; the path of a file is wanted.`);
  }
  return Object.freeze({ kind: 'file', path });
}

function readTransport(flags: ExporterFlags, environment: Environment): TransportSettings {
  const { values, source } = flags;
  const certificate = values['ca-cert'];
  return Object.freeze({
    url: readAddress(values.url, {
      http: values.http,
      qdrantPort: environment.QDRANT_PORT,
      source: source('url'),
    }),
    apiKey: readApiKey(environment),
    caCertificate:
      certificate === undefined ? undefined : readCertificate(certificate, source('ca-cert') ?? '--ca-cert'),
    timeoutSeconds: values.timeout,
  });
}

function readApiKey(environment: Environment): Secret | undefined {
  const key = environment.QDRANT_API_KEY?.trim();
  if (key === undefined || key === '') return undefined;
  if (/[^\x20-\x7e]/.test(key)) {
    throw new ToolError(
      'usage',
      'QDRANT_API_KEY holds a character that no key has, such as a line end or a letter beyond ASCII.',
    );
  }
  return new Secret(key);
}

function transportWarnings(transport: TransportSettings): string[] {
  const { url, apiKey } = transport;
  if (apiKey === undefined || url.protocol === 'https:' || isLoopback(url)) return [];
  return [
    `QDRANT_API_KEY goes to ${url.hostname} over plain HTTP, where others can read it; https:// protects it.`,
  ];
}

function readSourceDate(environment: Environment): Date | undefined {
  const text = environment.SOURCE_DATE_EPOCH;
  if (text === undefined) return undefined;
  return new Date(readInteger(text, 0, LAST_SECOND, 'SOURCE_DATE_EPOCH') * 1000);
}
