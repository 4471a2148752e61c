import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodeOf } from '../../../lib/cli/exit.ts';
import { type Run, runProgram } from '../../../lib/cli/run.ts';
import { ToldFailure } from '../../../lib/cli/told-failure.ts';
import { abortReason, type ErrorCode, ToolError } from '../../../lib/errors.ts';
import { FakeHost } from './fake-host.ts';

function start(host: FakeHost, main: (run: Run) => Promise<void>): Promise<void> {
  return runProgram({ name: 'tool', version: '1', main }, host);
}

/** Settles as an aborted stage does, once `undone` has. */
function untilAborted(run: Run, undone: Promise<void> = Promise.resolve()): Promise<void> {
  return new Promise((_, reject) => {
    run.signal.addEventListener('abort', () => undone.then(() => reject(abortReason(run.signal))));
  });
}

describe('runProgram()', () => {
  test.each([
    ['usage', 2],
    ['qdrant', 10],
    ['format', 11],
    ['store', 12],
    ['integrity', 13],
    ['cancelled', 130],
  ] as [ErrorCode, number][])('ends %s errors with exit code %d and one sentence', async (code, exitCode) => {
    const host = new FakeHost();
    await start(host, () => Promise.reject(new ToolError(code, 'It went wrong.')));
    expect(host.exitCodes).toEqual([exitCode]);
    expect(host.err).toBe(code === 'cancelled' ? 'It went wrong.\n' : 'Error: It went wrong.\n');
    expect(host.out).toBe('');
  });

  test('ends a good run with 0', async () => {
    const host = new FakeHost();
    await start(host, (run) => run.print('done\n'));
    expect(host).toMatchObject({ exitCodes: [0], out: 'done\n', err: '' });
  });

  test.each([
    ['SIGINT', 130, 'Ctrl+C'],
    ['SIGTERM', 143, 'SIGTERM'],
    ['SIGHUP', 129, 'SIGHUP'],
  ] as const)(
    'aborts at %s, waits until main has undone its work, and exits with %d',
    async (signal, code, name) => {
      const host = new FakeHost();
      const undone = Promise.withResolvers<void>();
      const run = start(host, (given) => untilAborted(given, undone.promise));
      host.signal(signal);
      await Promise.resolve();
      expect(host.err).toStartWith(`Stopping after ${name}; `);
      expect(host.exitCodes).toEqual([]);
      undone.resolve();
      await run;
      expect(host.exitCodes).toEqual([code]);
      expect(host.err).toEndWith(`\nStopped by ${name}.\n`);
      expect(host.kills).toEqual([]);
    },
  );

  test('ends the process at once at a second signal', async () => {
    const host = new FakeHost();
    const run = start(host, (given) => untilAborted(given));
    host.signal('SIGINT');
    host.signal('SIGTERM');
    expect(host.kills).toEqual([143]);
    await run;
  });

  test('ends with 0 when main finished its work although it was to stop', async () => {
    const host = new FakeHost();
    const finish = Promise.withResolvers<void>();
    const run = start(host, () => finish.promise);
    host.signal('SIGINT');
    finish.resolve();
    await run;
    expect(host.exitCodes).toEqual([0]);
  });

  test("takes a platform's AbortError for the signal that caused it", async () => {
    const host = new FakeHost();
    const run = start(host, async (given) => {
      await untilAborted(given).catch(() => {});
      throw new DOMException('aborted', 'AbortError');
    });
    host.signal('SIGTERM');
    await run;
    expect(host.exitCodes).toEqual([143]);
    expect(host.err).toContain('Stopped by SIGTERM');
  });

  test('tells something unexpected in one sentence without a stack', async () => {
    const host = new FakeHost();
    await start(host, () => Promise.reject(new TypeError('x is not a function')));
    expect(host.exitCodes).toEqual([1]);
    expect(host.err).toBe(
      'Error: Something unexpected ended tool: x is not a function. Run it again with --verbose to see where.\n',
    );
  });

  test('adds stacks and causes with --verbose alone', async () => {
    const error = new ToolError('qdrant', 'Cannot read.', { cause: new Error('socket', { cause: 'deep' }) });
    const quiet = new FakeHost();
    await start(quiet, () => Promise.reject(error));
    expect(quiet.err).toBe('Error: Cannot read.\n');
    const verbose = new FakeHost(['--verbose']);
    await start(verbose, () => Promise.reject(error));
    expect(verbose.err).toContain('run.test.ts');
    expect(verbose.err).toContain('Caused by: Error: socket');
    expect(verbose.err).toContain('Caused by: "deep"');
  });

  test('aborts at an error that nobody awaited, and tells that one', async () => {
    const host = new FakeHost();
    const run = start(host, (given) => untilAborted(given));
    host.stray(new RangeError('stray'));
    await run;
    expect(host.exitCodes).toEqual([1]);
    expect(host.err).toContain('stray');
  });

  test('prints the error as the one document with --json', async () => {
    const host = new FakeHost(['--json']);
    await start(host, () => Promise.reject(new ToolError('store', 'No bucket.')));
    expect(JSON.parse(host.out)).toEqual({ error: { code: 'store', message: 'No bucket.', exitCode: 12 } });
    const odd = new FakeHost(['--json']);
    await start(odd, () => Promise.reject(new Error('odd')));
    expect(JSON.parse(odd.out)).toEqual({ error: { code: 'unexpected', message: 'odd', exitCode: 1 } });
  });

  test('stops when nobody reads stdout any more, with the code of SIGPIPE', async () => {
    const host = new FakeHost();
    const run = start(host, (given) => untilAborted(given));
    host.closeOutput();
    await run;
    expect(host.exitCodes).toEqual([141]);
    expect(host.err).toBe('Stopped, because nobody reads stdout any more.\n');
  });

  test('keeps to the signal that came before stdout was closed, and ends at one that comes after', async () => {
    const first = new FakeHost();
    const run = start(first, (given) => untilAborted(given));
    first.signal('SIGTERM');
    first.closeOutput();
    await run;
    expect(first.exitCodes).toEqual([143]);
    const second = new FakeHost();
    const other = start(second, (given) => untilAborted(given));
    second.closeOutput();
    second.signal('SIGINT');
    expect(second.kills).toEqual([130]);
    await other;
  });

  test('ends a failed run with the command that goes on, even when it is quiet', async () => {
    const host = new FakeHost(['--collection', 'my docs', '--quiet']);
    await start(host, async (run) => {
      expect(run.offerResume()).toBe("exporter --collection 'my docs' --quiet --resume");
      throw new ToolError('qdrant', 'No answer.');
    });
    expect(host.err).toBe(
      "Error: No answer.\nGo on with: exporter --collection 'my docs' --quiet --resume\n",
    );
    expect(host.exitCodes).toEqual([10]);
  });

  test('puts the command that goes on into the document of --json, without secrets', async () => {
    const host = new FakeHost(['--prefix', 'se"cret-key', '--json'], { QDRANT_API_KEY: 'se"cret-key' });
    await start(host, async (run) => {
      run.environment(undefined);
      run.offerResume();
      throw new ToolError('store', 'No bucket.');
    });
    expect(JSON.parse(host.out)).toEqual({
      error: { code: 'store', message: 'No bucket.', exitCode: 12 },
      resume: "exporter --prefix '***' --json --resume",
    });
    expect(host.err).toEndWith("Go on with: exporter --prefix '***' --json --resume\n");
  });

  test('says nothing of going on when all went well', async () => {
    const host = new FakeHost();
    await start(host, async (run) => {
      run.offerResume();
    });
    expect(host).toMatchObject({ err: '', exitCodes: [0] });
  });

  test('ends with the code of failures that were told, and tells none twice', async () => {
    const host = new FakeHost(['--json']);
    await start(host, async (run) => {
      expect(run.tell(new ToolError('store', 'No bucket.'), 'docs: ')).toEqual({
        error: { code: 'store', message: 'No bucket.', exitCode: 12 },
      });
      run.offerResume(['docs']);
      throw new ToldFailure(12);
    });
    expect(host.err).toBe(
      'Error: docs: No bucket.\nGo on with: exporter --collection docs --json --resume\n',
    );
    expect(host).toMatchObject({ exitCodes: [12], out: '' });
  });

  test('tells an error that nobody awaited once: in the place of what follows from it', async () => {
    const host = new FakeHost();
    const run = start(host, async (given) => {
      const thrown = await untilAborted(given).catch((error: unknown) => error);
      given.tell(thrown);
      throw new ToldFailure(7);
    });
    host.stray(new RangeError('stray'));
    await run;
    expect(host.err.match(/stray/g)).toEqual(['stray']);
    expect(host.exitCodes).toEqual([7]);
  });

  test('tells an error that nobody awaited although what failed was told before it', async () => {
    const host = new FakeHost();
    const told = Promise.withResolvers<void>();
    const run = start(host, async (given) => {
      given.tell(new ToolError('store', 'No bucket.'));
      await told.promise;
      throw new ToldFailure(12);
    });
    host.stray(new RangeError('stray'));
    told.resolve();
    await run;
    expect(host.err).toContain('stray');
    expect(host.exitCodes).toEqual([1]);
  });

  test('never prints a second document', async () => {
    const host = new FakeHost(['--json']);
    await start(host, async (run) => {
      await run.printDocument({ done: true });
      throw new ToolError('store', 'Too late.');
    });
    expect(JSON.parse(host.out)).toEqual({ done: true });
    expect(host.err).toBe('Error: Too late.\n');
  });

  test.each([
    ['y', true],
    [' YES\t', true],
    ['n', false],
    ['', false],
    ['yesterday', false],
    [undefined, false],
  ])('takes the answer %p for %p', async (answer, expected) => {
    const host = new FakeHost([], {}, true);
    await start(host, async (run) => {
      const confirmed = run.confirm('Upload 1.2 GB?');
      expect(host.err).toBe('Upload 1.2 GB? [y/N] ');
      host.answer(answer);
      expect(await confirmed).toBe(expected);
    });
    // The terminal ends the line of an answer; that of none is ended here.
    expect(host.err).toBe(answer === undefined ? 'Upload 1.2 GB? [y/N] \n' : 'Upload 1.2 GB? [y/N] ');
  });

  test('asks nothing with --yes, and where nobody can answer', async () => {
    const yes = new FakeHost(['--yes'], {}, true);
    await start(yes, async (run) => expect(await run.confirm('Upload?')).toBe(true));
    const nobody = new FakeHost();
    await start(nobody, async (run) => expect(await run.confirm('Upload?')).toBe(false));
    expect(yes.err + nobody.err).toBe('');
    expect([yes.exitCodes, nobody.exitCodes]).toEqual([[0], [0]]);
  });

  test('gives up a question at a signal, with its reason', async () => {
    const host = new FakeHost([], {}, true);
    const run = start(host, async (given) => {
      await given.confirm('Upload?');
    });
    host.signal('SIGINT');
    await run;
    expect(host.exitCodes).toEqual([130]);
    expect(host.err).toEndWith('Upload? [y/N] \nStopped by Ctrl+C.\n');
  });

  test('prints no secret anywhere', async () => {
    const host = new FakeHost(['--json', '--verbose'], { QDRANT_API_KEY: 'se"cret-key' });
    await start(host, async (run) => {
      run.environment(undefined);
      run.warn('warns of se"cret-key');
      await run.print('prints se"cret-key\n');
      throw new ToolError('qdrant', 'fails with se"cret-key', { cause: new Error('for se"cret-key') });
    });
    expect(host.out + host.err).not.toContain('cret-key');
    expect(host.err).toContain('Warning: warns of ***');
    expect(host.out).toContain('"fails with ***"');
  });

  test('takes away the variable that would switch certificate checks off', async () => {
    const host = new FakeHost([], { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    await start(host, async (run) => {
      run.environment(undefined);
    });
    expect(host.env).not.toHaveProperty('NODE_TLS_REJECT_UNAUTHORIZED');
    expect(host.err).toStartWith('Warning: NODE_TLS_REJECT_UNAUTHORIZED has no effect here');
  });
});

test('exitCodeOf() gives a store error its own code even after a signal', () => {
  expect(exitCodeOf(new ToolError('store', 'x'), 'SIGINT')).toBe(12);
  expect(exitCodeOf(new ToolError('cancelled', 'x'), 'SIGHUP')).toBe(129);
  expect(exitCodeOf(new ToolError('cancelled', 'x'), 'closed-output')).toBe(141);
  expect(exitCodeOf('thrown')).toBe(1);
});

describe('the process', () => {
  const library = join(import.meta.dir, '../../../lib/cli/run.ts');

  /** The path of a program of these lines of main. */
  function writeProgram(folder: string, main: string): string {
    const script = join(folder, 'program.ts');
    writeFileSync(
      script,
      `import { runProgram } from ${JSON.stringify(library)};
       void runProgram({ name: 'tool', version: '1', main: async (run) => { ${main} } });`,
    );
    return script;
  }

  /** Runs a program of these lines of main in a process of its own. */
  async function inProcess(
    main: string,
    use: (child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>) => Promise<void>,
  ) {
    const folder = mkdtempSync(join(tmpdir(), 'run-test-'));
    const script = writeProgram(folder, main);
    const child = Bun.spawn(['bun', script], {
      stdout: 'pipe',
      stderr: 'pipe',
      stdin: 'ignore',
      cwd: folder,
    });
    try {
      await use(child);
    } finally {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  }
  /** Reads until the text has come. */
  async function seen(stream: ReadableStream<Uint8Array>, text: string): Promise<void> {
    let all = '';
    const reader = stream.getReader();
    while (!all.includes(text)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`${text} never came, but ${all}`);
      all += new TextDecoder().decode(value);
    }
    reader.releaseLock();
  }
  const WAITING = `
    const alive = setInterval(() => {}, 1000);
    await run.print('ready\\n');
    await new Promise((_, reject) => run.signal.addEventListener('abort', () => `;

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('ends after %s with %d, once main has settled', async (signal, code) => {
    await inProcess(
      `${WAITING} run.print('undone\\n').then(() => reject(run.signal.reason))));`,
      async (child) => {
        await seen(child.stdout, 'ready');
        child.kill(signal);
        await seen(child.stdout, 'undone');
        expect(await child.exited).toBe(code);
        expect(await new Response(child.stderr).text()).toMatch(/\nStopped by [^.;]+\.\n$/);
      },
    );
  });

  test('ends at a second signal although main hangs', async () => {
    await inProcess(`${WAITING} {}));`, async (child) => {
      await seen(child.stdout, 'ready');
      child.kill('SIGINT');
      await seen(child.stderr, 'Stopping');
      child.kill('SIGINT');
      expect(await child.exited).toBe(130);
    });
  });

  test('writes a large document whole before it ends', async () => {
    await inProcess(`await run.print('x'.repeat(5_000_000));`, async (child) => {
      expect((await new Response(child.stdout).text()).length).toBe(5_000_000);
      expect(await child.exited).toBe(0);
    });
  });

  test('survives readers that went away', async () => {
    await inProcess(
      `await Bun.stdin.text().catch(() => {}); for (let i = 0; i < 100; i++) { run.warn('x'.repeat(10_000)); await run.print('x'.repeat(10_000)); }`,
      async (child) => {
        await child.stdout.cancel();
        await child.stderr.cancel();
        expect(await child.exited).toBe(0);
      },
    );
  });

  // Windows has no such pipes.
  test.skipIf(process.platform === 'win32')(
    'stops when its reader went away although it writes nothing, with 141, once main has settled',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'run-test-'));
      try {
        const script = writeProgram(folder, `${WAITING} reject(run.signal.reason)));`);
        const line = `{ "$0" "$1"; echo $? >code; } | { read ready; }`;
        const child = Bun.spawn(['sh', '-c', line, process.execPath, script], {
          cwd: folder,
          stdin: 'ignore',
          stderr: 'pipe',
        });
        const err = await new Response(child.stderr).text();
        expect(await child.exited).toBe(0);
        expect(err).toBe('Stopped, because nobody reads stdout any more.\n');
        expect(await Bun.file(join(folder, 'code')).text()).toBe('141\n');
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test.skipIf(process.platform === 'win32')(
    'asks at a terminal, and takes the line that is typed there',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'run-test-'));
      try {
        const script = writeProgram(
          folder,
          `run.screen.line(run.isInteractive ? 'yes, a terminal' : 'no terminal');
         run.screen.line(String(await run.confirm('Upload?')));`,
        );
        let seen = '';
        const child = Bun.spawn([process.execPath, script], {
          cwd: folder,
          terminal: {
            cols: 80,
            rows: 24,
            data(terminal, bytes) {
              const asked = seen.includes('[y/N]');
              seen += new TextDecoder().decode(bytes);
              if (!asked && seen.includes('[y/N]')) terminal.write('y\n');
            },
          },
        });
        expect(await child.exited).toBe(0);
        expect(seen.replaceAll('\r', '')).toBe('yes, a terminal\nUpload? [y/N] y\ntrue\n');
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test('ends although something still runs', async () => {
    await inProcess(`setInterval(() => {}, 1000);`, async (child) => {
      expect(await child.exited).toBe(0);
    });
  });

  test('ends with 1 and a sentence after an error that nobody awaited', async () => {
    await inProcess(
      `void Promise.reject(new Error('lost')); ${WAITING} reject(run.signal.reason)));`,
      async (child) => {
        const err = await new Response(child.stderr).text();
        expect(err).toBe(
          'Error: Something unexpected ended tool: lost. Run it again with --verbose to see where.\n',
        );
        expect(await child.exited).toBe(1);
      },
    );
  });
});
