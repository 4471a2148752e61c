import type { Condition, Filter } from './filter.ts';

/** Whether a filter holds a field condition that says nothing of its field, which Qdrant refuses. */
export function hasEmptyCondition({ minShould, must, mustNot, should }: Filter): boolean {
  return [must, should, mustNot, minShould?.conditions ?? []].some((conditions) => conditions.some(isEmpty));
}

function isEmpty(condition: Condition): boolean {
  switch (condition.kind) {
    case 'field': {
      const { areas = [], dateTimes, isEmpty: empty, isNull, match, range, valuesCount } = condition;
      const parts = [match, range, dateTimes, valuesCount, empty, isNull, areas[0]];
      return parts.every((part) => part === undefined);
    }
    case 'nested':
    case 'filter':
      return hasEmptyCondition(condition.filter);
    case 'isEmpty':
    case 'isNull':
    case 'hasId':
    case 'hasVector':
      return false;
  }
}
