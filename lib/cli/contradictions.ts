import { resolve } from 'node:path';
import { ToolError } from '../errors.ts';
import { EXPORTER_R2_FLAGS, type ExporterFlags } from './exporter-r2-flags.ts';
import { filterPath } from './filter.ts';
import { manifestPath } from './manifest-key.ts';

/** A ToolError 'usage' for flags that cannot be meant together; only those that were given count, not defaults. */
export function refuseContradictions(flags: ExporterFlags): void {
  const { values, source } = flags;
  if (values.quiet && values.verbose) throw contradiction('--quiet', '--verbose', 'give one of them');
  if (values.output !== undefined) {
    const local = '--output writes a local file, so nothing goes to a store';
    if (values['stream-upload']) throw contradiction('--stream-upload', '--output', local);
    if (source('bucket') === '--bucket') throw contradiction('--bucket', '--output', local);
    if (values.prefix !== undefined) throw contradiction('--prefix', '--output', local);
    if (values.filter !== undefined) keepFilterFile(values.filter, values.output);
  }
  if (values['stream-upload'] && source('strategy') === undefined) {
    const names = EXPORTER_R2_FLAGS.strategy.choices.map((name) => `--strategy ${name}`);
    throw new ToolError(
      'usage',
      `--stream-upload wants a strategy to be named: ${names.slice(0, -1).join(', ')} or ${names.at(-1)}.`,
    );
  }
  refuseIdleFields(flags);
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
