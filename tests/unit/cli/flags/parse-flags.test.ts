import { describe, expect, test } from 'bun:test';
import { closest } from '../../../../lib/cli/flags/closest.ts';
import { EXPORTER_R2_FLAGS } from '../../../../lib/cli/flags/exporter-r2-flags.ts';
import { parseArguments, resolveFlags } from '../../../../lib/cli/flags/parse-flags.ts';
import { ToolError } from '../../../../lib/errors.ts';

function read(argv: string[], environment: Record<string, string> = {}) {
  return resolveFlags(parseArguments(argv, EXPORTER_R2_FLAGS), environment, EXPORTER_R2_FLAGS);
}

function sentence(argv: string[], environment: Record<string, string> = {}): string {
  try {
    read(argv, environment);
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
}

describe('parseArguments()', () => {
  test('reads --flag value and --flag=value alike', () => {
    expect(read(['--prefix', 'a=b', '--batch-size=7']).values).toMatchObject({
      prefix: 'a=b',
      'batch-size': 7,
    });
  });

  test('takes a value that begins with - only through =', () => {
    expect(read(['--prefix=-x']).values.prefix).toBe('-x');
    expect(sentence(['--prefix', '-x'])).toBe(
      '--prefix wants a value, but "-x" follows it; a value that begins with - goes as --prefix=VALUE.',
    );
    expect(sentence(['--collection', '--http'])).toContain(
      '--collection wants a value, but "--http" follows it',
    );
    expect(sentence(['--collection', '--'])).toContain('--collection wants a value');
  });

  test('refuses a flag whose value is missing or empty', () => {
    expect(sentence(['--http', '--url'])).toBe('--url wants a value, and nothing follows it.');
    expect(sentence(['--url='])).toBe('--url is empty; a value is wanted.');
    expect(sentence(['--url', ''])).toBe('--url is empty; a value is wanted.');
  });

  test('refuses a repeated flag with a value, and lets a switch be repeated', () => {
    expect(sentence(['--url', 'a', '--url=a'])).toBe('--url was given more than once, and is wanted once.');
    expect(read(['--yes', '--yes']).values.yes).toBe(true);
  });

  test('gathers the values of --collection in their order, and wants each of them once', () => {
    expect(read(['--collection', 'b', '--http', '--collection=a']).values.collection).toEqual(['b', 'a']);
    expect(sentence(['--collection', 'a', '--collection', 'b', '--collection=a'])).toBe(
      '--collection names "a" more than once, and it is wanted once.',
    );
    expect(sentence(['--collection', 'a', '--collection='])).toBe(
      '--collection is empty; a value is wanted.',
    );
    expect(sentence(['--collection', 'a', '--collection'])).toBe(
      '--collection wants a value, and nothing follows it.',
    );
  });

  test('refuses a value for a switch', () => {
    expect(sentence(['--http=false'])).toBe('--http takes no value, but was given "false".');
  });

  test('refuses stray arguments, before and behind --', () => {
    expect(sentence(['docs'])).toContain('the argument "docs"; every argument is a flag');
    expect(sentence(['--http', 'true'])).toContain('"true" (--http takes no value)');
    expect(sentence(['--', '--http'])).toContain('the argument "--http"');
  });

  test('names an unknown flag and the one that was meant', () => {
    expect(sentence(['--colection', 'x'])).toBe(
      '--colection is not a flag of this program. Did you mean --collection?',
    );
    expect(sentence(['--batch_size=3'])).toEndWith('Did you mean --batch-size?');
    expect(sentence(['--shema', 'x'])).toEndWith('Did you mean --schema?');
    expect(sentence(['--vector', 'x'])).toEndWith('Did you mean --vectors?');
    expect(sentence(['--no-http'])).toStartWith('--no-http is not a flag of this program.');
    expect(sentence(['-x'])).toBe('-x is not a flag of this program. --help lists all of them.');
    expect(sentence(['--constructor'])).toStartWith('--constructor is not a flag of this program.');
    expect(sentence(['--__proto__=1'])).toStartWith('--__proto__ is not a flag of this program.');
  });
});

describe('resolveFlags()', () => {
  test('fills in defaults, and says of none that it was given', () => {
    const flags = read([]);
    expect(flags.values).toMatchObject({
      'batch-size': 10_000,
      strategy: 'ndjson-gz',
      timeout: 60,
      http: false,
    });
    expect(flags.values.parallel).toBeUndefined();
    expect(flags.source('strategy')).toBeUndefined();
  });

  test('lets a flag win over its variable, and names the one that spoke', () => {
    const environment = { QDRANT_COLLECTION_NAME: 'from-env', QDRANT_URL: 'env-host' };
    const flags = read(['--collection', 'typed'], environment);
    expect(flags.values.collection).toEqual(['typed']);
    expect(flags.source('collection')).toBe('--collection');
    expect(read([], environment).values.collection).toEqual(['from-env']);
    expect(read([]).values.collection).toBeUndefined();
    expect(flags.values.url).toBe('env-host');
    expect(flags.source('url')).toBe('QDRANT_URL');
  });

  test.each([
    ['batch-size', 1, 1_000_000],
    ['parallel', 1, 256],
    ['timeout', 1, 86_400],
    ['row-group-size', 1, 10_000_000],
    ['retrieve-batch', 1, 500_000],
    ['limit', 1, Number.MAX_SAFE_INTEGER],
    ['keep', 1, 1_000_000],
  ] as const)('takes --%s from %d to %d and nothing else', (name, min, max) => {
    expect(read([`--${name}=${min}`]).values[name]).toBe(min);
    expect(read([`--${name}=${max}`]).values[name]).toBe(max);
    const or = name === 'retrieve-batch' ? ', or auto,' : '';
    const wanted = `a whole number from ${min} to ${max.toLocaleString('en-US')}${or} is wanted.`;
    for (const wrong of [
      String(min - 1),
      String(max + 1),
      '1e2',
      '0x10',
      '1.5',
      'many',
      ' 5',
      '9'.repeat(400),
      '-3',
    ]) {
      expect(sentence([`--${name}=${wrong}`])).toStartWith(`--${name} is `);
      expect(sentence([`--${name}=${wrong}`])).toEndWith(wanted);
    }
  });

  test('takes a word or a whole number for --consistency', () => {
    for (const word of ['all', 'majority', 'quorum'] as const) {
      expect(read([`--consistency=${word}`]).values.consistency).toBe(word);
    }
    expect(read(['--consistency', '3']).values.consistency).toBe(3);
    expect(read([]).values.consistency).toBeUndefined();
    expect(sentence(['--consistency', 'majorty'])).toBe(
      '--consistency is "majorty"; it takes all, majority, quorum or a whole number from 1 to 9,007,199,254,740,991. Did you mean majority?',
    );
    for (const wrong of ['0', '-1', '9007199254740992']) {
      expect(sentence([`--consistency=${wrong}`])).toBe(
        `--consistency is ${wrong}; a whole number from 1 to 9,007,199,254,740,991, or all, majority or quorum, is wanted.`,
      );
    }
    // Elsewhere a number is no word.
    expect(sentence(['--schema', '3'])).toStartWith('--schema is "3"; it takes keyed,');
  });

  test('takes the word auto for --retrieve-batch alone', () => {
    expect(read(['--retrieve-batch', 'auto']).values['retrieve-batch']).toBeUndefined();
    expect(sentence(['--parallel', 'auto'])).toStartWith('--parallel is "auto"');
  });

  test('names the words of a choice and the one that was meant', () => {
    expect(sentence(['--compression', 'zstdd'])).toBe(
      '--compression is "zstdd"; it takes zstd, snappy, gzip or none. Did you mean zstd?',
    );
    expect(sentence(['--schema', 'point'])).toBe(
      '--schema is "point"; it takes keyed, points, pinecone or milvus. Did you mean points?',
    );
    expect(sentence(['--passes', '2'])).toBe('--passes is "2"; it takes auto, one or two.');
  });
});

describe('closest()', () => {
  test('finds one typing mistake in three letters, swaps included', () => {
    expect(closest('ulr', ['url', 'http'])).toBe('url');
    expect(closest('htpp', ['url', 'http'])).toBe('http');
    expect(closest('bukcet', ['bucket', 'batch-size'])).toBe('bucket');
  });

  test('finds the only word with that beginning, and none when there are two or the word is far', () => {
    expect(closest('comp', ['compression', 'collection'])).toBe('compression');
    expect(closest('row', ['row-group', 'row-size'])).toBeUndefined();
    expect(closest('elephant', ['url', 'http'])).toBeUndefined();
  });
});
