import { ByteWriter } from './byte-writer.ts';
import type { Selection } from './collection.ts';
import { frameOf, type GrpcAnswer, type GrpcCall, PREFIX_BYTES, time, writePrefix } from './grpc-frame.ts';
import { parseCountPoints, parseGetPoints, parseScrollPoints } from './grpc-request.ts';
import { pointId, retrievedPoint } from './point-proto.ts';
import { bytesField, varintField } from './protobuf.ts';
import { askedOf } from './request-record.ts';
import type { ServerContext } from './server-context.ts';
import type { CountRequest, PointPage, RetrieveRequest, ScrollRequest } from './service.ts';
import { type ContentsFault, type SpoiledPage, spoiledPage, unfit } from './spoiled-page.ts';

/** A request that cannot be read is an answer too: it goes through the same faults and counters. */
export function pointsCall(
  context: ServerContext,
  path: string,
  collection: string,
  message: Uint8Array,
): GrpcCall {
  const method = METHODS[path as keyof typeof METHODS];
  try {
    const request = parseRead(method, message);
    return {
      method,
      collection,
      points: request.kind === 'count' ? 0 : request.kind === 'scroll' ? request.limit : request.ids.length,
      asked: askedOf(request),
      answer: (fault) => readAnswer(context, request, fault),
    };
  } catch (error) {
    const answer = (): GrpcAnswer => {
      throw error;
    };
    return { method, collection, points: 0, answer };
  }
}

const METHODS = {
  '/qdrant.Points/Get': 'retrieve',
  '/qdrant.Points/Scroll': 'scroll',
  '/qdrant.Points/Count': 'count',
} as const;

type Read = ScrollRequest | RetrieveRequest | CountRequest;

function parseRead(method: Read['kind'], message: Uint8Array): Read {
  switch (method) {
    case 'scroll':
      return parseScrollPoints(message);
    case 'retrieve':
      return parseGetPoints(message);
    case 'count':
      return parseCountPoints(message);
  }
}

function readAnswer(context: ServerContext, request: Read, fault: ContentsFault | undefined): GrpcAnswer {
  const { service } = context;
  if (request.kind === 'count') {
    if (fault !== undefined) throw unfit(fault, 'a scroll or a retrieve');
    return frameOf(countResponse(service.count(request)));
  }
  const isScroll = request.kind === 'scroll';
  const page = isScroll ? service.scroll(request) : service.retrieve(request);
  if (fault !== undefined) {
    return frameOf(spoiledResponse(spoiledPage(page, request.selection, fault), isScroll, context));
  }
  return pointsResponse(context, page, request.selection, isScroll);
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
  recorder.sent(positions.length, isScroll, selection);
  const frame = writer.view();
  writePrefix(frame, frame.length - PREFIX_BYTES, false);
  return { frame, writer };
}

/** The fields of pointsResponse(), of points that come one by one. */
function spoiledResponse(page: SpoiledPage, isScroll: boolean, { recorder, version }: ServerContext): Buffer {
  recorder.sent(page.points.length, isScroll, page.selection);
  return Buffer.concat([
    page.next === undefined || !isScroll ? Buffer.alloc(0) : bytesField(1, pointId(page.next)),
    ...page.points.map((point) =>
      bytesField(isScroll ? 2 : 1, retrievedPoint(point, page.selection, version)),
    ),
    time(isScroll ? 3 : 2),
  ]);
}

/** CountResponse: result 1 {count 1}, time 2; a count of 0 is not written. */
function countResponse(count: number): Buffer {
  return Buffer.concat([bytesField(1, count === 0 ? Buffer.alloc(0) : varintField(1, count)), time(2)]);
}
