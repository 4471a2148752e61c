import { describe, expect, test } from 'bun:test';
import { reportDocument, reportLines } from '../../../lib/cli/report.ts';
import type { Target } from '../../../lib/cli/settings.ts';
import type { ExportReport } from '../../../lib/plan.ts';

const REPORT: ExportReport = {
  plan: {
    shape: {
      name: 'docs',
      serverVersion: '1.18.3',
      vectors: [{ kind: 'dense', name: '', size: 4, distance: 'Dot', datatype: 'float32' }],
      shardCount: 1,
      sharding: 'auto',
      strictMode: {},
    },
    protocol: 'rest',
    points: 200_001,
    passes: 'two',
    passesReason: 'one shard',
    format: 'parquet-med',
    location: 'docs.parquet',
    workFile: undefined,
    estimatedBytes: 800_000_000,
    pointsInMemory: 1,
  },
  startedAt: new Date(0),
  finishedAt: new Date(6_000),
  counts: { before: 200_001, idsSeen: 200_001, rows: 200_000, missing: 1 },
  file: { location: 'docs.parquet', bytes: 812_000_000, rowGroups: 20, etag: undefined },
  warnings: ['odd'],
  seconds: { export: 5, upload: 1, total: 6 },
};
const FILE: Target = { kind: 'file', path: 'docs.parquet' };
const S3: Target = {
  kind: 's3',
  endpoint: 'https://acc.r2.cloudflarestorage.com',
  bucket: 'b',
  region: 'auto',
  accessKeyId: undefined,
  secretAccessKey: undefined,
};

function at(location: string): ExportReport {
  return { ...REPORT, file: { location, bytes: 1, rowGroups: 1, etag: 'abc' } };
}

describe('reportLines()', () => {
  test('tells rows, bytes, time, rate, where it is and how to read it', () => {
    expect(reportLines(REPORT, FILE, 79)).toEqual([
      'Exported  200,000 rows in 20 row groups, 812 MB, 6s (40,000 rows/s)',
      'To        docs.parquet',
      'Without   1 point deleted meanwhile',
      "Read it   SELECT * FROM read_parquet('docs.parquet') LIMIT 5;",
    ]);
  });

  test('quotes a path in SQL', () => {
    expect(reportLines(at("it's.parquet"), FILE, 79).at(-1)).toContain("read_parquet('it''s.parquet')");
  });

  test('gives the secret that DuckDB wants for an S3 service', () => {
    expect(reportLines(at('s3://b/docs/latest.parquet'), S3, 79).slice(-3)).toEqual([
      "Read it   CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…',",
      "            ENDPOINT 'acc.r2.cloudflarestorage.com', REGION 'auto', URL_STYLE 'path');",
      "          SELECT * FROM read_parquet('s3://b/docs/latest.parquet') LIMIT 5;",
    ]);
    const plain = reportLines(at('s3://b/k'), { ...S3, endpoint: 'http://127.0.0.1:7070' }, 79).join('\n');
    expect(plain).toContain("ENDPOINT '127.0.0.1:7070'");
    expect(plain).toContain('USE_SSL false');
    const aws = reportLines(at('s3://b/k'), { ...S3, endpoint: undefined, region: 'eu-west-1' }, 79).join(
      '\n',
    );
    expect(aws).toContain("CREATE SECRET (TYPE s3, PROVIDER credential_chain, REGION 'eu-west-1');");
  });

  test('says of a dry run that nothing was written', () => {
    expect(reportLines({ ...REPORT, file: undefined }, FILE, 79).join(' ')).toContain('nothing was written');
  });
});

describe('reportDocument()', () => {
  const tool = { name: 'exporter-r2', version: '0.1.0' };

  test('has the names of the manifest, plain values only', () => {
    const document = JSON.parse(JSON.stringify(reportDocument(REPORT, 'docs.parquet', tool)));
    expect(document).toMatchObject({
      tool,
      collection: 'docs',
      serverVersion: '1.18.3',
      startedAt: '1970-01-01T00:00:00.000Z',
      finishedAt: '1970-01-01T00:00:06.000Z',
      dryRun: false,
      counts: { before: 200_001, idsSeen: 200_001, rows: 200_000, missing: 1 },
      files: [{ key: 'docs.parquet', bytes: 812_000_000, rows: 200_000, rowGroups: 20, etag: null }],
      warnings: ['odd'],
      timings: { exportSeconds: 5, uploadSeconds: 1, totalSeconds: 6 },
    });
  });

  test('has no files after a dry run', () => {
    const document = reportDocument({ ...REPORT, file: undefined }, 'k', tool);
    expect(document.files).toEqual([]);
    expect(document.dryRun).toBe(true);
  });
});
