import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { ToolError } from '../errors.ts';
import { SIGNAL_EXIT_CODES, type StopSignal } from './exit.ts';
import { ownCommand } from './own-command.ts';
import { readLine } from './read-line.ts';

/** All that a program has to do with the process it is; tests bring their own. */
export interface Host {
  readonly argv: readonly string[];
  /** How the program was started, as its user can repeat it; the arguments follow. */
  readonly command: readonly string[];
  readonly env: Record<string, string | undefined>;
  readonly folder: string;
  /** Whether stderr is a terminal that takes escape sequences. */
  readonly isTerminal: boolean;
  /** Whether somebody can see a question on stderr and answer it on stdin. */
  readonly isInteractive: boolean;
  columns(): number | undefined;
  /** Settles once the text is written, or its reader gone. A ToolError 'store' when it cannot be written. */
  writeOut(text: string): Promise<void>;
  /** Messages: who closed stderr does not want them, so nothing is said of failures. */
  writeErr(text: string): void;
  /** A line of stdin, or undefined at its end. Rejects with the signal's reason. */
  readLine(signal: AbortSignal): Promise<string | undefined>;
  onSignal(listener: (signal: StopSignal) => void): void;
  /** Called once when stdout is a pipe and its reader goes away, within two seconds. */
  onClosedOutput(listener: () => void): void;
  /** Errors that nobody awaited. */
  onStray(listener: (error: unknown) => void): void;
  /** Ends the process once what was written is out. */
  exit(code: number): Promise<void>;
  /** Ends the process now. */
  kill(code: number): void;
}

/** Before this nobody has waited for long; --help, for one, is over by then and loads nothing for it. */
const FIRST_LOOK_AT_OUTPUT_MS = 1_000;

/** The process as it is. */
export function processHost(): Host {
  const ignore = () => {};
  return {
    argv: process.argv.slice(2),
    command: ownCommand({
      isExecutable: Bun.isStandaloneExecutable,
      argv0: process.argv0,
      execArgv: process.execArgv,
      script: process.argv[1] ?? '',
      folder: process.cwd(),
    }),
    env: process.env,
    folder: process.cwd(),
    isTerminal: isatty(2) && process.env.TERM !== 'dumb',
    isInteractive: isatty(0) && isatty(2),
    columns: () => process.stderr.columns,
    writeOut: (text) => write(process.stdout, text),
    writeErr: (text) => {
      write(process.stderr, text).catch(ignore);
    },
    readLine: (signal) => readLine(process.stdin, signal),
    onSignal: listenToSignals,
    onClosedOutput: watchOutput,
    onStray: (listener) => {
      process.on('uncaughtException', listener);
      process.on('unhandledRejection', listener);
    },
    exit: async (code) => {
      process.exitCode = code;
      // Writes to a pipe may still be on their way, and process.exit does not wait for them.
      await write(process.stderr, '').catch(ignore);
      process.exit(code);
    },
    kill: (code) => process.exit(code),
  };
}

function listenToSignals(listener: (signal: StopSignal) => void): void {
  for (const signal of Object.keys(SIGNAL_EXIT_CODES) as StopSignal[]) {
    // nohup starts us with SIGHUP ignored; a listener would undo that, and the run die with its terminal.
    if (signal === 'SIGHUP' && isIgnoredAtStart(1)) continue;
    process.on(signal, () => listener(signal));
  }
}

function watchOutput(listener: () => void): void {
  const watch = async () => {
    const { onClosedPipe } = await import('./closed-output.ts');
    onClosedPipe(1, listener);
  };
  // A Bun without FFI goes without.
  setTimeout(() => watch().catch(() => {}), FIRST_LOOK_AT_OUTPUT_MS).unref();
}

/** Linux alone tells (proc_pid_status(5), SigIgn: a mask in hexadecimal, signal 1 the lowest bit). */
function isIgnoredAtStart(signalNumber: number): boolean {
  if (process.platform !== 'linux') return false;
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
    return ((BigInt(`0x${mask}`) >> BigInt(signalNumber - 1)) & 1n) === 1n;
  } catch {
    return false;
  }
}

function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: NodeJS.ErrnoException | null) => {
      stream.off('error', settle);
      // Without a listener the event of a closed pipe, which may come later, would be an uncaught exception.
      if (stream.listenerCount('error') === 0) stream.on('error', () => {});
      if (error === undefined || error === null || error.code === 'EPIPE') resolve();
      else reject(new ToolError('store', `Cannot write to stdout: ${error.message}.`, { cause: error }));
    };
    stream.on('error', settle);
    stream.write(text, settle);
  });
}
