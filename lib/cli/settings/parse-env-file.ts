export interface EnvFile {
  readonly variables: ReadonlyMap<string, string>;
  /** Numbers of lines that say nothing; their text may be a secret, so it is not here. */
  readonly badLines: readonly number[];
}

/** `NAME=`, perhaps after `export`; the name as shells and Docker take it. */
const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*/;
const CLOSED_BY = /^[ \t]*(#.*)?$/;

/**
 * Reads the text of a `.env` file: `NAME=value` lines, `export NAME=value`, `#` comments (inside an unquoted
 * value after white space only), 'single quotes' as they stand, "double quotes" with \n \r \t \" \\ \$, both
 * over several lines if need be; LF or CRLF, with or without a byte order mark. The last of repeated names wins.
 * Nothing is expanded: `$OTHER` stays as written, as it is more often part of a password.
 */
export function parseEnvFile(text: string): EnvFile {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  const variables = new Map<string, string>();
  const badLines: number[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (/^[ \t]*(#.*)?$/.test(line)) continue;
    const assignment = ASSIGNMENT.exec(line);
    const name = assignment?.[1];
    if (assignment === null || name === undefined) {
      badLines.push(index + 1);
      continue;
    }
    const rest = line.slice(assignment[0].length);
    const quote = rest[0];
    if (quote !== '"' && quote !== "'") {
      variables.set(name, rest.replace(/(^|[ \t])#.*$/, '').trim());
      continue;
    }
    const quoted = readQuoted(lines, index, rest.slice(1), quote);
    if (quoted === undefined) {
      badLines.push(index + 1);
      continue;
    }
    variables.set(name, quoted.value);
    index = quoted.lastLine;
  }
  return { variables, badLines };
}

/** A value up to its closing quote, which may be lines further down; undefined when nothing closes it rightly. */
function readQuoted(
  lines: readonly string[],
  firstLine: number,
  beginning: string,
  quote: '"' | "'",
): { readonly value: string; readonly lastLine: number } | undefined {
  let raw = '';
  for (let index = firstLine; index < lines.length; index++) {
    const line = index === firstLine ? beginning : (lines[index] ?? '');
    const end = closingQuote(line, quote);
    if (end !== -1) {
      if (!CLOSED_BY.test(line.slice(end + 1))) return undefined;
      raw += line.slice(0, end);
      return { value: quote === '"' ? unescaped(raw) : raw, lastLine: index };
    }
    raw += `${line}\n`;
  }
  return undefined;
}

function closingQuote(line: string, quote: '"' | "'"): number {
  for (let index = 0; index < line.length; index++) {
    if (quote === '"' && line[index] === '\\') index++;
    else if (line[index] === quote) return index;
  }
  return -1;
}

function unescaped(raw: string): string {
  return raw.replace(/\\([nrt"\\$])/g, (_, letter: string) => {
    if (letter === 'n') return '\n';
    if (letter === 'r') return '\r';
    return letter === 't' ? '\t' : letter;
  });
}
