import type { StopSignal } from '../../../lib/cli/exit.ts';
import type { Host } from '../../../lib/cli/host.ts';
import { abortReason } from '../../../lib/errors.ts';

/** A process that never was: keeps what is written, and gives signals and answers when it is told to. */
export class FakeHost implements Host {
  readonly argv: readonly string[];
  readonly command = ['exporter'];
  readonly env: Record<string, string | undefined>;
  // Without .env files, up to two folders above.
  readonly folder = '/nowhere/at/all';
  readonly isTerminal = false;
  readonly isInteractive: boolean;
  out = '';
  err = '';
  exitCodes: number[] = [];
  kills: number[] = [];
  signal: (signal: StopSignal) => void = () => {};
  closeOutput: () => void = () => {};
  stray: (error: unknown) => void = () => {};
  /** Answers the question that is asked; undefined ends stdin. */
  answer: (line: string | undefined) => void = () => {};

  constructor(argv: string[] = [], env: Record<string, string | undefined> = {}, isInteractive = false) {
    this.argv = argv;
    this.env = env;
    this.isInteractive = isInteractive;
  }
  columns() {
    return 80;
  }
  async writeOut(text: string) {
    this.out += text;
  }
  writeErr(text: string) {
    this.err += text;
  }
  readLine(signal: AbortSignal): Promise<string | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    this.answer = resolve;
    signal.addEventListener('abort', () => reject(abortReason(signal)));
    return promise;
  }
  onSignal(listener: (signal: StopSignal) => void) {
    this.signal = listener;
  }
  onClosedOutput(listener: () => void) {
    this.closeOutput = listener;
  }
  onStray(listener: (error: unknown) => void) {
    this.stray = listener;
  }
  async exit(code: number) {
    this.exitCodes.push(code);
  }
  kill(code: number) {
    this.kills.push(code);
  }
}
