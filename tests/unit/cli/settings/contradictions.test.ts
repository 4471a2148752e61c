import { describe, expect, test } from 'bun:test';
import { EXPORTER_R2 } from '../../../../lib/cli/flags/exporter-r2.ts';
import { EXPORTER_R2_FLAGS } from '../../../../lib/cli/flags/exporter-r2-flags.ts';
import { EXPORTER_SUPABASE_FLAGS } from '../../../../lib/cli/flags/exporter-supabase-flags.ts';
import { parseArguments, resolveFlags } from '../../../../lib/cli/flags/parse-flags.ts';
import { refuseContradictions } from '../../../../lib/cli/settings/contradictions.ts';
import { readExporterRequest } from '../../../../lib/cli/settings/exporter-request.ts';
import { ToolError } from '../../../../lib/errors.ts';

/** The sentence that refuses these flags, or undefined where they go together. */
function refusal(
  line: string,
  environment: Record<string, string> = {},
  isInteractive = false,
): string | undefined {
  const given = parseArguments(line.split(' '), EXPORTER_R2_FLAGS);
  try {
    refuseContradictions(resolveFlags(given, environment, EXPORTER_R2_FLAGS), isInteractive);
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

  test('refuses --stream-upload with ndjson-gz when that is named', () => {
    expect(refusal('--stream-upload --strategy ndjson-gz')).toBe(
      '--stream-upload and --strategy ndjson-gz contradict: that one makes the Parquet file of a whole file on disk; parquet-small, parquet-med and parquet-large can be uploaded while they are made.',
    );
    expect(refusal('--strategy ndjson-gz --row-group-size 5')).toBeUndefined();
  });

  test('refuses --all beside a named collection, but not beside the variable', () => {
    expect(refusal('--all --collection c')).toBe(
      '--all and --collection contradict: every collection is exported already.',
    );
    expect(refusal('--all', { QDRANT_COLLECTION_NAME: 'c' })).toBeUndefined();
  });

  test('refuses more than one collection, and dated copies, for one local file', () => {
    const why = '--output names one file, and each collection wants its own.';
    expect(refusal('--all --output f')).toBe(`--all and --output contradict: ${why}`);
    expect(refusal('--collection a --collection b --output f')).toBe(
      `several --collection and --output contradict: ${why}`,
    );
    expect(refusal('--keep 3 --output f')).toBe(
      '--keep and --output contradict: dated copies are made in a store, not of a local file.',
    );
    expect(refusal('--collection a --output f')).toBeUndefined();
    expect(refusal('--collection a --collection b --keep 3')).toBeUndefined();
  });

  test('refuses --debug where nobody could answer, unless --yes does or nothing is uploaded', () => {
    const sentence =
      '--debug asks before the upload, and there is no terminal to ask at; --yes is wanted with it.';
    expect(refusal('--debug')).toBe(sentence);
    expect(refusal('--debug --dry-run')).toBe(sentence);
    expect(refusal('--debug', {}, true)).toBeUndefined();
    expect(refusal('--debug --yes')).toBeUndefined();
    expect(refusal('--debug --output f')).toBeUndefined();
  });

  test('refuses --debug with --stream-upload, at a terminal and with --yes too', () => {
    for (const isInteractive of [true, false]) {
      expect(refusal('--debug --yes --stream-upload --strategy parquet-med', {}, isInteractive)).toBe(
        '--stream-upload and --debug contradict: there are no work files to keep, and no upload to ask before.',
      );
    }
  });

  test('refuses --split-size beside one local file, and beside a stream', () => {
    expect(refusal('--split-size 45MB --output f')).toBe(
      '--split-size and --output contradict: --output names one file, and a split export is several.',
    );
    expect(refusal('--split-size 45MB --stream-upload --strategy parquet-med')).toBe(
      '--split-size and --stream-upload contradict: a file is cut where the next rows would not fit, so it has to be on disk before it is uploaded.',
    );
    for (const beside of ['', ' --strategy parquet-small', ' --keep 3', ' --debug --yes', ' --all']) {
      expect(refusal(`--split-size 45MB${beside}`)).toBeUndefined();
    }
  });

  test('refuses to make a bucket for a local file', () => {
    const read = (line: string) => () =>
      refuseContradictions(
        resolveFlags(parseArguments(line.split(' '), EXPORTER_SUPABASE_FLAGS), {}, EXPORTER_SUPABASE_FLAGS),
        false,
      );
    expect(read('--create-bucket --output f')).toThrow(
      '--create-bucket and --output contradict: --output writes a local file, so nothing goes to a store.',
    );
    expect(read('--create-bucket')).not.toThrow();
    // Its variable and its default may stand beside a local file.
    expect(read('--output f')).not.toThrow();
  });

  test('lets --resume be with everything that leaves something behind, and with --dry-run', () => {
    for (const line of [
      '--resume --dry-run',
      '--resume --all',
      '--resume --output f',
      '--resume --keep 2',
      '--resume --stream-upload --strategy parquet-med',
    ]) {
      expect(refusal(line)).toBeUndefined();
    }
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

describe('readExporterRequest()', () => {
  test.each(['pinecone', 'milvus'])(
    'refuses --vectors none with --schema %s, for want of any vector',
    (schema) => {
      const read = (vectors: string, as: string) => () =>
        readExporterRequest(
          EXPORTER_R2,
          parseArguments(
            ['--collection', 'c', '--output', 'f', '--schema', as, '--vectors', vectors],
            EXPORTER_R2_FLAGS,
          ),
          {},
          { isInteractive: false },
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
