import { describe, expect, test } from 'bun:test';
import { EXPORTER_R2_FLAGS } from '../../../../lib/cli/flags/exporter-r2-flags.ts';
import { parseArguments } from '../../../../lib/cli/flags/parse-flags.ts';
import { ownCommand } from '../../../../lib/cli/own-command.ts';
import { resumeCommand } from '../../../../lib/cli/screen/resume-command.ts';
import { shellQuoted } from '../../../../lib/cli/screen/shell-quoted.ts';

const COMMAND = ['exporter-r2'];

describe('resumeCommand()', () => {
  test('is the command as it was given, and --resume once', () => {
    expect(resumeCommand(COMMAND, ['--collection', 'docs', '--http'], undefined)).toBe(
      'exporter-r2 --collection docs --http --resume',
    );
    expect(resumeCommand(COMMAND, ['--resume', '--collection=docs'], undefined)).toBe(
      'exporter-r2 --resume --collection=docs',
    );
    expect(resumeCommand(['bun', 'bin/exporter-r2.ts'], [], undefined)).toBe(
      'bun bin/exporter-r2.ts --resume',
    );
  });

  test('names the collections that are left in the place of those that were asked for', () => {
    expect(resumeCommand(COMMAND, ['--http', '--all', '--keep', '3'], ['b', 'c'])).toBe(
      'exporter-r2 --http --collection b --collection c --keep 3 --resume',
    );
    const argv = ['--collection', 'a', '--http', '--collection=b', '--collection', 'c'];
    expect(resumeCommand(COMMAND, argv, ['c'])).toBe('exporter-r2 --collection c --http --resume');
    expect(resumeCommand(COMMAND, ['--all'], ['-x', 'b'])).toBe(
      'exporter-r2 --collection=-x --collection b --resume',
    );
  });

  test('takes no value of another flag for a flag', () => {
    const argv = ['--prefix=--all', '--collection', 'a', '--filter', '{"key":"--collection"}', '--quiet'];
    const line = resumeCommand(COMMAND, argv, ['b', 'c']);
    expect(line).toBe(
      `exporter-r2 --prefix=--all --collection b --collection c --filter '{"key":"--collection"}' --quiet --resume`,
    );
    expect([...parseArguments(['--prefix=--all', '--resume'], EXPORTER_R2_FLAGS)]).toHaveLength(2);
  });

  test('leaves --all where the names would make no line to copy', () => {
    const names = Array.from({ length: 101 }, (_, index) => `c${index}`);
    expect(resumeCommand(COMMAND, ['--all'], names)).toBe('exporter-r2 --all --resume');
    expect(resumeCommand(COMMAND, ['--all'], names.slice(1))).toContain('--collection c100 --resume');
    const typed = ['--collection', 'a', '--collection', 'b'];
    expect(resumeCommand(COMMAND, typed, names)).toContain('--collection c100 --resume');
  });
});

describe('shellQuoted()', () => {
  const words = [
    'plain-1_2.3/x@y%z=+,:',
    '',
    ' ',
    'my docs',
    "it's",
    '$HOME `id` "x" \\ !1 *?[a] ~ #',
    '{"must":[{"key":"lang"}]}',
    '日本 é',
    "line\nend\tand 'quote' \\t \u001b[2Jx1",
    '\u202e9',
    'a\u00011',
  ];

  test('leaves words alone that need no quotes', () => {
    expect(shellQuoted('plain-1_2.3/x@y%z=+,:')).toBe('plain-1_2.3/x@y%z=+,:');
  });

  test('lets no control or invisible letter through', () => {
    for (const word of words) expect(shellQuoted(word)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  // dash, the sh of Debian, does not know $'…' yet.
  const shells = ['sh', 'bash'].filter((shell) => Bun.which(shell) !== null);
  test.each(shells)('is read back by %s', (shell) => {
    const readable = shell === 'sh' ? words.filter((word) => !/[\p{Cc}\p{Cf}]/u.test(word)) : words;
    const script = readable.map((word) => `printf '%s\\0' ${shellQuoted(word)}`).join('\n');
    const { stdout } = Bun.spawnSync([shell, '-c', script], { env: { LC_ALL: 'C.UTF-8' } });
    expect(stdout.toString().split('\0').slice(0, -1)).toEqual(readable);
  });
});

describe('ownCommand()', () => {
  const facts = { argv0: 'bun', execArgv: [], script: '/work/tools/bin/exporter-r2.ts', isExecutable: false };

  test('is Bun, its options and the script, seen from the folder it runs in', () => {
    expect(ownCommand({ ...facts, folder: '/work/tools' })).toEqual(['bun', 'bin/exporter-r2.ts']);
    expect(ownCommand({ ...facts, execArgv: ['--no-env-file'], folder: '/work/tools/bin' })).toEqual([
      'bun',
      '--no-env-file',
      'exporter-r2.ts',
    ]);
    expect(ownCommand({ ...facts, folder: '/elsewhere' })).toEqual(['bun', '/work/tools/bin/exporter-r2.ts']);
  });

  test('is the name of an executable as it was typed', () => {
    const executable = { ...facts, isExecutable: true, script: '/$bunfs/root/exporter-r2', folder: '/' };
    expect(ownCommand({ ...executable, argv0: './exporter-r2' })).toEqual(['./exporter-r2']);
  });
});
