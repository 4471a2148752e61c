import { describe, expect, test } from 'bun:test';
import type { ToolError } from '../../../lib/errors.ts';
import type { CollectionShape, VectorSpec } from '../../../lib/model.ts';
import type { ExportPlan } from '../../../lib/plan.ts';
import { closingLook } from '../../../lib/run/closing-look.ts';
import { memoryTransport } from '../../support/memory-transport.ts';
import { planOf, shapeOf } from '../../support/plans.ts';
import { pointsOf } from '../../support/point-sets.ts';

const spec = (name: string, other: Partial<VectorSpec> = {}): VectorSpec => ({
  kind: 'dense',
  name,
  size: 2,
  distance: 'Dot',
  datatype: 'float32',
  ...other,
});

interface Scene {
  readonly before?: Partial<CollectionShape>;
  readonly after?: Partial<CollectionShape>;
  readonly counts?: readonly [before: number, after: number];
  readonly found?: { readonly idsSeen: number; readonly rows: number; readonly missing: number };
  readonly plan?: Partial<ExportPlan>;
}

const STILL = { idsSeen: 10, rows: 10, missing: 0 };

async function lookAt({ before = {}, after = before, counts = [10, 10], found = STILL, plan = {} }: Scene) {
  const described = shapeOf(before);
  const chosen = described.vectors.filter(({ name }) => plan.vectors?.includes(name) ?? true);
  const transport = memoryTransport([], [{ shape: shapeOf(after), count: counts[1] }]);
  const first = { described, all: pointsOf('c'), before: counts[0] };
  return closingLook(planOf(plan), first, chosen, found, transport, new AbortController().signal);
}

async function refusal(scene: Scene): Promise<string> {
  const error = await lookAt(scene).catch((thrown: unknown) => thrown as ToolError);
  if (!(error instanceof Error)) return 'nothing was refused';
  expect(error.code).toBe('integrity');
  return error.message;
}

const two = { vectors: [spec('a'), spec('b')] };

describe('closingLook()', () => {
  test('finds nothing where the collection stood still', async () => {
    expect(await lookAt({})).toEqual({ after: 10, warnings: [] });
    const limited = {
      counts: [10, 10],
      found: { idsSeen: 3, rows: 3, missing: 0 },
      plan: { limit: 3 },
    } as const;
    expect(await lookAt({ ...limited, plan: { limit: 3, strict: true } })).toEqual({
      after: 10,
      warnings: [],
    });
  });

  for (const [what, scene, warnings] of [
    [
      'points that were added',
      { counts: [10, 12] },
      ['The collection changed during the export: it had 10 points before and 12 after, and 10 were found.'],
    ],
    [
      'points that came and went between the counts',
      { found: { idsSeen: 11, rows: 11, missing: 0 } },
      ['The collection changed during the export: it had 10 points before and 10 after, and 11 were found.'],
    ],
    [
      'points that both counts have and no page had',
      { counts: [10, 11], found: { idsSeen: 7, rows: 7, missing: 0 } },
      [
        'Only 7 of at least 10 points were found that were counted both before and after the export: the others moved while it ran, or are missing.',
      ],
    ],
    [
      'points that were deleted after they were listed',
      { counts: [10, 9], found: { idsSeen: 10, rows: 9, missing: 1 } },
      [
        '1 point was deleted while the export ran and is not in the file.',
        'The collection changed during the export: it had 10 points before and 9 after, and 10 were found.',
      ],
    ],
  ] as const satisfies [string, Scene, string[]][]) {
    test(`tells of ${what}, and refuses them when it is strict`, async () => {
      expect((await lookAt(scene)).warnings).toEqual(warnings);
      expect(await refusal({ ...scene, plan: { strict: true } })).toStartWith(
        'Cannot export collection `c` with --strict: 10 points were counted before and ',
      );
    });
  }

  test('tells of updates that wait and of shard keys that changed, strict or not', async () => {
    const key = (text: string) => ({ kind: 'keyword', text }) as const;
    const scene: Scene = {
      before: { updateQueue: 0, sharding: 'custom', shardKeys: [key('a')] },
      after: { updateQueue: 3, sharding: 'custom', shardKeys: [key('a'), key('b')] },
      plan: { strict: true },
    };
    expect((await lookAt(scene)).warnings).toEqual([
      "3 updates were waiting in Qdrant's queue: what they change is not in the file.",
      'Shard keys were added or dropped during the export: their points may not be in the file.',
    ]);
  });

  for (const [what, after, words] of [
    ['was dropped', { vectors: [spec('b')] }, 'vector `a` was dropped'],
    ['was added', { vectors: [spec('a'), spec('b'), spec('c')] }, 'vector `c` was added'],
    [
      'was made anew in another form',
      { vectors: [spec('a', { size: 3 }), spec('b')] },
      'vector `a` was dense of 2 dimensions, float32, Dot and is dense of 3 dimensions, float32, Dot',
    ],
  ] as const) {
    test(`refuses a collection of which a vector ${what}`, async () => {
      expect(await refusal({ before: two, after })).toBe(
        `Cannot export collection \`c\`: its vectors changed during the export, ${words}. Run it again.`,
      );
    });
  }

  test('leaves vectors alone that are not exported', async () => {
    const plan = { vectors: ['b'] };
    for (const vectors of [[spec('b')], [spec('a'), spec('b'), spec('c')]]) {
      expect(await lookAt({ before: two, after: { vectors }, plan })).toEqual({ after: 10, warnings: [] });
    }
    expect(await refusal({ before: two, after: { vectors: [spec('a')] }, plan })).toContain(
      '`b` was dropped',
    );
  });
});
