import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExporterResult, runExporter } from './exporter.ts';
import { type QdrantDouble, startQdrantDouble } from './qdrant-double/qdrant-double.ts';
import {
  type Protocol,
  RECORDED_VERSIONS,
  type RecordedPoint,
  type RecordedVersion,
} from './recorded-points.ts';
import type { Taken } from './recorded-tables.ts';

/** A recorded collection in a schema, with what makes it fit. */
export interface RecordedExport extends Taken {
  readonly collection: string;
  /** Flags that choose the vectors and points of `vectors` and `takes`. */
  readonly args?: readonly string[];
  /** Of the manifest; by protocol where what gRPC carries is less. */
  readonly warnings: readonly string[] | Readonly<Record<Protocol, readonly string[]>>;
}

const NORMALISED =
  'Qdrant normalises vectors of distance Cosine when it stores them, so their lengths are gone: unnamed vector.';
const ROUNDED = [
  'Qdrant stores these vectors rounded to float16: vector `half`.',
  'Qdrant stores these vectors rounded to uint8: vector `image`.',
];
const TWO_KEYS_TWICE = '2 rows have a key that a row before has too: the key alone does not tell rows apart.';
const TWO_NULLS = "2 null values were left out: Pinecone's metadata has no nulls.";
const willRound = (integers: number) =>
  `${integers} integers have every digit in the file, but Pinecone will round them: its numbers are 64-bit floats.`;
const noShardKeys = (schema: string) =>
  `Schema ${schema} has no column for shard keys: the file does not tell which one a row lies under.`;

/** Points of `plain` whose payloads are flat, as Pinecone wants them, ids beyond 2^53 and UUIDs among them. */
const FLAT = [
  ...['0', '10', '11', '12', '42', '9007199254740992', '18446744073709551614', '18446744073709551615'],
  ...['00000001-0000-4000-8000-000000000001', '00000002-0000-4000-8000-000000000002'],
];
const HAS_FLAT_ID = `{"must":[{"has_id":[${FLAT.map((id) => (id.length === 36 ? `"${id}"` : id)).join()}]}]}`;

const withVector = (name: string) => ['--filter', `{"must":[{"has_vector":"${name}"}]}`];
const hasVector =
  (name: string) =>
  ({ vectors }: RecordedPoint) =>
    vectors.has(name);

const PLAIN: readonly Omit<RecordedExport, 'collection'>[] = [
  { schema: 'keyed', warnings: [TWO_KEYS_TWICE] },
  { schema: 'points', warnings: [] },
  {
    schema: 'pinecone',
    args: ['--filter', HAS_FLAT_ID],
    takes: ({ id }) => FLAT.includes(id),
    warnings: { grpc: [TWO_NULLS, willRound(2)], rest: [TWO_NULLS, willRound(4)] },
  },
  { schema: 'milvus', warnings: [] },
];

const all = (collection: string, warnings: readonly string[] = []): readonly RecordedExport[] =>
  (['keyed', 'points', 'pinecone', 'milvus'] as const).map((schema) => ({ collection, schema, warnings }));

/** Every recorded collection in every schema that it fits, or can be made to fit; the alias in two of them. */
export const RECORDED_EXPORTS: readonly RecordedExport[] = [
  ...PLAIN.map((each) => ({ ...each, collection: 'plain' })),
  ...PLAIN.slice(0, 2).map((each) => ({ ...each, collection: 'plain-alias' })),
  ...all('cosine', [NORMALISED]),
  { collection: 'named', schema: 'keyed', warnings: ROUNDED },
  { collection: 'named', schema: 'points', warnings: ROUNDED },
  {
    collection: 'named',
    schema: 'pinecone',
    args: ['--vectors', 'text,bm25', ...withVector('text')],
    vectors: ['bm25', 'text'],
    takes: hasVector('text'),
    warnings: [],
  },
  {
    collection: 'named',
    schema: 'milvus',
    args: ['--vectors', 'text', ...withVector('text')],
    vectors: ['text'],
    takes: hasVector('text'),
    warnings: [],
  },
  { collection: 'sparse_only', schema: 'keyed', warnings: [] },
  { collection: 'sparse_only', schema: 'points', warnings: [] },
  {
    collection: 'sparse_only',
    schema: 'milvus',
    args: withVector('s'),
    takes: hasVector('s'),
    warnings: ['Milvus imports sparse vectors from Parquet structs from version 2.5.8 on.'],
  },
  { collection: 'multi', schema: 'keyed', warnings: [NORMALISED] },
  { collection: 'multi', schema: 'points', warnings: [NORMALISED] },
  ...all('quantized'),
  ...all('three shards'),
  ...all('empty'),
  ...all('ünï #1% &co'),
  ...all('strict'),
  ...all('tenants').map((each) => ({
    ...each,
    warnings: each.schema === 'points' ? [] : [noShardKeys(each.schema)],
  })),
  ...all('same ids').map((each) => ({
    ...each,
    warnings: each.schema === 'points' ? [] : [TWO_KEYS_TWICE, noShardKeys(each.schema)],
  })),
];

/** Collections with integers above i64, which gRPC can only give as doubles. */
export const HAVE_HUGE_INTEGERS: readonly string[] = ['plain', 'plain-alias'];

/** The name of an export's golden file, without its end. */
export function exportName({ collection, schema }: RecordedExport): string {
  const safe = collection.normalize('NFKD').replace(/[^a-zA-Z0-9]+/g, '-');
  return `${safe.replace(/^-|-$/g, '')}.${schema}`;
}

/** Pins qdrant.exported_at, so that files can be compared. */
export const SOURCE_DATE_EPOCH = '1700000000';

export interface ExportedFile {
  readonly path: string;
  readonly result: ExporterResult;
}

/** The recorded servers of both versions, and exports from them, each made once. */
export interface RecordedServers {
  of(version: RecordedVersion): QdrantDouble;
  /** Uncompressed; a run that fails rejects with what it printed. */
  exported(one: RecordedExport, version: RecordedVersion, protocol: Protocol): Promise<ExportedFile>;
  stop(): Promise<void>;
}

export async function startRecordedServers(): Promise<RecordedServers> {
  const folder = mkdtempSync(join(tmpdir(), 'recorded-'));
  const doubles = new Map<RecordedVersion, QdrantDouble>();
  for (const version of RECORDED_VERSIONS) {
    // The recorded limit of five reads a minute would take minutes to keep.
    const options = { version, recorded: ['standalone', 'cluster'], rateLimitScale: 1e5 } as const;
    doubles.set(version, await startQdrantDouble(options));
  }
  const of = (version: RecordedVersion) => doubles.get(version) as QdrantDouble;
  const files = new Map<string, Promise<ExportedFile>>();
  const queue = new Queue(availableParallelism());
  return {
    of,
    exported(one, version, protocol) {
      const name = `${version}.${protocol}.${exportName(one)}`;
      const path = join(folder, `${name}.parquet`);
      const file = files.get(name) ?? queue.run(() => exportedTo(path, one, of(version), protocol));
      files.set(name, file);
      return file;
    },
    async stop() {
      for (const double of doubles.values()) await double.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

async function exportedTo(
  path: string,
  { args = [], collection, schema }: RecordedExport,
  double: QdrantDouble,
  protocol: Protocol,
): Promise<ExportedFile> {
  const result = await runExporter(
    [
      ...reading(double, protocol, collection),
      ...['--strategy', 'parquet-med', '--schema', schema, '--output', path],
      ...['--compression', 'none', '--json', ...args],
    ],
    { env: { SOURCE_DATE_EPOCH } },
  );
  if (result.code !== 0) throw new Error(`exporter-r2 ended with ${result.code}:\n${result.stderr}`);
  return { path, result };
}

/** Flags that read a collection from a double. */
export function reading(double: QdrantDouble, protocol: Protocol, collection: string): readonly string[] {
  const where = protocol === 'grpc' ? ['--url', double.grpcUrl] : ['--http', '--url', double.restUrl];
  return ['--collection', collection, ...where];
}

/** Runs so many jobs at once. */
class Queue {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
