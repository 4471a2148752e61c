import { fromBinary } from '@bufbuild/protobuf';
import { GetCollectionInfoResponseSchema } from '@qdrant/js-client-grpc';
import type { CollectionShape } from '../../../lib/model.ts';
import { shapeOf } from '../../../lib/qdrant/grpc-shape.ts';
import {
  type GrpcExchangeRecording,
  type RestExchange,
  readRecording,
} from '../../support/qdrant-double/recorded-exchanges.ts';

export const VERSIONS = ['1.16.3', '1.18.3'] as const;
export type Version = (typeof VERSIONS)[number];

/** An answer to a request for points, as it came over the wire, and what REST answered to the same. */
export interface PointsExchange {
  readonly version: Version;
  readonly name: string;
  readonly kind: 'scroll' | 'get';
  readonly collection: string;
  /** The one message of the answer. */
  readonly message: Buffer;
}

const COLLECTION_NAME = 1;

function grpcExchanges(version: Version): readonly GrpcExchangeRecording[] {
  return readRecording<GrpcExchangeRecording[]>(version, 'grpc.json');
}

/** Field 1 of every request that is about a collection. */
function collectionOf({ request }: GrpcExchangeRecording): string {
  const bytes = Buffer.from(request.base64, 'base64');
  if (bytes[0] !== COLLECTION_NAME * 8 + 2) return '';
  return bytes.toString('utf8', 2, 2 + (bytes[1] as number));
}

export const POINTS: readonly PointsExchange[] = VERSIONS.flatMap((version) =>
  grpcExchanges(version).flatMap((exchange) => {
    const { method, name, response } = exchange;
    if (!/Points\/(Scroll|Get)$/.test(method)) return [];
    const kind = method.endsWith('Get') ? ('get' as const) : ('scroll' as const);
    const collection = collectionOf(exchange);
    return (response.messages ?? []).map(({ data }) => ({
      version,
      name,
      kind,
      collection,
      message: Buffer.from(data, 'base64'),
    }));
  }),
);

export interface InfoExchange {
  readonly version: Version;
  readonly name: string;
  readonly collection: string;
  readonly message: Buffer;
}

/** Answers that describe a collection. */
export const INFOS: readonly InfoExchange[] = VERSIONS.flatMap((version) =>
  grpcExchanges(version).flatMap((exchange) =>
    exchange.method.endsWith('Collections/Get')
      ? (exchange.response.messages ?? []).map(({ data }) => ({
          version,
          name: exchange.name,
          collection: collectionOf(exchange),
          message: Buffer.from(data, 'base64'),
        }))
      : [],
  ),
);

export function recordedShape(version: Version, collection: string): CollectionShape {
  // The second cluster collection was not described over gRPC; it was made like the first.
  const described = collection === 'same ids' ? 'tenants' : collection;
  const info = INFOS.find((exchange) => exchange.version === version && exchange.collection === described);
  if (info === undefined) throw new Error(`${collection} was not described by ${version}`);
  return shapeOf(collection, version, fromBinary(GetCollectionInfoResponseSchema, info.message).result);
}

/** The body of REST's answer to the exchange of that name. */
export function restBody(version: Version, name: string): string | undefined {
  const exchanges = readRecording<RestExchange[]>(version, 'rest.json');
  return exchanges.find((exchange) => exchange.name === name)?.response.body;
}
