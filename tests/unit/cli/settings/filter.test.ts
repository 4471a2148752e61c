import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFilter } from '../../../../lib/cli/settings/filter.ts';
import { ToolError } from '../../../../lib/errors.ts';

const MIB = 1024 * 1024;
const WANTED = "Qdrant's filter is wanted, a JSON object, or @FILE with one.";

function sentence(value: string): string {
  try {
    readFilter(value, '--filter');
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

/** A JSON object of so many bytes. */
function objectOf(bytes: number): string {
  return `{"a":"${'x'.repeat(bytes - 8)}"}`;
}

describe('readFilter()', () => {
  let folder: string;
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content);
    return `@${join(folder, name)}`;
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'filter-test-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('keeps the text as it is but for the blanks around it, integers beyond 2^53 included', () => {
    const text = '{ "must" : [\n\t{"key":"n\\u0041","match":{"value":18446744073709551615}}],"x":1.0e2 }';
    expect(readFilter(` \r\n\t${text}\n`, '--filter')).toBe(text);
    expect(readFilter(file('text.json', `\n${text} \n`), '--filter')).toBe(text);
    expect(readFilter('{}', '--filter')).toBe('{}');
  });

  test('reads a file with a byte order mark', () => {
    expect(readFilter(file('bom.json', '\uFEFF{"é":"日"}'), '--filter')).toBe('{"é":"日"}');
  });

  test.each([
    ['[1]', 'a JSON array'],
    ['"a"', 'a JSON string'],
    ['-1.5', 'a JSON number'],
    [' null ', 'the JSON word null'],
    ['true', 'the JSON word true'],
  ])('refuses %s, which is no object', (text, kind) => {
    expect(sentence(text)).toBe(`--filter is ${kind}; ${WANTED}`);
    const value = file('other.json', text);
    expect(sentence(value)).toBe(`--filter ${value} is ${kind}; ${WANTED}`);
  });

  test('says where a text stops being JSON', () => {
    expect(sentence('filter.json')).toBe(
      `--filter is not JSON: line 1, column 1 has "f" where a value is due; ${WANTED}`,
    );
    const value = file('bad.json', '{\n  "must": [],\n}\n');
    expect(sentence(value)).toBe(
      `--filter ${value} is not JSON: line 3, column 1 has "}" where a name in double quotes is due; ${WANTED}`,
    );
    expect(sentence(file('empty.json', ''))).toContain('line 1, column 1 has the end where a value is due');
  });

  test('says why a file cannot be read', () => {
    expect(sentence('@')).toBe('--filter is "@"; the path of a file is wanted behind it.');
    expect(sentence('@/no/such.json')).toBe('Cannot read --filter @/no/such.json: there is no such file.');
    mkdirSync(join(folder, 'folder'));
    expect(sentence(`@${folder}/folder`)).toBe(`Cannot read --filter @${folder}/folder: it is a folder.`);
    expect(sentence('@a\0b')).toStartWith('Cannot read --filter @a\0b: ');
  });

  test('refuses a file that is not UTF-8 instead of changing its letters', () => {
    const value = file('latin1.json', Buffer.from('{"a":"é"}', 'latin1'));
    expect(sentence(value)).toBe(`--filter ${value} is not UTF-8; ${WANTED}`);
  });

  test('takes 16 MiB and no byte more, typed or from a file', () => {
    const large = objectOf(16 * MIB);
    const tooLarge =
      'has more than 16 MiB, and Qdrant takes no request much larger; a shorter filter is wanted.';
    expect(readFilter(large, '--filter')).toBe(large);
    expect(readFilter(file('large.json', large), '--filter')).toBe(large);
    expect(sentence(`${large} `)).toBe(`--filter ${tooLarge}`);
    const value = file('large.json', `${large} `);
    expect(sentence(value)).toBe(`--filter ${value} ${tooLarge}`);
    // Bytes count, not letters.
    expect(sentence(objectOf(16 * MIB - 1).replace('xx', 'éé'))).toBe(`--filter ${tooLarge}`);
  });

  test.skipIf(process.platform !== 'linux')('does not read on in a file that has no end', () => {
    expect(sentence('@/dev/zero')).toStartWith('--filter @/dev/zero has more than 16 MiB');
  });
});
