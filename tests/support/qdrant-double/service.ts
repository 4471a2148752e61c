import type { Collection, PointSource, Selection, ShardKey } from './collection.ts';
import { ExactNumber, isObject, type JsonObject } from './exact-json.ts';
import type { Filter } from './filter.ts';
import type { IdKey } from './point-id.ts';
import { shardKeyJson } from './point-json.ts';
import { RateLimiter } from './rate-limiter.ts';
import { ServiceError } from './service-error.ts';
import { namesOf } from './vectors-config.ts';

/** How many replicas are to agree. There is one here, which always does. */
export type Consistency = 'all' | 'majority' | 'quorum' | number;

interface ReadRequest {
  readonly collection: string;
  readonly shardKeys?: readonly ShardKey[] | undefined;
  readonly consistency?: Consistency | undefined;
  readonly timeoutSeconds?: number | undefined;
}

export interface ScrollRequest extends ReadRequest {
  readonly kind: 'scroll';
  readonly offset?: IdKey | undefined;
  readonly limit: number;
  readonly filter?: Filter | undefined;
  readonly selection: Selection;
}

export interface RetrieveRequest extends ReadRequest {
  readonly kind: 'retrieve';
  readonly ids: readonly IdKey[];
  readonly selection: Selection;
}

export interface CountRequest extends ReadRequest {
  readonly kind: 'count';
  readonly filter?: Filter | undefined;
  /** Counts are exact here whatever is asked for. */
  readonly isExact: boolean;
}

/** Points to show, by position in their source. */
export interface PointPage {
  readonly source: PointSource;
  readonly positions: readonly number[];
  /** Position of the next page's first point, or -1. */
  readonly next: number;
}

/** What a Qdrant does with reads, whichever protocol asks. Every method throws ServiceErrors. */
export class Service {
  readonly #collections = new Map<string, Collection>();
  readonly #limiters = new Map<string, RateLimiter>();

  constructor(
    collections: readonly Collection[],
    readonly aliases: ReadonlyMap<string, string>,
    readonly rateLimitScale: number,
  ) {
    for (const collection of collections) this.#collections.set(collection.name, collection);
  }

  /** In the order in which they were given: a server lists them in none of its own. */
  get names(): string[] {
    return [...this.#collections.keys()];
  }

  has(name: string): boolean {
    return this.#collections.has(this.aliases.get(name) ?? name);
  }

  find(name: string): Collection {
    const found = this.#collections.get(this.aliases.get(name) ?? name);
    if (found === undefined)
      throw new ServiceError('notFound', `Not found: Collection \`${name}\` doesn't exist!`);
    return found;
  }

  /** Aliases and what they stand for, of one collection or all; throws for a collection that does not exist. */
  aliasesOf(name: string | undefined): (readonly [string, string])[] {
    const wanted = name === undefined ? undefined : this.find(name).name;
    return [...this.aliases].filter(
      ([, collection]) => this.has(collection) && (wanted === undefined || collection === wanted),
    );
  }

  /** Whether there was such a collection to delete. */
  delete(name: string): boolean {
    return this.#collections.delete(name);
  }

  scroll(request: ScrollRequest): PointPage {
    const { filter, limit, offset } = request;
    const collection = this.#admit(request, 1, limit);
    const { source } = collection.points(request.shardKeys);
    const positions: number[] = [];
    let next = -1;
    let at = offset === undefined ? 0 : source.positionAtOrAfter(offset);
    for (; at < source.length && next < 0; at++) {
      if (!source.isPresent(at)) continue;
      if (filter !== undefined && !source.matches(at, filter)) continue;
      if (positions.length === limit) next = at;
      else positions.push(at);
    }
    return noted({ source, positions, next }, request.selection);
  }

  retrieve(request: RetrieveRequest): PointPage {
    const collection = this.#admit(request, request.ids.length);
    const { source } = collection.points(request.shardKeys);
    const seen = new Set<number>();
    for (const id of request.ids) {
      const position = source.positionOf(id);
      if (position >= 0 && source.isPresent(position) && source.isRetrievable(position)) seen.add(position);
    }
    return noted({ source, positions: [...seen], next: -1 }, request.selection);
  }

  count(request: CountRequest): number {
    const { source, count } = this.#admit(request, 1).points(request.shardKeys);
    const { filter } = request;
    if (filter === undefined) return count;
    let matching = 0;
    for (let at = 0; at < source.length; at++) {
      if (source.isPresent(at) && source.matches(at, filter)) matching++;
    }
    return matching;
  }

  /** Checks what Qdrant checks before it reads, in its order: collection, strict mode, rate, names. */
  #admit(request: ReadRequest & { selection?: Selection }, tokens: number, limit?: number): Collection {
    const collection = this.find(request.collection);
    const strict = strictMode(collection);
    if (strict !== undefined) {
      checkLimit(strict, 'max_query_limit', 'limit', limit);
      checkLimit(strict, 'max_timeout', 'timeout', request.timeoutSeconds);
      this.#limiter(collection, strict)?.take(tokens);
    }
    checkShardKeys(collection, request.shardKeys);
    checkVectorNames(collection, request.selection);
    return collection;
  }

  #limiter(collection: Collection, strict: JsonObject): RateLimiter | undefined {
    const perMinute = numberAt(strict, 'read_rate_limit');
    if (perMinute === undefined) return undefined;
    let limiter = this.#limiters.get(collection.name);
    if (limiter === undefined) {
      limiter = new RateLimiter(perMinute, this.rateLimitScale);
      this.#limiters.set(collection.name, limiter);
    }
    return limiter;
  }
}

function noted(page: PointPage, { payload, vectors }: Selection): PointPage {
  if (payload !== false || vectors !== false) page.source.noteFetched(page.positions);
  return page;
}

function strictMode(collection: Collection): JsonObject | undefined {
  const { strict_mode_config: strict } = collection.create;
  return isObject(strict) && strict.enabled === true ? strict : undefined;
}

function checkLimit(strict: JsonObject, limitKey: string, name: string, value: number | undefined): void {
  const limit = numberAt(strict, limitKey);
  if (limit === undefined || value === undefined || value <= limit) return;
  throw new ServiceError(
    'badRequest',
    `Bad request: Limit exceeded ${value} > ${limit} for "${name}". Help: Reduce the "${name}" parameter to or below ${limit}.`,
  );
}

function numberAt(object: JsonObject, key: string): number | undefined {
  const value = object[key];
  return value instanceof ExactNumber ? value.value : undefined;
}

function checkShardKeys(collection: Collection, wanted: readonly ShardKey[] | undefined): void {
  for (const key of wanted ?? []) {
    if (collection.shardKeys.includes(key)) continue;
    throw new ServiceError('badRequest', `Bad request: Shard key ${shardKeyJson(key)} not found`);
  }
}

function checkVectorNames(collection: Collection, selection: Selection | undefined): void {
  if (selection === undefined || typeof selection.vectors === 'boolean') return;
  const names = namesOf(collection.create);
  for (const name of selection.vectors) {
    if (names.includes(name)) continue;
    throw new ServiceError('badRequest', `Wrong input: Not existing vector name error: ${name}`);
  }
}
