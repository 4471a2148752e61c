import type { Host } from './host.ts';
import type { Screen } from './screen/screen.ts';

/**
 * Asks on stderr and reads a line of stdin: y or yes is true; anything else, the end of stdin, and a process without a
 * terminal are false. Rejects with the signal's reason.
 */
export async function askYesNo(
  host: Pick<Host, 'isInteractive' | 'readLine'>,
  screen: Screen,
  question: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (!host.isInteractive) return false;
  screen.ask(`${question} [y/N] `);
  let line: string | undefined;
  try {
    line = await host.readLine(signal);
  } finally {
    screen.answered(line !== undefined);
  }
  return line !== undefined && /^\s*y(es)?\s*$/i.test(line);
}
