import { describe, expect, test } from 'bun:test';
import { refuseContradictions } from '../../../lib/cli/contradictions.ts';
import { EXPORTER_R2_FLAGS, LATER_FLAGS } from '../../../lib/cli/exporter-r2-flags.ts';
import { parseArguments, resolveFlags } from '../../../lib/cli/parse-flags.ts';
import { readExporterSettings } from '../../../lib/cli/settings.ts';
import { ToolError } from '../../../lib/errors.ts';

/** The sentence that refuses these flags, or undefined where they go together. */
function refusal(line: string, environment: Record<string, string> = {}): string | undefined {
  const given = parseArguments(line.split(' '), EXPORTER_R2_FLAGS, LATER_FLAGS);
  try {
    refuseContradictions(resolveFlags(given, environment, EXPORTER_R2_FLAGS));
    return undefined;
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
}

describe('refuseContradictions()', () => {
  test('refuses --quiet with --verbose, and a store beside a local file', () => {
    expect(refusal('--quiet --verbose')).toBe('--quiet and --verbose contradict: give one of them.');
    for (const flag of ['--stream-upload', '--bucket', '--prefix']) {
      expect(refusal(`--output f ${flag === '--stream-upload' ? flag : `${flag} b`}`)).toBe(
        `${flag} and --output contradict: --output writes a local file, so nothing goes to a store.`,
      );
    }
    // A variable is no flag: it may stay set.
    expect(refusal('--output f', { R2_BUCKET: 'b' })).toBeUndefined();
  });

  test('wants --strategy with --stream-upload and names the three', () => {
    expect(refusal('--stream-upload')).toBe(
      '--stream-upload wants a strategy to be named: --strategy parquet-small, --strategy parquet-med or --strategy parquet-large.',
    );
    expect(refusal('--stream-upload --strategy parquet-med')).toBeUndefined();
  });

  test.each(['points', 'pinecone', 'milvus'])(
    'refuses --key-field with --schema %s, whose rows have ids',
    (schema) => {
      expect(refusal(`--schema ${schema} --key-field id`)).toBe(
        `--key-field and --schema ${schema} contradict: its rows have the ids of points, and no key.`,
      );
      // What is typed counts, even when it is the default; the default itself does not.
      expect(refusal(`--schema ${schema} --key-field key`)).toStartWith('--key-field and');
      expect(refusal(`--schema ${schema}`)).toBeUndefined();
    },
  );

  test.each(['points', 'milvus'])(
    'refuses --metadata-field with --schema %s, whose rows have payloads',
    (schema) => {
      expect(refusal(`--schema ${schema} --metadata-field meta`)).toBe(
        `--metadata-field and --schema ${schema} contradict: its rows have the whole payload.`,
      );
    },
  );

  test('lets both fields be with the schemas that have them', () => {
    expect(refusal('--key-field a --metadata-field b')).toBeUndefined();
    expect(refusal('--schema keyed --key-field a --metadata-field b')).toBeUndefined();
    expect(refusal('--schema pinecone --metadata-field b')).toBeUndefined();
  });

  test('refuses to write over the file that the filter is read from', () => {
    expect(refusal('--output docs.parquet --filter @docs.parquet.json')).toBe(
      '--filter @docs.parquet.json and --output docs.parquet contradict: the manifest beside the export would replace the file of the filter.',
    );
    expect(refusal('--output a/../f.txt --filter @./f.txt')).toBe(
      '--filter @./f.txt and --output a/../f.txt contradict: the export would replace the file of the filter.',
    );
    expect(refusal('--output docs.parquet --filter @filters/docs.json')).toBeUndefined();
    expect(refusal('--output docs.parquet --filter {}')).toBeUndefined();
  });
});

describe('readExporterSettings()', () => {
  test.each(['pinecone', 'milvus'])(
    'refuses --vectors none with --schema %s, for want of any vector',
    (schema) => {
      const read = (vectors: string, as: string) => () =>
        readExporterSettings(
          parseArguments(
            ['--collection', 'c', '--output', 'f', '--schema', as, '--vectors', vectors],
            EXPORTER_R2_FLAGS,
            LATER_FLAGS,
          ),
          {},
        );
      expect(read('none', schema)).toThrow(
        `--vectors none and --schema ${schema} contradict: every row of it has a vector.`,
      );
      expect(read('"none"', schema)).not.toThrow();
      expect(read('none', 'points')).not.toThrow();
      expect(read('none', 'keyed')).not.toThrow();
    },
  );
});
