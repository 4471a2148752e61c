import type { PayloadSelection, Selection, ShardKey } from './collection.ts';
import type { RequestFacts } from './fault.ts';
import { filterText } from './filter-text.ts';
import type { Consistency, CountRequest, RetrieveRequest, ScrollRequest } from './service.ts';

/** What a read asked for, beyond what faults are chosen by. What it did not say is not there. */
export interface Asked {
  readonly offset?: string;
  readonly payload?: PayloadSelection;
  readonly vectors?: Selection['vectors'];
  /** As REST spells it, compact: the same text from both protocols for the same filter. */
  readonly filter?: string;
  readonly shardKeys?: readonly ShardKey[];
  readonly consistency?: Consistency;
  readonly timeoutSeconds?: number;
  readonly exact?: boolean;
}

/** A request as a test looks at it afterwards. */
export interface RequestRecord extends RequestFacts, Asked {
  /** The header X-Qdrant-Route-Affinity. */
  readonly routeAffinity?: string;
}

export function askedOf(request: ScrollRequest | RetrieveRequest | CountRequest): Asked {
  const { consistency, shardKeys, timeoutSeconds } = request;
  return {
    ...ownAsked(request),
    ...(shardKeys === undefined ? {} : { shardKeys }),
    ...(consistency === undefined ? {} : { consistency }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  };
}

function ownAsked(request: ScrollRequest | RetrieveRequest | CountRequest): Asked {
  switch (request.kind) {
    case 'scroll': {
      const { filter, offset, selection } = request;
      return {
        ...(offset === undefined ? {} : { offset: String(offset) }),
        ...selection,
        ...(filter === undefined ? {} : { filter: filterText(filter) }),
      };
    }
    case 'retrieve':
      return request.selection;
    case 'count':
      return {
        ...(request.filter === undefined ? {} : { filter: filterText(request.filter) }),
        exact: request.isExact,
      };
  }
}
