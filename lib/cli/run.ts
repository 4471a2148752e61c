import { abortReason, ToolError } from '../errors.ts';
import { askYesNo } from './ask-yes-no.ts';
import { type ErrorDocument, errorDocument } from './error-document.ts';
import { exitCodeOf, STOP_EXIT_CODES, type StopCause, type StopSignal } from './exit.ts';
import { type Host, processHost } from './host.ts';
import { printFailure } from './print-failure.ts';
import { Redactor } from './redact.ts';
import { resumeCommand } from './screen/resume-command.ts';
import { Screen } from './screen/screen.ts';
import type { Environment } from './settings/env.ts';
import { readEnvironment } from './settings/read-environment.ts';
import { ToldFailure } from './told-failure.ts';

export interface Program {
  readonly name: string;
  readonly version: string;
  /** The program itself: settles when all it began is finished or undone. */
  main(run: Run): Promise<void>;
}

/** What a program is given by the process it runs in. */
export interface Run {
  readonly argv: readonly string[];
  /** Aborts with a ToolError 'cancelled' at the first SIGINT, SIGTERM or SIGHUP, or when nobody reads stdout any more. */
  readonly signal: AbortSignal;
  /** stderr. */
  readonly screen: Screen;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly json: boolean;
  /** Whether there is a terminal to ask at. */
  readonly isInteractive: boolean;
  /** Whether a switch such as `--help` or `-h` is among the arguments. */
  has(...switches: string[]): boolean;
  /** Reads `.env` files or the one named, and from then on prints no secret that is in a variable. */
  environment(envFile: string | undefined): Environment;
  warn(text: string): void;
  /** Asks at the terminal; true at once with --yes. Rejects with the signal's reason. */
  confirm(question: string): Promise<boolean>;
  /** A text on stdout. */
  print(text: string): Promise<void>;
  /** The one document of --json on stdout, its texts without secrets. */
  printDocument(document: unknown): Promise<void>;
  /**
   * Tells a failure on stderr, `about` before its sentence, and gives its document. For what does not end the program, which
   * then throws a ToldFailure.
   */
  tell(failure: unknown, about?: string): ErrorDocument;
  /**
   * What was done so far is kept: when the program fails, the last line is the command that goes on, with these
   * collections instead of those of the arguments, where they are given. Returns that command.
   */
  offerResume(collections?: readonly string[]): string;
}

const STOPPED_BY: Readonly<Record<StopSignal, string>> = {
  SIGINT: 'Ctrl+C',
  SIGTERM: 'SIGTERM',
  SIGHUP: 'SIGHUP',
};

/** What has come over a run; all of it may come at any moment. */
interface Fate {
  stoppedBy: StopCause | undefined;
  /** The first error that nobody awaited, and whether it was told. */
  stray: { readonly error: unknown; told: boolean } | undefined;
  /** The command that goes on. */
  resume: string | undefined;
  /** Of two documents on stdout no reader could make anything. */
  documentPrinted: boolean;
}

/**
 * Runs a program to its exit code: the first signal aborts and waits until the program has undone what it
 * must, a second one ends the process at once. Nothing that is thrown leaves a stack trace unless --verbose.
 */
export async function runProgram(program: Program, host: Host = processHost()): Promise<void> {
  const controller = new AbortController();
  const fate: Fate = { stoppedBy: undefined, stray: undefined, resume: undefined, documentPrinted: false };
  const run = createRun(program, host, controller.signal, fate);
  listen(host, run.screen, controller, fate);
  await host.exit(await exitCode(program, run, fate));
}

function listen(host: Host, screen: Screen, controller: AbortController, fate: Fate): void {
  host.onSignal((signal) => {
    if (controller.signal.aborted) {
      screen.clearBar();
      return host.kill(STOP_EXIT_CODES[signal]);
    }
    fate.stoppedBy = signal;
    screen.line(`Stopping after ${STOPPED_BY[signal]}; ${once(signal)} ends the process at once.`);
    controller.abort(new ToolError('cancelled', `Stopped by ${STOPPED_BY[signal]}.`));
  });
  host.onClosedOutput(() => {
    if (controller.signal.aborted) return;
    fate.stoppedBy = 'closed-output';
    controller.abort(new ToolError('cancelled', 'Stopped, because nobody reads stdout any more.'));
  });
  host.onStray((error) => {
    fate.stray ??= { error, told: false };
    controller.abort(error);
  });
}

async function exitCode(program: Program, run: Run, fate: Fate): Promise<number> {
  try {
    await program.main(run);
    if (fate.stray === undefined || fate.stray.told) return 0;
    return await end(run, fate, fate.stray.error);
  } catch (thrown) {
    const isTold = thrown instanceof ToldFailure && (fate.stray === undefined || fate.stray.told);
    if (!isTold) return await end(run, fate, thrown);
    sayHowToGoOn(run.screen, fate);
    return thrown.exitCode;
  }
}

/** Tells the error that ends the program; its exit code. */
async function end(run: Run, fate: Fate, thrown: unknown): Promise<number> {
  const document = run.tell(thrown);
  const { resume } = fate;
  // Nothing more can be said when stdout does not take the document either.
  if (run.json && !fate.documentPrinted) {
    await run.printDocument({ ...document, ...(resume === undefined ? {} : { resume }) }).catch(() => {});
  }
  sayHowToGoOn(run.screen, fate);
  return document.error.exitCode;
}

function sayHowToGoOn(screen: Screen, { resume }: Fate): void {
  if (resume !== undefined) screen.line(resume, 'Go on with: ');
}

function createRun(program: Program, host: Host, signal: AbortSignal, fate: Fate): Run {
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
  const verbose = has('--verbose');
  return {
    argv: host.argv,
    signal,
    screen,
    quiet: has('--quiet'),
    verbose,
    json: has('--json'),
    isInteractive: host.isInteractive,
    has,
    environment: (envFile) => readEnvironment(host, envFile, redactor, warn),
    warn,
    confirm: async (question) => has('--yes') || (await askYesNo(host, screen, question, signal)),
    print: (text) => host.writeOut(redactor.redact(text)),
    printDocument: (document) => {
      fate.documentPrinted = true;
      const clean = (_key: string, value: unknown) =>
        typeof value === 'string' ? redactor.redact(value) : value;
      return host.writeOut(`${JSON.stringify(document, clean, 2)}\n`);
    },
    tell: (failure, about = '') => {
      const error = whatEnded(failure, signal, fate);
      printFailure(screen, error, { program: program.name, verbose, about });
      return errorDocument(error, exitCodeOf(error, fate.stoppedBy));
    },
    offerResume: (collections) => {
      fate.resume = resumeCommand(host.command, host.argv, collections);
      return fate.resume;
    },
  };
}

/** What nobody awaited is why the run was aborted; what was then thrown only follows from it. */
function whatEnded(thrown: unknown, signal: AbortSignal, fate: Fate): unknown {
  if (fate.stray === undefined || fate.stray.told) return readable(thrown, signal);
  fate.stray.told = true;
  return readable(fate.stray.error, signal);
}

/** Stages may end with an AbortError of the platform's own; what it stands for is the signal's reason. */
function readable(error: unknown, signal: AbortSignal): unknown {
  const isAbort = error instanceof Error && error.name === 'AbortError';
  return isAbort && signal.aborted ? abortReason(signal) : error;
}

function once(signal: StopSignal): string {
  return signal === 'SIGINT' ? 'pressed once more, it' : 'a second signal';
}
