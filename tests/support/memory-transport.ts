import { type CollectionShape, compareIds, type PointId } from '../../lib/model.ts';
import type { PointSet, Transport } from '../../lib/qdrant/transport.ts';
import { scriptedTransport } from './scripted-transport.ts';

/** Ids of one shard key ('' without custom sharding), and which of them retrieve no longer finds. */
export interface MemoryPoints {
  readonly key: string;
  readonly ids: readonly PointId[];
  readonly deleted?: readonly PointId[];
}

/** Looks at the collection, one after the other; the last one stays. */
export interface MemoryLook {
  readonly shape: CollectionShape;
  readonly count: number;
}

/** A transport over points without vectors and payloads. Like Qdrant it reads nothing that was not asked for. */
export function memoryTransport(points: readonly MemoryPoints[], looks: readonly MemoryLook[]): Transport {
  const [first] = looks;
  let described = 0;
  let counted = 0;
  const at = (index: number) => looks[Math.min(index, looks.length - 1)] ?? (first as MemoryLook);
  const under = ({ shardKey }: PointSet) => points.find(({ key }) => key === (shardKey?.text ?? ''));
  const pageOf = (set: PointSet, offset: PointId | undefined, limit: number) => {
    const ids = under(set)?.ids ?? [];
    const rest = offset === undefined ? ids : ids.filter((id) => compareIds(id, offset) >= 0);
    return { ids: rest.slice(0, limit), next: rest[limit] };
  };
  return scriptedTransport({
    collections: async () => [at(0).shape.collection],
    describe: async () => at(described++).shape,
    count: async () => at(counted++).count,
    scrollIds: async (set, { offset, limit }) => pageOf(set, offset, limit),
    retrieve: async (set, ids, into) => {
      const { ids: own = [], deleted = [] } = under(set) ?? {};
      for (const id of ids) if (own.includes(id) && !deleted.includes(id)) into.endRow(id);
    },
    scroll: async (set, { offset, limit }, into) => {
      const { ids, next } = pageOf(set, offset, limit);
      for (const id of ids) into.endRow(id);
      return next;
    },
  });
}
