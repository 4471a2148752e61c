import type { PointSource } from './collection.ts';

/**
 * The points of several shard keys that number their places alike. Where two keys hold an id, the one that is
 * listed last is seen.
 */
export function unionPoints(sources: readonly PointSource[]): PointSource {
  const [first] = sources;
  if (first === undefined) throw new Error('a union of no shard keys');
  if (sources.length === 1) return first;
  const at = (position: number): PointSource =>
    sources.findLast((source) => source.isPresent(position)) ?? first;
  return {
    length: first.length,
    positionAtOrAfter: (id) => first.positionAtOrAfter(id),
    positionOf: (id) => first.positionOf(id),
    isPresent: (position) => sources.some((source) => source.isPresent(position)),
    isRetrievable: (position) => at(position).isRetrievable(position),
    matches: (position, filter) => at(position).matches(position, filter),
    point: (position) => at(position).point(position),
    noteFetched: (positions) => {
      for (const position of positions) at(position).noteFetched([position]);
    },
    jsonBytes: (selection) => first.jsonBytes(selection),
    protoBytes: (selection) => first.protoBytes(selection),
    writeJsonId: (out, position) => first.writeJsonId(out, position),
    writeJsonPoint: (out, position, selection) => at(position).writeJsonPoint(out, position, selection),
    writeProtoId: (out, position, field) => first.writeProtoId(out, position, field),
    writeProtoPoint: (out, position, selection, field) =>
      at(position).writeProtoPoint(out, position, selection, field),
  };
}
