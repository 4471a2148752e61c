import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { compile } from '../support/build.ts';
import { patternOf } from '../support/byte-body.ts';

/*
 * The thread that hashes, in a process of its own: through Bun, and in an executable made as ours are, which has
 * nothing beside it.
 */

const LIBRARY = resolve(import.meta.dir, '../../lib/sha256.ts');
const SUPPORT = resolve(import.meta.dir, '../support/byte-body.ts');
/** A run that takes longer hangs, as far as these tests are concerned. */
const LIMIT_MS = 15_000;

/** Its first argument says what it does. It has no `await` at the top, as our programs have none. */
const PROGRAM = `
  import { startSha256 } from ${JSON.stringify(LIBRARY)};
  import { patternOf } from ${JSON.stringify(SUPPORT)};

  async function main() {
    let started = 0;
    const RealWorker = globalThis.Worker;
    globalThis.Worker = class extends RealWorker {
      constructor(...args) {
        super(...args);
        this.addEventListener('message', ({ data }) => { if (data.kind === 'started') started++; });
      }
    };
    if (process.argv[2] === 'mute') {
      const source = URL.createObjectURL(new Blob(['self.onmessage = () => {};']));
      startSha256(2 ** 30, () => new Worker(source));
      console.log('left');
      return;
    }
    const sha256 = startSha256(2 ** 30);
    for (let chunk = 0; chunk < 40; chunk++) await sha256.update(patternOf(1_000_003));
    switch (process.argv[2]) {
      case 'digest':
        console.log(await sha256.digest(), started);
        return;
      case 'leave':
        console.log('left');
        return;
      case 'exit':
        console.log('exits');
        process.exit(7);
      case 'close':
        sha256.close();
        console.log('closed');
        return;
    }
  }
  void main();
`;

let folder = '';
let source = '';
let executable = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sha256-'));
  source = join(folder, 'program.ts');
  await writeFile(source, PROGRAM);
  await mkdir(join(folder, 'alone'));
  executable = join(folder, 'alone', 'program');
  await compile(source, executable);
}, LIMIT_MS);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(command: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([...command], {
    cwd: join(folder, 'alone'),
    env: {},
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: LIMIT_MS,
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, stdout, stderr };
}

describe.each(['bun', 'an executable'])('a hash on a thread, through %s', (what) => {
  const program = () => (what === 'bun' ? [process.execPath, source] : [executable]);

  test('is right, and the process stays until it is there', async () => {
    const hash = createHash('sha256');
    for (let chunk = 0; chunk < 40; chunk++) hash.update(patternOf(1_000_003));
    // The 1: it is the thread that hashed.
    const stdout = `${hash.digest('hex')} 1\n`;
    expect(await run([...program(), 'digest'])).toEqual({ code: 0, stdout, stderr: '' });
  });

  test('keeps no process from ending that has lost interest, closed or not', async () => {
    expect(await run([...program(), 'leave'])).toEqual({ code: 0, stdout: 'left\n', stderr: '' });
    expect(await run([...program(), 'mute'])).toEqual({ code: 0, stdout: 'left\n', stderr: '' });
    expect(await run([...program(), 'close'])).toEqual({ code: 0, stdout: 'closed\n', stderr: '' });
    expect(await run([...program(), 'exit'])).toEqual({ code: 7, stdout: 'exits\n', stderr: '' });
  });

  test('needs no file beside the executable', async () => {
    expect(await readdir(join(folder, 'alone'))).toEqual(['program']);
  });
});
