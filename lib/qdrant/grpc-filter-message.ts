import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { type ScrollPoints, ScrollPointsSchema } from '@qdrant/js-client-grpc';

/*
 * The types of a filter's messages, taken from the request they go into: those that the official client exports by
 * name are of an older file and lack what was added since (slices, prefixes).
 */

/** A Filter message. */
export type Filter = NonNullable<ScrollPoints['filter']>;
type Condition = Filter['must'][number];
type FieldCondition = Extract<Condition['conditionOneOf'], { readonly case: 'field' }>['value'];

/** What they are made of. */
export type FilterParts = MessageInitShape<GenMessage<Filter>>;
export type ConditionParts = MessageInitShape<GenMessage<Condition>>;
export type FieldParts = MessageInitShape<GenMessage<FieldCondition>>;

export function filterMessage(filter: FilterParts): Filter {
  return create(ScrollPointsSchema, { filter }).filter as Filter;
}
