import { expect, test } from 'bun:test';
import { canonicalConfig } from '../../../lib/qdrant/collection-config.ts';
import { errorOf } from './batch-rows.ts';

test('canonicalConfig() sorts by code point on every level, without white space', () => {
  const config = { b: { '😀': 1, '～': [{ z: true, a: 'x"\n' }], '': 0 }, a: 0.25 };
  expect(canonicalConfig(config)).toBe('{"a":0.25,"b":{"":0,"～":[{"a":"x\\"\\n","z":true}],"😀":1}}');
});

test('canonicalConfig() leaves out settings that are null or not there, and keeps empty ones', () => {
  const config = { a: null, b: { c: undefined, d: null }, e: [null, 1], f: {}, g: [], h: '', i: 0, j: false };
  expect(canonicalConfig(config)).toBe('{"b":{},"e":[null,1],"f":{},"g":[],"h":"","i":0,"j":false}');
  expect([canonicalConfig(undefined), canonicalConfig(null), canonicalConfig({})]).toEqual([
    '{}',
    '{}',
    '{}',
  ]);
});

test('canonicalConfig() keeps every digit of an integer, as number or bigint', () => {
  const same = { a: 7, b: 2 ** 53 - 1, c: 2n ** 64n - 1n, d: -(2n ** 63n), e: 7n };
  expect(canonicalConfig(same)).toBe(
    '{"a":7,"b":9007199254740991,"c":18446744073709551615,"d":-9223372036854775808,"e":7}',
  );
});

test('canonicalConfig() keeps the nulls of what users keep beside a collection, which is theirs', () => {
  const config = { metadata: { b: null, a: { metadata: null } }, params: { metadata: null, x: 1 } };
  expect(canonicalConfig(config)).toBe('{"metadata":{"a":{"metadata":null},"b":null},"params":{"x":1}}');
  for (const metadata of [null, {}]) expect(canonicalConfig({ metadata })).toBe('{}');
});

test('canonicalConfig() refuses nesting that nobody means', () => {
  let nested: unknown = 1;
  for (let i = 0; i < 100_000; i++) nested = [nested];
  expect(errorOf(() => canonicalConfig({ nested })).message).toContain('512 levels');
});
