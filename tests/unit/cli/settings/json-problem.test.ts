import { describe, expect, test } from 'bun:test';
import { jsonProblem } from '../../../../lib/cli/settings/json-problem.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The same numbers from 0 to below `most` for the same seed (xorshift32). */
function randomFrom(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % most;
  };
}

describe('jsonProblem()', () => {
  // text, line, column, what is there, what is wanted
  test.each([
    ['', 1, 1, 'the end', 'a value'],
    ['  ', 1, 3, 'the end', 'a value'],
    ['x', 1, 1, '"x"', 'a value'],
    ['{', 1, 2, 'the end', 'a name in double quotes'],
    ["{'a':1}", 1, 2, '"\'"', 'a name in double quotes'],
    ['{"a" 1}', 1, 6, '"1"', 'a colon'],
    ['{"a":}', 1, 6, '"}"', 'a value'],
    ['{"a":1 "b":2}', 1, 8, '"\\""', 'a comma or }'],
    ['{"a":1,}', 1, 8, '"}"', 'a name in double quotes'],
    ['[1,]', 1, 4, '"]"', 'a value'],
    ['[1}', 1, 3, '"}"', 'a comma or ]'],
    ['[[1]', 1, 5, 'the end', 'a comma or ]'],
    ['{} {}', 1, 4, '"{"', 'nothing more'],
    ['01', 1, 2, '"1"', 'nothing more'],
    ['[1.]', 1, 3, '"."', 'a comma or ]'],
    ['[-]', 1, 2, '"-"', 'a value'],
    ['[NaN]', 1, 2, '"N"', 'a value'],
    ['{"a":"b', 1, 8, 'the end', 'the rest of a text in double quotes'],
    ['["a\nb"]', 1, 4, '"\\n"', 'the rest of a text in double quotes'],
    ['["\\x"]', 1, 4, '"x"', 'an escape of JSON'],
    ['["\\u12g4"]', 1, 4, '"u"', 'an escape of JSON'],
    ['["\\', 1, 4, 'the end', 'an escape of JSON'],
    ['{\n  "a": 1,\r\n  🙂\n}', 3, 3, '"🙂"', 'a name in double quotes'],
    ['[\u00a01]', 1, 2, '"\u00a0"', 'a value'],
  ])('finds in %p line %d, column %d', (text, line, column, found, wanted) => {
    expect(jsonProblem(text)).toEqual({ line, column, found, wanted });
    expect(isJson(text)).toBe(false);
  });

  test('finds nothing in JSON of every kind', () => {
    for (const text of [
      '{}',
      ' [ ] ',
      '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d"',
      '\t{"":{"a":[true,false,null,0,-0,1.5e-10,1E+5,12345678901234567890]}}\r\n',
      '"\u2028 \u007f 🙂"',
    ]) {
      expect(jsonProblem(text)).toBeUndefined();
    }
  });

  test('judges 20,000 texts, most of them with a mistake, as the parser of the platform does', () => {
    const whole =
      '{"must":[{"key":"a\\n\\u00e9","match":{"value":-12.5e+3}},[],{},[true,false,null, 0]],"x": "y"}';
    const letters = '{}[]",:\\ue+-.019 tfn\n\u0001é';
    const random = randomFrom(42);
    let wrong = 0;
    for (let round = 0; round < 20_000; round++) {
      const at = random(whole.length);
      const letter = letters[random(letters.length)] as string;
      const mutated = [
        whole.slice(0, at),
        whole.slice(0, at) + letter + whole.slice(at),
        whole.slice(0, at) + letter + whole.slice(at + 1),
        whole.slice(0, at) + whole.slice(at + 1),
      ][random(4)] as string;
      const problem = jsonProblem(mutated);
      if ((problem === undefined) !== isJson(mutated)) throw new Error(`judged otherwise: ${mutated}`);
      if (problem !== undefined) wrong++;
    }
    expect(wrong).toBeGreaterThan(10_000);
  });

  test('takes a million open brackets without running out of stack', () => {
    const depth = 1_000_000;
    expect(jsonProblem('['.repeat(depth) + ']'.repeat(depth))).toBeUndefined();
    expect(jsonProblem('['.repeat(depth))?.column).toBe(depth + 1);
  });
});
