import { shellQuoted } from './shell-quoted.ts';

/** Names that are listed instead of --all; beyond these a line is nothing to copy, and --all does the others again. */
const MOST_NAMED = 100;

/**
 * The line that goes on with an interrupted run, for a POSIX shell: the program as it was started, its arguments, and
 * --resume. `left` are the collections that are not done yet, instead of those that were asked for; undefined leaves
 * these as they are.
 */
export function resumeCommand(
  command: readonly string[],
  argv: readonly string[],
  left: readonly string[] | undefined,
): string {
  const isTooLong = left !== undefined && left.length > MOST_NAMED && argv.includes('--all');
  const named = left === undefined || isTooLong ? argv : withCollections(argv, left);
  const resume = named.includes('--resume') ? [] : ['--resume'];
  return [...command, ...named, ...resume].map(shellQuoted).join(' ');
}

/** The arguments were read before, so that --collection has its value behind it, and no value begins with `-`. */
function withCollections(argv: readonly string[], names: readonly string[]): readonly string[] {
  const collections = names.flatMap((name) =>
    name.startsWith('-') ? [`--collection=${name}`] : ['--collection', name],
  );
  const kept: string[] = [];
  let place: number | undefined;
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] as string;
    if (argument !== '--all' && argument !== '--collection' && !argument.startsWith('--collection=')) {
      kept.push(argument);
      continue;
    }
    place ??= kept.length;
    if (argument === '--collection') index++;
  }
  return kept.toSpliced(place ?? 0, 0, ...collections);
}
