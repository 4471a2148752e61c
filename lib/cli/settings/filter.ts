import { closeSync, openSync, readSync } from 'node:fs';
import { ToolError } from '../../errors.ts';
import { jsonProblem } from './json-problem.ts';
import { readProblem } from './read-problem.ts';

/** Bytes of a filter at most: half of what Qdrant takes as the body of a request (32 MiB). */
const MOST_BYTES = 16 * 1024 * 1024;
/** Bytes of a file that are read at once. */
const CHUNK_BYTES = 256 * 1024;

const WANTED = `Qdrant's filter is wanted, a JSON object, or @FILE with one`;

/**
 * Qdrant's filter as it was typed, or as the file behind `@` has it: the text of a JSON object, without the blanks
 * around it and else untouched, since its integers may not fit a JavaScript number. A ToolError 'usage' when it
 * is none; what the filter asks for is the server's to judge.
 */
export function readFilter(value: string, source: string): string {
  const path = filterPath(value);
  const name = path === undefined ? source : `${source} ${value}`;
  const text = path === undefined ? within(value, name) : readText(path, value, source);
  const problem = jsonProblem(text);
  if (problem !== undefined) {
    const { line, column, found, wanted } = problem;
    throw new ToolError(
      'usage',
      `${name} is not JSON: line ${line}, column ${column} has ${found} where ${wanted} is due; ${WANTED}.`,
    );
  }
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) throw new ToolError('usage', `${name} is ${kindOf(trimmed)}; ${WANTED}.`);
  return trimmed;
}

/** The file that a value of --filter names, or undefined where it is the filter itself. */
export function filterPath(value: string): string | undefined {
  return value.startsWith('@') ? value.slice(1) : undefined;
}

function readText(path: string, value: string, source: string): string {
  if (path === '') throw new ToolError('usage', `${source} is "@"; the path of a file is wanted behind it.`);
  let bytes: Buffer;
  try {
    bytes = readBytes(path);
  } catch (error) {
    throw new ToolError('usage', `Cannot read ${source} ${value}: ${readProblem(error)}.`, { cause: error });
  }
  if (bytes.length > MOST_BYTES) throw tooLarge(`${source} ${value}`);
  try {
    // Without a byte order mark; a byte that is no UTF-8 throws.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ToolError('usage', `${source} ${value} is not UTF-8; ${WANTED}.`, { cause: error });
  }
}

/** The bytes of a file, of which more than MOST_BYTES are not read: pipes and devices tell no size beforehand. */
function readBytes(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let bytes = 0; bytes <= MOST_BYTES; ) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const length = readSync(file, chunk);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      bytes += length;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(file);
  }
}

function within(text: string, name: string): string {
  if (Buffer.byteLength(text) > MOST_BYTES) throw tooLarge(name);
  return text;
}

function tooLarge(name: string): ToolError {
  return new ToolError(
    'usage',
    `${name} has more than 16 MiB, and Qdrant takes no request much larger; a shorter filter is wanted.`,
  );
}

function kindOf(json: string): string {
  switch (json[0]) {
    case '[':
      return 'a JSON array';
    case '"':
      return 'a JSON string';
    case 't':
    case 'f':
    case 'n':
      return `the JSON word ${json}`;
    default:
      return 'a JSON number';
  }
}
