import type { CollectionShape } from '../../lib/model.ts';
import type { ExportPlan } from '../../lib/plan.ts';

/** A collection `c` of one unnamed vector of two dimensions, but for what a test says of it. */
export function shapeOf(other: Partial<CollectionShape> = {}): CollectionShape {
  return {
    name: 'c',
    collection: other.name ?? 'c',
    serverVersion: '1.18.3',
    vectors: [{ kind: 'dense', name: '', size: 2, distance: 'Dot', datatype: 'float32' }],
    shardCount: 1,
    sharding: 'auto',
    shardKeys: [],
    strictMode: {},
    config: '{}',
    updateQueue: 0,
    ...other,
  };
}

/** The plan of a whole export of collection `c` in two passes, but for what a test says of it. */
export function planOf(other: Partial<ExportPlan> = {}): ExportPlan {
  return {
    collection: 'c',
    vectors: undefined,
    filter: undefined,
    limit: undefined,
    shardKey: undefined,
    strict: false,
    batchSize: 10,
    retrieveBatch: undefined,
    parallel: 1,
    passes: 'two',
    key: 'k',
    splitBytes: undefined,
    manifestKey: 'k.json',
    options: {},
    server: 'http://qdrant',
    target: 'store/k',
    exportedAt: new Date(0),
    streaming: true,
    resume: false,
    debug: false,
    keep: undefined,
    dryRun: false,
    ...other,
  };
}
