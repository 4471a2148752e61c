import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { ExportPlan } from '../../plan.ts';
import type { TransportSettings } from '../../qdrant/transport.ts';
import { EXPORTER_FLAGS, type ExporterFlags, type ParquetStrategy } from '../flags/exporter-flags.ts';
import type { Environment } from './env.ts';
import { manifestKey, manifestPath } from './manifest-key.ts';
import { encodeFolderName, objectKey, S3_KEYS, SUPABASE_KEYS } from './object-key.ts';
import type { S3Target } from './store-settings.ts';
import type { SupabaseTarget } from './supabase-settings.ts';

/** How the file is made, as the formats take it. */
export type FormatSettings = ColumnSettings & (ParquetSettings | NdjsonSettings);

interface ParquetSettings {
  readonly strategy: ParquetStrategy;
  readonly rowGroupRows: number;
}

interface NdjsonSettings {
  readonly strategy: 'ndjson-gz';
  /** Undefined leaves it to the converter. */
  readonly rowGroupRows: number | undefined;
}

interface ColumnSettings {
  readonly schema: 'keyed' | 'points' | 'pinecone' | 'milvus';
  readonly compression: 'zstd' | 'snappy' | 'gzip' | 'none';
  readonly vectorEncoding: 'plain' | 'byte-stream-split';
  /** Payload field that becomes the key, in the one schema that has keys. */
  readonly keyField: string;
  /** Payload field that alone becomes the metadata; undefined = the whole payload. */
  readonly metadataField: string | undefined;
  /** Most bytes of a file; undefined = one file, whatever its size. */
  readonly splitBytes: number | undefined;
}

export type Target = { readonly kind: 'file'; readonly path: string } | StoreTarget;

/** A store of either kind. */
export type StoreTarget = S3Target | SupabaseTarget;

/** What the flags ask of each collection alike. */
export type Selection = Pick<ExportPlan, 'vectors' | 'filter' | 'limit' | 'shardKey'>;

/** How a server is reached. */
export interface SourceSettings {
  readonly protocol: 'grpc' | 'rest';
  readonly transport: TransportSettings;
}

/** All that flags and variables say, whichever collection is exported. */
export interface CommonSettings extends SourceSettings {
  readonly flags: ExporterFlags;
  readonly selection: Selection;
  readonly retrieveBatch: number | undefined;
  readonly format: FormatSettings;
  readonly target: Target;
  /** Address of the store that plan.target begins with; of a local file nothing. */
  readonly store: string;
  /** Folder of all work files. */
  readonly tempFolder: string;
}

/** What the run of one collection is asked. */
export interface ExporterSettings extends SourceSettings {
  readonly plan: ExportPlan;
  readonly format: FormatSettings;
  readonly target: Target;
  /** Folder of this collection's work files; it need not exist. */
  readonly workFolder: string;
}

/** The settings of one collection's run, frozen; a ToolError 'usage' for a name that makes too long a key. */
export function settingsOf(collection: string, common: CommonSettings, exportedAt: Date): ExporterSettings {
  const { protocol, transport, format, target, tempFolder } = common;
  return Object.freeze({
    plan: planOf(collection, common, exportedAt),
    protocol,
    transport,
    format,
    target,
    workFolder: join(tempFolder, 'qdrant-export', encodeFolderName(collection)),
  });
}

function planOf(collection: string, common: CommonSettings, exportedAt: Date): ExportPlan {
  const { selection, retrieveBatch, format, target, store } = common;
  const { values } = common.flags;
  const key = target.kind === 'file' ? target.path : keyOf(collection, target, common);
  return Object.freeze({
    ...selection,
    collection,
    retrieveBatch,
    strict: values.strict,
    batchSize: values['batch-size'],
    // A machine of more than 256 CPUs has no use for more requests at once either.
    parallel: values.parallel ?? Math.min(availableParallelism(), EXPORTER_FLAGS.parallel.max),
    passes: values.passes,
    key,
    splitBytes: format.splitBytes,
    manifestKey: target.kind === 'file' ? manifestPath(key) : manifestKey(key),
    options: dataOptions(selection, format),
    server: serverText(common),
    target: target.kind === 'file' ? resolve(target.path) : `${store}/${target.bucket}/${key}`,
    exportedAt,
    streaming: values['stream-upload'],
    resume: values.resume,
    debug: values.debug,
    keep: values.keep,
    dryRun: values['dry-run'],
  });
}

/** Names beside `latest.parquet` that a run may write, as dated-keys.ts and split-keys.ts make them. */
const DATED_NAME = '20261123T004023Z.parquet';
const PART_NAME = '20261123T004023Z-0123abcd/part-00000.parquet';

function keyOf(collection: string, target: StoreTarget, { flags: { values } }: CommonSettings): string {
  const encoding = target.kind === 'supabase' ? SUPABASE_KEYS : S3_KEYS;
  const split = values['split-size'] === undefined ? undefined : PART_NAME;
  const longestName = split ?? (values.keep === undefined ? undefined : DATED_NAME);
  return objectKey(values.prefix, collection, encoding, longestName);
}

/** What shapes the data, by the names of the flags in camel case; null where a flag says nothing of it. */
function dataOptions(asked: Selection, format: FormatSettings): ExportPlan['options'] {
  return Object.freeze({
    schema: format.schema,
    strategy: format.strategy,
    rowGroupSize: format.rowGroupRows ?? null,
    compression: format.compression,
    vectorEncoding: format.vectorEncoding,
    keyField: format.schema === 'keyed' ? format.keyField : null,
    metadataField: format.metadataField ?? null,
    vectors: asked.vectors ?? null,
    filter: asked.filter ?? null,
    limit: asked.limit ?? null,
    shardKey: asked.shardKey ?? null,
    splitSize: format.splitBytes ?? null,
  });
}

/** Readers refuse an address with a user name or password, so there is no secret in it. */
function serverText({ protocol, transport }: SourceSettings): string {
  return `${transport.url.href.replace(/\/+$/, '')} over ${protocol === 'grpc' ? 'gRPC' : 'REST'}`;
}

/**
 * Address of the store for plan.target, without a slash at its end: two stores never have the same. AWS_ENDPOINT_URL*
 * are what the SDK's own chain reads.
 */
export function storeAddress(target: StoreTarget, environment: Environment): string {
  if (target.kind === 'supabase') return target.url;
  const given = target.endpoint ?? environment.AWS_ENDPOINT_URL_S3 ?? environment.AWS_ENDPOINT_URL;
  const url = URL.parse(given ?? '');
  if (url === null) return given ?? 'https://s3.amazonaws.com';
  url.username = '';
  url.password = '';
  return url.href.replace(/\/+$/, '');
}
