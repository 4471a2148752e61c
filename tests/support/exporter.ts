import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dir, '../..');

/** Variables that name an executable to run instead. */
const EXECUTABLES = { 'exporter-r2': 'EXPORTER_R2', 'exporter-supabase': 'EXPORTER_SUPABASE' } as const;

export type ExporterName = keyof typeof EXECUTABLES;

/** How a program is run: through Bun, or the executable that its variable names. */
export function exporterCommand(program: ExporterName): readonly string[] {
  const executable = process.env[EXECUTABLES[program]];
  return executable ? [resolve(executable)] : [process.execPath, join(ROOT, `bin/${program}.ts`)];
}

/** Of exporter-r2. */
export const EXPORTER_COMMAND: readonly string[] = exporterCommand('exporter-r2');

/** A run that takes longer hangs, as far as these tests are concerned. */
const LIMIT_MS = 60_000;

export interface ExporterOptions {
  /** exporter-r2 unless told. */
  readonly program?: ExporterName;
  /** Variables beside PATH, HOME and OUTPUT_TEMP_FOLDER; nothing of this process's own reaches the program. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** An empty folder unless told, deep enough that no `.env` of others is above it. */
  readonly cwd?: string;
  /** All that the program can read from its stdin, which is no terminal; nothing unless told. */
  readonly stdin?: string;
  /** Kills the process when it aborts. */
  readonly signal?: AbortSignal;
  /** Until the process is killed and the run rejected. */
  readonly limitMs?: number;
}

export interface ExporterResult {
  /** The exit code; 128 and the signal's number where a signal ended the process. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Paths of the files and folders that are left below OUTPUT_TEMP_FOLDER. */
  readonly workFiles: readonly string[];
  /** stdout, which has to be one JSON document and nothing else. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  json(): any;
}

export interface RunningExporter {
  readonly pid: number;
  /** OUTPUT_TEMP_FOLDER of the run; removed when it has ended, unless it came from `env`. */
  readonly workFolder: string;
  /** What was printed so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves when what stderr has so far matches; rejects when the process ends before that. */
  stderrMatching(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** Settles when the process has ended; rejects when it had to be killed for hanging. */
  readonly result: Promise<ExporterResult>;
}

/** Runs the program as a user does and waits for its end, whatever the exit code. */
export async function runExporter(
  args: readonly string[],
  options: ExporterOptions = {},
): Promise<ExporterResult> {
  return (await startExporter(args, options)).result;
}

/** Starts the program as a user does, for tests that do something to it while it runs. */
export async function startExporter(
  args: readonly string[],
  options: ExporterOptions = {},
): Promise<RunningExporter> {
  const top = await mkdtemp(join(tmpdir(), 'exporter-'));
  const [home, own, empty] = [join(top, 'home'), join(top, 'work'), join(top, 'a', 'b', 'c')];
  for (const folder of [home, own, empty]) await mkdir(folder, { recursive: true });
  const workFolder = options.env?.OUTPUT_TEMP_FOLDER ?? own;
  const program = options.program ?? 'exporter-r2';
  const child = Bun.spawn([...exporterCommand(program), ...args], {
    cwd: options.cwd ?? empty,
    env: { PATH: process.env.PATH ?? '', HOME: home, ...options.env, OUTPUT_TEMP_FOLDER: workFolder },
    stdin: options.stdin === undefined ? 'ignore' : Buffer.from(options.stdin),
    stdout: 'pipe',
    stderr: 'pipe',
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const out = collected(child.stdout);
  const err = collected(child.stderr);
  const limitMs = options.limitMs ?? LIMIT_MS;
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, limitMs);

  async function ended(): Promise<ExporterResult> {
    try {
      await Promise.all([child.exited, out.whole, err.whole]);
      clearTimeout(timer);
      if (hung) {
        throw new Error(
          `${program} ${args.join(' ')} did not end within ${limitMs / 1000} s and was killed. stderr:\n${err.text}`,
        );
      }
      const workFiles = await readdir(workFolder, { recursive: true }).catch(() => []);
      const stdout = out.text;
      return {
        code: await child.exited,
        stdout,
        stderr: err.text,
        workFiles,
        json: () => JSON.parse(stdout),
      };
    } finally {
      clearTimeout(timer);
      await rm(top, { recursive: true, force: true });
    }
  }
  const result = ended();
  // Whoever waits for `result` sees the error; who stopped waiting must not make it one that nobody caught.
  result.catch(() => {});

  return {
    pid: child.pid,
    workFolder,
    get stdout() {
      return out.text;
    },
    get stderr() {
      return err.text;
    },
    stderrMatching: (pattern) => err.matching(pattern),
    kill: (signal) => child.kill(signal),
    result,
  };
}

interface Collected {
  readonly text: string;
  /** Settles at the end of the stream. */
  readonly whole: Promise<void>;
  matching(pattern: RegExp): Promise<void>;
}

function collected(stream: ReadableStream<Uint8Array>): Collected {
  let text = '';
  let done = false;
  let waiting: (() => void)[] = [];
  const wake = () => {
    const woken = waiting;
    waiting = [];
    for (const each of woken) each();
  };
  async function read(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of stream) {
        text += decoder.decode(chunk, { stream: true });
        wake();
      }
      text += decoder.decode();
    } finally {
      done = true;
      wake();
    }
  }
  const whole = read();
  return {
    get text() {
      return text;
    },
    whole,
    async matching(pattern) {
      while (!pattern.test(text)) {
        if (done) throw new Error(`The program ended without printing ${pattern}; it printed:\n${text}`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}
