import { abortReason, messageOf, ToolError } from '../errors.ts';
import { type Environment, loadEnvironment, namesAtStart, shareWithSdk, withoutBunsOwn } from './env.ts';
import { errorDocument } from './error-document.ts';
import { exitCodeOf, SIGNAL_EXIT_CODES, type StopSignal } from './exit.ts';
import { type Host, processHost } from './host.ts';
import { Redactor } from './redact.ts';
import { Screen } from './screen.ts';

export interface Program {
  readonly name: string;
  readonly version: string;
  /** The program itself: settles when all it began is finished or undone. */
  main(run: Run): Promise<void>;
}

/** What a program is given by the process it runs in. */
export interface Run {
  readonly argv: readonly string[];
  /** Aborts with a ToolError 'cancelled' at the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** stderr. */
  readonly screen: Screen;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly json: boolean;
  /** Whether a switch such as `--help` or `-h` is among the arguments. */
  has(...switches: string[]): boolean;
  /** Reads `.env` files or the one named, and from then on prints no secret that is in a variable. */
  environment(envFile: string | undefined): Environment;
  warn(text: string): void;
  /** A text on stdout. */
  print(text: string): Promise<void>;
  /** The one document of --json on stdout, its texts without secrets. */
  printDocument(document: unknown): Promise<void>;
}

const STOPPED_BY: Readonly<Record<StopSignal, string>> = {
  SIGINT: 'Ctrl+C',
  SIGTERM: 'SIGTERM',
  SIGHUP: 'SIGHUP',
};

/**
 * Runs a program to its exit code: the first signal aborts and waits until the program has undone what it
 * must, a second one ends the process at once. Nothing that is thrown leaves a stack trace unless --verbose.
 */
export async function runProgram(program: Program, host: Host = processHost()): Promise<void> {
  const controller = new AbortController();
  const run = createRun(host, controller.signal);
  let stoppedBy: StopSignal | undefined;
  let stray: { readonly error: unknown } | undefined;

  host.onSignal((signal) => {
    if (controller.signal.aborted) {
      run.screen.clearBar();
      return host.kill(SIGNAL_EXIT_CODES[signal]);
    }
    stoppedBy = signal;
    run.screen.line(`Stopping after ${STOPPED_BY[signal]}; ${once(signal)} ends the process at once.`);
    controller.abort(new ToolError('cancelled', `Stopped by ${STOPPED_BY[signal]}; nothing was published.`));
  });
  host.onStray((error) => {
    stray ??= { error };
    controller.abort(error);
  });

  let code = 0;
  try {
    await program.main(run);
    if (stray !== undefined) throw stray.error;
  } catch (thrown) {
    // What nobody awaited is why the run was aborted; what main then threw only follows from it.
    const error = readable(stray === undefined ? thrown : stray.error, controller.signal);
    code = exitCodeOf(error, stoppedBy);
    await reportFailure(program, run, error, code);
  }
  await host.exit(code);
}

function createRun(host: Host, signal: AbortSignal): Run {
  // A switch is an argument of its own, always: values that begin with `-` only come through `=`. So these hold
  // even where the rest of the arguments cannot be read.
  const has = (...switches: string[]) => switches.some((name) => host.argv.includes(name));
  const redactor = new Redactor();
  const screen = new Screen({
    write: (text) => host.writeErr(text),
    isTerminal: host.isTerminal,
    colour: host.isTerminal && !has('--no-color') && !host.env.NO_COLOR,
    columns: () => host.columns(),
    redactor,
  });
  const warn = (text: string) => screen.line(text, 'Warning: ', 'yellow');
  return {
    argv: host.argv,
    signal,
    screen,
    quiet: has('--quiet'),
    verbose: has('--verbose'),
    json: has('--json'),
    has,
    environment: (envFile) => readEnvironment(host, envFile, redactor, warn),
    warn,
    print: (text) => host.writeOut(redactor.redact(text)),
    printDocument: (document) => {
      const clean = (_key: string, value: unknown) =>
        typeof value === 'string' ? redactor.redact(value) : value;
      return host.writeOut(`${JSON.stringify(document, clean, 2)}\n`);
    },
  };
}

function readEnvironment(
  host: Host,
  envFile: string | undefined,
  redactor: Redactor,
  warn: (text: string) => void,
): Environment {
  const ofProcess = withoutBunsOwn(host.env, host.folder, namesAtStart());
  redactor.hideThoseOf(ofProcess);
  const { environment, warnings } = loadEnvironment(ofProcess, host.folder, envFile);
  redactor.hideThoseOf(environment);
  for (const warning of warnings) warn(warning);
  shareWithSdk(environment, host.env);
  // It would switch off what is promised: that certificates are always checked.
  if (host.env.NODE_TLS_REJECT_UNAUTHORIZED !== undefined) {
    delete host.env.NODE_TLS_REJECT_UNAUTHORIZED;
    warn(
      'NODE_TLS_REJECT_UNAUTHORIZED has no effect here; --ca-cert FILE adds a private certificate authority.',
    );
  }
  return environment;
}

async function reportFailure(program: Program, run: Run, error: unknown, code: number): Promise<void> {
  run.screen.clearBar();
  if (error instanceof ToolError) {
    if (error.code === 'cancelled') run.screen.line(error.message);
    else run.screen.line(error.message, 'Error: ', 'red');
  } else {
    const hint = run.verbose ? '' : ' Run it again with --verbose to see where.';
    run.screen.line(
      `Something unexpected ended ${program.name}: ${messageOf(error)}.${hint}`,
      'Error: ',
      'red',
    );
  }
  // Of a usage error everything is said; where in our code it was noticed helps nobody.
  const told = error instanceof ToolError && error.code === 'usage' ? error.cause : error;
  if (run.verbose) for (const line of causes(told)) run.screen.line(line);
  // Nothing more can be said when stdout does not take the document either.
  if (run.json) await run.printDocument(errorDocument(error, code)).catch(() => {});
}

/** Stages may end with an AbortError of the platform's own; what it stands for is the signal's reason. */
function readable(error: unknown, signal: AbortSignal): unknown {
  const isAbort = error instanceof Error && error.name === 'AbortError';
  return isAbort && signal.aborted ? abortReason(signal) : error;
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

function once(signal: StopSignal): string {
  return signal === 'SIGINT' ? 'pressed once more, it' : 'a second signal';
}
