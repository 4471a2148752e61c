import { mkdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { Glob } from 'bun';

const ROOT = resolve(import.meta.dir, '../..');

/** Flags of `bun build` for an executable, from `outfile` on. */
const FLAGS = [
  '--compile',
  '--bytecode',
  '--minify-whitespace',
  '--minify-syntax',
  // The tool has its own rules for .env files, and a stranger's bunfig.toml must not run code inside it.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
];

/** Compiles one TypeScript program into a standalone executable. */
export async function compile(source: string, executable: string): Promise<void> {
  const child = Bun.spawn([process.execPath, 'build', ...FLAGS, source, '--outfile', executable], {
    cwd: ROOT,
    stdout: 'ignore',
    stderr: 'inherit',
  });
  if ((await child.exited) !== 0) throw new Error(`Cannot compile ${source}.`);
}

/** Compiles every program of bin/ into dist/. */
async function main(): Promise<void> {
  await mkdir(join(ROOT, 'dist'), { recursive: true });
  for await (const file of new Glob('*.ts').scan(join(ROOT, 'bin'))) {
    const executable = join('dist', basename(file, '.ts'));
    await compile(join('bin', file), join(ROOT, executable));
    const { size } = Bun.file(join(ROOT, executable));
    console.log(`${executable}  ${(size / 1e6).toFixed(0)} MB`);
  }
}

if (import.meta.main) await main();
