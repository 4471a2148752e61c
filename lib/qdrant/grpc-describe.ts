import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  CollectionClusterInfoRequestSchema,
  CollectionClusterInfoResponseSchema,
  GetCollectionInfoRequestSchema,
  GetCollectionInfoResponseSchema,
  ListAliasesResponseSchema,
  ListCollectionsResponseSchema,
  ListShardKeysRequestSchema,
  ListShardKeysResponseSchema,
} from '@qdrant/js-client-grpc';
import { ToolError } from '../errors.ts';
import { type CollectionShape, distinctShardKeys, type ShardKey } from '../model.ts';
import { BRISK, type RetryPolicy } from '../retry.ts';
import { unknownCollection } from './collection-names.ts';
import { hasGrpcStatus } from './grpc-errors.ts';
import { shapeOf } from './grpc-shape.ts';
import { listedNames } from './listed-names.ts';

const INFO = '/qdrant.Collections/Get';
const LIST = '/qdrant.Collections/List';
const ALIASES = '/qdrant.Collections/ListAliases';
const SHARD_KEYS = '/qdrant.Collections/ListShardKeys';
const CLUSTER = '/qdrant.Collections/CollectionClusterInfo';

export interface Question {
  readonly path: string;
  readonly message: Uint8Array;
  readonly purpose: string;
  /** How long failures are taken for passing; the transport's own way without it. */
  readonly policy?: RetryPolicy;
}

/** Sends a small request until it is answered or fails for good, and decodes the answer. */
export type Ask = <Answer extends DescMessage>(
  question: Question,
  answer: Answer,
) => Promise<MessageShape<Answer>>;

/** The shape of the collection behind a name or alias, on a server whose version is known. */
export async function describeCollection(
  ask: Ask,
  url: URL,
  name: string,
  serverVersion: string,
  signal: AbortSignal,
): Promise<CollectionShape> {
  const shape = await lookUp(ask, url, name, serverVersion);
  const [collection, shardKeys] = await Promise.all([
    ownName(ask, name, signal),
    shape.sharding === 'custom' ? listShardKeys(ask, name) : [],
  ]);
  return { ...shape, collection, shardKeys };
}

async function lookUp(ask: Ask, url: URL, name: string, serverVersion: string): Promise<CollectionShape> {
  const request = create(GetCollectionInfoRequestSchema, { collectionName: name });
  const message = toBinary(GetCollectionInfoRequestSchema, request);
  const purpose = `look up collection \`${name}\``;
  try {
    const { result } = await ask({ path: INFO, message, purpose }, GetCollectionInfoResponseSchema);
    return shapeOf(name, serverVersion, result);
  } catch (error) {
    if (!hasGrpcStatus(error, 'NOT_FOUND')) throw error;
    throw await unknownCollection(name, url, error, () => listCollections(ask));
  }
}

/** Names by code point, without aliases. */
export async function listCollections(ask: Ask): Promise<readonly string[]> {
  const question = { path: LIST, message: new Uint8Array(), purpose: 'list collections' };
  const { collections } = await ask(question, ListCollectionsResponseSchema);
  return listedNames(
    collections.map(({ name }) => name),
    (found) => new ToolError('qdrant', `Cannot ${question.purpose}: ${found}.`),
  );
}

/**
 * The name that an alias stands for; any other name itself. All aliases are listed, because a collection's own
 * list is not found by its alias. Without leave to list them, the name that was asked for has to do: it reads
 * the same points.
 */
async function ownName(ask: Ask, name: string, signal: AbortSignal): Promise<string> {
  try {
    const question = { path: ALIASES, message: new Uint8Array(), purpose: 'list aliases', policy: BRISK };
    const { aliases } = await ask(question, ListAliasesResponseSchema);
    return aliases.find(({ aliasName }) => aliasName === name)?.collectionName || name;
  } catch (error) {
    if (signal.aborted) throw error;
    return name;
  }
}

/** Servers before 1.16.2 have no list of shard keys, but name them with the shards of the cluster. */
async function listShardKeys(ask: Ask, name: string): Promise<readonly ShardKey[]> {
  const purpose = `list the shard keys of collection \`${name}\``;
  const collection = { collectionName: name };
  try {
    const message = toBinary(ListShardKeysRequestSchema, create(ListShardKeysRequestSchema, collection));
    const { shardKeys } = await ask({ path: SHARD_KEYS, message, purpose }, ListShardKeysResponseSchema);
    return distinctShardKeys(shardKeys.flatMap(({ key }) => shardKeyOf(key) ?? []));
  } catch (error) {
    if (!hasGrpcStatus(error, 'UNIMPLEMENTED')) throw error;
    const request = create(CollectionClusterInfoRequestSchema, collection);
    const message = toBinary(CollectionClusterInfoRequestSchema, request);
    const cluster = await ask({ path: CLUSTER, message, purpose }, CollectionClusterInfoResponseSchema);
    const shards = [...cluster.localShards, ...cluster.remoteShards];
    return distinctShardKeys(shards.flatMap(({ shardKey }) => shardKeyOf(shardKey) ?? []));
  }
}

type KeyMessage = NonNullable<MessageShape<typeof ListShardKeysResponseSchema>['shardKeys'][number]['key']>;

/** Undefined for a shard without a key. */
function shardKeyOf(message: KeyMessage | undefined): ShardKey | undefined {
  switch (message?.key.case) {
    case 'keyword':
      return { kind: 'keyword', text: message.key.value };
    case 'number':
      return { kind: 'number', text: String(message.key.value) };
    case undefined:
      return undefined;
  }
}
