import { create, toBinary } from '@bufbuild/protobuf';
import {
  CountPointsSchema,
  GetPointsSchema,
  ReadConsistencyType,
  ScrollPointsSchema,
  VectorsSelectorSchema,
} from '@qdrant/js-client-grpc';
import type { BatchLayout } from '../batch.ts';
import { type CollectionShape, isUuid, type PointId, type ShardKey } from '../model.ts';
import { filterOf } from './grpc-filter.ts';
import type { Filter } from './grpc-filter-message.ts';
import { idsField } from './grpc-ids.ts';
import { LoneVectors } from './lone-vectors.ts';
import type { Consistency, PageRequest, PointSet } from './transport.ts';

/** Writes the requests for points of one server, by what is known of it so far. */
export class GrpcRequests {
  readonly #consistency: Consistency | undefined;
  #timeoutSeconds: number;
  #serverVersion: string | undefined;
  readonly #loneVectors = new LoneVectors();
  /** The filter read last: all sets of points of a run have the same. */
  #filter: { readonly text: string; readonly message: Filter } | undefined;

  constructor(timeoutSeconds: number, consistency: Consistency | undefined) {
    this.#timeoutSeconds = Math.ceil(timeoutSeconds);
    this.#consistency = consistency;
  }

  /** What the server is given for each; strict mode may allow less than was asked for. */
  get timeoutSeconds(): number {
    return this.#timeoutSeconds;
  }

  learn(shape: CollectionShape): void {
    const { serverVersion, strictMode } = shape;
    this.#timeoutSeconds = Math.min(this.#timeoutSeconds, strictMode.maxTimeoutSeconds ?? Infinity);
    if (serverVersion !== this.#serverVersion) this.#filter = undefined;
    this.#serverVersion = serverVersion;
    this.#loneVectors.learn(shape);
  }

  count(points: PointSet): Uint8Array {
    const request = create(CountPointsSchema, {
      ...this.#read(points),
      ...this.#filtered(points),
      exact: true,
    });
    return toBinary(CountPointsSchema, request);
  }

  /** A scroll with payloads and the layout's vectors, or for ids alone without a layout. */
  scroll(points: PointSet, page: PageRequest, layout?: BatchLayout): Uint8Array {
    const request = create(ScrollPointsSchema, {
      ...this.#read(points),
      ...this.#filtered(points),
      ...this.#selectors(points, layout),
      ...(page.offset === undefined ? {} : { offset: { pointIdOptions: idOption(page.offset) } }),
      limit: page.limit,
    });
    return toBinary(ScrollPointsSchema, request);
  }

  /** The message but for the ids comes from the schema: messages of one type may be laid end to end. */
  retrieve(points: PointSet, ids: readonly PointId[], layout: BatchLayout): Uint8Array {
    const request = create(GetPointsSchema, { ...this.#read(points), ...this.#selectors(points, layout) });
    return Buffer.concat([toBinary(GetPointsSchema, request), idsField(ids)]);
  }

  #read({ collection, shardKey }: PointSet) {
    return {
      collectionName: collection,
      timeout: BigInt(this.#timeoutSeconds),
      ...(this.#consistency === undefined ? {} : { readConsistency: consistencyOf(this.#consistency) }),
      ...(shardKey === undefined ? {} : { shardKeySelector: { shardKeys: [{ key: keyOf(shardKey) }] } }),
    };
  }

  #filtered({ filter: text }: PointSet): { readonly filter?: Filter } {
    if (text === undefined) return {};
    if (this.#filter?.text !== text) {
      this.#filter = { text, message: filterOf(text, this.#serverVersion) };
    }
    return { filter: this.#filter.message };
  }

  /**
   * Both selectors, always: their defaults differ from what the API's text says. Names are a list, so that a
   * server that has lost one says so instead of leaving it out; the unnamed vector is '' there. Where it is a
   * collection's only one all vectors are asked for: one that was added meanwhile then shows.
   */
  #selectors({ collection }: PointSet, layout: BatchLayout | undefined) {
    const names = layout?.vectors.map(({ name }) => name) ?? [];
    const all = names.length === 0 || this.#loneVectors.has(collection);
    const vectors = all
      ? ({ case: 'enable', value: names.length > 0 } as const)
      : ({ case: 'include', value: create(VectorsSelectorSchema, { names }) } as const);
    return {
      withPayload: { selectorOptions: { case: 'enable', value: layout !== undefined } },
      withVectors: { selectorOptions: vectors },
    } as const;
  }
}

function idOption(id: PointId) {
  return isUuid(id) ? ({ case: 'uuid', value: id } as const) : ({ case: 'num', value: BigInt(id) } as const);
}

function keyOf({ kind, text }: ShardKey) {
  switch (kind) {
    case 'number':
      return { case: 'number', value: BigInt(text) } as const;
    case 'keyword':
      return { case: 'keyword', value: text } as const;
  }
}

const CONSISTENCY_TYPES = {
  all: ReadConsistencyType.All,
  majority: ReadConsistencyType.Majority,
  quorum: ReadConsistencyType.Quorum,
} as const;

function consistencyOf(consistency: Consistency) {
  return typeof consistency === 'number'
    ? ({ value: { case: 'factor', value: BigInt(consistency) } } as const)
    : ({ value: { case: 'type', value: CONSISTENCY_TYPES[consistency] } } as const);
}
