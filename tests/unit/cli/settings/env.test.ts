import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadEnvironment, shareWithSdk, withoutBunsOwn } from '../../../../lib/cli/settings/env.ts';
import { parseEnvFile } from '../../../../lib/cli/settings/parse-env-file.ts';

describe('parseEnvFile()', () => {
  const read = (text: string) => Object.fromEntries(parseEnvFile(text).variables);

  test('reads assignments with export, blanks, = in values and comments', () => {
    const text = '# all\n\nA=1\nexport B = two words \nC=x=y==\nD=a#b # said\nE= # nothing\nF=\n  G=1\n';
    expect(read(text)).toEqual({ A: '1', B: 'two words', C: 'x=y==', D: 'a#b', E: '', F: '', G: '1' });
  });

  test('keeps single-quoted text as it stands and reads escapes in double quotes', () => {
    const text = String.raw`A='a\n"b" # c' # said
B="a\nb\t\"q\" \\n \$X \w # no comment"
C=""
D='it'`;
    expect(read(text)).toEqual({
      A: String.raw`a\n"b" # c`,
      B: 'a\nb\t"q" \\n $X \\w # no comment',
      C: '',
      D: 'it',
    });
  });

  test('reads quoted values over several lines, the assignment after them too', () => {
    expect(read('KEY="-----BEGIN\nabc\n-----END"\nNEXT=1')).toEqual({
      KEY: '-----BEGIN\nabc\n-----END',
      NEXT: '1',
    });
    expect(read("A='x\r\ny'\r\nB=2\r\n")).toEqual({ A: 'x\ny', B: '2' });
  });

  test('reads CRLF and a byte order mark', () => {
    expect(read('\uFEFFA=1\r\nB="2"\r\n')).toEqual({ A: '1', B: '2' });
  });

  test('expands nothing', () => {
    expect(read('A=pa$B{}\nB="$A"')).toEqual({ A: 'pa$B{}', B: '$A' });
  });

  test('lets the last of repeated names win', () => {
    expect(read('A=1\nA=2')).toEqual({ A: '2' });
  });

  test('names lines that say nothing by number, and reads the others', () => {
    const { variables, badLines } = parseEnvFile('A=1\nnonsense\n=x\nB="open\nC=3\nD="a"b');
    expect(Object.fromEntries(variables)).toEqual({ A: '1', C: '3' });
    expect(badLines).toEqual([2, 3, 4, 6]);
  });
});

describe('environment files', () => {
  let top: string;
  let here: string;

  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'env-test-'));
    here = join(top, 'a', 'b');
    mkdirSync(here, { recursive: true });
  });
  afterEach(() => rmSync(top, { recursive: true }));

  test('loadEnvironment() lets the process win over files, the nearest file over farther ones', () => {
    writeFileSync(join(here, '.env'), 'P=near\nN=near\n');
    writeFileSync(join(top, 'a', '.env'), 'P=mid\nN=mid\nM=mid\n');
    writeFileSync(join(top, '.env'), 'P=far\nN=far\nM=far\nF=far\n');
    const { environment, warnings } = loadEnvironment({ P: 'process' }, here, undefined);
    expect(environment).toEqual({ P: 'process', N: 'near', M: 'mid', F: 'far' });
    expect(warnings).toEqual([]);
  });

  test('loadEnvironment() looks no farther than two folders up', () => {
    mkdirSync(join(here, 'c'));
    writeFileSync(join(top, '.env'), 'F=far\n');
    expect(loadEnvironment({}, join(here, 'c'), undefined).environment).toEqual({});
  });

  test('loadEnvironment() counts an empty variable as not set, wherever it is', () => {
    writeFileSync(join(here, '.env'), 'A=\nB=\n');
    writeFileSync(join(top, 'a', '.env'), 'A=mid\n');
    expect(loadEnvironment({ A: '', C: '' }, here, undefined).environment).toEqual({ A: 'mid' });
  });

  test('loadEnvironment() reads the named file instead of searching', () => {
    writeFileSync(join(here, '.env'), 'A=searched\nB=searched\n');
    writeFileSync(join(here, 'named'), 'A=named\n');
    expect(loadEnvironment({}, here, 'named').environment).toEqual({ A: 'named' });
    expect(loadEnvironment({}, here, join(here, 'named')).environment).toEqual({ A: 'named' });
  });

  test('loadEnvironment() refuses a named file that is missing or a folder', () => {
    expect(() => loadEnvironment({}, here, 'gone')).toThrow(
      'Cannot read --env-file gone: there is no such file.',
    );
    expect(() => loadEnvironment({}, top, 'a')).toThrow('Cannot read --env-file a: it is a folder.');
  });

  test('loadEnvironment() warns of a .env that cannot be read and goes on', () => {
    symlinkSync('.env', join(here, '.env'));
    writeFileSync(join(top, 'a', '.env'), 'A=mid');
    const { environment, warnings } = loadEnvironment({}, here, undefined);
    expect(environment).toEqual({ A: 'mid' });
    expect(warnings).toEqual(['Cannot read .env, so it is left out: it is a link to itself.']);
  });

  test('loadEnvironment() passes over a folder named .env and warns of bad lines without their text', () => {
    mkdirSync(join(here, '.env'));
    writeFileSync(join(top, 'a', '.env'), 'A=1\nsecret without name\n');
    const { environment, warnings } = loadEnvironment({}, here, undefined);
    expect(environment).toEqual({ A: '1' });
    expect(warnings).toEqual(['../.env: no NAME=value on line 2, so it is left out.']);
  });

  test('withoutBunsOwn() drops what Bun took from files and keeps what the process was started with', () => {
    writeFileSync(join(here, '.env'), 'A=pa$s\nB=file\n');
    writeFileSync(join(here, '.env.local'), 'C=local\n');
    const seen = { A: 'pa', B: 'file', C: 'local', D: 'own' };
    expect(withoutBunsOwn(seen, here, new Set(['B', 'D']))).toEqual({ B: 'file', D: 'own' });
    // Where the system does not tell, the value does.
    expect(withoutBunsOwn({ B: 'exported', C: 'local', D: 'own' }, here, undefined)).toEqual({
      B: 'exported',
      D: 'own',
    });
  });
});

test('shareWithSdk() hands on AWS_* variables alone, and replaces none', () => {
  const ofProcess: Record<string, string | undefined> = { AWS_REGION: 'set' };
  shareWithSdk(
    { AWS_REGION: 'file', AWS_PROFILE: 'p', HTTPS_PROXY: 'x', NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    ofProcess,
  );
  expect(ofProcess).toEqual({ AWS_REGION: 'set', AWS_PROFILE: 'p' });
});
