import { resolve } from 'node:path';
import { ToolError } from '../../errors.ts';
import { EXPORTER_FLAGS, type ExporterFlags } from '../flags/exporter-flags.ts';
import { filterPath } from './filter.ts';
import { manifestPath } from './manifest-key.ts';

/**
 * A ToolError 'usage' for flags that cannot be meant together, and for a question that nobody could answer. Only
 * flags that were given count, not defaults; `isInteractive` is whether there is a terminal to ask at.
 */
export function refuseContradictions(flags: ExporterFlags, isInteractive: boolean): void {
  const { values } = flags;
  if (values.quiet && values.verbose) throw contradiction('--quiet', '--verbose', 'give one of them');
  if (values.all && flags.source('collection') === '--collection') {
    throw contradiction('--all', '--collection', 'every collection is exported already');
  }
  if (values.output !== undefined) refuseBesideLocalFile(flags, values.output);
  if (values['stream-upload']) refuseBesideStreaming(flags);
  if (values.debug && values.output === undefined && !values.yes && !isInteractive) {
    throw new ToolError(
      'usage',
      '--debug asks before the upload, and there is no terminal to ask at; --yes is wanted with it.',
    );
  }
  refuseIdleFields(flags);
}

function refuseBesideLocalFile({ values, source }: ExporterFlags, output: string): void {
  const local = '--output writes a local file, so nothing goes to a store';
  if (values['stream-upload']) throw contradiction('--stream-upload', '--output', local);
  if (values['create-bucket']) throw contradiction('--create-bucket', '--output', local);
  if (values['split-size'] !== undefined) {
    throw contradiction('--split-size', '--output', '--output names one file, and a split export is several');
  }
  if (source('bucket') === '--bucket') throw contradiction('--bucket', '--output', local);
  if (values.prefix !== undefined) throw contradiction('--prefix', '--output', local);
  if (values.keep !== undefined) {
    throw contradiction('--keep', '--output', 'dated copies are made in a store, not of a local file');
  }
  const one = '--output names one file, and each collection wants its own';
  if (values.all) throw contradiction('--all', '--output', one);
  if ((values.collection?.length ?? 0) > 1) throw contradiction('several --collection', '--output', one);
  if (values.filter !== undefined) keepFilterFile(values.filter, output);
}

function refuseBesideStreaming({ values, source }: ExporterFlags): void {
  const strategies = EXPORTER_FLAGS.strategy.choices.filter((name) => name !== 'ndjson-gz');
  if (source('strategy') === undefined) {
    const names = strategies.map((name) => `--strategy ${name}`);
    throw new ToolError(
      'usage',
      `--stream-upload wants a strategy to be named: ${names.slice(0, -1).join(', ')} or ${names.at(-1)}.`,
    );
  }
  if (values.strategy === 'ndjson-gz') {
    throw contradiction(
      '--stream-upload',
      '--strategy ndjson-gz',
      `that one makes the Parquet file of a whole file on disk; ${strategies.slice(0, -1).join(', ')} and ${strategies.at(-1)} can be uploaded while they are made`,
    );
  }
  if (values.debug) {
    throw contradiction(
      '--stream-upload',
      '--debug',
      'there are no work files to keep, and no upload to ask before',
    );
  }
  if (values['split-size'] !== undefined) {
    throw contradiction(
      '--split-size',
      '--stream-upload',
      'a file is cut where the next rows would not fit, so it has to be on disk before it is uploaded',
    );
  }
}

/** Flags that say what goes into a column, beside a schema that has no such column. */
function refuseIdleFields({ values, source }: ExporterFlags): void {
  const schema = `--schema ${values.schema}`;
  const hasKey = values.schema === 'keyed';
  if (!hasKey && source('key-field') !== undefined) {
    throw contradiction('--key-field', schema, 'its rows have the ids of points, and no key');
  }
  const hasMetadata = hasKey || values.schema === 'pinecone';
  if (!hasMetadata && source('metadata-field') !== undefined) {
    throw contradiction('--metadata-field', schema, 'its rows have the whole payload');
  }
}

/** The export and its manifest replace what is there under their names. */
function keepFilterFile(filter: string, output: string): void {
  const path = filterPath(filter);
  if (path === undefined || path === '') return;
  for (const written of [output, manifestPath(output)]) {
    if (resolve(path) !== resolve(written)) continue;
    const what = written === output ? 'the export' : 'the manifest beside the export';
    throw contradiction(
      `--filter ${filter}`,
      `--output ${output}`,
      `${what} would replace the file of the filter`,
    );
  }
}

export function contradiction(a: string, b: string, why: string): ToolError {
  return new ToolError('usage', `${a} and ${b} contradict: ${why}.`);
}
