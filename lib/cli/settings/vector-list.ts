import { ToolError } from '../../errors.ts';

/** One item and the comma or end behind it: in double quotes, where "" is one quote, or plain. */
const ITEM = /(?:[ \t]*"([^"]*(?:""[^"]*)*)"[ \t]*|([^",]*))(,|$)/y;

/**
 * The names of `--vectors LIST`, the unnamed vector being '': plain ones without the blanks around them, those
 * with a comma, a quote or blanks at their ends in double quotes as in CSV. The word none alone is the empty
 * list. A ToolError 'usage' for anything else.
 */
export function readVectorList(text: string, source: string): readonly string[] {
  const names: string[] = [];
  let saysNone = false;
  for (let at = 0, more = true; more; at = ITEM.lastIndex) {
    ITEM.lastIndex = at;
    const item = ITEM.exec(text);
    if (item === null) throw unreadable(text, source);
    const [, quoted, plain = '', end] = item;
    const name = quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"');
    if (quoted === undefined && name === '') {
      throw new ToolError(
        'usage',
        `${source} is ${JSON.stringify(text)}, where a name is missing; the unnamed vector is written "".`,
      );
    }
    if (names.includes(name)) {
      throw new ToolError('usage', `${source} names ${shown(name)} more than once, and it is wanted once.`);
    }
    saysNone ||= quoted === undefined && name === 'none';
    names.push(name);
    more = end === ',';
  }
  if (!saysNone) return names;
  if (names.length === 1) return [];
  throw new ToolError(
    'usage',
    `${source} is none beside other names; none stands alone, and a vector of that name is written "none".`,
  );
}

function unreadable(text: string, source: string): ToolError {
  return new ToolError(
    'usage',
    `${source} is ${JSON.stringify(text)}, whose double quotes go around no whole name; "a,b" is one name, and "" within quotes one quote.`,
  );
}

function shown(name: string): string {
  return name === '' ? 'the unnamed vector' : JSON.stringify(name);
}
