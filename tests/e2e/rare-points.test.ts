import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectColumns } from '../support/expect-columns.ts';
import { runExporter } from '../support/exporter.ts';
import {
  DUCKDB_MISSING,
  type ForeignCell,
  PYARROW_MISSING,
  queryWithDuckDb,
  readAllWithPyarrow,
} from '../support/foreign-readers.ts';
import { exportOnce } from '../support/one-export.ts';
import type { TestColumn } from '../support/parquet-tables.ts';
import type { ShardKey } from '../support/qdrant-double/collection.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { type GeneratedPoint, generatedPoint } from '../support/qdrant-double/generated-point.ts';
import type { GeneratedVector } from '../support/qdrant-double/generated-vector.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { richPayload } from '../support/qdrant-double/rich-payload.ts';
import type { StoredVector } from '../support/qdrant-double/stored-point.ts';
import { reading, SOURCE_DATE_EPOCH } from '../support/recorded-exports.ts';
import { PROTOCOLS, RECORDED_VERSIONS, type RecordedVersion } from '../support/recorded-points.ts';

setDefaultTimeout(90_000);

/** Every kind of vector and of datatype, some of which most points lack. */
const EVERY_KIND: GeneratedCollection = {
  name: 'every kind',
  points: 3_000,
  dimensions: 0,
  ids: 'mixed',
  keys: true,
  vectors: [
    { kind: 'dense', name: 'bytes', size: 6, datatype: 'uint8', missing: 7 },
    { kind: 'multi', name: 'colbert', size: 5, rows: 6, missing: 3 },
    { kind: 'dense', name: 'half', size: 3, datatype: 'float16' },
    { kind: 'multi', name: 'late', size: 2, datatype: 'float16', missing: (at) => at % 500 !== 499 },
    { kind: 'sparse', name: 'bm25', entries: 12, missing: 4 },
    { kind: 'sparse', name: 'rare', missing: (at) => at < 2_990 },
    { kind: 'dense', name: 'text', size: 8, missing: 2 },
  ],
};
/** A dense vector without a name, beside a sparse one that has one: points may lack either or both. */
const BESIDE: GeneratedCollection = {
  name: 'beside',
  points: 60,
  dimensions: 0,
  ids: 'uuid',
  vectors: [
    { kind: 'dense', name: '', size: 3, missing: 3 },
    { kind: 'sparse', name: 's', entries: 5, missing: 2 },
  ],
};
/** The same ids under every key, with contents of their own. */
const TENANTS: GeneratedCollection = {
  name: 'tenants',
  points: 700,
  dimensions: 0,
  ids: 'mixed',
  vectors: [{ kind: 'dense', name: '', size: 2 }],
  shardKeys: [{ key: 'é' }, { key: 12 }, { key: 7, first: 100, points: 450 }],
};
const MB = 1024 * 1024;
/** One payload that is larger than an answer should be, among small ones. */
const LARGE: GeneratedCollection = {
  name: 'large',
  points: 5,
  dimensions: 4,
  payload: (at) => (at === 3 ? richPayload({ bytes: 10 * MB }) : richPayload()),
};
/** Deeper than the decoders of other clients go. */
const DEEP: GeneratedCollection = {
  name: 'deep',
  points: 5,
  dimensions: 4,
  payload: (at) => richPayload({ depth: 57 + at }),
};
const COLLECTIONS = [EVERY_KIND, BESIDE, TENANTS, LARGE, DEEP] as const;

/** No more than wanted; and a work unit, which is under one shard key, is not cut for one. */
const ROW_GROUPS: Readonly<Record<string, readonly number[]>> = {
  'every kind': [1000, 1000, 1000],
  beside: [60],
  tenants: [450, 700, 700],
  large: [5],
  deep: [5],
};

const folder = mkdtempSync(join(tmpdir(), 'rare-'));
const servers = new Map<RecordedVersion, QdrantDouble>();
for (const version of RECORDED_VERSIONS) {
  servers.set(version, await startQdrantDouble({ version, generated: COLLECTIONS }));
}
afterAll(async () => {
  for (const server of servers.values()) await server.stop();
  rmSync(folder, { recursive: true });
});

/** Several row groups; pages and retrieves that end where row groups do not. */
const SHAPE = ['--strategy', 'parquet-med', '--row-group-size', '1000'];
const TWO_PASSES = ['--passes', 'two', '--batch-size', '700'];
const ONE_PASS = ['--passes', 'one', '--batch-size', '333'];
const WAYS = [
  { version: '1.16.3', protocol: 'grpc', args: TWO_PASSES },
  { version: '1.16.3', protocol: 'rest', args: ONE_PASS },
  { version: '1.18.3', protocol: 'grpc', args: ONE_PASS },
  { version: '1.18.3', protocol: 'rest', args: TWO_PASSES },
] as const;

let paths = 0;
async function exported(
  version: RecordedVersion,
  args: readonly string[],
  PATH = process.env.PATH,
): Promise<string> {
  const path = join(folder, `${++paths}.parquet`);
  const run = await runExporter([...args, '--schema', 'points', '--output', path, '--strict'], {
    env: { SOURCE_DATE_EPOCH, PATH },
  });
  expect({ version, code: run.code, stderr: run.code === 0 ? '' : run.stderr }).toEqual({
    version,
    code: 0,
    stderr: '',
  });
  return path;
}

/** The same file in all ways; gives one of them. */
async function exportedInAllWays(collection: GeneratedCollection): Promise<string> {
  const made = await Promise.all(
    WAYS.map(async ({ args, protocol, version }) => {
      const from = reading(servers.get(version) as QdrantDouble, protocol, collection.name);
      return exported(version, [...from, ...args, ...SHAPE]);
    }),
  );
  // Versions are equally long, so nothing else in the file tells them apart.
  const contents = WAYS.map(({ version }, at) =>
    readFileSync(made[at] as string, 'latin1').replace(version, ''),
  );
  const same = contents.map((each) => each === contents[0]);
  expect(same).toEqual(WAYS.map(() => true));
  return made[0] as string;
}

const files = new Map<string, Promise<string>>();
function fileOf(collection: GeneratedCollection): Promise<string> {
  const file = files.get(collection.name) ?? exportedInAllWays(collection);
  files.set(collection.name, file);
  return file;
}

describe('the bytes of a file do not depend on version, protocol or passes:', () => {
  for (const collection of COLLECTIONS) {
    test(collection.name, async () => {
      expect(readFileSync(await fileOf(collection)).length).toBeGreaterThan(1000);
    });
  }
});

interface Row extends GeneratedPoint {
  readonly key: string | null;
}

/** Rows in the order of an export: shard keys, numbers first, and ids within them. */
function rowsOf(collection: GeneratedCollection): readonly Row[] {
  const { points, shardKeys } = collection;
  if (shardKeys === undefined) return shardRows(collection, undefined, 0, points);
  const shards = shardKeys.toSorted(({ key: a }, { key: b }) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : typeof a === 'number' ? -1 : 1,
  );
  return shards.flatMap(({ key, first = 0, points: count = points - first }) =>
    shardRows(collection, key, first, count),
  );
}

function shardRows(
  collection: GeneratedCollection,
  key: ShardKey | undefined,
  first: number,
  count: number,
): readonly Row[] {
  return Array.from({ length: count }, (_, at) => ({
    ...generatedPoint(collection, first + at, key),
    key: key === undefined ? null : String(key),
  }));
}

function columnsOf(collection: GeneratedCollection): readonly TestColumn[] {
  const rows = rowsOf(collection);
  const vectors = collection.vectors ?? [{ kind: 'dense', name: '', size: collection.dimensions } as const];
  const inOrder = vectors.toSorted((a: GeneratedVector, b: GeneratedVector) => (a.name < b.name ? -1 : 1));
  return [
    { kind: 'text', name: 'id', cells: rows.map(({ id }) => id) },
    { kind: 'text', name: 'payload', cells: rows.map(({ payloadJson }) => payloadJson) },
    ...inOrder.map(({ kind, name }) => {
      const cells = rows.map((row) => cellOf(row.vectors.get(name)));
      return { kind, name: name === '' ? 'vector' : `vector_${name}`, cells } as TestColumn;
    }),
    { kind: 'text', name: 'shard_key', cells: rows.map(({ key }) => key) },
  ];
}

function cellOf(vector: StoredVector | undefined): ForeignCell {
  switch (vector?.kind) {
    case undefined:
      return null;
    case 'dense':
      return vector.values;
    case 'multi':
      return vector.rows;
    case 'sparse':
      return { indices: Uint32Array.from(vector.indices), values: vector.values };
  }
}

const missing = PYARROW_MISSING === undefined ? '' : `: ${PYARROW_MISSING}`;
describe.skipIf(PYARROW_MISSING !== undefined)(
  `pyarrow reads what the server has, bit for bit${missing}`,
  () => {
    let read: ReturnType<typeof readAllWithPyarrow> | undefined;
    for (const [at, collection] of COLLECTIONS.entries()) {
      test(collection.name, async () => {
        // One process for all files, which takes longer to start than to read one.
        read ??= (async () => readAllWithPyarrow(await Promise.all(COLLECTIONS.map(fileOf))))();
        const file = (await read)[at];
        expectColumns(file?.columns ?? {}, columnsOf(collection));
        expect(file?.rowGroups).toEqual(ROW_GROUPS[collection.name] ?? []);
      });
    }
  },
);

/** Another protocol for each, so that both are converted. */
const CONVERTERS = [
  { name: 'DuckDB', PATH: process.env.PATH, protocol: 'grpc', without: DUCKDB_MISSING },
  { name: 'the built-in converter', PATH: '/nowhere', protocol: 'rest', without: undefined },
] as const;

for (const { name, PATH, protocol, without } of CONVERTERS) {
  const why = PYARROW_MISSING ?? without;
  describe.skipIf(why !== undefined)(
    `pyarrow reads the same by the default strategy and ${name}, bit for bit${why === undefined ? '' : `: ${why}`}`,
    () => {
      let read: ReturnType<typeof readAllWithPyarrow> | undefined;
      const made = () =>
        Promise.all(
          COLLECTIONS.map((collection) => {
            const server = servers.get('1.18.3') as QdrantDouble;
            return exported('1.18.3', reading(server, protocol, collection.name), PATH);
          }),
        );
      for (const [at, collection] of COLLECTIONS.entries()) {
        test(collection.name, async () => {
          read ??= (async () => readAllWithPyarrow(await made()))();
          expectColumns((await read)[at]?.columns ?? {}, columnsOf(collection));
        });
      }
    },
  );
}

const withoutDuckDb = DUCKDB_MISSING === undefined ? '' : `: ${DUCKDB_MISSING}`;
describe.skipIf(DUCKDB_MISSING !== undefined)(`DuckDB reads${withoutDuckDb}`, () => {
  test('a payload of 10 MB, and finds values in it', async () => {
    const [row] = (await queryWithDuckDb(
      await fileOf(LARGE),
      `SELECT octet_length(encode(payload)) AS bytes, length(payload->>'$.long') AS long, md5(payload) AS hash FROM file WHERE id = '10'`,
    )) as { bytes: number; long: number; hash: string }[];
    const { payloadJson } = generatedPoint(LARGE, 3);
    expect(row).toEqual({
      bytes: Buffer.byteLength(payloadJson),
      long: 10 * MB,
      hash: new Bun.CryptoHasher('md5').update(payloadJson).digest('hex'),
    });
  });

  test('a payload of 60 levels, which is JSON all the way down', async () => {
    const rows = await queryWithDuckDb(
      await fileOf(DEEP),
      `SELECT json_valid(payload) AS valid, payload LIKE '%"bottom"%' AS whole FROM file`,
    );
    expect(rows).toEqual(Array(DEEP.points).fill({ valid: true, whole: true }));
  });
});

describe('a collection whose strict mode limits reads', () => {
  /** Three points a page and five reads at once, of which the run needs ten. */
  const LIMITED: GeneratedCollection = {
    name: 'limited',
    points: 12,
    dimensions: 4,
    strictMode: { maxQueryLimit: 3, readRateLimit: 5, maxTimeoutSeconds: 30 },
  };

  test('is exported whole, in pages as it allows them, however long that takes', async () => {
    for (const run of await Promise.all(
      PROTOCOLS.map(async (protocol) => {
        const server = await startQdrantDouble({ generated: [LIMITED], rateLimitScale: 60 });
        try {
          return await exportOnce(server, protocol, LIMITED.name, ['--strict']);
        } finally {
          await server.stop();
        }
      }),
    )) {
      expect(run.error).toBeUndefined();
      expect(run.columns?.key).toEqual(rowsOf(LIMITED).map(({ id }) => id));
      expect(run.columns?.vector).toEqual(rowsOf(LIMITED).map(({ vector }) => vector));
      const reads = run.requests.filter(({ points }) => points > 0);
      expect(reads.length).toBeGreaterThanOrEqual(8);
      expect(Math.max(...reads.map(({ points }) => points))).toBe(3);
      expect(Math.max(...reads.map(({ timeoutSeconds = 0 }) => timeoutSeconds))).toBe(30);
    }
  });
});
