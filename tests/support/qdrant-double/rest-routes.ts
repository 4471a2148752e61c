import type { ShardKey } from './collection.ts';
import { collectionInfo, shardCount } from './collection-info.ts';
import type { Json } from './exact-json.ts';
import type { Method } from './fault.ts';
import { payloadJson, shardKeyJson } from './point-json.ts';
import { jsonAnswer, type RestAnswer, type RestCall, resultText, textAnswer } from './rest-answer.ts';
import { pointsCall } from './rest-points.ts';
import { SERVER_COMMITS, SERVER_TITLE, type ServerContext } from './server-context.ts';
import { ServiceError } from './service-error.ts';
import { unfit } from './spoiled-page.ts';

/** Finds the route of a request. */
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
    answer: (fault) => {
      if (fault !== undefined) throw unfit(fault, 'a scroll or a retrieve');
      return answer();
    },
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

function aliasesOf({ service }: ServerContext, collection: string | undefined): Json[] {
  return service.aliasesOf(collection).map(([alias, name]) => ({ alias_name: alias, collection_name: name }));
}

function deleteAnswer(context: ServerContext, collection: string, access: 'read' | 'manage'): RestAnswer {
  if (access === 'read') throw new ServiceError('forbidden', 'Forbidden: Global manage access is required');
  return result(context.service.delete(collection), context);
}

/** Without custom sharding a server leaves the keys out (not recorded; from its source). */
function shardsAnswer({ service }: ServerContext, name: string): RestAnswer {
  const collection = service.find(name);
  if (collection.create.sharding_method !== 'custom') return jsonAnswer(200, resultText('{}'));
  const keys = collection.shardKeys.map((key) => `{"key":${shardKeyJson(key)}}`);
  return jsonAnswer(200, resultText(`{"shard_keys":[${keys.join(',')}]}`));
}

const PEER_IDS = { '1.16.3': 811648322906691, '1.18.3': 8947717545109240 } as const;

function clusterAnswer({ service, version }: ServerContext, name: string): RestAnswer {
  const collection = service.find(name);
  // Shards are numbered in the order their keys were made: words before numbers in what was recorded.
  const isWord = (key: ShardKey): number => (typeof key === 'string' ? 0 : 1);
  const shards = collection.shardKeys
    .toSorted((a, b) => isWord(a) - isWord(b))
    .map((key, at) => {
      const count = collection.points([key]).count;
      return `{"shard_id":${at + 1},"shard_key":${shardKeyJson(key)},"points_count":${count},"state":"Active"}`;
    });
  const counts = `"peer_id":${PEER_IDS[version]},"shard_count":${shardCount(collection)}`;
  const lists = `"local_shards":[${shards.join(',')}],"remote_shards":[],"shard_transfers":[]`;
  return jsonAnswer(200, resultText(`{${counts},${lists}}`));
}

function result(value: Json, { version }: ServerContext): RestAnswer {
  // payloadJson takes objects: the value is wrapped and the wrapping cut off again.
  return jsonAnswer(200, resultText(payloadJson({ v: value }, version).slice('{"v":'.length, -1)));
}
