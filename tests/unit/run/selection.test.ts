import { describe, expect, test } from 'bun:test';
import type { ToolError } from '../../../lib/errors.ts';
import type { ShardKey, VectorSpec } from '../../../lib/model.ts';
import { allPoints, chosenPoints, chosenVectors } from '../../../lib/run/selection.ts';
import { planOf, shapeOf } from '../../support/plans.ts';

const spec = (name: string): VectorSpec => ({
  kind: 'dense',
  name,
  size: 2,
  distance: 'Dot',
  datatype: 'float32',
});
const number = (text: string): ShardKey => ({ kind: 'number', text });
const keyword = (text: string): ShardKey => ({ kind: 'keyword', text });
const named = shapeOf({ vectors: [spec(''), spec('image'), spec('text')] });
const sharded = shapeOf({
  name: 'alias',
  collection: 'c',
  sharding: 'custom',
  shardKeys: [number('7'), keyword('7'), keyword('acme')],
});

function refusal(choose: () => unknown): string {
  try {
    choose();
  } catch (error) {
    expect((error as ToolError).code).toBe('usage');
    return (error as ToolError).message;
  }
  return 'nothing was refused';
}

describe('chosenVectors()', () => {
  test('keeps the order of the collection, whatever the order of the names', () => {
    const names = (vectors: readonly string[] | undefined) =>
      chosenVectors(named, { vectors }).map(({ name }) => name);
    expect(names(undefined)).toEqual(['', 'image', 'text']);
    expect(names(['text', ''])).toEqual(['', 'text']);
    expect(names([])).toEqual([]);
  });

  test('refuses a vector that the collection does not have and names those it has', () => {
    expect(refusal(() => chosenVectors(named, { vectors: ['txt'] }))).toBe(
      'Collection `c` has no vector `txt`; it has an unnamed one, `image`, `text`.',
    );
    expect(refusal(() => chosenVectors(shapeOf({ vectors: [] }), { vectors: [''] }))).toBe(
      'Collection `c` has no unnamed vector; it has none at all.',
    );
  });
});

describe('chosenPoints()', () => {
  test('is one set without custom sharding', () => {
    expect(chosenPoints(shapeOf(), planOf({ filter: '{}' }))).toEqual([
      { collection: 'c', shardKey: undefined, filter: '{}' },
    ]);
  });

  test('is a set for each shard key, of the collection behind an alias', () => {
    expect(chosenPoints(sharded, planOf())).toEqual(
      sharded.shardKeys.map((shardKey) => ({ collection: 'c', shardKey, filter: undefined })),
    );
  });

  for (const [typed, wanted] of [
    ['acme', keyword('acme')],
    ['"acme"', keyword('acme')],
    ['7', number('7')],
    ['"7"', keyword('7')],
  ] as const) {
    test(`--shard-key ${typed} is the ${wanted.kind} ${wanted.text}`, () => {
      expect(chosenPoints(sharded, planOf({ shardKey: typed }))).toEqual([
        { collection: 'c', shardKey: wanted, filter: undefined },
      ]);
    });
  }

  test('refuses a shard key that is not there, or that has no meaning', () => {
    expect(refusal(() => chosenPoints(sharded, planOf({ shardKey: 'acne' })))).toBe(
      'Collection `alias` has no shard key `acne`; it has 7, `7`, `acme`.',
    );
    expect(refusal(() => chosenPoints(shapeOf(), planOf({ shardKey: 'acme' })))).toBe(
      '--shard-key is `acme`, but collection `c` has no shard keys (its sharding is automatic); leave the flag out.',
    );
  });
});

test('allPoints() counts without a key where several keys are exported', () => {
  const count = (shardKey?: string) => {
    const plan = planOf({ shardKey, filter: '{}' });
    return allPoints(sharded, chosenPoints(sharded, plan), plan);
  };
  expect(count()).toEqual({ collection: 'c', shardKey: undefined, filter: '{}' });
  expect(count('7')).toEqual({ collection: 'c', shardKey: number('7'), filter: '{}' });
});
