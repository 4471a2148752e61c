import { relative } from 'node:path';

/** What a process knows of how it was started. */
export interface StartFacts {
  /** Compiled into one executable. */
  readonly isExecutable: boolean;
  /** The program's name as it was typed: the executable's own, or Bun's. */
  readonly argv0: string;
  /** Options of Bun. */
  readonly execArgv: readonly string[];
  /** Path of the script that Bun runs. */
  readonly script: string;
  readonly folder: string;
}

/** The words that start this program again, as a user in `folder` can repeat them; its arguments follow. */
export function ownCommand({ isExecutable, argv0, execArgv, script, folder }: StartFacts): readonly string[] {
  if (isExecutable) return [argv0];
  const near = relative(folder, script);
  // Up and down through many folders is harder to read than the path itself.
  return [argv0, ...execArgv, near === '' || near.startsWith('..') ? script : near];
}
