import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ToolError } from '../../errors.ts';
import { parseEnvFile } from './parse-env-file.ts';
import { readProblem } from './read-problem.ts';

/** Variables by name; one that is empty counts as not set and is not here. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where `.env` is looked for, from near to far. */
const SEARCHED = ['.', '..', join('..', '..')];

/** What Bun reads by itself when a script is run without --no-env-file (bun.sh/docs: environment variables). */
const BUN_READS = ['', '.local', '.development', '.production', '.test'].flatMap((suffix) =>
  suffix === '' || suffix === '.local' ? [`.env${suffix}`] : [`.env${suffix}`, `.env${suffix}.local`],
);

export interface LoadedEnvironment {
  readonly environment: Environment;
  /** Files that could not be read, lines that say nothing. */
  readonly warnings: readonly string[];
}

/**
 * The variables of this run: those of the process, then those of the `.env` files in `folder`, its parent and
 * the parent's parent, the nearest first; or of `envFile` alone where one is named, a ToolError 'usage' if
 * that cannot be read.
 */
export function loadEnvironment(
  ofProcess: Environment,
  folder: string,
  envFile: string | undefined,
): LoadedEnvironment {
  const environment: Record<string, string | undefined> = {};
  const warnings: string[] = [];
  fill(environment, Object.entries(ofProcess));
  if (envFile !== undefined) {
    fill(environment, readNamedFile(resolve(folder, envFile), envFile, warnings));
    return { environment, warnings };
  }
  for (const place of SEARCHED) {
    const path = join(place, '.env');
    fill(environment, readSearchedFile(resolve(folder, path), path, warnings));
  }
  return { environment, warnings };
}

/**
 * The process's variables without those that Bun itself put there from `.env` files of `folder`: run as
 * `bun bin/exporter-r2.ts` it has done so before the first line of ours, with other rules than these ($ is
 * expanded, `.env.local` counts, --env-file does not replace it). The executables and the `#!` line have that
 * turned off. `untouched` are the names that the process was started with, where the system tells; elsewhere
 * a variable with just the value that a file gives it is taken for Bun's.
 */
export function withoutBunsOwn(
  ofProcess: Environment,
  folder: string,
  untouched: ReadonlySet<string> | undefined,
): Environment {
  const kept: Record<string, string | undefined> = { ...ofProcess };
  for (const name of BUN_READS) {
    for (const [variable, value] of readSearchedFile(join(folder, name), name, [])) {
      const bunsOwn = untouched === undefined ? ofProcess[variable] === value : !untouched.has(variable);
      if (bunsOwn) delete kept[variable];
    }
  }
  return kept;
}

/** Names of the variables that this process was started with, or undefined where the system does not tell. */
export function namesAtStart(): ReadonlySet<string> | undefined {
  try {
    const entries = readFileSync('/proc/self/environ', 'utf8').split('\0');
    return new Set(entries.map((entry) => entry.slice(0, entry.indexOf('='))));
  } catch {
    return undefined;
  }
}

/**
 * Puts the AWS_* variables of `.env` files where the AWS SDK's own chain looks for them. Only these: a file in some
 * parent folder has no business to set a proxy or switch off checks for the whole process.
 */
export function shareWithSdk(environment: Environment, ofProcess: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith('AWS_') && !ofProcess[name]) ofProcess[name] = value;
  }
}

function fill(
  environment: Record<string, string | undefined>,
  more: Iterable<readonly [string, string | undefined]>,
) {
  for (const [name, value] of more) {
    if (value !== undefined && value !== '' && environment[name] === undefined) environment[name] = value;
  }
}

function readNamedFile(path: string, shown: string, warnings: string[]): ReadonlyMap<string, string> {
  try {
    return readVariables(path, shown, warnings);
  } catch (error) {
    throw new ToolError('usage', `Cannot read --env-file ${shown}: ${readProblem(error)}.`, { cause: error });
  }
}

function readSearchedFile(path: string, shown: string, warnings: string[]): ReadonlyMap<string, string> {
  try {
    return readVariables(path, shown, warnings);
  } catch (error) {
    // A folder of that name is a Python environment more often than not; it is not a file that cannot be read.
    const absent = ['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (!absent) warnings.push(`Cannot read ${shown}, so it is left out: ${readProblem(error)}.`);
    return new Map();
  }
}

function readVariables(path: string, shown: string, warnings: string[]): ReadonlyMap<string, string> {
  const { variables, badLines } = parseEnvFile(readFileSync(path, 'utf8'));
  if (badLines.length > 0) {
    warnings.push(`${shown}: no NAME=value on line ${badLines.join(', ')}, so it is left out.`);
  }
  return variables;
}
