import { ToolError } from '../../errors.ts';
import type { DuckDbExit } from './duckdb-process.ts';

const SHOWN_CHARACTERS = 2000;
const SHOWN_LINES = 6;

const DISK_FULL =
  /no space left on device|not enough space on the disk|disk quota exceeded|max_temp_directory_size/i;
const OUT_OF_MEMORY = /out of memory/i;

/** What a conversion that did not end well means. With remedy 'smaller' where DuckDB's memory did not do. */
export function duckDbProblem(
  { ended, stderr }: DuckDbExit,
  what: { readonly from: string; readonly to: string; readonly tool: string },
): ToolError {
  const said = firstLines(stderr);
  const found = said === '' ? `it ended with ${ended} and without a word` : said;
  if (DISK_FULL.test(stderr)) {
    return new ToolError(
      'store',
      `Cannot write "${what.to}" with ${what.tool}: the disk is full. Free space and go on with --resume. DuckDB: ${found}`,
    );
  }
  return new ToolError(
    'format',
    `Cannot make Parquet of "${what.from}" with ${what.tool}: ${found.replace(/[.\s]*$/, '')}. Remove DuckDB from the PATH to use the built-in converter; --resume goes on from the finished data.`,
    { remedy: OUT_OF_MEMORY.test(stderr) ? 'smaller' : 'none' },
  );
}

/** What a program wrote to a terminal, as plain text. */
export function firstLines(text: string): string {
  const lines = Bun.stripANSI(text)
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const shown = lines.slice(0, SHOWN_LINES).join(' ');
  return shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown;
}
