import { describe, expect, test } from 'bun:test';
import { type Asked, planLines } from '../../../../lib/cli/screen/plan-lines.ts';
import type { CollectionShape, VectorSpec } from '../../../../lib/model.ts';
import type { PlanSummary } from '../../../../lib/plan.ts';

const ALL: Asked = {
  vectors: undefined,
  filter: undefined,
  limit: undefined,
  shardKey: undefined,
  splitBytes: undefined,
};
const WIDTH = 77;

function plan(shape: Partial<CollectionShape> = {}, more: Partial<PlanSummary> = {}): PlanSummary {
  return {
    shape: {
      name: 'docs',
      collection: 'docs',
      serverVersion: '1.18.3',
      vectors: [dense('', 1024)],
      shardCount: 6,
      sharding: 'auto',
      shardKeys: [],
      strictMode: {},
      config: '{}',
      updateQueue: 0,
      ...shape,
    },
    protocol: 'grpc',
    points: 200_000,
    passes: 'two',
    passesReason: 'scroll slows down with 6 shards, retrieve does not',
    format: 'parquet-med, row groups of 10,000 rows, zstd, plain vectors',
    location: 's3://backups/docs/latest.parquet',
    door: undefined,
    converter: 'DuckDB 1.5.6, at most 256 MiB',
    workFolder: '/tmp/qdrant-export/docs',
    estimatedBytes: 812_000_000,
    pointsInMemory: 4_096,
    ...more,
  };
}

function dense(name: string, size: number, datatype = 'float32'): VectorSpec {
  return { kind: 'dense', name, size, distance: 'Cosine', datatype };
}

/** The row with this label, its further lines behind it. */
function row(label: string, summary: PlanSummary, asked: Partial<Asked> = {}): string | undefined {
  const text = planLines(summary, { ...ALL, ...asked }, WIDTH)
    .join('\n')
    .replace(/\n {2,}/g, ' ');
  const line = text.split('\n').find((each) => each.startsWith(`${label} `));
  return line?.slice(label.length).trim();
}

describe('planLines()', () => {
  test('tells server, collection, points, vectors and plan in aligned lines', () => {
    expect(planLines(plan(), ALL, WIDTH)).toEqual([
      'Qdrant      1.18.3 over gRPC',
      'Collection  docs: 200,000 points, 6 shards',
      'Vectors     unnamed 1,024 dense Cosine',
      'Passes      two (scroll slows down with 6 shards, retrieve does not)',
      'Format      parquet-med, row groups of 10,000 rows, zstd, plain vectors',
      'Convert     DuckDB 1.5.6, at most 256 MiB',
      'Target      s3://backups/docs/latest.parquet, about 812 MB',
      'Work files  /tmp/qdrant-export/docs',
      'In memory   at most 4,096 points at once',
    ]);
  });

  test('says nothing of a converter and of work files where there are none', () => {
    const summary = plan({}, { converter: undefined, workFolder: undefined });
    expect(row('Convert', summary)).toBeUndefined();
    expect(row('Work files', summary)).toBeUndefined();
  });

  test('tells how the file gets into the store, where there is more than one way', () => {
    expect(row('Upload', plan())).toBeUndefined();
    expect(row('Upload', plan({}, { door: 'S3 endpoint' }))).toBe('S3 endpoint');
  });

  test('tells about how many files an export is split into', () => {
    const lines = (splitBytes: number) =>
      planLines(plan({}, { estimatedBytes: 95_000_000 }), { ...ALL, splitBytes }, 200);
    const target = 'Target      s3://backups/docs/latest.parquet, about 95 MB in about';
    expect(lines(45_000_000)).toContain(`${target} 3 files of at most 45 MB`);
    expect(lines(95_000_000)).toContain(`${target} 1 file of at most 95 MB`);
  });

  test('tells filter, shard key and limit where they were asked for, and that not all points are exported', () => {
    const asked = { ...ALL, filter: '{"must": []}', shardKey: 'acme', limit: 1_000 };
    expect(planLines(plan({}, { points: 1_000 }), asked, WIDTH).slice(1, 6)).toEqual([
      'Collection  docs: 1,000 points to export, 6 shards',
      'Vectors     unnamed 1,024 dense Cosine',
      'Filter      {"must": []}',
      'Shard key   acme',
      'Limit       1,000 points, in id order',
    ]);
    for (const one of [{ filter: '{}' }, { shardKey: 'a' }, { limit: 1 }]) {
      expect(row('Collection', plan({}, { points: 1 }), one)).toBe('docs: 1 point to export, 6 shards');
    }
  });

  test('tells each vector by name, size, kind and what is unusual', () => {
    const vectors: VectorSpec[] = [
      dense('text', 512),
      dense('image', 4, 'uint8'),
      { kind: 'multi', name: 'colbert', size: 128, distance: 'Dot', datatype: 'float16' },
      { kind: 'sparse', name: 'bm25', size: 0, distance: 'Dot', datatype: 'float32' },
      dense('a, b', 4),
      dense('unnamed', 4),
    ];
    expect(row('Vectors', plan({ vectors }))).toBe(
      'text 512 dense Cosine, image 4 dense uint8 Cosine, colbert 128 multi float16 Dot, bm25 sparse, "a, b" 4 dense Cosine, "unnamed" 4 dense Cosine',
    );
  });

  test('tells a collection without vectors from a run that leaves them out', () => {
    expect(row('Vectors', plan({ vectors: [] }))).toBe('none in this collection');
    expect(row('Vectors', plan({ vectors: [] }), { vectors: [] })).toBe('none');
  });

  test('counts vectors from the 21st on', () => {
    const vectors = Array.from({ length: 22 }, (_, index) => dense(`v${index}`, 4));
    expect(row('Vectors', plan({ vectors }))).toEndWith(', v19 4 dense Cosine and 2 more');
  });

  test('counts the shard keys of custom sharding, and names the collection behind an alias', () => {
    const shardKeys = [{ kind: 'keyword', text: 'acme' }] as const;
    const shape = { name: 'current', sharding: 'custom', shardKeys, shardCount: 1 } as const;
    expect(row('Collection', plan(shape))).toBe(
      'current, an alias of docs: 200,000 points, 1 shard, 1 shard key',
    );
  });

  test('wraps at blanks and indents what follows', () => {
    const lines = planLines(plan({}, { passesReason: 'because '.repeat(20).trim() }), ALL, 60);
    expect(lines.every((line) => line.length <= 60)).toBe(true);
    expect(lines.filter((line) => line.startsWith(' '.repeat(12))).length).toBeGreaterThan(1);
  });

  test.each([
    ['of wide letters', `{"must":"${'日'.repeat(100)}"}`],
    ['over several lines', `{\n  "must":\n ${'[1],\n'.repeat(100)}}`],
    ['of 16 MiB', `{"must":"${'x'.repeat(16 * 1024 * 1024)}"}`],
  ])('cuts a filter %s to one line', (_what, filter) => {
    const lines = planLines(plan(), { ...ALL, filter }, WIDTH);
    const index = lines.findIndex((line) => line.startsWith('Filter '));
    expect(lines[index]).toEndWith('…');
    expect(lines[index]).not.toContain('\n');
    expect(Bun.stringWidth(lines[index] as string)).toBeLessThanOrEqual(WIDTH);
    expect(Bun.stringWidth(lines[index] as string)).toBeGreaterThanOrEqual(WIDTH - 1);
    expect(lines[index + 1]).toStartWith('Passes ');
  });
});
