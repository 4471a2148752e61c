import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import packageJson from '../../package.json' with { type: 'json' };
import { expectColumns } from '../support/expect-columns.ts';
import {
  DUCKDB_MISSING,
  type ForeignColumns,
  PYARROW_MISSING,
  type PyarrowFile,
  queryWithDuckDb,
  readAllWithPyarrow,
  readColumnsWithDuckDb,
  readColumnsWithHyparquet,
} from '../support/foreign-readers.ts';
import { GOLDEN_COMMAND, GOLDEN_FILES, GOLDEN_VERSION, keptGoldenFiles } from '../support/golden-files.ts';
import {
  type ExportedFile,
  exportName,
  HAVE_HUGE_INTEGERS,
  RECORDED_EXPORTS,
  type RecordedExport,
  type RecordedServers,
  SOURCE_DATE_EPOCH,
  startRecordedServers,
} from '../support/recorded-exports.ts';
import {
  PROTOCOLS,
  type Protocol,
  RECORDED_NAMES,
  RECORDED_VERSIONS,
  type RecordedVersion,
  recordedCollection,
} from '../support/recorded-points.ts';
import { type RecordedTable, recordedTable, testColumns } from '../support/recorded-tables.ts';

setDefaultTimeout(120_000);

interface Source {
  readonly version: RecordedVersion;
  readonly protocol: Protocol;
}

const SOURCES: readonly Source[] = RECORDED_VERSIONS.flatMap((version) =>
  PROTOCOLS.map((protocol) => ({ version, protocol })),
);
/** The version whose files are read; the others have the same bytes. */
const READ: RecordedVersion = GOLDEN_VERSION;
const EXPORTED_AT = new Date(Number(SOURCE_DATE_EPOCH) * 1000).toISOString();

let servers: RecordedServers;
beforeAll(async () => {
  servers = await startRecordedServers();
  // Begun now, so that every core has work; whoever waits for one of them hears of its failure.
  for (const one of RECORDED_EXPORTS) for (const source of SOURCES) exported(one, source).catch(() => {});
});
afterAll(() => servers.stop());

const exported = (one: RecordedExport, { protocol, version }: Source): Promise<ExportedFile> =>
  servers.exported(one, version, protocol);

/** Protocols whose files differ from one another. */
const protocolsOf = ({ collection }: RecordedExport): readonly Protocol[] =>
  HAVE_HUGE_INTEGERS.includes(collection) ? PROTOCOLS : ['rest'];

/** What is to be read of an export: a file for each protocol whose file is different. */
const READINGS = RECORDED_EXPORTS.flatMap((one) =>
  protocolsOf(one).map((protocol) => ({ one, protocol, version: READ })),
);

/** By the recordings of one version. */
function wanted(one: RecordedExport, { protocol, version }: Source): RecordedTable {
  return recordedTable(recordedCollection(one.collection, version, protocol), one);
}

function warningsOf({ warnings }: RecordedExport, protocol: Protocol): readonly string[] {
  return 'grpc' in warnings ? warnings[protocol] : warnings;
}

/** All files in one process, which takes longer to start than to read one. */
let pyarrowFiles: Promise<ReadonlyMap<string, PyarrowFile>> | undefined;
function readByPyarrow(path: string): Promise<PyarrowFile> {
  pyarrowFiles ??= (async () => {
    const paths = await Promise.all(READINGS.map(async (each) => (await exported(each.one, each)).path));
    const files = await readAllWithPyarrow(paths);
    return new Map(paths.map((each, at) => [each, files[at] as PyarrowFile]));
  })();
  return pyarrowFiles.then((files) => files.get(path) as PyarrowFile);
}

const READERS: readonly {
  readonly name: string;
  readonly missing: string | undefined;
  readonly read: (path: string) => Promise<ForeignColumns>;
}[] = [
  { name: 'DuckDB', missing: DUCKDB_MISSING, read: readColumnsWithDuckDb },
  {
    name: 'pyarrow',
    missing: PYARROW_MISSING,
    read: async (path) => (await readByPyarrow(path)).columns,
  },
  { name: 'hyparquet', missing: undefined, read: readColumnsWithHyparquet },
];

test('every recorded collection is exported', () => {
  const names = new Set(RECORDED_EXPORTS.map(({ collection }) => collection));
  expect([...names].sort()).toEqual([...RECORDED_NAMES].sort());
  const files = RECORDED_EXPORTS.map(exportName);
  expect(new Set(files).size).toBe(files.length);
});

describe('a file has the same bytes from either version over either protocol:', () => {
  for (const one of RECORDED_EXPORTS) {
    test(exportName(one), async () => {
      for (const reference of protocolsOf(one)) {
        const wanted = withoutVersion(
          readFileSync((await exported(one, { protocol: reference, version: READ })).path, 'latin1'),
          READ,
        );
        for (const source of SOURCES) {
          if (protocolsOf(one).length > 1 && source.protocol !== reference) continue;
          const { path } = await exported(one, source);
          const found = withoutVersion(readFileSync(path, 'latin1'), source.version);
          expect({ ...source, same: found === wanted }).toEqual({ ...source, same: true });
        }
      }
    });
  }
});

/** Versions are equally long, so that no length in the file tells them apart. */
function withoutVersion(file: string, version: RecordedVersion): string {
  expect(file.split(version)).toHaveLength(2);
  return file.replace(version, '0.00.0');
}

describe('a file is byte for byte the golden one:', () => {
  for (const golden of GOLDEN_FILES) {
    test(golden.name, async () => {
      const { path } = await exported(golden.export, { protocol: golden.protocol, version: READ });
      const kept = existsSync(golden.path) ? readFileSync(golden.path) : Buffer.alloc(0);
      if (kept.equals(readFileSync(path))) return;
      throw new Error(
        `what is written is not tests/golden/${golden.name} (${kept.length} bytes) any more; if that is meant, \`${GOLDEN_COMMAND}\` keeps the new files`,
      );
    });
  }

  test('and no others are kept', () => {
    expect([...keptGoldenFiles()].sort()).toEqual(GOLDEN_FILES.map(({ name }) => name).sort());
  });
});

for (const { name, missing, read } of READERS) {
  const title = `${name} reads what was recorded${missing === undefined ? '' : `: ${missing}`}`;
  describe.skipIf(missing !== undefined)(title, () => {
    for (const each of READINGS) {
      test(`${exportName(each.one)}, over ${each.protocol}`, async () => {
        const found = await read((await exported(each.one, each)).path);
        for (const version of RECORDED_VERSIONS) {
          expectColumns(found, testColumns(wanted(each.one, { ...each, version })));
        }
      });
    }
  });
}

describe.skipIf(DUCKDB_MISSING !== undefined)(
  `the types of columns in DuckDB${DUCKDB_MISSING === undefined ? '' : `: ${DUCKDB_MISSING}`}`,
  () => {
    test('are those of the contract', async () => {
      // One process for all files, which takes longer to start than to look at one.
      const paths = await Promise.all(READINGS.map(async (each) => (await exported(each.one, each)).path));
      const types = paths.map(
        (path) =>
          `SELECT '${path}' AS path, list({name: column_name, type: column_type}) AS columns FROM (DESCRIBE SELECT * FROM read_parquet('${path}'))`,
      );
      const found = (await queryWithDuckDb(paths[0] as string, types.join(' UNION ALL '))) as {
        path: string;
        columns: readonly { name: string; type: string }[];
      }[];
      const byPath = new Map(found.map(({ path, columns }) => [path, columns]));
      for (const [at, { one, protocol, version }] of READINGS.entries()) {
        const { columns } = wanted(one, { protocol, version });
        expect({ name: exportName(one), columns: byPath.get(paths[at] as string) }).toEqual({
          name: exportName(one),
          columns: columns.map(({ name, types: { duckDb } }) => ({ name, type: duckDb })),
        });
      }
    });
  },
);

describe.skipIf(PYARROW_MISSING !== undefined)(
  `the types of columns in pyarrow${PYARROW_MISSING === undefined ? '' : `: ${PYARROW_MISSING}`}`,
  () => {
    for (const { one, protocol, version } of READINGS) {
      test(`${exportName(one)}, over ${protocol}`, async () => {
        const { columns } = wanted(one, { protocol, version });
        const file = await readByPyarrow((await exported(one, { protocol, version })).path);
        expect(file.schema).toEqual(columns.map((column) => `${column.name}: ${column.types.pyarrow}`));
      });
    }
  },
);

describe('the key-value metadata tells what the file was made of:', () => {
  for (const each of READINGS) {
    test(`${exportName(each.one)}, over ${each.protocol}`, async () => {
      const { one, protocol } = each;
      const file = await asyncBufferFromFile((await exported(one, each)).path);
      const { created_by, key_value_metadata } = await parquetMetadataAsync(file);
      const collection = recordedCollection(one.collection, READ, protocol);
      const { columns } = recordedTable(collection, one);
      const vectors = columns.flatMap(({ name: column, vector }) => {
        if (vector === undefined) return [];
        const { size, distance, ...rest } = vector;
        return [[column, vector.kind === 'sparse' ? rest : { ...rest, size, distance }] as const];
      });
      const { 'qdrant.vectors': described, ...found } = Object.fromEntries(
        (key_value_metadata ?? []).map(({ key, value }) => [key, value]),
      );
      expect(JSON.parse(described as string)).toEqual(Object.fromEntries(vectors));
      const tool = `qdrant-export-tools ${packageJson.version}`;
      expect(found).toEqual({
        'qdrant.collection': one.collection,
        'qdrant.collection_config': collection.config,
        ...(collection.shardKeys === undefined ? {} : { 'qdrant.shard_keys': collection.shardKeys }),
        'qdrant.server_version': READ,
        'qdrant.schema': one.schema,
        'qdrant.exporter': tool,
        'qdrant.exported_at': EXPORTED_AT,
      });
      expect(created_by).toBe(tool);
    });
  }
});

describe('the manifest beside the file and the document of --json tell what was exported:', () => {
  for (const one of RECORDED_EXPORTS) {
    test(exportName(one), async () => {
      for (const source of SOURCES) {
        const { path, result } = await exported(one, source);
        const manifest = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
        expect(manifest).toEqual(wantedManifest(one, source, path));
        expect(Date.parse(manifest.startedAt)).toBeLessThanOrEqual(Date.parse(manifest.finishedAt));
        const [file] = manifest.files;
        expect(result.json()).toMatchObject({
          ...manifest,
          files: [{ ...file, location: path }],
          dryRun: false,
          manifestLocation: `${path}.json`,
          plan: { protocol: source.protocol, points: manifest.counts.rows, vectors: manifest.vectors },
        });
        expect(result.workFiles).toEqual([]);
      }
    });
  }
});

const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

function wantedManifest(one: RecordedExport, source: Source, path: string) {
  const { args = [], schema } = one;
  const collection = recordedCollection(one.collection, source.version, source.protocol);
  const { columns, duplicateKeys, emptyVectors, keysFromPayload, rows } = recordedTable(collection, one);
  const bytes = readFileSync(path);
  const flag = (name: string): string | null => args[args.indexOf(name) + 1 || args.length] ?? null;
  return {
    manifest: 1,
    tool: { name: 'exporter-r2', version: packageJson.version },
    collection: collection.collection,
    alias: collection.name === collection.collection ? null : collection.name,
    serverVersion: source.version,
    collectionConfig: JSON.parse(collection.config),
    vectors: collection.vectors.filter((spec) => columns.some(({ vector }) => vector === spec)),
    options: {
      schema,
      strategy: 'parquet-med',
      rowGroupSize: 10_000,
      splitSize: null,
      compression: 'none',
      vectorEncoding: 'plain',
      keyField: schema === 'keyed' ? 'key' : null,
      metadataField: null,
      vectors: flag('--vectors')?.split(',') ?? null,
      filter: flag('--filter'),
      limit: null,
      shardKey: null,
    },
    startedAt: expect.stringMatching(ISO_TIME),
    finishedAt: expect.stringMatching(ISO_TIME),
    counts: {
      before: rows,
      after: rows,
      idsSeen: rows,
      rows,
      missing: 0,
      emptyVectors,
      keysFromPayload,
      duplicateKeys,
      duplicateKeysExact: duplicateKeys === null ? null : true,
    },
    files: [
      {
        key: path,
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        rows,
        rowGroups: rows === 0 ? 0 : 1,
        etag: null,
      },
    ],
    warnings: warningsOf(one, source.protocol),
  };
}
