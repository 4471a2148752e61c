import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../../lib/cli/env.ts';
import { EXPORTER_R2_FLAGS, LATER_FLAGS } from '../../../lib/cli/exporter-r2-flags.ts';
import { parseArguments } from '../../../lib/cli/parse-flags.ts';
import { readExporterSettings } from '../../../lib/cli/settings.ts';
import { ToolError } from '../../../lib/errors.ts';

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

function read(line: string, environment: Environment = {}) {
  const argv = line === '' ? [] : line.split(' ');
  return readExporterSettings(parseArguments(argv, EXPORTER_R2_FLAGS, LATER_FLAGS), environment);
}

function sentence(line: string, environment: Environment = {}): string {
  try {
    read(line, environment);
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error(`"${line}" was accepted`);
}

describe('readExporterSettings()', () => {
  test('turns the least that is needed into a frozen plan with defaults', () => {
    const settings = read('--collection docs --output docs.parquet');
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
      manifestKey: 'docs.parquet.json',
      options: {
        schema: 'keyed',
        strategy: 'parquet-med',
        rowGroupSize: 10_000,
        compression: 'zstd',
        vectorEncoding: 'plain',
        keyField: 'key',
        metadataField: null,
        vectors: null,
        filter: null,
        limit: null,
        shardKey: null,
      },
      passes: 'auto',
      streaming: true,
      dryRun: false,
    });
    expect(settings.format).toEqual({
      schema: 'keyed',
      strategy: 'parquet-med',
      rowGroupRows: 10_000,
      compression: 'zstd',
      vectorEncoding: 'plain',
      keyField: 'key',
      metadataField: undefined,
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
    expect(settings.sourceDate?.toISOString()).toBe('1970-01-02T00:00:00.000Z');
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
      strategy: 'parquet-med',
      rowGroupSize: 10_000,
      compression: 'zstd',
      vectorEncoding: 'plain',
      keyField: null,
      metadataField: null,
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
      'No collection was named; give --collection NAME or set QDRANT_COLLECTION_NAME.',
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
      read('--collection c --output f', { QDRANT_URL: url, QDRANT_API_KEY: key }).warnings.length;
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
