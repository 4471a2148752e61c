import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { homedir } from 'node:os';
import type { Readable } from 'node:stream';

/** What is kept of either output: errors begin with what matters. */
const KEPT_BYTES = 16 * 1024;

export interface DuckDbRun {
  readonly path: string;
  readonly args: readonly string[];
  /** Where what starts DuckDB may have to look for more: the command is often a script. */
  readonly searchPath: string;
  /** File that is its input; undefined = none. */
  readonly input?: string | undefined;
  readonly folder?: string | undefined;
  /** Kills it, with all that it has started. */
  readonly signal: AbortSignal;
}

export interface DuckDbExit {
  /** 0 when all went well, otherwise what ended it: an exit code or the name of a signal. */
  readonly ended: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs DuckDB and resolves once it and everything that it started are gone, killed or not, so that nothing writes any
 * more. Rejects where it cannot be started. Its environment has no variables but a search path and a home: secrets of
 * the run are none of its business.
 */
export async function runDuckDb(run: DuckDbRun): Promise<DuckDbExit> {
  const input = run.input === undefined ? undefined : openSync(run.input, 'r');
  try {
    return await finished(run, input ?? 'ignore');
  } finally {
    if (input !== undefined) closeSync(input);
  }
}

function finished({ path, args, searchPath, folder, signal }: DuckDbRun, input: number | 'ignore') {
  const child = spawn(path, args, {
    stdio: [input, 'pipe', 'pipe'],
    env: { PATH: searchPath, HOME: homedir() },
    ...(folder === undefined ? {} : { cwd: folder }),
    // A process group of its own: some packages' `duckdb` is a script that starts the real one and would leave it behind.
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  const stdout = keepingStart(child.stdout);
  const stderr = keepingStart(child.stderr);
  const kill = () => killGroup(child.pid);
  return new Promise<DuckDbExit>((resolve, reject) => {
    child.once('error', reject);
    // After the last of those who share its outputs is gone.
    child.once('close', (code, by) => {
      resolve({ ended: code ?? by ?? 'an unknown signal', stdout: stdout(), stderr: stderr() });
    });
    signal.addEventListener('abort', kill);
    if (signal.aborted) kill();
  }).finally(() => signal.removeEventListener('abort', kill));
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** Reads to the end, keeps the first bytes. */
function keepingStart(stream: Readable | null): () => string {
  const kept: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (bytes < KEPT_BYTES) kept.push(chunk);
    bytes += chunk.length;
  });
  return () => Buffer.concat(kept).subarray(0, KEPT_BYTES).toString();
}
