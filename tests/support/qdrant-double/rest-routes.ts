import { ByteWriter } from './byte-writer.ts';
import type { Selection } from './collection.ts';
import { collectionInfo, shardCount } from './collection-info.ts';
import type { Json } from './exact-json.ts';
import type { Method } from './fault.ts';
import { payloadJson } from './point-json.ts';
import { parseTimeout, RestBody } from './rest-request.ts';
import { SERVER_COMMITS, SERVER_TITLE, type ServerContext } from './server-context.ts';
import type { PointPage } from './service.ts';
import { ServiceError } from './service-error.ts';

/** An answer's contents; `writer` is to be released when the body is sent. */
export interface RestAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding?: string;
  readonly body: Buffer;
  readonly writer?: ByteWriter;
  /** Points in the body that carry vectors, which a real server is slow to print. */
  readonly pointsWithVectors?: number;
  readonly retryAfterSeconds?: number;
}

/** A route, found before anything is computed: what is asked for, of whom, how many points, and how. */
export interface RestCall {
  readonly method: Method;
  readonly collection: string;
  readonly points: number;
  readonly answer: () => RestAnswer;
}

/** Any plausible duration: what the server took varies from run to run. */
const TOOK = '0.000123456';

export function routeRest(
  context: ServerContext,
  httpMethod: string,
  target: string,
  body: Buffer,
  access: 'read' | 'manage',
): RestCall {
  const [path = '/', query = ''] = target.split('?');
  const segments = path.split('/').slice(1);
  const [root = '', encoded, ...rest] = segments;
  const route = `${httpMethod} ${[root, ...(encoded === undefined ? [] : ['*']), ...rest].join('/')}`;
  const collection = encoded === undefined ? '' : decodeURIComponent(encoded);
  const { service, version } = context;
  const call = (method: Method, answer: () => RestAnswer, points = 0): RestCall => ({
    method,
    collection,
    points,
    answer,
  });
  switch (route) {
    case 'GET ':
      return call('version', () =>
        jsonAnswer(
          200,
          `{"title":"${SERVER_TITLE}","version":"${version}","commit":"${SERVER_COMMITS[version]}"}`,
        ),
      );
    case 'GET healthz':
    case 'GET livez':
      return call('health', () => textAnswer(200, 'healthz check passed'));
    case 'GET readyz':
      return call('health', () => textAnswer(200, 'all shards are ready'));
    case 'GET collections':
      return call('list', () => result({ collections: service.names.map((name) => ({ name })) }, context));
    case 'GET aliases':
      return call('aliases', () => result({ aliases: aliasesOf(context, undefined) }, context));
    case 'GET collections/*':
      return call('describe', () => result(collectionInfo(service.find(collection), version), context));
    case 'DELETE collections/*':
      return call('delete', () => deleteAnswer(context, collection, access));
    case 'GET collections/*/exists':
      return call('exists', () => result({ exists: service.has(collection) }, context));
    case 'GET collections/*/aliases':
      return call('aliases', () => result({ aliases: aliasesOf(context, collection) }, context));
    case 'GET collections/*/shards':
      return call('shardKeys', () => shardsAnswer(context, collection));
    case 'GET collections/*/cluster':
      return call('cluster', () => clusterAnswer(context, collection));
    case 'POST collections/*/points':
    case 'POST collections/*/points/scroll':
    case 'POST collections/*/points/count':
      return pointsCall(context, collection, rest.join('/'), new URLSearchParams(query), body);
    default:
      return call('other', () => ({ status: 404, contentType: undefined, body: Buffer.alloc(0) }));
  }
}

/** A request that cannot be read is an answer too: it goes through the same faults and counters. */
function pointsCall(
  context: ServerContext,
  collection: string,
  what: string,
  query: URLSearchParams,
  body: Buffer,
): RestCall {
  const { service } = context;
  const method = what === 'points' ? 'retrieve' : what === 'points/scroll' ? 'scroll' : 'count';
  try {
    const timeout = parseTimeout(query);
    const request = new RestBody(body.toString());
    if (method === 'count') {
      const count = request.count(collection, timeout);
      return {
        method,
        collection,
        points: 0,
        answer: () => jsonAnswer(200, countText(service.count(count))),
      };
    }
    if (method === 'scroll') {
      const scroll = request.scroll(collection, timeout);
      const answer = () => pointsAnswer(context, service.scroll(scroll), scroll.selection, true);
      return { method, collection, points: scroll.limit, answer };
    }
    const retrieve = request.retrieve(collection, timeout);
    const answer = () => pointsAnswer(context, service.retrieve(retrieve), retrieve.selection, false);
    return { method, collection, points: retrieve.ids.length, answer };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    return { method, collection, points: 0, answer: () => errorAnswer(error, '0.0') };
  }
}

function countText(count: number): string {
  return `{"result":{"count":${count}},"status":"ok","time":${TOOK}}`;
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
  recorder.stats.pointsSent += positions.length;
  if (isScroll && selection.payload === false && selection.vectors === false) recorder.stats.idPages++;
  return {
    status: 200,
    contentType: JSON_TYPE,
    body: writer.view(),
    writer,
    pointsWithVectors: selection.vectors === false ? 0 : positions.length,
  };
}

function aliasesOf({ service }: ServerContext, collection: string | undefined): Json[] {
  const wanted = collection === undefined ? undefined : service.find(collection).name;
  return [...service.aliases]
    .filter(([, name]) => service.has(name) && (wanted === undefined || name === wanted))
    .map(([alias, name]) => ({ alias_name: alias, collection_name: name }));
}

function deleteAnswer(context: ServerContext, collection: string, access: 'read' | 'manage'): RestAnswer {
  if (access === 'read') throw new ServiceError('forbidden', 'Forbidden: Global manage access is required');
  return result(context.service.delete(collection), context);
}

/** Without custom sharding a server leaves the keys out (not recorded; from its source). */
function shardsAnswer({ service }: ServerContext, name: string): RestAnswer {
  const collection = service.find(name);
  if (collection.create.sharding_method !== 'custom') return jsonAnswer(200, resultText('{}'));
  const keys = collection.shardKeys.map((key) => ({ key }));
  return jsonAnswer(200, resultText(JSON.stringify({ shard_keys: keys })));
}

const PEER_IDS = { '1.16.3': 811648322906691, '1.18.3': 8947717545109240 } as const;

function clusterAnswer({ service, version }: ServerContext, name: string): RestAnswer {
  const collection = service.find(name);
  // Shards are numbered in the order their keys were made: words before numbers in what was recorded.
  const keys = collection.shardKeys.toSorted((a, b) =>
    typeof a === typeof b ? 0 : typeof a === 'string' ? -1 : 1,
  );
  const local_shards = keys.map((key, at) => ({
    shard_id: at + 1,
    shard_key: key,
    points_count: collection.points([key]).count,
    state: 'Active',
  }));
  const cluster = {
    peer_id: PEER_IDS[version],
    shard_count: shardCount(collection),
    local_shards,
    remote_shards: [],
    shard_transfers: [],
  };
  return jsonAnswer(200, resultText(JSON.stringify(cluster)));
}

function result(value: Json, { version }: ServerContext): RestAnswer {
  // payloadJson takes objects: the value is wrapped and the wrapping cut off again.
  return jsonAnswer(200, resultText(payloadJson({ v: value }, version).slice('{"v":'.length, -1)));
}

function resultText(value: string): string {
  return `{"result":${value},"status":"ok","time":${TOOK}}`;
}

const JSON_TYPE = 'application/json';

function jsonAnswer(status: number, text: string): RestAnswer {
  return { status, contentType: JSON_TYPE, body: Buffer.from(text) };
}

function textAnswer(status: number, text: string): RestAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: Buffer.from(text) };
}

export function errorAnswer(error: ServiceError, time: string = TOOK): RestAnswer {
  if (error.kind === 'unauthenticated') {
    return { status: 401, contentType: undefined, body: Buffer.from(error.message) };
  }
  return statusAnswer(error.httpStatus, error.message, error.retryAfterSeconds, time);
}

export function statusAnswer(
  status: number,
  message: string,
  retryAfterSeconds?: number,
  time: string = TOOK,
): RestAnswer {
  const text = `{"status":{"error":${JSON.stringify(message)}},"time":${time}}`;
  const answer = jsonAnswer(status, text);
  return retryAfterSeconds === undefined ? answer : { ...answer, retryAfterSeconds };
}
