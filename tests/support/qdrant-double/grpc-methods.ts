import { create, toBinary } from '@bufbuild/protobuf';
import {
  CollectionExistsResponseSchema,
  HealthCheckReplySchema,
  ListAliasesResponseSchema,
  ListCollectionsResponseSchema,
} from '@qdrant/js-client-grpc';
import { ByteWriter } from './byte-writer.ts';
import type { Selection } from './collection.ts';
import { collectionInfoProto } from './collection-info-proto.ts';
import type { Method } from './fault.ts';
import { parseCollectionName, parseCountPoints, parseGetPoints, parseScrollPoints } from './grpc-request.ts';
import { shardKey } from './point-proto.ts';
import { bytesField, doubleField, varintField } from './protobuf.ts';
import { SERVER_COMMITS, SERVER_TITLE, type ServerContext } from './server-context.ts';
import type { PointPage } from './service.ts';
import { ServiceError } from './service-error.ts';

/** A message with its 5-byte prefix: compressed flag and length. */
export interface GrpcAnswer {
  readonly frame: Buffer;
  /** To be released when the frame is sent. */
  readonly writer?: ByteWriter;
}

export interface GrpcCall {
  readonly method: Method;
  readonly collection: string;
  readonly points: number;
  readonly answer: () => GrpcAnswer;
}

export const PREFIX_BYTES = 5;
const TOOK = 0.000123456;

/** Finds what a request asks for; throws ServiceErrors for requests that cannot be read. */
export function routeGrpc(context: ServerContext, path: string, message: Uint8Array): GrpcCall {
  const { service, version } = context;
  const collection = path.startsWith('/qdrant.Qdrant/') ? '' : parseCollectionName(message);
  const call = (method: Method, answer: () => Uint8Array): GrpcCall => ({
    method,
    collection,
    points: 0,
    answer: () => frameOf(answer()),
  });
  switch (path) {
    case '/qdrant.Points/Get':
    case '/qdrant.Points/Scroll':
      return pointsCall(context, path, collection, message);
    case '/qdrant.Points/Count':
      return call('count', () => countResponse(context, message));
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
      return call('aliases', () => {
        const aliases = [...service.aliases].map(([aliasName, name]) => ({
          aliasName,
          collectionName: name,
        }));
        return toBinary(
          ListAliasesResponseSchema,
          create(ListAliasesResponseSchema, { aliases, time: TOOK }),
        );
      });
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

function pointsCall(context: ServerContext, path: string, collection: string, message: Uint8Array): GrpcCall {
  const { service } = context;
  const isScroll = path.endsWith('Scroll');
  const method = isScroll ? 'scroll' : 'retrieve';
  try {
    if (isScroll) {
      const request = parseScrollPoints(message);
      const answer = () => pointsResponse(context, service.scroll(request), request.selection, true);
      return { method, collection, points: request.limit, answer };
    }
    const request = parseGetPoints(message);
    const answer = () => pointsResponse(context, service.retrieve(request), request.selection, false);
    return { method, collection, points: request.ids.length, answer };
  } catch (error) {
    const answer = (): GrpcAnswer => {
      throw error;
    };
    return { method, collection, points: 0, answer };
  }
}

/** ScrollResponse: next_page_offset 1, result 2, time 3. GetResponse: result 1, time 2. */
function pointsResponse(
  { recorder }: ServerContext,
  { next, positions, source }: PointPage,
  selection: Selection,
  isScroll: boolean,
): GrpcAnswer {
  const writer = new ByteWriter(128 + positions.length * source.protoBytes(selection));
  writer.length = PREFIX_BYTES;
  if (next >= 0) source.writeProtoId(writer, next, 1);
  const field = isScroll ? 2 : 1;
  for (const position of positions) source.writeProtoPoint(writer, position, selection, field);
  writer.append(time(isScroll ? 3 : 2));
  const { stats } = recorder;
  stats.pointsSent += positions.length;
  if (isScroll && selection.payload === false && selection.vectors === false) stats.idPages++;
  const frame = writer.view();
  writePrefix(frame, frame.length - PREFIX_BYTES, false);
  return { frame, writer };
}

/** CountResponse: result 1 {count 1}, time 2; a count of 0 is not written. */
function countResponse({ service }: ServerContext, message: Uint8Array): Buffer {
  const count = service.count(parseCountPoints(message));
  return Buffer.concat([bytesField(1, count === 0 ? Buffer.alloc(0) : varintField(1, count)), time(2)]);
}

function time(field: number): Buffer {
  return doubleField(field, TOOK);
}

export function frameOf(message: Uint8Array, compressed = false): GrpcAnswer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame.set(message, PREFIX_BYTES);
  writePrefix(frame, message.length, compressed);
  return { frame };
}

export function writePrefix(frame: Buffer, length: number, compressed: boolean): void {
  frame[0] = compressed ? 1 : 0;
  frame.writeUInt32BE(length, 1);
}
