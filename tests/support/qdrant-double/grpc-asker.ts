import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import type { AskedPoint, Asker, Read } from './asker.ts';
import { canonicalJson } from './canonical-payload.ts';
import type { ShardKey } from './collection.ts';
import { callGrpc, connectGrpc } from './grpc-exchange.ts';
import type { QdrantDouble } from './qdrant-double.ts';
import { Refused } from './refused.ts';
import { mapToJson } from './seen-point.ts';
import { seenProtoVectors } from './seen-vectors.ts';
import { numericShardKey } from './shard-key.ts';

export function grpcAsker({ grpcUrl }: QdrantDouble): Asker {
  const session = connectGrpc(grpcUrl);
  async function call<Req extends DescMessage, Res extends DescMessage>(
    method: string,
    request: Req,
    init: MessageInitShape<Req>,
    response: Res,
  ): Promise<MessageShape<Res>> {
    const answer = await callGrpc(session, method, toBinary(request, create(request, init)));
    if (answer.error !== undefined) throw answer.error;
    const status = Number(answer.headers['grpc-status'] ?? answer.trailers['grpc-status']);
    if (status !== 0) throw new Refused(status, decodeURIComponent(answer.headers['grpc-message'] ?? ''));
    // The default of 100 ends at payloads nested about 30 deep.
    return fromBinary(response, answer.messages[0]?.data ?? Buffer.alloc(0), { recursionLimit: 1000 });
  }
  return {
    protocol: 'grpc',
    async scroll(read) {
      const { limit = 10_000, offset } = read;
      const init = {
        ...common(read),
        ...selected(read),
        limit,
        ...(offset === undefined ? {} : { offset: protoId(offset) }),
        ...(read.filter === undefined ? {} : { filter: read.filter.grpc }),
      };
      const page = await call(
        'qdrant.Points/Scroll',
        schemas.ScrollPointsSchema,
        init,
        schemas.ScrollResponseSchema,
      );
      const next = page.nextPageOffset?.pointIdOptions.value;
      return { points: page.result.map(protoPoint), next: next === undefined ? undefined : String(next) };
    },
    async retrieve(read, ids) {
      const init = { ...common(read), ...selected(read), ids: ids.map(protoId) };
      const { result } = await call(
        'qdrant.Points/Get',
        schemas.GetPointsSchema,
        init,
        schemas.GetResponseSchema,
      );
      return result.map(protoPoint);
    },
    async count(read) {
      const filter = read.filter === undefined ? {} : { filter: read.filter.grpc };
      const init = { ...common(read), ...filter, exact: true };
      const { result } = await call(
        'qdrant.Points/Count',
        schemas.CountPointsSchema,
        init,
        schemas.CountResponseSchema,
      );
      return Number(result?.count);
    },
    close: () => session.destroy(),
  };
}

const TYPES = {
  all: schemas.ReadConsistencyType.All,
  majority: schemas.ReadConsistencyType.Majority,
  quorum: schemas.ReadConsistencyType.Quorum,
};

function common({ collection, consistency, shardKey, timeoutSeconds }: Read) {
  const value =
    typeof consistency === 'number'
      ? { case: 'factor' as const, value: BigInt(consistency) }
      : { case: 'type' as const, value: TYPES[consistency ?? 'all'] };
  return {
    collectionName: collection,
    ...(consistency === undefined ? {} : { readConsistency: { value } }),
    ...(shardKey === undefined
      ? {}
      : { shardKeySelector: { shardKeys: [{ key: protoShardKey(shardKey) }] } }),
    ...(timeoutSeconds === undefined ? {} : { timeout: BigInt(timeoutSeconds) }),
  };
}

function selected({ payload = true, vectors = true }: Read) {
  const enable = (value: boolean) => ({ selectorOptions: { case: 'enable' as const, value } });
  return {
    withPayload: enable(payload),
    withVectors:
      typeof vectors === 'boolean'
        ? enable(vectors)
        : { selectorOptions: { case: 'include' as const, value: { names: [...vectors] } } },
  };
}

function protoShardKey(key: ShardKey) {
  return typeof key === 'string'
    ? { case: 'keyword' as const, value: key }
    : { case: 'number' as const, value: BigInt(key) };
}

function protoId(id: string) {
  return id.length === 36
    ? { pointIdOptions: { case: 'uuid' as const, value: id } }
    : { pointIdOptions: { case: 'num' as const, value: BigInt(id) } };
}

function protoPoint({ id, payload, shardKey, vectors }: schemas.RetrievedPoint): AskedPoint {
  const key = shardKey?.key;
  return {
    id: String(id?.pointIdOptions.value),
    payload: canonicalJson(mapToJson(payload)),
    vectors: seenProtoVectors(vectors),
    shardKey: key?.case === 'number' ? numericShardKey(key.value) : key?.value,
  };
}
