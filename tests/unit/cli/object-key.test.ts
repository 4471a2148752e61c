import { describe, expect, test } from 'bun:test';
import { decodeKeyPart, encodeFolderName, encodeKeyPart, objectKey } from '../../../lib/cli/object-key.ts';

describe('objectKey()', () => {
  test('is {collection}/latest.parquet, behind the prefix if there is one', () => {
    expect(objectKey(undefined, 'docs')).toBe('docs/latest.parquet');
    expect(objectKey('/nightly/eu/', 'docs')).toBe('nightly/eu/docs/latest.parquet');
    expect(objectKey('/', 'docs')).toBe('docs/latest.parquet');
    expect(objectKey('a#b', 'c?d')).toBe('a%23b/c%3Fd/latest.parquet');
  });

  test('refuses prefixes with steps or empty parts, and keys that no store takes', () => {
    for (const prefix of ['a//b', '..', 'a/../b', './a'])
      expect(() => objectKey(prefix, 'x')).toThrow('--prefix is');
    expect(() => objectKey('p'.repeat(1010), 'docs')).toThrow('The object key has 1030 bytes');
  });
});

describe('encodeKeyPart()', () => {
  test('leaves alone what every store takes', () => {
    const kept = "AZaz09!-_.*'() &$@=;:+,";
    expect(encodeKeyPart(kept)).toBe(kept);
  });

  test('encodes what some store refuses, by UTF-8 bytes', () => {
    expect(encodeKeyPart('a%b/c~[]{}"\\<>|^`#?\n')).toBe(
      'a%25b%2Fc%7E%5B%5D%7B%7D%22%5C%3C%3E%7C%5E%60%23%3F%0A',
    );
    expect(encodeKeyPart('é日')).toBe('%C3%A9%E6%97%A5');
  });

  test('makes no step of a path', () => {
    expect(encodeKeyPart('.')).toBe('%2E');
    expect(encodeKeyPart('..')).toBe('%2E%2E');
    expect(encodeKeyPart('...')).toBe('...');
  });
});

test('encodeFolderName() encodes what Windows refuses too', () => {
  expect(encodeFolderName('a:b*c?')).toBe('a%3Ab%2Ac%3F');
  expect(encodeFolderName('name.')).toBe('name%2E');
  expect(encodeFolderName('name ')).toBe('name%20');
  expect(encodeFolderName('..')).toBe('%2E%2E');
});

test('decodeKeyPart() undoes both, and no two names share a part', () => {
  const names = [
    'docs',
    '.',
    '..',
    '%2E',
    'a%2Fb',
    'a/b',
    'é日🙂',
    'x ',
    '*',
    ':',
    '\u0000\u007f',
    '%',
    'A+B',
    'A B',
  ];
  for (const encode of [encodeKeyPart, encodeFolderName]) {
    const parts = names.map(encode);
    expect(parts.map(decodeKeyPart)).toEqual(names);
    expect(new Set(parts).size).toBe(names.length);
  }
});
