import { describe, expect, test } from 'bun:test';
import { reportDocument, reportLines } from '../../../../lib/cli/screen/report.ts';
import type { ExporterSettings, Target } from '../../../../lib/cli/settings/settings.ts';
import { type Manifest, manifestOf } from '../../../../lib/manifest.ts';
import type { CollectionShape } from '../../../../lib/model.ts';
import type { ExportCounts, ExportedData, ExportPlan, ExportReport } from '../../../../lib/plan.ts';
import { Secret } from '../../../../lib/secret.ts';

const TOOL = { name: 'exporter-r2', version: '0.1.0' };
const STARTED = new Date(0);
const FINISHED = new Date(6_000);

const SHAPE: CollectionShape = {
  name: 'current',
  collection: 'docs',
  serverVersion: '1.18.3',
  vectors: [{ kind: 'dense', name: '', size: 4, distance: 'Dot', datatype: 'float32' }],
  shardCount: 1,
  sharding: 'auto',
  shardKeys: [],
  strictMode: {},
  config: '{"params":{"shard_number":1}}',
  updateQueue: undefined,
};

const PLAN: ExportPlan = {
  collection: 'current',
  vectors: undefined,
  filter: undefined,
  limit: undefined,
  shardKey: undefined,
  strict: false,
  batchSize: 10_000,
  retrieveBatch: undefined,
  parallel: 2,
  passes: 'auto',
  key: 'docs.parquet',
  splitBytes: undefined,
  manifestKey: 'docs.parquet.json',
  options: { schema: 'keyed', vectors: null },
  server: 'http://localhost:6333 over REST',
  target: '/work/docs.parquet',
  exportedAt: STARTED,
  streaming: false,
  resume: false,
  debug: false,
  keep: undefined,
  dryRun: false,
};

const COUNTS: ExportCounts = {
  before: 200_001,
  after: 200_002,
  idsSeen: 200_001,
  rows: 200_000,
  missing: 1,
  emptyVectors: { vector: 0 },
  keys: undefined,
};

const FILE = { key: 'docs.parquet', bytes: 812_000_000, sha256: 'ab', rows: 200_000, rowGroups: 20 };

/** One file that is there. */
function exported(location: string, manifestLocation: string): ExportedData {
  const { bytes, rowGroups } = FILE;
  const key = location.replace(/^s3:..b./, '');
  return {
    key,
    location,
    manifestLocation,
    bytes,
    rowGroups,
    files: [{ ...FILE, key, location, etag: undefined }],
  };
}

const REPORT: ExportReport = {
  plan: {
    shape: SHAPE,
    protocol: 'rest',
    points: 200_001,
    passes: 'two',
    passesReason: 'one shard',
    format: 'parquet-med',
    location: 'docs.parquet',
    door: undefined,
    converter: undefined,
    workFolder: '/tmp/qdrant-export/docs',
    estimatedBytes: 800_000_000,
    pointsInMemory: 1,
  },
  startedAt: STARTED,
  finishedAt: FINISHED,
  counts: COUNTS,
  file: exported('docs.parquet', 'docs.parquet.json'),
  warnings: ['odd'],
  notes: ['good to know'],
  manifest: manifest(),
  copies: { made: [], removed: [] },
  workFiles: [],
  seconds: { export: 5, convert: 0, upload: 1, total: 6 },
};
const DRY_RUN: ExportReport = { ...REPORT, file: undefined, manifest: undefined };

function manifest(): Manifest {
  const { keys: _, ...counts } = COUNTS;
  return manifestOf({
    shape: SHAPE,
    tool: TOOL,
    options: PLAN.options,
    startedAt: STARTED.toISOString(),
    finishedAt: FINISHED.toISOString(),
    counts: { ...counts, keysFromPayload: null, duplicateKeys: null, duplicateKeysExact: null },
    files: [{ ...FILE, etag: null }],
    warnings: ['odd', 'good to know'],
  });
}

const LOCAL = settings({ kind: 'file', path: 'docs.parquet' }, PLAN);
const S3 = {
  kind: 's3',
  endpoint: 'https://acc.r2.cloudflarestorage.com',
  bucket: 'b',
  region: 'auto',
  accessKeyId: undefined,
  secretAccessKey: undefined,
} as const;

function settings(target: Target, plan: ExportPlan): Pick<ExporterSettings, 'plan' | 'format' | 'target'> {
  return {
    plan,
    target,
    format: {
      schema: 'keyed',
      strategy: 'parquet-med',
      rowGroupRows: 10_000,
      compression: 'zstd',
      vectorEncoding: 'plain',
      keyField: 'slug',
      metadataField: undefined,
      splitBytes: undefined,
    },
  };
}

function at(location: string, manifestLocation = `${location}.json`): ExportReport {
  return { ...REPORT, file: exported(location, manifestLocation) };
}

/** The lines beside those of every run. */
function linesOf(counts: Partial<ExportCounts>, width = 77): string[] {
  const lines = reportLines({ ...REPORT, counts: { ...COUNTS, missing: 0, ...counts } }, LOCAL, width);
  return lines.filter((line) => !/^(Exported|To|Manifest|Times|Read it) /.test(line));
}

describe('reportLines()', () => {
  test('tells rows, bytes, time, rate, where export and manifest are and how to read it', () => {
    expect(reportLines(REPORT, LOCAL, 77)).toEqual([
      'Exported  200,000 rows in 20 row groups, 812 MB, 6s (40,000 rows/s)',
      'To        docs.parquet',
      'Manifest  docs.parquet.json',
      'Times     export 5s, upload 1s',
      'Without   1 point deleted meanwhile',
      "Read it   SELECT * FROM read_parquet('docs.parquet') LIMIT 5;",
    ]);
  });

  test('tells where a key came from, and that some are there twice', () => {
    const keys = { fromPayload: 150_000, duplicates: 1_200, exact: true };
    expect(linesOf({ keys })).toEqual([
      'Keys      150,000 from the payload field slug, 50,000 from point ids, 1,200',
      '          duplicates',
    ]);
    expect(linesOf({ keys: { ...keys, duplicates: 1, exact: false } }, 100)).toEqual([
      'Keys      150,000 from the payload field slug, 50,000 from point ids, about 1 duplicate',
    ]);
    expect(linesOf({ keys: { ...keys, fromPayload: 200_000, duplicates: 0 } })).toEqual([
      'Keys      200,000 from the payload field slug',
    ]);
    expect(linesOf({ keys: { ...keys, fromPayload: 0, duplicates: 0 } })).toEqual([
      'Keys      200,000 from point ids',
    ]);
  });

  test('says nothing of keys where there are none', () => {
    expect(linesOf({ keys: undefined })).toEqual([]);
    expect(linesOf({ rows: 0, keys: { fromPayload: 0, duplicates: 0, exact: true } })).toEqual([]);
  });

  test('counts the rows that lack a vector, and columns from the 21st on', () => {
    expect(linesOf({ emptyVectors: { vector_a: 1, vector_b: 0, vector_c: 2_000 } })).toEqual([
      'Empty     vector_a in 1 row, vector_c in 2,000 rows',
    ]);
    const many = Object.fromEntries(Array.from({ length: 23 }, (_, index) => [`vector_${index}`, 3]));
    expect(linesOf({ emptyVectors: many }).join(' ')).toEndWith('vector_19 in 3 rows and 3 more columns');
  });

  test('says nothing odd of a run that a limit cut short', () => {
    expect(linesOf({ before: 200_000, idsSeen: 1_000, rows: 1_000 })).toEqual([]);
  });

  test('tells the time of each phase where more than one took any', () => {
    const times = (seconds: Partial<ExportReport['seconds']>) =>
      reportLines({ ...REPORT, seconds: { ...REPORT.seconds, ...seconds } }, LOCAL, 77).filter((line) =>
        line.startsWith('Times '),
      );
    expect(times({ convert: 61 })).toEqual(['Times     export 5s, convert 1m 1s, upload 1s']);
    expect(times({ upload: 0.04 })).toEqual([]);
  });

  test('tells which copies were made, and how many were removed', () => {
    const copies = (made: string[], removed: string[]) =>
      reportLines({ ...REPORT, copies: { made, removed } }, LOCAL, 77).filter((line) =>
        line.startsWith('Copies '),
      );
    expect(copies([], [])).toEqual([]);
    expect(copies(['s3://b/docs/20261123T004023Z.parquet'], [])).toEqual([
      'Copies    s3://b/docs/20261123T004023Z.parquet',
    ]);
    expect(copies(['s3://b/docs/20261123T004023Z.parquet'], ['s3://b/old'])).toEqual([
      'Copies    s3://b/docs/20261123T004023Z.parquet, 1 older one removed',
    ]);
    expect(copies([], ['a', 'b'])).toEqual(['Copies    none made, 2 older ones removed']);
  });

  test('tells where the work files are that were kept', () => {
    const workFiles = ['/tmp/qdrant-export/docs/ndjson-gz.ndjson.gz', '/tmp/qdrant-export/docs/a b.parquet'];
    const lines = reportLines({ ...REPORT, workFiles }, LOCAL, 77);
    expect(lines).toContain('Kept      /tmp/qdrant-export/docs/ndjson-gz.ndjson.gz');
    expect(lines).toContain('          /tmp/qdrant-export/docs/a b.parquet');
  });

  test('quotes a path in SQL', () => {
    const local = settings({ kind: 'file', path: "it's.parquet" }, { ...PLAN, key: "it's.parquet" });
    expect(reportLines(at("it's.parquet"), local, 77).at(-1)).toContain("read_parquet('it''s.parquet')");
  });

  test('gives the secret that DuckDB wants for an S3 service, and the place of the manifest there', () => {
    const plan = { ...PLAN, key: 'docs/latest.parquet', manifestKey: 'docs/latest.json' };
    const report = at('s3://b/docs/latest.parquet', 's3://b/docs/latest.json');
    const lines = (target: Target) => reportLines(report, settings(target, plan), 77);
    expect(lines(S3)).toContain('Manifest  s3://b/docs/latest.json');
    expect(lines(S3).slice(-3)).toEqual([
      "Read it   CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…',",
      "            ENDPOINT 'acc.r2.cloudflarestorage.com', REGION 'auto', URL_STYLE 'path');",
      "          SELECT * FROM read_parquet('s3://b/docs/latest.parquet') LIMIT 5;",
    ]);
    const plain = lines({ ...S3, endpoint: 'http://127.0.0.1:7070' }).join('\n');
    expect(plain).toContain("ENDPOINT '127.0.0.1:7070'");
    expect(plain).toContain('USE_SSL false');
    const aws = lines({ ...S3, endpoint: undefined, region: 'eu-west-1' }).join('\n');
    expect(aws).toContain("CREATE SECRET (TYPE s3, PROVIDER credential_chain, REGION 'eu-west-1');");
  });

  const SPLIT = {
    ...REPORT,
    file: {
      ...exported('s3://b/docs/t-1/part-*.parquet', 's3://b/docs/latest.json'),
      files: [0, 1].map((number) => ({
        ...FILE,
        key: `docs/t-1/part-0000${number}.parquet`,
        location: `s3://b/docs/t-1/part-0000${number}.parquet`,
        etag: `e${number}`,
      })),
    },
  };
  const SPLIT_PLAN = { ...PLAN, splitBytes: 600_000_000 };

  test('names all files of a split export by one pattern, which the query reads', () => {
    const lines = reportLines(SPLIT, settings(S3, SPLIT_PLAN), 77);
    expect(lines[0]).toStartWith('Exported  200,000 rows in 20 row groups, 812 MB');
    expect(lines).toContain('To        s3://b/docs/t-1/part-*.parquet (2 files)');
    expect(lines).toContain('Manifest  s3://b/docs/latest.json');
    expect(lines.at(-1)).toBe(
      "          SELECT * FROM read_parquet('s3://b/docs/t-1/part-*.parquet') LIMIT 5;",
    );
    const document = JSON.parse(JSON.stringify(reportDocument(SPLIT, SPLIT_PLAN, TOOL)));
    expect(document.plan.estimatedFiles).toBe(2);
    expect(
      document.files.map(({ location, etag }: { location: string; etag: string }) => [location, etag]),
    ).toEqual([
      ['s3://b/docs/t-1/part-00000.parquet', 'e0'],
      ['s3://b/docs/t-1/part-00001.parquet', 'e1'],
    ]);
  });

  test('reads an export in Supabase Storage through its S3 endpoint, whichever way it got there', () => {
    const plan = { ...PLAN, key: 'docs/latest.parquet', manifestKey: 'docs/latest.json' };
    const report = {
      ...REPORT,
      file: {
        ...exported('https://ref.supabase.co: b/docs/latest.parquet', 'm'),
        key: 'docs/latest.parquet',
      },
    };
    const target = {
      kind: 'supabase',
      url: 'https://ref.supabase.co',
      bucket: 'backups',
      serviceKey: undefined,
      s3: undefined,
      createBucket: false,
    } as const;
    const last = (to: Target) => reportLines(report, settings(to, plan), 77).slice(-3);
    expect(last(target)).toEqual([
      "Read it   CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…',",
      "            ENDPOINT 'ref.supabase.co/storage/v1/s3', REGION '…', URL_STYLE 'path');",
      "          SELECT * FROM read_parquet('s3://backups/docs/latest.parquet') LIMIT 5;",
    ]);
    const secret = new Secret('hidden');
    const s3 = {
      endpoint: 'https://ref.storage.supabase.co/storage/v1/s3',
      region: 'eu-central-1',
      accessKeyId: secret,
      secretAccessKey: secret,
      sessionToken: secret,
    };
    expect(last({ ...target, s3 }).slice(0, 2)).toEqual([
      "Read it   CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…', SESSION_TOKEN '…',",
      "            ENDPOINT 'ref.storage.supabase.co/storage/v1/s3', REGION 'eu-central-1', URL_STYLE 'path');",
    ]);
  });

  test('says of a dry run that nothing was written', () => {
    expect(reportLines(DRY_RUN, LOCAL, 77).join(' ')).toContain('nothing was written');
  });
});

describe('reportDocument()', () => {
  const documentOf = (report: ExportReport) => JSON.parse(JSON.stringify(reportDocument(report, PLAN, TOOL)));

  test('is the manifest, with places, plan and timings beside it', () => {
    const ofManifest = manifest();
    const { protocol, points, passes, passesReason, format, location, estimatedBytes } = REPORT.plan;
    expect(documentOf(REPORT)).toEqual({
      ...ofManifest,
      files: [{ ...ofManifest.files[0], location: 'docs.parquet' }],
      dryRun: false,
      manifestLocation: 'docs.parquet.json',
      plan: {
        ...{ protocol, points, passes, passesReason, format, location, estimatedBytes },
        vectors: SHAPE.vectors,
        converter: null,
        door: null,
        estimatedFiles: 1,
        workFolder: '/tmp/qdrant-export/docs',
      },
      copies: { made: [], removed: [] },
      workFiles: [],
      timings: { exportSeconds: 5, convertSeconds: 0, uploadSeconds: 1, totalSeconds: 6 },
    });
  });

  test('has after a dry run no files and no manifest, and what is known by the same names', () => {
    const document = documentOf(DRY_RUN);
    expect(document).toMatchObject({
      tool: TOOL,
      collection: 'docs',
      alias: 'current',
      serverVersion: '1.18.3',
      vectors: SHAPE.vectors,
      options: { schema: 'keyed', vectors: null },
      startedAt: '1970-01-01T00:00:00.000Z',
      finishedAt: '1970-01-01T00:00:06.000Z',
      dryRun: true,
      files: [],
      manifestLocation: null,
      plan: { protocol: 'rest', points: 200_001 },
      timings: { totalSeconds: 6 },
    });
    expect(document.manifest).toBeUndefined();
    expect(documentOf({ ...DRY_RUN, warnings: ['Large.'] }).warnings).toEqual(['Large.']);
    const own = { ...DRY_RUN, plan: { ...DRY_RUN.plan, shape: { ...SHAPE, name: 'docs' } } };
    expect(documentOf(own)).toMatchObject({ collection: 'docs', alias: null });
  });
});
