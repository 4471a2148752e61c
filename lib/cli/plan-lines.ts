import type { VectorSpec } from '../model.ts';
import type { PlanSummary } from '../plan.ts';
import { byteSize, grouped } from './human-numbers.ts';
import { wrapped } from './wrapped.ts';

/** The first lines of a run: what is read, from which server, how, and where it goes; aligned. */
export function planLines(plan: PlanSummary, width: number): string[] {
  const { shape } = plan;
  const shards = `${grouped(shape.shardCount)} ${shape.shardCount === 1 ? 'shard' : 'shards'}`;
  const protocol = plan.protocol === 'grpc' ? 'gRPC' : 'REST';
  const rows: [string, string][] = [
    ['Qdrant', `${shape.serverVersion} over ${protocol}`],
    ['Collection', `${shape.name}: ${grouped(plan.points)} points, ${shards}, ${vectorsText(shape.vectors)}`],
    ['Passes', `${plan.passes} (${plan.passesReason})`],
    ['Format', plan.format],
    ['Target', `${plan.location}, about ${byteSize(plan.estimatedBytes)}`],
  ];
  if (plan.workFile !== undefined) rows.push(['Work file', plan.workFile]);
  rows.push(['In memory', `at most ${grouped(plan.pointsInMemory)} points at once`]);
  const indent = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.flatMap(([label, text]) => wrapped(text, width, label.padEnd(indent)));
}

function vectorsText(vectors: readonly VectorSpec[]): string {
  if (vectors.length === 0) return 'no vectors';
  return vectors
    .map((spec) => {
      const name = spec.name === '' ? 'vector' : `vector ${spec.name}`;
      return spec.kind === 'sparse'
        ? `${name} (sparse)`
        : `${name} of ${grouped(spec.size)} ${spec.datatype}, ${spec.distance}${spec.kind === 'multi' ? ', multi' : ''}`;
    })
    .join('; ');
}
