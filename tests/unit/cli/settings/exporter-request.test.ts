import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { EXPORTER_R2 } from '../../../../lib/cli/flags/exporter-r2.ts';
import { parseArguments } from '../../../../lib/cli/flags/parse-flags.ts';
import type { Environment } from '../../../../lib/cli/settings/env.ts';
import { type ExporterRequest, readExporterRequest } from '../../../../lib/cli/settings/exporter-request.ts';
import { ToolError } from '../../../../lib/errors.ts';

const R2 = {
  R2_ENDPOINT: 'https://acc.r2.cloudflarestorage.com',
  R2_ACCESS_KEY_ID: 'AK',
  R2_SECRET_ACCESS_KEY: 'SK',
};

/** A certificate of nobody, valid for a hundred years. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUE2U1orH/BVgc9MhR1XPtzWuLv/QwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjIxOTAyMzFaGA8yMTI2MTAyOTE5MDIz
MVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIJa
BFrgNw0Lxr9Ywvc/17sn7dgOMtMQ/VWVDE5/bnTL1sGVo93wnCd+s+c729PWsjKd
vb5DiD3mXyvEDqAjhX6jUzBRMB0GA1UdDgQWBBTycelR/pr0uofpQDXoLPvFBYes
/zAfBgNVHSMEGDAWgBTycelR/pr0uofpQDXoLPvFBYes/zAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0cAMEQCIB/toBsM7k8KzoUbSx04+O8UbWlKkCSu1LDe
9xwQxtsBAiAEjg170Aw0gmczvTUOA2rGCKzdJjpi89gy+tsVcszm4w==
-----END CERTIFICATE-----
`;

function request(line: string, environment: Environment = {}): ExporterRequest {
  const argv = line.split(' ').filter((word) => word !== '');
  const given = parseArguments(argv, EXPORTER_R2.flags);
  return readExporterRequest(EXPORTER_R2, given, environment, { isInteractive: false });
}

/** The settings of the one collection that is named. */
function read(line: string, environment: Environment = {}) {
  const asked = request(line, environment);
  if (asked.collections === 'all' || asked.collections.length !== 1) throw new Error('not one collection');
  return asked.settingsFor(asked.collections[0] as string);
}

function sentence(line: string, environment: Environment = {}): string {
  try {
    request(line, environment);
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error(`"${line}" was accepted`);
}

describe('readExporterRequest()', () => {
  test('turns the least that is needed into a frozen plan with defaults', () => {
    const settings = read('--collection docs --output docs.parquet', { SOURCE_DATE_EPOCH: '0' });
    expect(settings.plan).toEqual({
      collection: 'docs',
      vectors: undefined,
      filter: undefined,
      limit: undefined,
      shardKey: undefined,
      strict: false,
      batchSize: 10_000,
      retrieveBatch: undefined,
      parallel: Math.min(availableParallelism(), 256),
      key: 'docs.parquet',
      splitBytes: undefined,
      manifestKey: 'docs.parquet.json',
      options: {
        schema: 'keyed',
        strategy: 'ndjson-gz',
        rowGroupSize: null,
        compression: 'zstd',
        vectorEncoding: 'plain',
        keyField: 'key',
        metadataField: null,
        vectors: null,
        filter: null,
        limit: null,
        shardKey: null,
        splitSize: null,
      },
      passes: 'auto',
      server: 'http://localhost:6334 over gRPC',
      target: resolve('docs.parquet'),
      exportedAt: new Date(0),
      streaming: false,
      resume: false,
      debug: false,
      keep: undefined,
      dryRun: false,
    });
    expect(settings.format).toEqual({
      schema: 'keyed',
      strategy: 'ndjson-gz',
      rowGroupRows: undefined,
      compression: 'zstd',
      vectorEncoding: 'plain',
      keyField: 'key',
      metadataField: undefined,
      splitBytes: undefined,
    });
    expect(settings.transport.consistency).toBeUndefined();
    expect(settings.target).toEqual({ kind: 'file', path: 'docs.parquet' });
    expect(settings.protocol).toBe('grpc');
    expect(settings.transport.url.href).toBe('http://localhost:6334/');
    expect(settings.workFolder).toBe(join(tmpdir(), 'qdrant-export', 'docs'));
    const { plan, format, target, transport } = settings;
    for (const part of [settings, plan, plan.options, format, target, transport]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test.each([
    ['parquet-small', 1_000],
    ['parquet-med', 10_000],
    ['parquet-large', 100_000],
  ])('gives %s row groups of %d rows unless told otherwise', (name, rows) => {
    expect(read(`--collection c --output f --strategy ${name}`).format.rowGroupRows).toBe(rows);
    expect(read(`--collection c --output f --strategy ${name} --row-group-size 5`).format.rowGroupRows).toBe(
      5,
    );
  });

  test('leaves the row groups of ndjson-gz to its converter unless told otherwise', () => {
    const settings = read('--collection c --output f --strategy ndjson-gz --row-group-size 5');
    expect(settings.format.rowGroupRows).toBe(5);
    expect(settings.plan.options.rowGroupSize).toBe(5);
    expect(read('--collection c --output f').format.rowGroupRows).toBeUndefined();
  });

  test('hands on what a long run is asked', () => {
    const { plan } = read('--collection c --bucket b --resume --debug --yes --keep 30', R2);
    expect(plan).toMatchObject({ resume: true, debug: true, keep: 30, streaming: false });
    const streamed = read('--collection c --bucket b --stream-upload --strategy parquet-small', R2);
    expect(streamed.plan.streaming).toBe(true);
  });

  test('hands on how large a file may be, to the formats, the run and the manifest', () => {
    const { plan, format } = read('--collection c --bucket b --split-size 45MB', R2);
    expect(plan.splitBytes).toBe(45_000_000);
    expect(plan.options.splitSize).toBe(45_000_000);
    expect(format.splitBytes).toBe(45_000_000);
    expect(plan.key).toBe('c/latest.parquet');
  });

  test('refuses a prefix that is too long for a dated copy, or for a part, before anything is exported', () => {
    const prefix = (length: number) => 'p'.repeat(length);
    const line = `--collection docs --bucket b --prefix`;
    // p/docs/latest.parquet, p/docs/20261123T004023Z.parquet, p/docs/20261123T004023Z-0123abcd/part-00000.parquet
    expect(read(`${line} ${prefix(1004)}`, R2).plan.key).toHaveLength(1024);
    expect(sentence(`${line} ${prefix(1005)}`, R2)).toBe(
      'The object key has 1025 bytes, and stores take 1024; a shorter --prefix is wanted.',
    );
    expect(read(`${line} ${prefix(994)} --keep 3`, R2).plan.key).toHaveLength(1014);
    expect(sentence(`${line} ${prefix(995)} --keep 3`, R2)).toStartWith('The object key has 1025 bytes');
    expect(read(`${line} ${prefix(974)} --split-size 45MB`, R2).plan.key).toHaveLength(994);
    expect(sentence(`${line} ${prefix(975)} --split-size 45MB --keep 3`, R2)).toStartWith(
      'The object key has 1025 bytes',
    );
  });

  test('names the server and the target whole, so that no two are taken for one', () => {
    const server = (line: string) => read(`--collection c --output f ${line}`).plan.server;
    expect(server('--url https://q.example.org/prefix/')).toBe('https://q.example.org:6334/prefix over gRPC');
    expect(server('--url q.example.org --http')).toBe('http://q.example.org:6333 over REST');
    const target = (line: string, environment: Environment) =>
      read(`--collection a?b --bucket b ${line}`, environment).plan.target;
    expect(target('--prefix p', R2)).toBe('https://acc.r2.cloudflarestorage.com/b/p/a%3Fb/latest.parquet');
    expect(target('', {})).toBe('https://s3.amazonaws.com/b/a%3Fb/latest.parquet');
    expect(target('', { AWS_ENDPOINT_URL: 'http://user:word@127.0.0.1:7070/' })).toBe(
      'http://127.0.0.1:7070/b/a%3Fb/latest.parquet',
    );
    expect(
      target('', { AWS_ENDPOINT_URL: 'http://other', AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:7070' }),
    ).toStartWith('http://127.0.0.1:7070/b/');
  });

  test('dates each run when its settings are asked for, unless SOURCE_DATE_EPOCH does', () => {
    const before = Date.now();
    const at = read('--collection c --output f').plan.exportedAt.getTime();
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now());
  });

  test('gives each of several collections a key and a work folder of its own, the rest alike', () => {
    const asked = request('--collection a --collection b?c --limit 3', { ...R2, R2_BUCKET: 'b' });
    expect(asked.collections).toEqual(['a', 'b?c']);
    expect(asked.settingsFor('a').plan).toMatchObject({ collection: 'a', key: 'a/latest.parquet', limit: 3 });
    const other = asked.settingsFor('b?c');
    expect(other.plan).toMatchObject({ collection: 'b?c', key: 'b%3Fc/latest.parquet', limit: 3 });
    expect(other.plan.manifestKey).toBe('b%3Fc/latest.json');
    expect(other.workFolder).toBe(join(tmpdir(), 'qdrant-export', 'b%3Fc'));
  });

  test('takes with --all the names that the server has, whatever the variable says', () => {
    const environment = { ...R2, R2_BUCKET: 'b', QDRANT_COLLECTION_NAME: 'c' };
    const asked = request('--all', environment);
    expect(asked.collections).toBe('all');
    expect(asked.settingsFor('old #%\u0001').plan.key).toBe('old %23%25%01/latest.parquet');
    expect(() => asked.settingsFor('x'.repeat(1_020))).toThrow('The object key has 1035 bytes');
  });

  test('refuses a typed name that makes too long a key before anything is exported', () => {
    const line = `--collection a --collection ${'x'.repeat(1_020)}`;
    expect(sentence(line, { ...R2, R2_BUCKET: 'b' })).toStartWith('The object key has 1035 bytes');
    expect(sentence('--collection a --collection b/c --output f')).toStartWith('several --collection');
    expect(sentence('--collection a --collection b/c', { ...R2, R2_BUCKET: 'b' })).toStartWith(
      '--collection is "b/c"',
    );
  });

  test('reads the environment where no flag speaks', () => {
    const settings = read('--http', {
      ...R2,
      QDRANT_COLLECTION_NAME: 'a?b',
      QDRANT_URL: 'https://q.example.org',
      QDRANT_PORT: '7000',
      QDRANT_API_KEY: 'key',
      R2_BUCKET: 'backups',
      OUTPUT_TEMP_FOLDER: '/work files',
      SOURCE_DATE_EPOCH: '86400',
    });
    expect(settings.plan).toMatchObject({ collection: 'a?b', key: 'a%3Fb/latest.parquet', streaming: false });
    expect(settings.transport.url.href).toBe('https://q.example.org:7000/');
    expect(settings.transport.apiKey?.reveal()).toBe('key');
    expect(settings.workFolder).toBe(join('/work files', 'qdrant-export', 'a%3Fb'));
    expect(settings.plan.exportedAt.toISOString()).toBe('1970-01-02T00:00:00.000Z');
    expect(JSON.stringify(settings)).not.toContain('SK');
    expect(Bun.inspect(settings)).not.toContain('SK');
  });

  test('hands on what is to be exported, and writes it into the options of the manifest', () => {
    const settings = read(
      '--collection c --output f --schema points --vectors text,"" --filter={"n":18446744073709551615} --limit 7 --shard-key acme --strict --consistency majority',
    );
    const selection = {
      vectors: ['text', ''],
      filter: '{"n":18446744073709551615}',
      limit: 7,
      shardKey: 'acme',
    };
    expect(settings.plan).toMatchObject({ ...selection, strict: true });
    expect(settings.plan.options).toEqual({
      ...selection,
      schema: 'points',
      strategy: 'ndjson-gz',
      rowGroupSize: null,
      compression: 'zstd',
      vectorEncoding: 'plain',
      keyField: null,
      metadataField: null,
      splitSize: null,
    });
    expect(settings.transport.consistency).toBe('majority');
    expect(Object.isFrozen(settings.plan.vectors)).toBe(true);
  });

  test('tells no vectors from all of them', () => {
    const { plan } = read('--collection c --output f --vectors none');
    expect(plan.vectors).toEqual([]);
    expect(plan.options.vectors).toEqual([]);
  });

  test('takes the fields that become key and metadata', () => {
    const { format, plan } = read('--collection c --output f --key-field id --metadata-field meta');
    expect(format).toMatchObject({ keyField: 'id', metadataField: 'meta' });
    expect(plan.options).toMatchObject({ keyField: 'id', metadataField: 'meta' });
    const pinecone = read('--collection c --output f --schema pinecone --metadata-field meta');
    expect(pinecone.plan.options).toMatchObject({ keyField: null, metadataField: 'meta' });
  });

  test('puts the manifest beside the export, in a store and in a folder', () => {
    const environment = { ...R2, R2_BUCKET: 'b' };
    expect(read('--collection a?b --prefix p', environment).plan.manifestKey).toBe('p/a%3Fb/latest.json');
    expect(read('--collection c --output out/x.parquet').plan.manifestKey).toBe('out/x.parquet.json');
    for (const path of ['x.json', 'out/x.JSON']) {
      expect(sentence(`--collection c --output ${path}`)).toBe(
        `--output is "${path}", a name for the manifest beside the export; the path of a Parquet file is wanted.`,
      );
    }
  });

  test('wants a collection, and takes any name but one with / or NUL', () => {
    expect(sentence('--output f')).toBe(
      'No collection was named; give --collection NAME, set QDRANT_COLLECTION_NAME, or give --all.',
    );
    expect(sentence('--collection a/b --output f')).toStartWith('--collection is "a/b"');
    expect(sentence('--output f', { QDRANT_COLLECTION_NAME: 'a/b' })).toStartWith(
      'QDRANT_COLLECTION_NAME is "a/b"',
    );
    expect(read('--output f', { QDRANT_COLLECTION_NAME: '日 #%..' }).plan.collection).toBe('日 #%..');
  });

  test('wants somewhere to write to, and tells both ways', () => {
    expect(sentence('--collection c', R2)).toBe(
      'There is nowhere to write to; name a bucket with --bucket or R2_BUCKET, or a local file with --output FILE.',
    );
  });

  test('tells a wrong flag before a missing one', () => {
    expect(sentence('--url ftp://x')).toStartWith('--url begins with ftp://');
    expect(sentence('--retrieve-batch 6000')).toStartWith('--retrieve-batch is 6000');
  });

  test('keeps --retrieve-batch within half of --batch-size', () => {
    const given = '--collection c --output f';
    expect(read(`${given} --batch-size 100 --retrieve-batch 50`).plan.retrieveBatch).toBe(50);
    expect(read(`${given} --batch-size 1 --retrieve-batch 1`).plan.retrieveBatch).toBe(1);
    expect(sentence(`${given} --batch-size 101 --retrieve-batch 51`)).toBe(
      '--retrieve-batch is 51; at most 50, half of --batch-size 101, is wanted.',
    );
  });

  test.each(['-', 'folder/'])('refuses --output=%s, which is no file', (path) => {
    expect(sentence(`--collection c --output=${path}`)).toStartWith(`--output is "${path}"`);
  });

  test.each(['1.5', '-1', 'now', '253402300800'])('refuses SOURCE_DATE_EPOCH %s', (text) => {
    expect(sentence('--collection c --output f', { SOURCE_DATE_EPOCH: text })).toStartWith(
      'SOURCE_DATE_EPOCH is ',
    );
  });

  test('warns of an API key over plain HTTP to another machine only', () => {
    const warnings = (url: string, key = 'k') =>
      request('--collection c --output f', { QDRANT_URL: url, QDRANT_API_KEY: key }).warnings.length;
    expect(warnings('http://q.example.org')).toBe(1);
    expect(warnings('https://q.example.org')).toBe(0);
    expect(warnings('127.0.0.1:6334')).toBe(0);
    expect(warnings('http://q.example.org', '')).toBe(0);
  });

  test('refuses an API key that no header carries, without printing it', () => {
    expect(sentence('--collection c --output f', { QDRANT_API_KEY: 'se\ncret' })).toMatch(
      /^QDRANT_API_KEY holds (?!.*cret)/,
    );
    expect(read('--collection c --output f', { QDRANT_API_KEY: ' key\n' }).transport.apiKey?.reveal()).toBe(
      'key',
    );
  });
});

describe('--ca-cert', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ca-test-'));
    writeFileSync(join(folder, 'good.pem'), CERTIFICATE);
    writeFileSync(join(folder, 'none.pem'), 'nothing');
    writeFileSync(
      join(folder, 'broken.pem'),
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    );
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('becomes the text of the file', () => {
    const settings = read(`--collection c --output f --ca-cert ${folder}/good.pem`);
    expect(settings.transport.caCertificate).toBe(CERTIFICATE);
  });

  test('is refused when it is missing, holds no certificate, or a broken one', () => {
    const given = '--collection c --output f --ca-cert';
    expect(sentence(`${given} ${folder}/gone.pem`)).toBe(
      `Cannot read --ca-cert ${folder}/gone.pem: there is no such file.`,
    );
    expect(sentence(`${given} ${folder}/none.pem`)).toEndWith('holds no certificate; a PEM file is wanted.');
    expect(sentence(`${given} ${folder}/broken.pem`)).toContain('holds a broken certificate');
    expect(sentence('--collection c --output f', { QDRANT_CA_CERT: '/gone' })).toStartWith(
      'Cannot read QDRANT_CA_CERT',
    );
  });
});
