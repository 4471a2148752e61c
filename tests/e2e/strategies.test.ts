import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runExporter } from '../support/exporter.ts';
import { DUCKDB_MISSING } from '../support/foreign-readers.ts';
import { GOLDEN_FILES, GOLDEN_VERSION } from '../support/golden-files.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { richPayload } from '../support/qdrant-double/rich-payload.ts';
import {
  HAVE_HUGE_INTEGERS,
  type RecordedExport,
  reading,
  startRecordedServers,
} from '../support/recorded-exports.ts';
import type { Protocol } from '../support/recorded-points.ts';

const servers = await startRecordedServers();
const top = mkdtempSync(join(tmpdir(), 'strategies-'));

afterAll(async () => {
  await servers.stop();
  rmSync(top, { recursive: true });
});

/** By which converter a data file becomes Parquet: without a PATH there is no DuckDB. */
type Converter = 'DuckDB' | 'built-in';
const PATHS: Readonly<Record<Converter, string | undefined>> = {
  DuckDB: process.env.PATH,
  'built-in': '/nowhere',
};
const WORDS: Readonly<Record<Converter, RegExp>> = { DuckDB: /DuckDB \d/, 'built-in': /built-in converter/ };

async function converted(
  name: string,
  server: QdrantDouble,
  protocol: Protocol,
  converter: Converter,
  { collection, schema, args = [] }: Pick<RecordedExport, 'collection' | 'schema' | 'args'>,
): Promise<string> {
  const path = join(top, `${name}.${protocol}.${converter}.parquet`);
  const { code, stderr } = await runExporter(
    [...reading(server, protocol, collection), '--schema', schema, '--output', path, ...args],
    { env: { PATH: PATHS[converter] } },
  );
  expect(stderr).toMatch(WORDS[converter]);
  expect(code).toBe(0);
  return path;
}

/** Rows that the first file has and the second has not, by how often, and the other way round; and the rows of both. */
function differences(pairs: readonly (readonly [string, string])[]): readonly (readonly number[])[] {
  const count = (sql: string) => `(SELECT count(*) FROM (${sql}))`;
  const sql = pairs.map(([a, b]) => {
    const [one, other] = [`FROM '${a}'`, `FROM '${b}'`];
    return `SELECT ${count(`${one} EXCEPT ALL ${other}`)} AS a, ${count(`${other} EXCEPT ALL ${one}`)} AS b, ${count(one)} AS c, ${count(other)} AS d;`;
  });
  const run = Bun.spawnSync(['duckdb', '-no-init', '-csv', '-noheader'], {
    stdin: Buffer.from(sql.join('\n')),
  });
  expect(run.stderr.toString()).toBe('');
  return run.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.split(',').map(Number));
}

describe.skipIf(DUCKDB_MISSING !== undefined)('ndjson-gz gives the table that parquet-med does', () => {
  test.each(GOLDEN_FILES.map((file) => [file.name, file] as const))('%s', async (_, file) => {
    const server = servers.of(GOLDEN_VERSION);
    const one = file.export;
    const huge = HAVE_HUGE_INTEGERS.includes(one.collection);
    const [duckdb, builtIn] = await Promise.all([
      // What is the same over both protocols is read over both.
      converted(file.name, server, huge ? file.protocol : 'grpc', 'DuckDB', one),
      converted(file.name, server, file.protocol, 'built-in', one),
    ]);
    const found = differences([
      [file.path, duckdb as string],
      [file.path, builtIn as string],
    ]);
    expect(found.map(([missing, added]) => [missing, added])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(found[0]?.[3]).toBe(found[0]?.[2] as number);
    expect(found[1]?.[3]).toBe(found[1]?.[2] as number);
  });

  test('100,000 points with vectors of every kind, some of them missing', async () => {
    const points = 100_000;
    const server = await startQdrantDouble({
      generated: [
        {
          name: 'all',
          points,
          dimensions: 0,
          vectors: [
            { kind: 'dense', name: 'd', size: 24, distance: 'Dot', missing: 7 },
            { kind: 'multi', name: 'm', size: 4, distance: 'Dot' },
            { kind: 'sparse', name: 's' },
          ],
          payload: (index) => (index % 3 === 0 ? richPayload() : `{"key":"k${index % 90_000}"}`),
          ids: 'mixed',
        },
      ],
    });
    try {
      const direct = join(top, 'all.parquet');
      const run = await runExporter([
        ...reading(server, 'grpc', 'all'),
        ...['--strategy', 'parquet-med', '--schema', 'points', '--output', direct],
      ]);
      expect(run.code).toBe(0);
      const one = { collection: 'all', schema: 'points' } as const;
      const files = await Promise.all([
        converted('all', server, 'grpc', 'built-in', one),
        converted('all', server, 'rest', 'DuckDB', one),
      ]);
      expect(differences(files.map((file) => [direct, file] as const))).toEqual([
        [0, 0, points, points],
        [0, 0, points, points],
      ]);
    } finally {
      await server.stop();
    }
  }, 120_000);
});
