import { ToolError } from '../errors.ts';
import type { CollectionShape, ShardKey } from '../model.ts';
import { unknownCollection } from './collection-names.ts';
import { listedNames } from './listed-names.ts';
import { readResult } from './rest-answer.ts';
import type { RestCall } from './rest-client.ts';
import { HttpStatus } from './rest-errors.ts';
import { collectionPath } from './rest-request.ts';
import { type CollectionInfo, shapeOf } from './rest-shape.ts';
import {
  type ClusterResult,
  listedShardKeys,
  type ShardKeysResult,
  shardKeysOfCluster,
} from './rest-shard-keys.ts';

/** A request without a deadline of its own gets that of the transport. */
export type TimedLater = Omit<RestCall, 'deadlineMs'> & { readonly deadlineMs?: number };

/** Sends a request until it is answered or fails for good, and gives what `read` makes of the answer. */
export type Send = <T>(call: TimedLater, signal: AbortSignal, read: (answer: Uint8Array) => T) => Promise<T>;

/** The shape of the collection behind a name or alias, on a server whose version is known. */
export async function describeCollection(
  send: Send,
  url: URL,
  name: string,
  serverVersion: string,
  signal: AbortSignal,
): Promise<CollectionShape> {
  const shape = await lookUp(send, url, name, serverVersion, signal);
  const [collection, shardKeys] = await Promise.all([
    ownName(send, name, signal),
    shape.sharding === 'custom' ? listShardKeys(send, name, signal) : [],
  ]);
  return { ...shape, collection, shardKeys };
}

async function lookUp(
  send: Send,
  url: URL,
  name: string,
  serverVersion: string,
  signal: AbortSignal,
): Promise<CollectionShape> {
  const call = get(collectionPath(name), `look up collection \`${name}\``);
  try {
    return await send(call, signal, (answer) =>
      readResult(answer, (info: CollectionInfo) => shapeOf(name, serverVersion, info)),
    );
  } catch (error) {
    if (!isUnknownCollection(error)) throw error;
    throw await unknownCollection(name, url, error, () => listCollections(send, signal));
  }
}

/** Names by code point, without aliases. */
export async function listCollections(send: Send, signal: AbortSignal): Promise<readonly string[]> {
  type Result = { readonly collections: readonly { readonly name?: unknown }[] };
  return send(get('collections', 'list collections'), signal, (answer) =>
    readResult(answer, ({ collections }: Result) =>
      listedNames(
        collections.map(({ name }) => name),
        (found) => new ToolError('qdrant', found),
      ),
    ),
  );
}

/**
 * The name that an alias stands for; any other name itself. All aliases are listed, because a collection's own
 * list is not found by its alias. Without leave to list them, the name that was asked for has to do: it reads
 * the same points.
 */
async function ownName(send: Send, name: string, signal: AbortSignal): Promise<string> {
  type Result = {
    readonly aliases: readonly { readonly alias_name: string; readonly collection_name: string }[];
  };
  try {
    const found = await send(get('aliases', 'list aliases'), signal, (answer) =>
      readResult(answer, ({ aliases }: Result) => aliases.find((alias) => alias.alias_name === name)),
    );
    return typeof found?.collection_name === 'string' ? found.collection_name : name;
  } catch (error) {
    if (signal.aborted) throw error;
    return name;
  }
}

/** Servers before 1.16.2 have no list of shard keys, but name them with the shards of the cluster. */
async function listShardKeys(send: Send, name: string, signal: AbortSignal): Promise<readonly ShardKey[]> {
  const path = collectionPath(name);
  const purpose = `list the shard keys of collection \`${name}\``;
  try {
    return await send(get(`${path}/shards`, purpose), signal, (answer) =>
      readResult(answer, (result: ShardKeysResult) => listedShardKeys(result)),
    );
  } catch (error) {
    if (!isUnknownRoute(error)) throw error;
    return send(get(`${path}/cluster`, purpose), signal, (answer) =>
      readResult(answer, (result: ClusterResult) => shardKeysOfCluster(result)),
    );
  }
}

function get(path: string, purpose: string): TimedLater {
  return { method: 'GET', path, purpose, divisible: false };
}

/** Qdrant's own 404, which speaks of the collection, and not that of another server. */
function isUnknownCollection(error: unknown): boolean {
  return statusOf(error) === 404 && error instanceof ToolError && /doesn't exist/.test(error.message);
}

function isUnknownRoute(error: unknown): boolean {
  const status = statusOf(error);
  return status === 405 || (status === 404 && !isUnknownCollection(error));
}

function statusOf(error: unknown): number | undefined {
  return error instanceof ToolError && error.cause instanceof HttpStatus ? error.cause.status : undefined;
}
