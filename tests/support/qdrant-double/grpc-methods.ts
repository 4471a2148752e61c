import { create, toBinary } from '@bufbuild/protobuf';
import {
  CollectionExistsResponseSchema,
  HealthCheckReplySchema,
  ListAliasesResponseSchema,
  ListCollectionsResponseSchema,
} from '@qdrant/js-client-grpc';
import { collectionInfoProto } from './collection-info-proto.ts';
import type { Method } from './fault.ts';
import { frameOf, type GrpcCall, TOOK, time } from './grpc-frame.ts';
import { pointsCall } from './grpc-points.ts';
import { parseCollectionName } from './grpc-request.ts';
import { shardKey } from './point-proto.ts';
import { bytesField } from './protobuf.ts';
import { SERVER_COMMITS, SERVER_TITLE, type ServerContext } from './server-context.ts';
import { ServiceError } from './service-error.ts';
import { unfit } from './spoiled-page.ts';

/** Finds what a request asks for; throws ServiceErrors for requests that cannot be read. */
export function routeGrpc(context: ServerContext, path: string, message: Uint8Array): GrpcCall {
  const { service, version } = context;
  const collection = path.startsWith('/qdrant.Qdrant/') ? '' : parseCollectionName(message);
  const call = (method: Method, answer: () => Uint8Array): GrpcCall => ({
    method,
    collection,
    points: 0,
    answer: (fault) => {
      if (fault !== undefined) throw unfit(fault, 'a scroll or a retrieve');
      return frameOf(answer());
    },
  });
  switch (path) {
    case '/qdrant.Points/Get':
    case '/qdrant.Points/Scroll':
    case '/qdrant.Points/Count':
      return pointsCall(context, path, collection, message);
    case '/qdrant.Collections/Get':
      return call('describe', () =>
        Buffer.concat([bytesField(1, collectionInfoProto(service.find(collection), version)), time(2)]),
      );
    case '/qdrant.Collections/List':
      return call('list', () => {
        const collections = service.names.map((name) => ({ name }));
        return toBinary(
          ListCollectionsResponseSchema,
          create(ListCollectionsResponseSchema, { collections, time: TOOK }),
        );
      });
    case '/qdrant.Collections/CollectionExists':
      return call('exists', () => {
        const response = { result: { exists: service.has(collection) }, time: TOOK };
        return toBinary(CollectionExistsResponseSchema, create(CollectionExistsResponseSchema, response));
      });
    case '/qdrant.Collections/ListAliases':
      return call('aliases', () => aliasesResponse(service.aliasesOf(undefined)));
    case '/qdrant.Collections/ListCollectionAliases':
      return call('aliases', () => aliasesResponse(service.aliasesOf(collection)));
    case '/qdrant.Collections/ListShardKeys':
      return call('shardKeys', () => {
        const keys = service.find(collection).shardKeys;
        return Buffer.concat([...keys.map((key) => bytesField(1, bytesField(1, shardKey(key)))), time(2)]);
      });
    case '/qdrant.Qdrant/HealthCheck':
      return call('version', () => {
        const reply = { title: SERVER_TITLE, version, commit: SERVER_COMMITS[version] };
        return toBinary(HealthCheckReplySchema, create(HealthCheckReplySchema, reply));
      });
    default:
      return call('other', () => {
        throw new ServiceError('unimplemented', '');
      });
  }
}

function aliasesResponse(found: readonly (readonly [string, string])[]): Uint8Array {
  const aliases = found.map(([aliasName, collectionName]) => ({ aliasName, collectionName }));
  return toBinary(ListAliasesResponseSchema, create(ListAliasesResponseSchema, { aliases, time: TOOK }));
}
