import { messageOf, ToolError } from '../errors.ts';
import type { Screen } from './screen/screen.ts';

export interface FailureOptions {
  /** The program's name. */
  readonly program: string;
  readonly verbose: boolean;
  /** What stands before the sentence, such as `docs: `. */
  readonly about: string;
}

/** What ended a run, in one sentence; with --verbose its stack and causes below. */
export function printFailure(screen: Screen, error: unknown, options: FailureOptions): void {
  const { program, verbose, about } = options;
  screen.clearBar();
  if (error instanceof ToolError) {
    const text = `${about}${error.message}`;
    if (error.code === 'cancelled') screen.line(text);
    else screen.line(text, 'Error: ', 'red');
  } else {
    const hint = verbose ? '' : ' Run it again with --verbose to see where.';
    const text = `Something unexpected ended ${program}: ${messageOf(error)}.${hint}`;
    screen.line(`${about}${text}`, 'Error: ', 'red');
  }
  // Of a usage error everything is said; where in our code it was noticed helps nobody.
  const told = error instanceof ToolError && error.code === 'usage' ? error.cause : error;
  if (verbose) for (const line of causes(told)) screen.line(line);
}

function causes(error: unknown): string[] {
  const lines: string[] = [];
  let current: unknown = error;
  // A bound for causes that go in a circle.
  for (let depth = 0; depth < 10 && current !== undefined; depth++) {
    const text = current instanceof Error ? (current.stack ?? current.message) : Bun.inspect(current);
    lines.push(depth === 0 ? text : `Caused by: ${text}`);
    current = current instanceof Error ? current.cause : undefined;
  }
  return lines;
}
