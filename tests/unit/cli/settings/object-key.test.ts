import { describe, expect, test } from 'bun:test';
import {
  decodeKeyPart,
  encodeFolderName,
  encodeKeyPart,
  objectKey,
  S3_KEYS,
  SUPABASE_KEYS,
} from '../../../../lib/cli/settings/object-key.ts';
import { ToolError } from '../../../../lib/errors.ts';

const inS3 = (name: string) => encodeKeyPart(name, S3_KEYS);
const inSupabase = (name: string) => encodeKeyPart(name, SUPABASE_KEYS);

function refusal(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('objectKey()', () => {
  test('is {collection}/latest.parquet, behind the prefix if there is one', () => {
    expect(objectKey(undefined, 'docs', S3_KEYS)).toBe('docs/latest.parquet');
    expect(objectKey('/nightly/eu/', 'docs', S3_KEYS)).toBe('nightly/eu/docs/latest.parquet');
    expect(objectKey('/', 'docs', S3_KEYS)).toBe('docs/latest.parquet');
    expect(objectKey('a#b', 'c?d', S3_KEYS)).toBe('a%23b/c%3Fd/latest.parquet');
    expect(objectKey('a#b/x=y', 'c?d', SUPABASE_KEYS)).toBe('a=23b/x=3Dy/c=3Fd/latest.parquet');
  });

  test('refuses prefixes with steps or empty parts, and keys that no store takes', () => {
    for (const prefix of ['a//b', '..', 'a/../b', './a']) {
      for (const encoding of [S3_KEYS, SUPABASE_KEYS]) {
        expect(() => objectKey(prefix, 'x', encoding)).toThrow('--prefix is');
      }
    }
    expect(() => objectKey('p'.repeat(1010), 'docs', S3_KEYS)).toThrow('The object key has 1030 bytes');
  });

  test('refuses a part of more than 255 bytes in Supabase, where it would be an error of the server', () => {
    expect(objectKey(undefined, 'é'.repeat(42), SUPABASE_KEYS)).toHaveLength(42 * 6 + 15);
    expect(refusal(() => objectKey(undefined, 'é'.repeat(43), SUPABASE_KEYS))).toBe(
      "The collection's name makes a part of the object key of 258 bytes, and the store takes 255 between two slashes; an alias with a shorter name is wanted.",
    );
    expect(objectKey(`a/${'p'.repeat(255)}`, 'docs', SUPABASE_KEYS)).toStartWith('a/ppp');
    expect(refusal(() => objectKey(`a/${'p'.repeat(256)}`, 'docs', SUPABASE_KEYS))).toBe(
      '--prefix makes a part of the object key of 256 bytes, and the store takes 255 between two slashes; a shorter one is wanted.',
    );
    expect(objectKey('p'.repeat(256), 'é'.repeat(43), S3_KEYS)).toContain('%C3%A9/latest');
  });

  test('leaves room in a key for what Supabase puts around it', () => {
    const prefix = Array.from({ length: 4 }, () => 'p'.repeat(210)).join('/');
    // 843 bytes, a slash, and 20 bytes of `docs…/latest.parquet`.
    expect(objectKey(prefix, 'docs0', SUPABASE_KEYS)).toHaveLength(864);
    expect(objectKey(prefix, 'docs01', SUPABASE_KEYS)).toHaveLength(865);
    expect(refusal(() => objectKey(prefix, 'docs012', SUPABASE_KEYS))).toBe(
      'The object key has 866 bytes, and stores take 865; a shorter --prefix is wanted.',
    );
  });
});

describe('encodeKeyPart()', () => {
  test('leaves alone what every store takes', () => {
    const kept = "AZaz09!-_.*'() &$@=;:+,";
    expect(inS3(kept)).toBe(kept);
    const inBoth = kept.replace('=', '');
    expect(inSupabase(inBoth)).toBe(inBoth);
  });

  test('encodes what some store refuses, by UTF-8 bytes', () => {
    const refused = 'a%b/c~[]{}"\\<>|^`#?\n';
    expect(inS3(refused)).toBe('a%25b%2Fc%7E%5B%5D%7B%7D%22%5C%3C%3E%7C%5E%60%23%3F%0A');
    expect(inSupabase(refused)).toBe('a=25b=2Fc=7E=5B=5D=7B=7D=22=5C=3C=3E=7C=5E=60=23=3F=0A');
    expect(inS3('é日')).toBe('%C3%A9%E6%97%A5');
    expect(inSupabase('é日')).toBe('=C3=A9=E6=97=A5');
    expect(inSupabase('=\u0000\u007f')).toBe('=3D=00=7F');
  });

  test('makes no step of a path', () => {
    expect(['.', '..', '...'].map(inS3)).toEqual(['%2E', '%2E%2E', '...']);
    expect(['.', '..', '...'].map(inSupabase)).toEqual(['=2E', '=2E=2E', '...']);
  });
});

test('encodeFolderName() encodes what Windows refuses too', () => {
  expect(encodeFolderName('a:b*c?')).toBe('a%3Ab%2Ac%3F');
  expect(encodeFolderName('name.')).toBe('name%2E');
  expect(encodeFolderName('name ')).toBe('name%20');
  expect(encodeFolderName('..')).toBe('%2E%2E');
});

describe('decodeKeyPart()', () => {
  const NAMES = [
    'docs',
    '.',
    '..',
    '%2E',
    '=2E',
    'a%2Fb',
    'a/b',
    'a=2Fb',
    'é日🙂',
    'x ',
    '*',
    ':',
    '\u0000\u007f',
    '%',
    '=',
    'A+B',
    'A B',
  ];
  const WAYS = [
    [inS3, S3_KEYS],
    [encodeFolderName, S3_KEYS],
    [inSupabase, SUPABASE_KEYS],
  ] as const;

  test('undoes all of them, and no two names share a part', () => {
    for (const [encode, encoding] of WAYS) {
      const parts = NAMES.map((name) => encode(name));
      expect(parts.map((part) => decodeKeyPart(part, encoding))).toEqual(NAMES);
      expect(new Set(parts).size).toBe(NAMES.length);
    }
  });

  test('undoes them for names of any letters, none of which a store then sees but its own', () => {
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const highest = [0x80, 0x800, 0xd800, 0x11_0000];
    for (let round = 0; round < 2_000; round++) {
      const letters = Array.from({ length: 1 + random(12) }, () => {
        const letter = random(highest[random(highest.length)] as number);
        return String.fromCodePoint(letter >= 0xd800 && letter < 0xe000 ? 0x3d : letter);
      });
      const name = letters.join('');
      for (const [encode, encoding] of WAYS) expect(decodeKeyPart(encode(name), encoding)).toBe(name);
      expect(inSupabase(name)).toMatch(/^[\w!.*'() &$@=;:+,-]+$/);
    }
  });
});
