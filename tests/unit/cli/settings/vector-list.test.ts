import { describe, expect, test } from 'bun:test';
import { readVectorList } from '../../../../lib/cli/settings/vector-list.ts';
import { ToolError } from '../../../../lib/errors.ts';

function sentence(text: string): string {
  try {
    readVectorList(text, '--vectors');
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('readVectorList()', () => {
  test.each([
    ['text', ['text']],
    ['text,image', ['text', 'image']],
    [' text , image vector ', ['text', 'image vector']],
    ['""', ['']],
    ['"",text', ['', 'text']],
    ['"a,b",c', ['a,b', 'c']],
    [' "a" , "b" ', ['a', 'b']],
    ['"say ""hi"""', ['say "hi"']],
    ['""""', ['"']],
    ['" a "', [' a ']],
    ['"none"', ['none']],
    ['"none",none2', ['none', 'none2']],
    ['None', ['None']],
    ['日本,__proto__', ['日本', '__proto__']],
    ['none', []],
    [' none ', []],
  ])('reads %p', (text, names) => expect(readVectorList(text, '--vectors')).toEqual(names));

  test.each(['', ' ', ',', 'a,', ',a', 'a,,b', 'a, ,b', '"a",'])('misses a name in %p', (text) => {
    expect(sentence(text)).toBe(
      `--vectors is ${JSON.stringify(text)}, where a name is missing; the unnamed vector is written "".`,
    );
  });

  test.each(['"a', 'a"', 'a"b"', '"a"b', '"a""', 'x,"', '"a" "b"'])('refuses the quotes of %p', (text) => {
    expect(sentence(text)).toBe(
      `--vectors is ${JSON.stringify(text)}, whose double quotes go around no whole name; "a,b" is one name, and "" within quotes one quote.`,
    );
  });

  test('refuses a name that is repeated, however it is written', () => {
    expect(sentence('a,b,"a"')).toBe('--vectors names "a" more than once, and it is wanted once.');
    expect(sentence('"",a,""')).toBe(
      '--vectors names the unnamed vector more than once, and it is wanted once.',
    );
    expect(sentence('none,none')).toContain('more than once');
  });

  test('takes the word none only alone', () => {
    for (const text of ['none,a', 'a,none']) {
      expect(sentence(text)).toBe(
        '--vectors is none beside other names; none stands alone, and a vector of that name is written "none".',
      );
    }
  });

  test('judges a long list soon, also one that is wrong at its end', () => {
    const begun = performance.now();
    const blanks = ' '.repeat(100_000);
    expect(readVectorList(`"${'x""'.repeat(50_000)}"`, '--vectors')[0]).toHaveLength(100_000);
    expect(sentence(`${blanks}a${blanks}"`)).toContain('quotes');
    // Tried in every way that blanks can be parted, it would take hours.
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});
