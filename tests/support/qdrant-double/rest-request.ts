import type { Selection, ShardKey } from './collection.ts';
import { hasEmptyCondition } from './empty-conditions.ts';
import { ExactNumber, isObject, type Json, type JsonObject, parseExactJson } from './exact-json.ts';
import type { Filter } from './filter.ts';
import { FILTER_MEMBERS, parseJsonFilter } from './filter-json.ts';
import { type IdKey, parseJsonId } from './point-id.ts';
import type { Consistency, CountRequest, RetrieveRequest, ScrollRequest } from './service.ts';
import { ServiceError } from './service-error.ts';
import { shardKeyOf } from './shard-key.ts';

/** What a request says in its query. */
export interface ReadQuery {
  readonly timeoutSeconds: number | undefined;
  readonly consistency: Consistency | undefined;
}

/** A REST body, read with the server's own words for what is wrong with it. */
export class RestBody {
  readonly #json: JsonObject;
  /** serde notices the contents' errors only once it has read the whole object. */
  readonly #end: string;

  constructor(text: string) {
    this.#end = `at line 1 column ${Buffer.byteLength(text)}`;
    this.#json = this.#parse(text);
  }

  scroll(collection: string, query: ReadQuery): ScrollRequest {
    const limit = this.#limit();
    const offset = this.#json.offset;
    return {
      kind: 'scroll',
      collection,
      ...query,
      limit,
      offset: offset === undefined || offset === null ? undefined : this.#id(offset),
      filter: this.#filter(),
      shardKeys: this.#shardKeys(),
      selection: this.#selection(true),
    };
  }

  retrieve(collection: string, query: ReadQuery): RetrieveRequest {
    const { ids } = this.#json;
    if (!Array.isArray(ids)) throw this.#error('missing field `ids`');
    return {
      kind: 'retrieve',
      collection,
      ...query,
      ids: ids.map((id) => this.#id(id)),
      shardKeys: this.#shardKeys(),
      selection: this.#selection(false),
    };
  }

  count(collection: string, query: ReadQuery): CountRequest {
    const isExact = this.#json.exact !== false;
    const [filter, shardKeys] = [this.#filter(), this.#shardKeys()];
    return { kind: 'count', collection, ...query, isExact, filter, shardKeys };
  }

  #parse(text: string): JsonObject {
    let json: Json;
    try {
      json = parseExactJson(text);
    } catch {
      throw this.#error('EOF while parsing a value');
    }
    if (!isObject(json)) throw this.#error('invalid type, expected a map');
    return json;
  }

  #limit(): number {
    const { limit } = this.#json;
    if (limit === undefined || limit === null) return 10;
    if (!(limit instanceof ExactNumber)) throw this.#error('invalid type, expected usize');
    if (!limit.isInteger || limit.value < 0) {
      throw this.#error(`invalid value: integer \`${limit.source}\`, expected usize`);
    }
    if (limit.value > 0) return limit.value;
    throw new ServiceError(
      'validation',
      'Validation error in JSON body: [scroll_request.limit: value 0 invalid, must be 1 or larger]',
    );
  }

  #id(json: Json): IdKey {
    const id = parseJsonId(json);
    if (id !== undefined) return id;
    const shown = json instanceof ExactNumber ? String(json.value) : String(json);
    throw this.#error(
      `value ${shown} is not a valid point ID, valid values are either an unsigned integer or a UUID`,
    );
  }

  #filter(): Filter | undefined {
    const { filter } = this.#json;
    if (filter === undefined || filter === null) return undefined;
    const parsed = parseJsonFilter(filter);
    if (parsed !== undefined) return this.#saying(parsed);
    const members: readonly string[] = FILTER_MEMBERS;
    const stranger = isObject(filter) && Object.keys(filter).find((name) => !members.includes(name));
    if (typeof stranger === 'string') {
      const expected = members.map((name) => `\`${name}\``).join(', ');
      throw this.#error(`unknown field \`${stranger}\`, expected one of ${expected}`);
    }
    throw this.#error(
      'Expected some form of condition, which can be a field condition (like {"key": ..., "match": ... }), or some other mentioned in the documentation: https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions',
    );
  }

  /** A filter whose field conditions all say something; the text of the refusal is not a recorded one. */
  #saying(filter: Filter): Filter {
    if (!hasEmptyCondition(filter)) return filter;
    throw new ServiceError(
      'validation',
      'Validation error in JSON body: [scroll_request.filter: At least one field condition must be specified]',
    );
  }

  #shardKeys(): ShardKey[] | undefined {
    const { shard_key: key } = this.#json;
    if (key === undefined || key === null) return undefined;
    return (Array.isArray(key) ? key : [key]).map((item) => {
      const isKey = typeof item === 'string' || (item instanceof ExactNumber && /^\d+$/.test(item.source));
      if (!isKey) throw this.#error('data did not match any variant of untagged enum ShardKeySelector');
      return shardKeyOf(item);
    });
  }

  #selection(payloadByDefault: boolean): Selection {
    const { with_payload: payload, with_vector: vector } = this.#json;
    return {
      payload: this.#payloadSelection(payload ?? payloadByDefault),
      vectors: Array.isArray(vector) ? vector.map(String) : vector === true,
    };
  }

  #payloadSelection(wanted: Json): Selection['payload'] {
    if (typeof wanted === 'boolean') return wanted;
    if (Array.isArray(wanted)) return { kind: 'include', keys: wanted.map(String) };
    if (isObject(wanted)) {
      const { exclude, include } = wanted;
      if (Array.isArray(include)) return { kind: 'include', keys: include.map(String) };
      if (Array.isArray(exclude)) return { kind: 'exclude', keys: exclude.map(String) };
    }
    throw this.#error('data did not match any variant of untagged enum WithPayloadInterface');
  }

  #error(what: string): ServiceError {
    return new ServiceError('badRequest', `Format error in JSON body: ${what} ${this.#end}`);
  }
}

/** Reads `timeout` and `consistency`. */
export function parseQuery(query: URLSearchParams): ReadQuery {
  return {
    timeoutSeconds: parseTimeout(query.get('timeout')),
    consistency: parseConsistency(query.get('consistency')),
  };
}

function parseTimeout(timeout: string | null): number | undefined {
  if (timeout === null) return undefined;
  if (/^\d+$/.test(timeout) && Number(timeout) > 0) return Number(timeout);
  throw queryError(`invalid value: integer \`${timeout}\`, expected a nonzero u64`);
}

function parseConsistency(consistency: string | null): Consistency | undefined {
  if (consistency === null) return undefined;
  if (consistency === 'all' || consistency === 'majority' || consistency === 'quorum') return consistency;
  if (/^\d+$/.test(consistency) && Number(consistency) > 0) return Number(consistency);
  // Not recorded.
  throw queryError(`\`${consistency}\` is no read consistency: all, majority, quorum or a number above 0`);
}

function queryError(what: string): ServiceError {
  return new ServiceError('badRequest', `Deserialize error in query parameters: ${what}`);
}
