import { describe, expect, test } from 'bun:test';
import { EXPORTER_R2_FLAGS } from '../../../../lib/cli/flags/exporter-r2-flags.ts';
import { EXPORTER_SUPABASE_FLAGS } from '../../../../lib/cli/flags/exporter-supabase-flags.ts';
import { parseArguments, resolveFlags } from '../../../../lib/cli/flags/parse-flags.ts';
import { bytesText, readBytes } from '../../../../lib/cli/flags/read-bytes.ts';
import { ToolError } from '../../../../lib/errors.ts';

const WANTED = '1MB or more, such as 45MB, 1.5GB or 45MiB, is wanted.';

function refusal(text: string, source = '--split-size'): string {
  try {
    readBytes(text, 1_000_000, source);
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('readBytes()', () => {
  test.each([
    ['45MB', 45_000_000],
    ['45mb', 45_000_000],
    ['45 MB', 45_000_000],
    ['45MiB', 47_185_920],
    ['1.5GB', 1_500_000_000],
    ['1.5GiB', 1_610_612_736],
    ['1000kB', 1_000_000],
    ['977KiB', 1_000_448],
    ['1TB', 1_000_000_000_000],
    ['1TiB', 1_099_511_627_776],
    ['1000000', 1_000_000],
    ['1000000B', 1_000_000],
    // What is below a byte is left out.
    ['1.0000001MB', 1_000_000],
  ])('reads %s as %d bytes', (text, bytes) => {
    expect(readBytes(text, 1_000_000, '--split-size')).toBe(bytes);
  });

  test.each([
    'x',
    '45M',
    '45Mb/s',
    '-45MB',
    '+45MB',
    '1e9',
    '0x100000',
    '1,5GB',
    '.5GB',
    '5.GB',
    '1.2.3MB',
    '45 constructor',
    '1000000.5',
    '45  MB',
    ' 45MB',
    `${'9'.repeat(400)}MB`,
    'NaN',
    'MB',
    '',
  ])('refuses %p', (text) => {
    expect(refusal(text)).toBe(`--split-size is ${JSON.stringify(text)}; ${WANTED}`);
  });

  test('refuses less than there has to be, whatever it was called', () => {
    expect(refusal('999999')).toBe(`--split-size is 999,999 bytes; ${WANTED}`);
    expect(refusal('0.9MB', 'SIZE_VARIABLE')).toBe(`SIZE_VARIABLE is 900,000 bytes; ${WANTED}`);
    expect(refusal('0')).toBe(`--split-size is 0 bytes; ${WANTED}`);
  });
});

test('bytesText() is what readBytes() takes', () => {
  for (const bytes of [1_000_000, 1_500_000, 7, 3_000_000_000]) {
    expect(readBytes(bytesText(bytes), 1, '')).toBe(bytes);
  }
});

test('--split-size is a number of bytes in both programs, and none where it is not given', () => {
  for (const table of [EXPORTER_R2_FLAGS, EXPORTER_SUPABASE_FLAGS]) {
    const read = (...argv: string[]) => resolveFlags(parseArguments(argv, table), {}, table);
    expect(read('--split-size', '45MB').values['split-size']).toBe(45_000_000);
    expect(read('--split-size=1.5GiB').source('split-size')).toBe('--split-size');
    expect(read().values['split-size']).toBeUndefined();
    expect(() => read('--split-size', '45')).toThrow(`--split-size is 45 bytes; ${WANTED}`);
    expect(() => read('--split-size=')).toThrow('--split-size is empty; a value is wanted.');
  }
});

test('a variable that speaks for a flag of bytes is read by the same rules', () => {
  const table = { size: { kind: 'bytes', min: 1_000_000, env: 'SIZE', group: 'file', help: '' } } as const;
  const read = (SIZE: string) => resolveFlags(new Map(), { SIZE }, table);
  expect(read('45MB').values.size).toBe(45_000_000);
  expect(read('45MB').source('size')).toBe('SIZE');
  expect(() => read('much')).toThrow(`SIZE is "much"; ${WANTED}`);
});
