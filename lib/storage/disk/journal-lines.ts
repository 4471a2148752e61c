import { readFile, stat } from 'node:fs/promises';
import { ToolError } from '../../errors.ts';
import { codeOf, readError } from './file-errors.ts';

/** Bound of a journal, which is read whole and whose records are kept; `replace` keeps it far below. */
export const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

/** A journal as it was found. */
export type LeftJournal =
  | {
      readonly kind: 'whole';
      readonly records: readonly unknown[];
      /** Bytes of these records' lines: what comes behind is what a crash left of a commit. */
      readonly wholeBytes: number;
      /** Bytes of the file. */
      readonly bytes: number;
    }
  | { readonly kind: 'corrupt'; readonly problem: ToolError };

/**
 * A record is a line: its JSON, a tab, a mark, the CRC-32 of all that in hex. The mark is `=` for the first record of
 * a commit and `+` for those that share its sync. A crash during a commit can leave any of its lines whole and any
 * not, as the system writes a file's pages in no order; but a commit begins only when the one before it is on the
 * disk. So bad lines are what a crash left unless a whole one that begins a commit comes after them.
 */
export async function readJournal(path: string): Promise<LeftJournal> {
  let content: Buffer;
  try {
    const { size } = await stat(path);
    if (size > MAX_JOURNAL_BYTES) return { kind: 'corrupt', problem: tooLargeError(path, size) };
    content = await readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { kind: 'whole', records: [], wholeBytes: 0, bytes: 0 };
    throw readError(path, error);
  }
  const records: unknown[] = [];
  let wholeBytes = 0;
  let badLine: number | undefined;
  let start = 0;
  for (let line = 1; start < content.length; line++) {
    const newline = content.indexOf(0x0a, start);
    const end = newline < 0 ? content.length : newline;
    const entry = newline < 0 ? undefined : readLine(content.subarray(start, end));
    start = end + 1;
    if (entry === undefined) {
      badLine ??= line;
    } else if (badLine === undefined) {
      records.push(entry.record);
      wholeBytes = start;
    } else if (entry.first) {
      return { kind: 'corrupt', problem: corruptError(path, badLine) };
    }
  }
  return { kind: 'whole', records, wholeBytes, bytes: content.length };
}

/** Tab, mark, eight digits. */
const TRAILER = /^\t([=+])([0-9a-f]{8})$/;
const TRAILER_BYTES = 10;

/** The lines of one commit, its records given as JSON. */
export function toLines(records: readonly string[]): Buffer {
  const lines = records.map((json, i) => {
    const checked = `${json}\t${i === 0 ? '=' : '+'}`;
    return `${checked}${checksum(Buffer.from(checked))}\n`;
  });
  return Buffer.from(lines.join(''));
}

/** Undefined when it is not a whole line. */
function readLine(line: Buffer): { readonly record: unknown; readonly first: boolean } | undefined {
  const at = Math.max(0, line.length - TRAILER_BYTES);
  const trailer = TRAILER.exec(line.toString('latin1', at));
  if (trailer === null || checksum(line.subarray(0, at + 2)) !== trailer[2]) return undefined;
  try {
    return { record: JSON.parse(line.toString('utf8', 0, at)), first: trailer[1] === '=' };
  } catch {
    return undefined;
  }
}

function checksum(bytes: Uint8Array): string {
  return Bun.hash.crc32(bytes).toString(16).padStart(8, '0');
}

function corruptError(path: string, line: number): ToolError {
  return new ToolError(
    'integrity',
    `Cannot go on from "${path}": its line ${line} is not what was written. Start over without --resume.`,
  );
}

function tooLargeError(path: string, bytes: number): ToolError {
  return new ToolError(
    'integrity',
    `Cannot go on from "${path}": it has ${bytes} bytes, and no run writes more than ${MAX_JOURNAL_BYTES}. Start over without --resume.`,
  );
}
