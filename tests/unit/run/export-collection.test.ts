import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { Manifest } from '../../../lib/manifest.ts';
import type { CollectionShape } from '../../../lib/model.ts';
import type { ExportEvent, ExportPlan } from '../../../lib/plan.ts';
import { exportCollection } from '../../../lib/run/export.ts';
import type { Destination } from '../../../lib/storage/storage.ts';
import type { EncodedUnit, Format } from '../../../lib/writers/format.ts';
import { type MemoryLook, type MemoryPoints, memoryTransport } from '../../support/memory-transport.ts';
import { planOf, shapeOf } from '../../support/plans.ts';

interface LinesUnit extends EncodedUnit {
  readonly text: string;
}

/** A file of a line for each point: its shard key and its id. */
function lines(shape: CollectionShape): Format<LinesUnit> {
  return {
    layout: { rows: 4, vectors: shape.vectors, fields: [] },
    unitRows: () => 4,
    encode: async ({ ids, rowCount, shardKey }) => ({
      rowCount,
      text: ids.map((id) => `${shardKey?.text ?? ''}:${id}\n`).join(''),
    }),
    async *assemble(units) {
      let rows = 0;
      for await (const unit of units) {
        rows += unit.rowCount;
        yield new TextEncoder().encode(unit.text);
      }
      yield new TextEncoder().encode('end\n');
      return { rows, rowGroups: 1, emptyVectors: { vector: rows }, keys: KEYS, notes: ['A note.'] };
    },
    rowsHeld: () => 0,
    description: 'lines',
    estimateBytes: (points) => points * 10,
  };
}

const KEYS = { fromPayload: 1, duplicates: 2, exact: true };

/** A store in memory, where keys that begin with `refused` cannot be written. */
function store() {
  const objects = new Map<string, string>();
  const destination: Destination = {
    locate: (key) => `memory:${key}`,
    check: async () => {},
    async put({ key, body }) {
      const text = await new Response(body as ReadableStream).text();
      if (key.startsWith('refused')) throw new ToolError('store', 'The store is full.');
      objects.set(key, text);
      return { location: `memory:${key}`, bytes: text.length, etag: 'tag' };
    },
  };
  return { objects, destination };
}

interface Scene {
  readonly points?: readonly MemoryPoints[];
  readonly looks?: readonly MemoryLook[];
  readonly plan?: Partial<ExportPlan>;
  readonly format?: (shape: CollectionShape) => Format<LinesUnit>;
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));
const STILL: MemoryLook = { shape: shapeOf(), count: 10 };

async function exported({
  points = [{ key: '', ids: numbers(10) }],
  looks = [STILL],
  plan = {},
  format = lines,
}: Scene) {
  const { objects, destination } = store();
  const events: ExportEvent[] = [];
  const parts = {
    transport: memoryTransport(points, looks),
    format,
    destination,
    converter: undefined,
    work: undefined,
    confirm: undefined,
    tool: { name: 'exporter', version: '1' },
    emit: (event: ExportEvent) => events.push(event),
  };
  const outcome = await exportCollection(planOf(plan), parts, new AbortController().signal).catch(
    (error: unknown) => error as ToolError,
  );
  return { outcome, objects, events };
}

const key = (text: string) => ({ kind: 'keyword', text }) as const;
const SHARDED: Scene = {
  points: [
    { key: 'a', ids: numbers(5) },
    { key: 'b', ids: numbers(6) },
  ],
  looks: [{ shape: shapeOf({ sharding: 'custom', shardKeys: [key('a'), key('b')] }), count: 11 }],
};

describe('exportCollection()', () => {
  for (const passes of ['one', 'two'] as const) {
    test(`exports shard key after shard key, an id of two keys twice, in ${passes} pass(es)`, async () => {
      const { objects } = await exported({ ...SHARDED, plan: { passes } });
      const wanted = [...numbers(5).map((id) => `a:${id}\n`), ...numbers(6).map((id) => `b:${id}\n`)];
      expect(objects.get('k')).toBe(`${wanted.join('')}end\n`);
    });

    test(`exports one shard key alone, up to the limit, in ${passes} pass(es)`, async () => {
      const one = await exported({ ...SHARDED, plan: { passes, shardKey: 'b', limit: 2 } });
      expect(one.objects.get('k')).toBe('b:1\nb:2\nend\n');
      const limited = await exported({ ...SHARDED, plan: { passes, limit: 7 } });
      expect(limited.objects.get('k')).toBe('a:1\na:2\na:3\na:4\na:5\nb:1\nb:2\nend\n');
      expect((limited.outcome as { warnings: unknown }).warnings).toEqual([
        '2 rows have a key that a row before has too: the key alone does not tell rows apart.',
      ]);
    });
  }

  test('puts the manifest beside the export, after it', async () => {
    const alias = shapeOf({
      name: 'alias',
      collection: 'c',
      config: '{"params":{}}',
      vectors: [{ kind: 'dense', name: '', size: 2, distance: 'Cosine', datatype: 'uint8' }],
    });
    const { objects, outcome, events } = await exported({
      looks: [{ shape: alias, count: 10 }],
      plan: { options: { schema: 'lines', limit: null } },
    });
    expect([...objects.keys()]).toEqual(['k', 'k.json']);
    const manifest = JSON.parse(objects.get('k.json') as string) as Manifest;
    expect(outcome).toMatchObject({ manifest });
    const text = objects.get('k') as string;
    const warnings = [
      '2 rows have a key that a row before has too: the key alone does not tell rows apart.',
      'Qdrant normalises vectors of distance Cosine when it stores them, so their lengths are gone: unnamed vector.',
      'Qdrant stores these vectors rounded to uint8: unnamed vector.',
      'A note.',
    ];
    expect(manifest).toEqual({
      manifest: 1,
      tool: { name: 'exporter', version: '1' },
      collection: 'c',
      alias: 'alias',
      serverVersion: '1.18.3',
      collectionConfig: { params: {} },
      vectors: [...alias.vectors],
      options: { schema: 'lines', limit: null },
      startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      finishedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      counts: {
        before: 10,
        after: 10,
        idsSeen: 10,
        rows: 10,
        missing: 0,
        emptyVectors: { vector: 10 },
        keysFromPayload: 1,
        duplicateKeys: 2,
        duplicateKeysExact: true,
      },
      files: [
        {
          key: 'k',
          bytes: text.length,
          sha256: new Bun.CryptoHasher('sha256').update(text).digest('hex'),
          rows: 10,
          rowGroups: 1,
          etag: 'tag',
        },
      ],
      warnings,
    });
    const told = events.filter(({ kind }) => kind === 'warning' || kind === 'note');
    expect(told.map((event) => (event as { text: string }).text)).toEqual(warnings);
    expect(told.map(({ kind }) => kind)).toEqual(['warning', 'note', 'note', 'note']);
  });

  test('names the first point that the format cannot hold, whichever unit is encoded first', async () => {
    const second = Promise.withResolvers<void>();
    const format = (shape: CollectionShape): Format<LinesUnit> => ({
      ...lines(shape),
      async encode({ ids }) {
        if (ids.includes('1')) await second.promise;
        else queueMicrotask(second.resolve);
        throw new ToolError('format', `Cannot write point ${ids[0]}.`);
      },
    });
    const { outcome, objects } = await exported({ format, plan: { parallel: 3 } });
    expect((outcome as ToolError).message).toBe('Cannot write point 1.');
    expect([...objects.keys()]).toEqual([]);
  });

  test('says that the export is there when only its manifest could not be written', async () => {
    const { outcome, objects } = await exported({ plan: { manifestKey: 'refused.json' } });
    expect([...objects.keys()]).toEqual(['k']);
    expect(outcome).toBeInstanceOf(ToolError);
    expect((outcome as ToolError).message).toBe(
      'The export is whole and published as memory:k, but its manifest is not: The store is full.',
    );
  });

  for (const [what, scene] of [
    ['points were added', { looks: [STILL, { ...STILL, count: 11 }], plan: { strict: true } }],
    [
      'points were deleted',
      { points: [{ key: '', ids: numbers(10), deleted: ['3'] }], plan: { strict: true } },
    ],
    ['the vectors changed', { looks: [STILL, { ...STILL, shape: shapeOf({ vectors: [] }) }] }],
  ] as const satisfies [string, Scene][]) {
    test(`publishes nothing when ${what}`, async () => {
      const { outcome, objects } = await exported(scene);
      expect(outcome).toBeInstanceOf(ToolError);
      expect((outcome as ToolError).code).toBe('integrity');
      expect([...objects.keys()]).toEqual([]);
    });
  }

  test('publishes and warns when points were deleted, unless it is strict', async () => {
    const points = [{ key: '', ids: numbers(10), deleted: ['3', '4'] }];
    const { outcome, objects } = await exported({ points });
    expect(outcome).toMatchObject({ counts: { before: 10, after: 10, idsSeen: 10, rows: 8, missing: 2 } });
    expect(outcome).toMatchObject({
      warnings: [
        '2 points were deleted while the export ran and are not in the file.',
        '2 rows have a key that a row before has too: the key alone does not tell rows apart.',
      ],
    });
    expect([...objects.keys()]).toEqual(['k', 'k.json']);
  });
});
