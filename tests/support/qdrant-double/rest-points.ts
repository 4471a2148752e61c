import { ByteWriter } from './byte-writer.ts';
import type { Selection } from './collection.ts';
import { idJson, pointJson } from './point-json.ts';
import { askedOf } from './request-record.ts';
import {
  errorAnswer,
  JSON_TYPE,
  jsonAnswer,
  type RestAnswer,
  type RestCall,
  resultText,
  TOOK,
} from './rest-answer.ts';
import { parseQuery, RestBody } from './rest-request.ts';
import type { ServerContext } from './server-context.ts';
import type { CountRequest, PointPage, RetrieveRequest, ScrollRequest } from './service.ts';
import { ServiceError } from './service-error.ts';
import { type ContentsFault, type SpoiledPage, spoiledPage, unfit } from './spoiled-page.ts';

/** A request that cannot be read is an answer too: it goes through the same faults and counters. */
export function pointsCall(
  context: ServerContext,
  collection: string,
  what: string,
  search: URLSearchParams,
  body: Buffer,
): RestCall {
  const method = what === 'points' ? 'retrieve' : what === 'points/scroll' ? 'scroll' : 'count';
  try {
    const query = parseQuery(search);
    const request = new RestBody(body.toString())[method](collection, query);
    return {
      method,
      collection,
      points: request.kind === 'count' ? 0 : request.kind === 'scroll' ? request.limit : request.ids.length,
      asked: askedOf(request),
      answer: (fault) => readAnswer(context, request, fault),
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return { method, collection, points: 0, answer: () => errorAnswer(error, '0.0') };
  }
}

function readAnswer(
  context: ServerContext,
  request: ScrollRequest | RetrieveRequest | CountRequest,
  fault: ContentsFault | undefined,
): RestAnswer {
  const { service } = context;
  if (request.kind === 'count') {
    if (fault !== undefined) throw unfit(fault, 'a scroll or a retrieve');
    return jsonAnswer(200, resultText(`{"count":${service.count(request)}}`));
  }
  const isScroll = request.kind === 'scroll';
  const page = isScroll ? service.scroll(request) : service.retrieve(request);
  if (fault === undefined) return pointsAnswer(context, page, request.selection, isScroll);
  return spoiledAnswer(context, spoiledPage(page, request.selection, fault), isScroll);
}

function pointsAnswer(
  { recorder }: ServerContext,
  { next, positions, source }: PointPage,
  selection: Selection,
  isScroll: boolean,
): RestAnswer {
  const writer = new ByteWriter(128 + positions.length * source.jsonBytes(selection));
  writer.ascii(isScroll ? '{"result":{"points":[' : '{"result":[');
  positions.forEach((position, at) => {
    if (at > 0) writer.byte(0x2c);
    source.writeJsonPoint(writer, position, selection);
  });
  writer.byte(0x5d);
  if (isScroll) {
    writer.ascii(',"next_page_offset":');
    if (next < 0) writer.ascii('null');
    else source.writeJsonId(writer, next);
    writer.byte(0x7d);
  }
  writer.ascii(`,"status":"ok","time":${TOOK}}`);
  recorder.sent(positions.length, isScroll, selection);
  return {
    status: 200,
    contentType: JSON_TYPE,
    body: writer.view(),
    writer,
    pointsWithVectors: selection.vectors === false ? 0 : positions.length,
  };
}

function spoiledAnswer(
  { recorder, version }: ServerContext,
  page: SpoiledPage,
  isScroll: boolean,
): RestAnswer {
  recorder.sent(page.points.length, isScroll, page.selection);
  const points = `[${page.points.map((point) => pointJson(point, page.selection, version)).join(',')}]`;
  const next = page.next === undefined ? 'null' : idJson(page.next);
  return jsonAnswer(200, resultText(isScroll ? `{"points":${points},"next_page_offset":${next}}` : points));
}
