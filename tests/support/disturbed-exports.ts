import { expect } from 'bun:test';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodeOf } from '../../lib/cli/exit.ts';
import { VERSION } from '../../lib/cli/version.ts';
import { messageOf } from '../../lib/errors.ts';
import type { ExportParts } from '../../lib/plan.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { exportCollection } from '../../lib/run/export.ts';
import { fileDestination } from '../../lib/storage/disk/file.ts';
import { openWorkFolder } from '../../lib/storage/disk/work-folder.ts';
import { s3Destination } from '../../lib/storage/s3/s3.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import { chooseConverter } from '../../lib/writers/choose-converter.ts';
import type { EncodedUnit } from '../../lib/writers/format.ts';
import { ndjsonFormat } from '../../lib/writers/ndjson/ndjson.ts';
import { parquetFormat } from '../../lib/writers/parquet/parquet.ts';
import { MIB } from './byte-body.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { planOf } from './plans.ts';
import type { Faults } from './qdrant-double/fault.ts';
import type { GeneratedCollection } from './qdrant-double/generated-id.ts';
import { type QdrantDouble, startQdrantDouble } from './qdrant-double/qdrant-double.ts';
import { addressOf, type S3Server } from './s3-server.ts';

/** Time of every export, in seconds. */
export const EPOCH = 1_700_000_000;
const TOOL = { name: 'exporter-r2', version: VERSION };
const QUICK: RetryPolicy = { attempts: 6, baseMs: 1, capMs: 20 };

/** How a run ends that published the export and could not publish the manifest. */
export const ALL_BUT_MANIFEST = /The export is whole and published as (\S+), but its manifest is not: /;

/** One part, and three. */
export const SMALL: GeneratedCollection = { name: 'small', points: 3_000, dimensions: 64, ids: 'mixed' };
export const LARGE: GeneratedCollection = { name: 'large', points: 3_200, dimensions: 1024, keys: true };

/** What an export needs to be told of a case. */
export interface Settings {
  readonly protocol: 'grpc' | 'rest';
  readonly passes: 'one' | 'two';
  readonly strategy: 'parquet-small' | 'ndjson-gz';
  readonly target: 'work file' | 'stream' | 'output';
  readonly collection: GeneratedCollection;
}

/** Servers and folders of one case alone. */
export interface Place {
  /** Keys of the export and its manifest in the store. */
  readonly key: string;
  readonly manifestKey: string;
  /** OUTPUT_TEMP_FOLDER. */
  readonly work: string;
  /** Path of the export as a local file; its manifest is beside it. */
  readonly output: string;
  readonly double: QdrantDouble;
  readonly store: S3Server | undefined;
  readonly proxy: FaultProxy | undefined;
}

export async function makePlace(
  folder: string,
  prefix: string,
  { collection }: Pick<Settings, 'collection'>,
  store: S3Server | undefined,
  faults?: Faults,
): Promise<Place> {
  await mkdir(join(folder, 'out'), { recursive: true });
  const double = await startQdrantDouble({ generated: [collection], ...(faults && { faults }) });
  const proxy = store && (await startFaultProxy(store.endpoint));
  return {
    key: `${prefix}/latest.parquet`,
    manifestKey: `${prefix}/latest.json`,
    work: join(folder, 'work'),
    output: join(folder, 'out', 'file.parquet'),
    double,
    store,
    proxy,
  };
}

export async function endFaults({ double, proxy }: Place): Promise<void> {
  double.setFaults(undefined);
  if (proxy !== undefined) proxy.faults = () => undefined;
}

export async function leavePlace({ double, proxy }: Place): Promise<void> {
  await Promise.all([double.stop(), proxy?.stop()]);
}

export interface Outcome {
  readonly code: number;
  /** Why it failed. */
  readonly said: string;
  /** Warnings, and all else that a program prints. */
  readonly warned: string;
  /** The run says that it can be gone on with. */
  readonly isResumable: boolean;
}

/** The parts joined as lib/exporter.ts joins them, with less patience, and with the built-in converter. */
export async function runInProcess(run: Settings, place: Place, resume = false): Promise<Outcome> {
  const transport = await connectQdrant(run.protocol, {
    url: new URL(run.protocol === 'grpc' ? place.double.grpcUrl : place.double.restUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 1,
    retryPolicy: QUICK,
  });
  const work = await openWorkFolder(join(place.work, 'qdrant-export', run.collection.name));
  const warnings: string[] = [];
  let isResumable = false;
  try {
    const report = await exportCollection(
      planOf({
        collection: run.collection.name,
        batchSize: 500,
        parallel: 3,
        passes: run.passes,
        key: run.target === 'output' ? place.output : place.key,
        manifestKey: run.target === 'output' ? `${place.output}.json` : place.manifestKey,
        options: { strategy: run.strategy },
        exportedAt: new Date(EPOCH * 1000),
        streaming: run.target === 'stream',
        resume,
      }),
      {
        transport,
        ...formatsOf(run),
        destination: destinationFor(run, place),
        work,
        confirm: undefined,
        tool: TOOL,
        emit: (event) => {
          if (event.kind === 'warning') warnings.push(event.text);
          if (event.kind === 'resumable') isResumable = true;
        },
      },
      new AbortController().signal,
    );
    expect(report.counts.rows).toBe(run.collection.points);
    return { code: 0, said: '', warned: warnings.join('\n'), isResumable };
  } catch (error) {
    return { code: exitCodeOf(error), said: messageOf(error), warned: warnings.join('\n'), isResumable };
  } finally {
    transport.close();
    await work.close();
  }
}

/** As the program makes them without further flags, and without a DuckDB. */
function formatsOf({ strategy }: Settings): Pick<ExportParts<EncodedUnit>, 'format' | 'converter'> {
  const options = {
    compression: 'zstd',
    vectorEncoding: 'plain',
    schema: 'keyed',
    keyField: 'key',
    metadataField: undefined,
    createdBy: `qdrant-export-tools ${VERSION}`,
    splitBytes: undefined,
  } as const;
  if (strategy === 'ndjson-gz') {
    return {
      format: (shape, sample) => ndjsonFormat(shape, { ...options, sample }),
      converter: chooseConverter({ ...options, found: undefined, rowGroupRows: undefined }),
    };
  }
  return {
    format: (shape, sample, exportedAt) =>
      parquetFormat(shape, { ...options, strategy, rowGroupRows: 1_000, sample, exportedAt }),
    converter: undefined,
  };
}

function destinationFor({ target }: Settings, { store, proxy }: Place): Destination {
  if (target === 'output' || store === undefined) return fileDestination();
  return s3Destination({
    ...addressOf(store, proxy?.endpoint),
    partBytes: 5 * MIB,
    partsInFlight: 2,
    retryPolicy: QUICK,
    patience: {
      requestMs: 1_000,
      slowestBytesPerSecond: 8 * MIB,
      completeMs: 1_000,
      graceMs: 300,
      cleanupMs: 4_000,
    },
  });
}

const references = new Map<string, Promise<Uint8Array>>();

/** Bytes of an undisturbed run. */
export function undisturbed(run: Omit<Settings, 'target' | 'passes'>, folder: string): Promise<Uint8Array> {
  const name = `${run.collection.name} ${run.strategy} ${run.protocol}`;
  const known = references.get(name);
  if (known !== undefined) return known;
  const make = async () => {
    const settings = { ...run, passes: 'two', target: 'output' } as const;
    const place = await makePlace(join(folder, `undisturbed ${name}`), name, run, undefined);
    const { code, said } = await runInProcess(settings, place);
    if (code !== 0) throw new Error(`The undisturbed run of ${name} ended with ${code}: ${said}`);
    await leavePlace(place);
    return await readFile(place.output);
  };
  const making = make();
  references.set(name, making);
  return making;
}
