import { fieldCondition } from './grpc-field-condition.ts';
import { readFilterJson } from './grpc-filter-json.ts';
import { type ConditionParts, type Filter, type FilterParts, filterMessage } from './grpc-filter-message.ts';
import { FilterValue, U64_MAX } from './grpc-filter-value.ts';

const FILTER_MEMBERS = ['must', 'should', 'must_not', 'min_should'] as const;
/** Conditions that are an object with this one member. */
const SINGLE_KINDS = ['is_empty', 'is_null', 'has_id', 'has_vector', 'nested', 'slice'] as const;
const CONDITIONS = ['key', ...SINGLE_KINDS, ...FILTER_MEMBERS];
const MAX_U32 = 2n ** 32n - 1n;

/**
 * Qdrant's filter, in the JSON of its REST API, as the message that its gRPC API takes. Stricter than REST, which
 * passes over members that it does not know: here a slip of the pen would export the wrong points, so whatever has
 * no place in a filter is a ToolError 'usage' that says where it is. Integers keep every digit.
 *
 * `serverVersion` is known once the server has greeted: an older one than a condition would pass over it, too.
 */
export function filterOf(json: string, serverVersion?: string): Filter {
  return filterMessage(new FilterReader(serverVersion).filter(new FilterValue(readFilterJson(json), '')));
}

class FilterReader {
  readonly #serverVersion: string | undefined;

  constructor(serverVersion: string | undefined) {
    this.#serverVersion = serverVersion;
  }

  filter(value: FilterValue): FilterParts {
    const filter = value.object(FILTER_MEMBERS, 'is not a part of a filter that Qdrant knows');
    const minShould = filter.optional('min_should');
    return {
      must: this.#conditions(filter.optional('must')),
      should: this.#conditions(filter.optional('should')),
      mustNot: this.#conditions(filter.optional('must_not')),
      ...(minShould && { minShould: this.#minShould(minShould) }),
    };
  }

  /** A list, or a single condition in its place. */
  #conditions(value: FilterValue | undefined): ConditionParts[] {
    if (value === undefined) return [];
    if (!Array.isArray(value.json)) return [this.#condition(value)];
    return value.list().map((item) => this.#condition(item));
  }

  #minShould(value: FilterValue) {
    const object = value.object(['conditions', 'min_count'], 'is not a part of min_should that Qdrant knows');
    const conditions = object.required('conditions').list('a list of conditions');
    return {
      conditions: conditions.map((item) => this.#condition(item)),
      minCount: object.required('min_count').u64(),
    };
  }

  #condition(value: FilterValue): ConditionParts {
    const names = value.names();
    if (names.includes('key')) return { conditionOneOf: { case: 'field', value: fieldCondition(value) } };
    const kind = SINGLE_KINDS.find((name) => names.includes(name));
    if (kind !== undefined) {
      const content = value.object([kind], `does not go with ${kind}`).required(kind);
      return { conditionOneOf: this.#single(kind, content) };
    }
    value.object(CONDITIONS, 'is not a condition that Qdrant knows');
    return { conditionOneOf: { case: 'filter', value: this.filter(value) } };
  }

  #single(kind: (typeof SINGLE_KINDS)[number], content: FilterValue) {
    switch (kind) {
      case 'is_empty':
        return { case: 'isEmpty', value: { key: keyIn(content) } } as const;
      case 'is_null':
        return { case: 'isNull', value: { key: keyIn(content) } } as const;
      case 'has_id':
        return { case: 'hasId', value: { hasId: content.list('a list of ids').map(pointId) } } as const;
      case 'has_vector':
        return { case: 'hasVector', value: { hasVector: content.text() } } as const;
      case 'nested':
        return { case: 'nested', value: this.#nested(content) } as const;
      case 'slice':
        return { case: 'slice', value: this.#slice(content) } as const;
    }
  }

  #nested(value: FilterValue) {
    const nested = value.object(['key', 'filter'], 'is not a part of nested that Qdrant knows');
    return { key: nested.required('key').text(), filter: this.filter(nested.required('filter')) };
  }

  #slice(value: FilterValue) {
    if (this.#serverVersion !== undefined && !isAtLeast(this.#serverVersion, 1, 19)) {
      throw value.problem(
        `needs Qdrant 1.19 or later, and this one is ${this.#serverVersion}, which would pass over it`,
      );
    }
    const slice = value.object(['total', 'index'], 'is not a part of a slice that Qdrant knows');
    return {
      total: Number(slice.required('total').u64(MAX_U32)),
      index: Number(slice.required('index').u64(MAX_U32)),
    };
  }
}

function keyIn(value: FilterValue): string {
  return value.object(['key'], 'does not go with a key').required('key').text();
}

function pointId(value: FilterValue) {
  if (typeof value.json === 'string') {
    return { pointIdOptions: { case: 'uuid', value: value.json } } as const;
  }
  const number = value.u64(U64_MAX, `an id, a whole number from 0 to ${U64_MAX} or a UUID in a text,`);
  return { pointIdOptions: { case: 'num', value: number } } as const;
}

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [ofMajor = 0, ofMinor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return ofMajor > major || (ofMajor === major && ofMinor >= minor);
}
