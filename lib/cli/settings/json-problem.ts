/** Where a text stops being JSON, and what would be wanted there. */
export interface JsonProblem {
  /** Both from 1; columns count UTF-16 units, as editors do. */
  readonly line: number;
  readonly column: number;
  /** The character there, in quotes, or `the end`. */
  readonly found: string;
  readonly wanted: string;
}

/** What may come next; `first-…` is that or the end of what has just begun. */
type Expected = 'value' | 'first-value' | 'name' | 'first-name' | 'comma';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPES = '"\\/bfnrt';

/**
 * The first thing that makes a text no JSON (RFC 8259), or undefined when it is JSON. The platform's own parser
 * decides the same and does not say where. Keeps one character for each open bracket, and no values.
 */
export function jsonProblem(text: string): JsonProblem | undefined {
  const closers: string[] = [];
  let expected: Expected = 'value';
  let at = afterBlanks(text, 0);
  for (;;) {
    const letter = text[at];
    if ((expected === 'first-value' || expected === 'first-name') && letter === closers.at(-1)) {
      closers.pop();
      at++;
      expected = 'comma';
    } else if (expected === 'comma') {
      const closer = closers.at(-1);
      if (closer === undefined) return at === text.length ? undefined : problem(text, at, 'nothing more');
      if (letter === closer) closers.pop();
      else if (letter === ',') expected = closer === '}' ? 'name' : 'value';
      else return problem(text, at, `a comma or ${closer}`);
      at++;
    } else if (expected === 'name' || expected === 'first-name') {
      if (letter !== '"') return problem(text, at, 'a name in double quotes');
      const end = stringEnd(text, at);
      if (typeof end !== 'number') return end;
      at = afterBlanks(text, end);
      if (text[at] !== ':') return problem(text, at, 'a colon');
      at++;
      expected = 'value';
    } else if (letter === '{' || letter === '[') {
      closers.push(letter === '{' ? '}' : ']');
      at++;
      expected = letter === '{' ? 'first-name' : 'first-value';
    } else {
      const end = scalarEnd(text, at);
      if (typeof end !== 'number') return end;
      at = end;
      expected = 'comma';
    }
    at = afterBlanks(text, at);
  }
}

function scalarEnd(text: string, at: number): number | JsonProblem {
  if (text[at] === '"') return stringEnd(text, at);
  for (const word of ['true', 'false', 'null']) if (text.startsWith(word, at)) return at + word.length;
  NUMBER.lastIndex = at;
  return NUMBER.test(text) ? NUMBER.lastIndex : problem(text, at, 'a value');
}

function stringEnd(text: string, start: number): number | JsonProblem {
  for (let at = start + 1; ; at++) {
    const letter = text[at];
    if (letter === '"') return at + 1;
    // The end of the text, or a control character.
    if (letter === undefined || letter < ' ') return problem(text, at, 'the rest of a text in double quotes');
    if (letter !== '\\') continue;
    at++;
    const escaped = text[at] ?? '';
    if (escaped === 'u' && /^[0-9a-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) at += 4;
    else if (escaped === '' || !ESCAPES.includes(escaped)) return problem(text, at, 'an escape of JSON');
  }
}

function afterBlanks(text: string, start: number): number {
  let at = start;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

function problem(text: string, at: number, wanted: string): JsonProblem {
  let line = 1;
  let lineStart = 0;
  for (let next = text.indexOf('\n'); next !== -1 && next < at; next = text.indexOf('\n', next + 1)) {
    line++;
    lineStart = next + 1;
  }
  const letter = text.codePointAt(at);
  const found = letter === undefined ? 'the end' : JSON.stringify(String.fromCodePoint(letter));
  return { line, column: at - lineStart + 1, found, wanted };
}
