import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../../lib/manifest.ts';
import { bitsOf } from '../support/batches.ts';
import { runExporter } from '../support/exporter.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import {
  DUCKDB_MISSING,
  type ForeignRow,
  PYARROW_MISSING,
  readWithDuckDb,
  readWithHyparquet,
  readWithPyarrow,
} from '../support/foreign-readers.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { NO_S3_SERVER, startS3Server } from '../support/s3-server.ts';
import { makeTestCertificates, tlsSkipReason } from '../support/tls.ts';
import { canonicalOf } from '../unit/qdrant/canonical-oracle.ts';

setDefaultTimeout(90_000);

const VERSIONS = ['1.16.3', '1.18.3'] as const;
const PROTOCOLS = ['grpc', 'rest'] as const;
type Version = (typeof VERSIONS)[number];
type Protocol = (typeof PROTOCOLS)[number];

/** Recorded collections that this version can write. */
const RECORDED = [
  'plain',
  'plain-alias',
  'cosine',
  'quantized',
  'three shards',
  'empty',
  'ünï #1% &co',
] as const;
/** Those with integers above i64, which gRPC can only give as doubles. */
const WITH_HUGE: readonly string[] = ['plain', 'plain-alias'];

/** Pins qdrant.exported_at, so that files can be compared. */
const DATE = { SOURCE_DATE_EPOCH: '1700000000' };
const RECORDINGS = join(import.meta.dir, '../recordings/qdrant');
const API_KEY = 'api-key-that-nobody-may-see';
/** Parquet from the first byte on: the same bytes whatever converters there are. */
const PARQUET = ['--strategy', 'parquet-med'] as const;

const folder = mkdtempSync(join(tmpdir(), 'e2e-export-'));
const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

let paths = 0;
const newPath = () => join(folder, `${++paths}.parquet`);

/** Where a run reads from. */
interface Source {
  readonly grpcUrl: string;
  readonly restUrl: string;
}

async function double(options: QdrantDoubleOptions) {
  const started = await startQdrantDouble(options);
  stops.push(() => started.stop());
  return started;
}

const reading = ({ grpcUrl, restUrl }: Source, protocol: Protocol, collection: string) => [
  ...['--collection', collection],
  ...(protocol === 'grpc' ? ['--url', grpcUrl] : ['--http', '--url', restUrl]),
];

/** Exports to a new local file and gives its path; a run that fails fails the test with what it printed. */
async function exported(
  source: Source,
  protocol: Protocol,
  collection: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return exportedBy(PARQUET, source, protocol, collection, args, env);
}

async function exportedBy(
  strategy: readonly string[],
  source: Source,
  protocol: Protocol,
  collection: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const path = newPath();
  const run = await runExporter(
    [...reading(source, protocol, collection), '--output', path, ...strategy, ...args],
    { env: { ...DATE, ...env } },
  );
  expect(run).toMatchObject({ code: 0, stdout: '', workFiles: [] });
  expect(manifestBeside(path).files).toMatchObject([{ key: path, ...digestOf(readFileSync(path)) }]);
  return path;
}

function manifestBeside(path: string): Manifest {
  return JSON.parse(readFileSync(`${path}.json`, 'utf8')) as Manifest;
}

/** What a manifest says of a file's bytes, without any code of the program. */
function digestOf(bytes: Uint8Array) {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function expectSameBytes(path: string, reference: string): void {
  expect(Buffer.compare(readFileSync(path), readFileSync(reference))).toBe(0);
}

interface Row {
  readonly key: string;
  readonly metadata: string;
  readonly vector: readonly number[] | null;
}

const rowsOf = (rows: readonly ForeignRow[]): Row[] =>
  rows.map(({ key, metadata, vector }) => ({ key, metadata, vector: bitsOf(vector) }));

const READERS = [
  { name: 'DuckDB', missing: DUCKDB_MISSING, read: readWithDuckDb },
  {
    name: 'pyarrow',
    missing: PYARROW_MISSING,
    read: async (path: string) => (await readWithPyarrow(path)).rows,
  },
  { name: 'hyparquet', missing: undefined, read: readWithHyparquet },
] as const;

const recordings: readonly { name: string; create: string; points: readonly string[] }[] = JSON.parse(
  readFileSync(join(RECORDINGS, 'collections.json'), 'utf8'),
);

function recorded(name: string) {
  const found = recordings.find((collection) => collection.name === name);
  if (found === undefined) throw new Error(`${name} is not among the recordings`);
  return found;
}

/** Points of a collection as they come back: as they were put in, but for what Cosine normalises. */
function recordedPoints(collection: string, version: Version): readonly string[] {
  if (collection === 'plain-alias') return recorded('plain').points;
  if (collection !== 'cosine') return recorded(collection).points;
  const exchanges: { name: string; response: { body: string } }[] = JSON.parse(
    readFileSync(join(RECORDINGS, version, 'rest.json'), 'utf8'),
  );
  const answer = exchanges.find(({ name }) => name === 'scroll everything cosine');
  const points: unknown[] = JSON.parse(answer?.response.body ?? '').result.points;
  return points.map((point) => JSON.stringify(point));
}

/** The rows that a collection's points make, in Qdrant's order, without any code of the program. */
function expectedRows(points: readonly string[], protocol: Protocol): Row[] {
  const rows = points.map((text) => {
    const parts = /^\{"id":(.*?),"payload":(.*),"vector":(.*)\}$/s.exec(canonicalOf(text));
    if (parts === null) throw new Error(`not a point: ${text}`);
    const [, id = '', payload = '', vector = ''] = parts;
    const { key } = JSON.parse(payload);
    return {
      id: id.replaceAll('"', ''),
      key: typeof key === 'string' && key !== '' ? key : id.replaceAll('"', ''),
      metadata: protocol === 'grpc' ? asGrpcCarries(payload) : payload,
      vector: bitsOf(Float32Array.from(JSON.parse(vector))),
    };
  });
  return rows.sort((a, b) => compareIds(a.id, b.id)).map(({ id, ...row }) => row);
}

/** gRPC has i64 and double: what is above i64 arrives as the nearest double. */
function asGrpcCarries(payload: string): string {
  return payload
    .replace('"above_i64":9223372036854775808', '"above_i64":9223372036854776000.0')
    .replace('"u64":18446744073709551615', '"u64":18446744073709552000.0');
}

function compareIds(a: string, b: string): number {
  const [aIsUuid, bIsUuid] = [a.length === 36, b.length === 36];
  if (aIsUuid !== bIsUuid) return aIsUuid ? 1 : -1;
  if (aIsUuid) return a < b ? -1 : 1;
  return BigInt(a) < BigInt(b) ? -1 : 1;
}

const recordedServers = new Map<Version, Source>();
for (const version of VERSIONS) {
  recordedServers.set(version, await double({ version, recorded: ['standalone'] }));
}
const recordedServer = (version: Version) => recordedServers.get(version) as Source;

/** Files that several tests look at are written once. */
const files = new Map<string, Promise<string>>();
function recordedFile(version: Version, protocol: Protocol, collection: string): Promise<string> {
  const name = JSON.stringify([version, protocol, collection]);
  let file = files.get(name);
  if (file === undefined) {
    file = exported(recordedServer(version), protocol, collection);
    files.set(name, file);
  }
  return file;
}

for (const { name, missing, read } of READERS) {
  const title = `exporter-r2 --output, read by ${name}${missing === undefined ? '' : `: ${missing}`}`;
  describe.skipIf(missing !== undefined)(title, () => {
    for (const collection of RECORDED) {
      test(`holds every point of \`${collection}\` from both versions over both protocols, bit for bit`, async () => {
        for (const version of VERSIONS) {
          for (const protocol of PROTOCOLS) {
            const rows = rowsOf(await read(await recordedFile(version, protocol, collection)));
            expect({ version, protocol, rows }).toEqual({
              version,
              protocol,
              rows: expectedRows(recordedPoints(collection, version), protocol),
            });
          }
        }
      });
    }
  });
}

describe('the bytes of a file', () => {
  for (const version of VERSIONS) {
    test(`do not depend on the protocol, from ${version}`, async () => {
      for (const collection of RECORDED) {
        if (WITH_HUGE.includes(collection)) continue;
        const [grpc, rest] = [
          await recordedFile(version, 'grpc', collection),
          await recordedFile(version, 'rest', collection),
        ];
        expectSameBytes(grpc, rest);
      }
    });
  }

  for (const protocol of PROTOCOLS) {
    test(`do not depend on the server's version but where they name it, over ${protocol}`, async () => {
      for (const collection of RECORDED) {
        const [old = '', now = ''] = await Promise.all(
          VERSIONS.map(async (version) =>
            readFileSync(await recordedFile(version, protocol, collection), 'latin1'),
          ),
        );
        expect(old.split('1.16.3')).toHaveLength(2);
        expect(old.replace('1.16.3', '1.18.3') === now).toBe(true);
      }
    });

    for (const args of [
      ['--passes', 'one'],
      ['--passes', 'two'],
      ['--passes', 'one', '--batch-size', '3'],
      ['--passes', 'two', '--batch-size', '3', '--retrieve-batch', '1', '--parallel', '4'],
      ['--parallel', '1'],
      ['--parallel', '4'],
      ['--retrieve-batch', '1'],
      ['--batch-size', '3'],
    ]) {
      test(`do not depend on ${args.join(' ')}, over ${protocol}`, async () => {
        // Of two versions and two collections, each once: the bytes are made behind what tells them apart.
        for (const [version, collection] of [
          ['1.16.3', 'plain'],
          ['1.18.3', 'three shards'],
        ] as const) {
          expectSameBytes(
            await exported(recordedServer(version), protocol, collection, args),
            await recordedFile(version, protocol, collection),
          );
        }
      });
    }
  }
});

const SMALL: GeneratedCollection = { name: 'small', points: 5_000, dimensions: 3, ids: 'mixed', keys: true };
const LARGE: GeneratedCollection = {
  name: 'large',
  points: 4_500,
  dimensions: 1024,
  ids: 'mixed',
  keys: true,
};
const SHRINKING: GeneratedCollection = {
  name: 'shrinking',
  points: 1_000,
  dimensions: 8,
  ids: 'mixed',
  deleted: (index) => index % 10 === 3,
};
const generated = await double({ generated: [SMALL, LARGE, SHRINKING] });
/** Cosine is what generated collections have unless told. */
const NORMALISED =
  'Qdrant normalises vectors of distance Cosine when it stores them, so their lengths are gone: unnamed vector.';
/** The keys of generated points begin again after 1,024. */
const SMALL_DUPLICATES =
  '3976 rows have a key that a row before has too: the key alone does not tell rows apart.';

function generatedRows(collection: GeneratedCollection, wanted = (_index: number) => true): Row[] {
  const indexes = Array.from({ length: collection.points }, (_, index) => index).filter(wanted);
  return indexes.map((index) => {
    const { id, payload, payloadJson, vector } = generatedPoint(collection, index);
    return {
      key: typeof payload.key === 'string' ? payload.key : id,
      metadata: payloadJson,
      vector: bitsOf(vector),
    };
  });
}

describe.skipIf(PYARROW_MISSING !== undefined)(
  `a generated collection, read by pyarrow${PYARROW_MISSING === undefined ? '' : `: ${PYARROW_MISSING}`}`,
  () => {
    for (const [collection, compression, encoding] of [
      [SMALL, 'zstd', 'plain'],
      [SMALL, 'snappy', 'byte-stream-split'],
      [SMALL, 'gzip', 'plain'],
      [SMALL, 'none', 'byte-stream-split'],
      [LARGE, 'zstd', 'byte-stream-split'],
    ] as const) {
      const { name, points, dimensions } = collection;
      test(`has ${points} points of ${dimensions} dimensions as served: ${compression}, ${encoding}, the same over gRPC and REST`, async () => {
        const args = [
          '--row-group-size',
          '1000',
          '--compression',
          compression,
          '--vector-encoding',
          encoding,
        ];
        const grpc = await exported(generated, 'grpc', name, args);
        expectSameBytes(await exported(generated, 'rest', name, args), grpc);
        const file = await readWithPyarrow(grpc);
        expect(file.schema).toEqual(['key: string', 'metadata: string', 'vector: list<element: float>']);
        expect(file.rowGroups.length).toBe(Math.ceil(points / 1000));
        expect(file.rowGroups.slice(0, -1).every((rows) => rows === 1000)).toBe(true);
        const rows = rowsOf(file.rows);
        const expected = generatedRows(collection);
        expect(rows.length).toBe(expected.length);
        // Row by row: what differs of millions of numbers would not be printed in any sensible time.
        const wrong = rows.findIndex((row, index) => !Bun.deepEquals(row, expected[index]));
        expect(wrong < 0 ? undefined : rows[wrong]).toEqual(wrong < 0 ? undefined : expected[wrong]);
      });
    }
  },
);

describe.skipIf(PYARROW_MISSING !== undefined)('the default strategy', () => {
  for (const [converter, missing, env] of [
    ['DuckDB', DUCKDB_MISSING, {}],
    ['the built-in converter', undefined, { PATH: '/nowhere' }],
  ] as const) {
    test.skipIf(missing !== undefined)(
      `has ${SMALL.points} points as served over gRPC and REST, made into Parquet by ${converter}`,
      async () => {
        const expected = generatedRows(SMALL);
        const shape = ['--row-group-size', '2048'];
        for (const protocol of PROTOCOLS) {
          const path = await exportedBy([], generated, protocol, SMALL.name, shape, env);
          const file = await readWithPyarrow(path);
          expect(file.schema).toEqual(['key: string', 'metadata: string', 'vector: list<element: float>']);
          expect(file.rowGroups).toEqual([2_048, 2_048, 904]);
          const rows = rowsOf(file.rows);
          expect(rows.length).toBe(expected.length);
          const wrong = rows.findIndex((row, index) => !Bun.deepEquals(row, expected[index]));
          expect(wrong < 0 ? undefined : rows[wrong]).toEqual(wrong < 0 ? undefined : expected[wrong]);
        }
      },
    );
  }
});

describe('points that are deleted while the export runs', () => {
  const left = (index: number) => !SHRINKING.deleted?.(index);

  for (const protocol of PROTOCOLS) {
    test(`are counted and reported, over ${protocol}`, async () => {
      const path = newPath();
      const run = await runExporter([
        ...reading(generated, protocol, SHRINKING.name),
        ...['--passes', 'two', '--json', '--output', path],
      ]);
      expect(run.code).toBe(0);
      const counts = { before: 1000, idsSeen: 1000, rows: 900, missing: 100 };
      expect(run.json().counts).toMatchObject(counts);
      expect(manifestBeside(path).counts).toMatchObject(counts);
      const warning = '100 points were deleted while the export ran and are not in the file.';
      expect(run.json().warnings).toEqual([warning, NORMALISED]);
      expect(manifestBeside(path).warnings).toEqual([warning, NORMALISED]);
      expect(run.stderr).toContain(`\nWarning: ${warning}\n`);
      expect(run.stderr).toContain('\nWithout   100 points deleted meanwhile\n');
      expect(rowsOf(await readWithHyparquet(path))).toEqual(generatedRows(SHRINKING, left));
    });

    test(`end the run with --strict, and nothing is published, over ${protocol}`, async () => {
      const target = mkdtempSync(join(folder, 'strict-'));
      const run = await runExporter([
        ...reading(generated, protocol, SHRINKING.name),
        ...['--passes', 'two', '--strict', '--quiet', '--output', join(target, 'x.parquet')],
      ]);
      expect(run).toMatchObject({ code: 13, stdout: '', workFiles: [] });
      expect(run.stderr).toBe(
        'Error: Cannot export collection `shrinking` with --strict: 1000 points were counted before and 1000 after, 1000 found and 900 written.\n',
      );
      expect(readdirSync(target)).toEqual([]);
    });
  }
});

describe('the manifest beside a file', () => {
  for (const version of VERSIONS) {
    test(`is the same over both protocols but for its times and the name of the file, from ${version}`, async () => {
      for (const collection of RECORDED) {
        if (WITH_HUGE.includes(collection)) continue;
        const [grpc, rest] = await Promise.all(
          PROTOCOLS.map(async (protocol) => {
            const manifest = manifestBeside(await recordedFile(version, protocol, collection));
            const files = manifest.files.map(({ key: _, ...file }) => file);
            return { ...manifest, files, startedAt: '', finishedAt: '' };
          }),
        );
        expect(grpc).toEqual(rest as typeof grpc);
      }
    });
  }

  test('tells the collection behind an alias, what was asked for and what was found', async () => {
    const started = Date.now();
    const path = await exported(recordedServer('1.18.3'), 'grpc', 'plain-alias', [
      ...['--limit', '7', '--filter', '{"must":[]}', '--compression', 'none'],
    ]);
    const { startedAt, finishedAt, collectionConfig, files, tool, ...manifest } = manifestBeside(path);
    expect(manifest).toEqual({
      manifest: 1,
      collection: 'plain',
      alias: 'plain-alias',
      serverVersion: '1.18.3',
      vectors: [{ kind: 'dense', name: '', size: 4, distance: 'Dot', datatype: 'float32' }],
      options: {
        schema: 'keyed',
        strategy: 'parquet-med',
        rowGroupSize: 10_000,
        splitSize: null,
        compression: 'none',
        vectorEncoding: 'plain',
        keyField: 'key',
        metadataField: null,
        vectors: null,
        filter: '{"must":[]}',
        limit: 7,
        shardKey: null,
      },
      counts: {
        before: 28,
        after: 28,
        idsSeen: 7,
        rows: 7,
        missing: 0,
        emptyVectors: { vector: 0 },
        keysFromPayload: 2,
        duplicateKeys: 0,
        duplicateKeysExact: true,
      },
      warnings: [],
    });
    expect(tool.name).toBe('exporter-r2');
    expect(collectionConfig).toMatchObject({ params: { vectors: { size: 4, distance: 'Dot' } } });
    expect(files).toEqual([
      { key: path, ...digestOf(readFileSync(path)), rows: 7, rowGroups: 1, etag: null },
    ]);
    const times = [started, Date.parse(startedAt), Date.parse(finishedAt), Date.now()];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test('takes the place of an earlier one, and of nothing else', async () => {
    const target = mkdtempSync(join(folder, 'again-'));
    const path = join(target, 'x.parquet');
    writeFileSync(`${path}.json`, 'of yesterday');
    writeFileSync(join(target, 'x.json'), "of the user's own");
    const run = await runExporter([
      ...reading(recordedServer('1.18.3'), 'grpc', 'cosine'),
      ...['--output', path],
    ]);
    expect(run.code).toBe(0);
    expect(manifestBeside(path).files).toMatchObject([digestOf(readFileSync(path))]);
    expect(readdirSync(target).sort()).toEqual(['x.json', 'x.parquet', 'x.parquet.json']);
    expect(readFileSync(join(target, 'x.json'), 'utf8')).toBe("of the user's own");
  });
});

const s3 = await startS3Server();
const proxy = s3 && (await startFaultProxy(s3.endpoint));
stops.push(() => s3?.stop());
stops.push(() => proxy?.stop());

describe.skipIf(s3 === undefined)('exporter-r2 into a real S3 service', () => {
  const server = s3 ?? NO_S3_SERVER;
  const front = proxy as NonNullable<typeof proxy>;
  const store = {
    R2_ACCESS_KEY_ID: server.accessKeyId,
    R2_SECRET_ACCESS_KEY: server.secretAccessKey,
    R2_REGION: server.region,
    R2_ENDPOINT: proxy?.endpoint ?? '',
    R2_BUCKET: server.bucket,
  };
  let prefixes = 0;

  async function uploaded(source: Source, protocol: Protocol, collection: string, args: readonly string[]) {
    front.reset();
    const prefix = `p${++prefixes}`;
    const run = await runExporter(
      [...reading(source, protocol, collection), '--prefix', prefix, '--json', ...args],
      { env: { ...DATE, ...store } },
    );
    expect(run).toMatchObject({ code: 0, workFiles: [] });
    expect(await server.openUploads()).toEqual([]);
    const [{ key }] = run.json().files;
    const manifest = await storedManifest(key);
    expect(run.json()).toMatchObject({
      ...manifest,
      manifestLocation: `s3://${server.bucket}/${beside(key)}`,
    });
    return { run, key, prefix, manifest };
  }

  const beside = (key: string) => key.replace(/\.parquet$/, '.json');

  /** The manifest beside an object, once it was compared with the object's bytes and head. */
  async function storedManifest(key: string): Promise<Manifest> {
    const bytes = (await server.bytes(beside(key))) ?? Buffer.from('{}');
    const manifest: Manifest = JSON.parse(Buffer.from(bytes).toString());
    const object = (await server.bytes(key)) ?? Buffer.from('nothing there');
    const etag = (await server.head(key))?.etag ?? 'none';
    expect(manifest.files).toMatchObject([{ key, etag, ...digestOf(object) }]);
    return manifest;
  }

  async function expectStored(key: string, reference: string): Promise<void> {
    const bytes = (await server.bytes(key)) ?? Buffer.from('nothing there');
    expect(Buffer.compare(bytes, readFileSync(reference))).toBe(0);
  }

  const WAYS = [
    { way: 'by default', strategy: [], args: [] },
    { way: 'from a work file', strategy: PARQUET, args: [] },
    { way: 'with --stream-upload', strategy: PARQUET, args: ['--stream-upload'] },
  ] as const;
  /** Rows a row group, which all strategies can have. */
  const ROW_GROUP_ROWS = 2_048;

  for (const [index, { way, strategy, args }] of WAYS.entries()) {
    for (const protocol of PROTOCOLS) {
      test(`puts the bytes of --output there in equal parts, ${way}, over ${protocol}`, async () => {
        const shape = ['--row-group-size', String(ROW_GROUP_ROWS), '--compression', 'none'];
        const reference = await exportedBy(strategy, generated, protocol, LARGE.name, shape, {});
        const { key, prefix, run, manifest } = await uploaded(generated, protocol, LARGE.name, [
          ...strategy,
          ...args,
          ...shape,
        ]);
        expect(key).toBe(`${prefix}/large/latest.parquet`);
        await expectStored(key, reference);
        const head = await server.head(key);
        const file = {
          key,
          ...digestOf(readFileSync(reference)),
          rows: LARGE.points,
          rowGroups: manifestBeside(reference).files[0]?.rowGroups ?? 0,
          etag: head?.etag ?? 'none',
        };
        expect(manifest.files).toEqual([file]);
        // DuckDB may lay more rows into one.
        if (strategy === PARQUET) expect(file.rowGroups).toBe(Math.ceil(LARGE.points / ROW_GROUP_ROWS));
        expect(run.json().files).toEqual([{ ...file, location: `s3://${server.bucket}/${key}` }]);
        const parts = front.seen.filter(({ operation }) => operation === 'UploadPart');
        const sizes = parts
          .toSorted((a, b) => Number(a.query.get('partNumber')) - Number(b.query.get('partNumber')))
          .map(({ bodyBytes }) => bodyBytes);
        expect(sizes.length).toBeGreaterThanOrEqual(3);
        expect(new Set(sizes.slice(0, -1)).size).toBe(1);
        expect(sizes.at(-1)).toBeLessThanOrEqual(sizes[0] as number);
      });
    }

    test(`puts small collections of any name there, ${way}`, async () => {
      const source = recordedServer('1.18.3');
      const local = (protocol: Protocol, collection: string) =>
        strategy === PARQUET
          ? recordedFile('1.18.3', protocol, collection)
          : exportedBy(strategy, source, protocol, collection, [], {});
      for (const collection of ['plain', 'empty', 'three shards']) {
        const { key } = await uploaded(source, 'grpc', collection, [...strategy, ...args]);
        await expectStored(key, await local('grpc', collection));
      }
      const name = 'ünï #1% &co';
      const { key, prefix, manifest } = await uploaded(source, 'rest', name, [...strategy, ...args]);
      expect(key).toBe(`${prefix}/%C3%BCn%C3%AF %231%25 &co/latest.parquet`);
      expect(manifest).toMatchObject({ collection: name, alias: null });
      await expectStored(key, await local('rest', name));
    });

    test(`replaces the object that is there and its manifest, ${way}`, async () => {
      const source = recordedServer('1.18.3');
      const key = `again${index}/plain/latest.parquet`;
      const reference = await exportedBy(strategy, source, 'grpc', 'plain', [], {});
      await server.write(key, Buffer.from('what was there before'));
      await server.write(beside(key), Buffer.from('{"manifest":1,"files":[]}'));
      for (let times = 1; times <= 2; times++) {
        const run = await runExporter(
          [...reading(source, 'grpc', 'plain'), '--prefix', `again${index}`, ...strategy, ...args],
          { env: { ...DATE, ...store } },
        );
        expect(run).toMatchObject({ code: 0, workFiles: [] });
        await expectStored(key, reference);
        await storedManifest(key);
      }
      expect(await server.openUploads()).toEqual([]);
    });
  }

  test('--dry-run leaves no object, no upload and no work file', async () => {
    front.reset();
    const run = await runExporter(
      [...reading(generated, 'grpc', SMALL.name), '--dry-run', '--json', '--prefix', 'dry'],
      { env: store },
    );
    expect(run).toMatchObject({ code: 0, workFiles: [] });
    expect(run.json()).toMatchObject({ dryRun: true, files: [], counts: { before: SMALL.points, rows: 0 } });
    expect(run.stderr).toContain(`\nTarget      s3://${server.bucket}/dry/small/latest.parquet, about `);
    expect(run.stderr).toContain('\nDry run: ');
    expect(await server.head('dry/small/latest.parquet')).toBeUndefined();
    expect(await server.head('dry/small/latest.json')).toBeUndefined();
    expect(await server.openUploads()).toEqual([]);
    expect(front.acceptedBytes).toBe(0);
  });

  test('never prints a secret, with --verbose, when it succeeds and when it fails', async () => {
    const secret = 'wrong-secret-that-nobody-may-see';
    for (const [env, code] of [
      [store, 0],
      [{ ...store, R2_SECRET_ACCESS_KEY: secret }, 12],
    ] as const) {
      const run = await runExporter(
        [...reading(recordedServer('1.18.3'), 'grpc', 'plain'), '--verbose', '--json'],
        { env },
      );
      expect(run.code).toBe(code);
      const printed = run.stdout + run.stderr;
      expect(printed).not.toContain(env.R2_SECRET_ACCESS_KEY);
      expect(printed).not.toContain(env.R2_ACCESS_KEY_ID);
    }
  });

  test('never writes a secret into the manifest', async () => {
    const source = await double({ recorded: ['standalone'], apiKey: API_KEY });
    const run = await runExporter([...reading(source, 'grpc', 'plain'), '--prefix', 'secrets', '--quiet'], {
      env: { ...store, QDRANT_API_KEY: API_KEY },
    });
    expect(run.code).toBe(0);
    const manifest = Buffer.from((await server.bytes('secrets/plain/latest.json')) ?? []).toString();
    expect(manifest).toContain('"collection": "plain"');
    for (const secret of [API_KEY, store.R2_ACCESS_KEY_ID, store.R2_SECRET_ACCESS_KEY]) {
      expect(manifest).not.toContain(secret);
    }
  });
});

describe('what exporter-r2 prints', () => {
  const small = (protocol: Protocol = 'grpc') => reading(generated, protocol, SMALL.name);

  for (const [what, args, env, format] of [
    [
      'the default without DuckDB',
      [],
      { PATH: '/nowhere' },
      ['Format      ndjson-gz', 'Convert     built-in converter (DuckDB is not on the PATH)'],
    ],
    [
      'a Parquet strategy',
      PARQUET,
      {},
      ['Format      parquet-med, row groups of 10,000, zstd, plain vectors'],
    ],
  ] as const) {
    test(`--dry-run shows the plan and writes nothing: ${what}`, async () => {
      const target = mkdtempSync(join(folder, 'dry-'));
      const before = generated.stats.pointsSent;
      const run = await runExporter(
        [...small(), '--dry-run', '--output', join(target, 'x.parquet'), ...args],
        { env },
      );
      expect(run).toMatchObject({ code: 0, stdout: '', workFiles: [] });
      const lines = run.stderr.split('\n');
      for (const line of [
        'Qdrant      1.18.3 over gRPC',
        'Collection  small: 5,000 points, 1 shard',
        'Vectors     unnamed 3 dense Cosine',
        'Passes      two (points are retrieved in parallel)',
        ...format,
        'Dry run: the server answers, the target can be written, and nothing was written.',
      ]) {
        expect(lines).toContain(line);
      }
      expect(readdirSync(target)).toEqual([]);
      // A look at a few points, for the estimate.
      expect(generated.stats.pointsSent - before).toBeLessThanOrEqual(32);
    });
  }

  test.skipIf(DUCKDB_MISSING !== undefined)('names the DuckDB that makes the Parquet file', async () => {
    const run = await runExporter([...small(), '--output', newPath()]);
    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(/\nConvert {5}DuckDB \d+\.\d+\.\d+, at most \d+ MB\n/);
  });

  test('--json is one document on stdout', async () => {
    const path = newPath();
    const run = await runExporter([...small(), '--json', '--output', path]);
    expect(run.json()).toMatchObject({
      tool: { name: 'exporter-r2' },
      collection: 'small',
      serverVersion: '1.18.3',
      dryRun: false,
      plan: { protocol: 'grpc', points: 5000, format: 'ndjson-gz', converter: expect.any(String) },
      counts: { before: 5000, idsSeen: 5000, rows: 5000, missing: 0 },
      files: [{ key: path, location: path, ...digestOf(readFileSync(path)), rows: 5000, rowGroups: 1 }],
      warnings: [SMALL_DUPLICATES, NORMALISED],
      manifestLocation: `${path}.json`,
      workFiles: [],
      timings: { convertSeconds: expect.any(Number), totalSeconds: expect.any(Number) },
    });
    // All that the manifest says is in it.
    expect(run.json()).toMatchObject({ ...manifestBeside(path) });
    expect(run.stderr).toContain('\nExported  5,000 rows in 1 row group, ');
  });

  test('notes say what Qdrant itself did to vectors', async () => {
    const run = await runExporter([...small(), '--output', newPath()]);
    expect(run.stderr).toContain(`\nWarning: ${SMALL_DUPLICATES}\nNote: ${NORMALISED}\nExported  `);
  });

  test('--quiet is silence, notes included, with --json the document alone', async () => {
    const source = recordedServer('1.18.3');
    const args = [...reading(source, 'rest', 'cosine'), '--quiet', '--output', newPath()];
    expect(await runExporter(args)).toMatchObject({ code: 0, stdout: '', stderr: '' });
    const run = await runExporter([...args, '--json']);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.json()).toMatchObject({ counts: { rows: 3 }, warnings: [NORMALISED] });
  });

  test('--quiet leaves what should make one look', async () => {
    const run = await runExporter([...small(), '--quiet', '--output', newPath()]);
    expect(run).toMatchObject({ code: 0, stdout: '', stderr: `Warning: ${SMALL_DUPLICATES}\n` });
  });

  for (const protocol of PROTOCOLS) {
    test(`names a reset in the middle of a run for what it is, over ${protocol}, and goes on`, async () => {
      const source = await double({ generated: [SMALL] });
      let resets = 0;
      source.setFaults(({ method }) =>
        method === 'retrieve' && resets++ === 0 ? { kind: 'reset', connection: true } : undefined,
      );
      const args = [...reading(source, protocol, SMALL.name), '--verbose', '--output', newPath()];
      const run = await runExporter([...args, '--passes', 'two']);
      expect(run.code).toBe(0);
      expect(run.stderr).toMatch(
        /\nRetrying: Cannot read [^\n]+ the connection to [^\n]+\. Attempt 2 follows in /,
      );
      expect(run.stderr).not.toContain('TLS');
    });
  }

  test('says nothing on stdout without --json, and how to read the file on stderr', async () => {
    const path = newPath();
    const run = await runExporter([...small(), '--output', path]);
    expect(run).toMatchObject({ code: 0, stdout: '' });
    expect(run.stderr).toEndWith(`\nRead it   SELECT * FROM read_parquet('${path}') LIMIT 5;\n`);
  });
});

const tlsReason = tlsSkipReason();
describe.skipIf(tlsReason !== undefined)(`TLS${tlsReason === undefined ? '' : `: ${tlsReason}`}`, () => {
  for (const protocol of PROTOCOLS) {
    test(`carries an export over ${protocol} with --ca-cert and QDRANT_CA_CERT`, async () => {
      const certificates = makeTestCertificates();
      stops.push(() => certificates.remove());
      const options = { recorded: ['standalone'], tls: certificates, apiKey: API_KEY } as const;
      const source = await double(options);
      const { caFile } = certificates;
      const key = { QDRANT_API_KEY: API_KEY };
      const reference = await recordedFile('1.18.3', protocol, 'plain');
      expectSameBytes(await exported(source, protocol, 'plain', ['--ca-cert', caFile], key), reference);
      const byVariable = { ...key, QDRANT_CA_CERT: caFile };
      expectSameBytes(await exported(source, protocol, 'plain', [], byVariable), reference);
    });
  }
});

describe('QDRANT_API_KEY', () => {
  for (const protocol of PROTOCOLS) {
    test(`opens the server over ${protocol}, full or read-only, and is never printed or written`, async () => {
      const options = { recorded: ['standalone'], apiKey: 'another key', readOnlyKey: API_KEY } as const;
      const source = await double(options);
      const path = newPath();
      const args = [
        ...reading(source, protocol, 'plain'),
        ...PARQUET,
        '--output',
        path,
        '--verbose',
        '--json',
      ];
      const env = { ...DATE, QDRANT_API_KEY: API_KEY };
      const run = await runExporter(args, { env });
      expect(run.code).toBe(0);
      expectSameBytes(path, await recordedFile('1.18.3', protocol, 'plain'));
      expect(run.stdout + run.stderr).not.toContain(API_KEY);
      expect(readFileSync(`${path}.json`, 'utf8')).not.toContain(API_KEY);
    });

    test(`is not printed over ${protocol} when a server repeats it in an error`, async () => {
      const source = await double({ recorded: ['standalone'] });
      source.setFaults(({ method }) =>
        method === 'retrieve'
          ? { kind: 'status', http: 403, grpc: 7, message: `key ${API_KEY} may not read` }
          : undefined,
      );
      const path = newPath();
      const args = [...reading(source, protocol, 'plain'), '--output', path, '--verbose', '--json'];
      const run = await runExporter(args, { env: { QDRANT_API_KEY: API_KEY } });
      expect(run.code).toBe(10);
      expect(run.json().error.message).toContain('key *** may not read');
      expect(run.stderr).toContain('key *** may not read');
      expect(run.stdout + run.stderr).not.toContain(API_KEY);
      expect(existsSync(path)).toBe(false);
      expect(existsSync(`${path}.json`)).toBe(false);
    });
  }
});

/** A server that has the points of the recorded `plain`. */
interface PlainServer {
  readonly name: string;
  /** Makes and fills the collection; gives where it is and what it is called. */
  fill(): Promise<{ readonly source: Source; readonly collection: string; readonly apiKey?: string }>;
  drop(collection: string): Promise<void>;
}

const DOUBLE: PlainServer = {
  name: 'the double',
  fill: async () => ({ source: recordedServer('1.18.3'), collection: 'plain' }),
  drop: async () => {},
};

const { QDRANT_TEST_URL, QDRANT_TEST_HTTP_URL, QDRANT_TEST_API_KEY } = process.env;

function realServer(grpcUrl: string, restUrl: string, apiKey: string | undefined): PlainServer {
  async function rest(method: string, path: string, body?: string): Promise<void> {
    const url = `${restUrl.replace(/\/$/, '')}/collections/${path}`;
    const headers = { 'content-type': 'application/json', ...(apiKey && { 'api-key': apiKey }) };
    const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${await answer.text()}`);
  }
  return {
    name: 'a real Qdrant',
    async fill() {
      const collection = `exporter-r2-test-${crypto.randomUUID()}`;
      const { create, points } = recorded('plain');
      await rest('PUT', collection, create);
      await rest('PUT', `${collection}/points?wait=true`, `{"points":[${points.join()}]}`);
      return { source: { grpcUrl, restUrl }, collection, ...(apiKey && { apiKey }) };
    },
    drop: (collection) => rest('DELETE', collection),
  };
}

const REAL = QDRANT_TEST_URL && QDRANT_TEST_HTTP_URL;
const SERVERS = REAL
  ? [DOUBLE, realServer(QDRANT_TEST_URL, QDRANT_TEST_HTTP_URL, QDRANT_TEST_API_KEY)]
  : [DOUBLE];

for (const server of SERVERS) {
  test(`exporter-r2 takes a collection of ${server.name} out whole, the same with one and two passes`, async () => {
    const { source, collection, apiKey } = await server.fill();
    const env = apiKey === undefined ? {} : { QDRANT_API_KEY: apiKey };
    try {
      for (const protocol of PROTOCOLS) {
        const two = await exported(source, protocol, collection, ['--passes', 'two'], env);
        const expected = expectedRows(recorded('plain').points, protocol);
        expect(rowsOf(await readWithHyparquet(two))).toEqual(expected);
        expectSameBytes(await exported(source, protocol, collection, ['--passes', 'one'], env), two);
        const small = ['--batch-size', '5', '--retrieve-batch', '2'];
        expectSameBytes(await exported(source, protocol, collection, small, env), two);
      }
    } finally {
      await server.drop(collection);
    }
  });
}
test.skipIf(!REAL)('a real Qdrant: QDRANT_TEST_URL and QDRANT_TEST_HTTP_URL are set', () => {
  expect(SERVERS).toHaveLength(2);
});
