import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Collection, QdrantVersion } from './collection.ts';
import { type Json, type JsonObject, objectOf } from './exact-json.ts';
import { payloadJson } from './point-json.ts';
import { shardKeyOf } from './shard-key.ts';
import { storedCollection } from './stored-collection.ts';

/** The servers that were recorded: one alone, one in cluster mode with custom sharding, one with API keys. */
export type RecordedServer = 'standalone' | 'cluster' | 'auth';

/** The recordings' folder; tests only read it. */
export const RECORDINGS = join(import.meta.dir, '../../recordings/qdrant');

/** An alias that the standalone server had. */
export const RECORDED_ALIAS = { alias: 'plain-alias', collection: 'plain' } as const;

export function recordedCollections(server: RecordedServer, version: QdrantVersion): Collection[] {
  switch (server) {
    case 'standalone':
      return standaloneCollections(version);
    case 'cluster':
      return [
        shardedCollection('tenants', 'tenants', ['scroll all'], version),
        shardedCollection('same ids', 'same ids in two shard keys', ['scroll a', 'scroll b'], version),
      ];
    case 'auth':
      return [storedCollection({ name: 'k', create: objectOf(TWO_DIMENSIONS), points: [] }, version)];
  }
}

const TWO_DIMENSIONS = '{"vectors":{"size":2,"distance":"Dot"}}';
const TWO_DIMENSIONS_CUSTOM = '{"vectors":{"size":2,"distance":"Dot"},"sharding_method":"custom"}';

interface RecordedCollection {
  readonly name: string;
  readonly create: string;
  readonly points: readonly string[];
}

function standaloneCollections(version: QdrantVersion): Collection[] {
  const recorded = readRecording('collections.json') as RecordedCollection[];
  return recorded.map(({ name, create, points }) =>
    storedCollection({ name, create: objectOf(create), points }, version),
  );
}

interface RestExchange {
  readonly name: string;
  readonly response: { readonly body: string };
}

/** A collection with custom sharding: its points and keys, in the server's order, stand in its exchanges. */
function shardedCollection(
  name: string,
  prefix: string,
  scrolls: readonly string[],
  version: QdrantVersion,
): Collection {
  const exchanges = readRecording(join(version, 'rest.json')) as RestExchange[];
  const result = (exchange: string): JsonObject => {
    const found = exchanges.find((candidate) => candidate.name === `${prefix}: ${exchange}`);
    if (found === undefined) throw new Error(`no exchange "${prefix}: ${exchange}" was recorded`);
    return objectOf(found.response.body).result as JsonObject;
  };
  const keys = result('shard keys').shard_keys as JsonObject[];
  const points = scrolls.flatMap((scroll) => result(scroll).points as JsonObject[]);
  return storedCollection(
    {
      name,
      create: objectOf(TWO_DIMENSIONS_CUSTOM),
      points: points.map((point) => payloadJson(point, version)),
      shardKeys: keys.map(({ key }) => shardKeyOf(key as Json)),
    },
    version,
  );
}

function readRecording(path: string): unknown {
  return JSON.parse(readFileSync(join(RECORDINGS, path), 'utf8'));
}
