import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { abortReason, messageOf, ToolError } from '../../errors.ts';
import type { CollectionShape } from '../../model.ts';
import type { ConversionJob, Converter } from '../converter.ts';
import type { ConverterOptions } from '../converter-options.ts';
import { fileMetadata } from '../file-metadata.ts';
import { checkGzip } from '../ndjson/gunzipped-file.ts';
import { estimateParquetBytes } from '../parquet/parquet-estimate.ts';
import { parquetSummary } from '../parquet/parquet-summary.ts';
import type { Schema } from '../schema/schema.ts';
import { schemaOf } from '../schema/schema-of.ts';
import { DUCKDB_MEMORY_LIMIT } from './duckdb-memory.ts';
import { duckDbProblem, firstLines } from './duckdb-problem.ts';
import { type DuckDbExit, runDuckDb } from './duckdb-process.ts';
import { duckDbSql } from './duckdb-sql.ts';

/** The oldest version that these statements were tried with. */
const LEAST_VERSION = [1, 1] as const;

const VERSION_TIMEOUT_MS = 10_000;

/** The DuckDB command of a search path. */
export interface FoundDuckDb {
  readonly path: string;
  /** `1.5.6` */
  readonly version: string;
  /** Where it was found, and finds what it needs itself. */
  readonly searchPath: string;
}

/** One that is there and cannot be used: why, for people. */
export interface UnfitDuckDb {
  readonly problem: string;
}

/** Looks for `duckdb` on a search path (PATH) and asks it for its version. Undefined where there is none. */
export async function findDuckDb(
  searchPath: string | undefined,
): Promise<FoundDuckDb | UnfitDuckDb | undefined> {
  if (searchPath === undefined || searchPath === '') return undefined;
  const path = Bun.which('duckdb', { PATH: searchPath });
  if (path === null) return undefined;
  const signal = AbortSignal.timeout(VERSION_TIMEOUT_MS);
  try {
    const exit = await runDuckDb({ path, args: ['--version'], searchPath, signal });
    if (signal.aborted) return { problem: `"${path}" --version did not answer within 10 s` };
    return versionOf(exit, path, searchPath);
  } catch (error) {
    return { problem: `"${path}" cannot be started: ${messageOf(error)}` };
  }
}

function versionOf(
  { ended, stdout, stderr }: DuckDbExit,
  path: string,
  searchPath: string,
): FoundDuckDb | UnfitDuckDb {
  if (ended !== 0) {
    const said = firstLines(stderr);
    return { problem: `"${path}" --version ended with ${ended}${said === '' ? '' : `: ${said}`}` };
  }
  const [, version, major, minor] = /^v?((\d+)\.(\d+)(?:\.\d+)?)/.exec(stdout.trim()) ?? [];
  if (version === undefined) {
    const said = firstLines(stdout).slice(0, 100);
    return { problem: `"${path}" --version answers ${JSON.stringify(said)}, which is no version` };
  }
  const [leastMajor, leastMinor] = LEAST_VERSION;
  const isOld = Number(major) < leastMajor || (Number(major) === leastMajor && Number(minor) < leastMinor);
  if (isOld) return { problem: `DuckDB ${version} is older than ${leastMajor}.${leastMinor}` };
  return { path, version, searchPath };
}

/**
 * DuckDB's own command makes the Parquet file, in a process of its own with DuckDB's memory limit. It cannot be told
 * of vector encodings, nor keep files to a size: options.vectorEncoding has to be `plain`, and splitBytes undefined. The row
 * groups' rows are a multiple of 2,048.
 */
export function duckDbConverter(
  found: FoundDuckDb,
  shape: CollectionShape,
  options: ConverterOptions,
): Converter {
  const schema = schemaOf(shape, options);
  return {
    description: `DuckDB ${found.version}, at most ${DUCKDB_MEMORY_LIMIT} MB`,
    rowGroupRows: options.rowGroupRows,
    estimateBytes: estimateParquetBytes,
    summary: (path) => parquetSummary(path),
    async convert(job, signal) {
      const exit = await checkedAndCopied(job, found, shape, schema, options, signal);
      if (exit.ended !== 0) {
        const what = { from: job.from, to: job.to, tool: `DuckDB ${found.version} ("${found.path}")` };
        throw duckDbProblem(exit, what);
      }
      const { rows } = await parquetSummary(job.to);
      if (rows === job.rows) return undefined;
      throw new ToolError(
        'integrity',
        `DuckDB ${found.version} laid ${rows} rows into "${job.to}", "${job.from}" should have ${job.rows}. Start over without --resume.`,
      );
    },
  };
}

/**
 * DuckDB takes no notice of gzip's checksums: they are checked here, at the same time. Resolves or rejects when neither
 * is at work any more.
 */
async function checkedAndCopied(
  job: ConversionJob,
  found: FoundDuckDb,
  shape: CollectionShape,
  schema: Schema,
  options: ConverterOptions,
  signal: AbortSignal,
): Promise<DuckDbExit> {
  if (signal.aborted) throw abortReason(signal);
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const failed = (error: unknown) => {
    failure.abort(error);
    throw error;
  };
  const [, copy] = await Promise.allSettled([
    checkGzip(job.from, either).catch(failed),
    copied(job, found, shape, schema, options, either).catch(failed),
  ]);
  if (signal.aborted) throw abortReason(signal);
  // The other one's error may only be that it was stopped.
  if (failure.signal.aborted) throw failure.signal.reason;
  if (copy.status === 'rejected') throw copy.reason;
  return copy.value;
}

async function copied(
  job: ConversionJob,
  { path, searchPath, version }: FoundDuckDb,
  shape: CollectionShape,
  schema: Schema,
  options: ConverterOptions,
  signal: AbortSignal,
): Promise<DuckDbExit> {
  const sql = duckDbSql({
    from: job.from,
    to: job.to,
    spill: join(job.scratch, 'spill'),
    columns: schema.columns,
    compression: options.compression,
    rowGroupRows: options.rowGroupRows,
    keyValues: fileMetadata(shape, schema, options),
    longestRow: job.longestRow,
    memoryLimit: DUCKDB_MEMORY_LIMIT,
  });
  // A file, as names and metadata may be longer than an argument.
  const input = join(job.scratch, 'convert.sql');
  // Read in the place of the user's own ~/.duckdbrc, which could change any setting.
  const init = join(job.scratch, 'init.sql');
  try {
    await mkdir(job.scratch, { recursive: true });
    await Promise.all([writeFile(input, sql), writeFile(init, ''), rm(job.to, { force: true })]);
  } catch (error) {
    throw new ToolError('store', `Cannot prepare the conversion of "${job.from}": ${messageOf(error)}.`, {
      cause: error,
    });
  }
  try {
    const args = ['-init', init, '-bail', '-batch'];
    return await runDuckDb({ path, args, searchPath, input, folder: job.scratch, signal });
  } catch (error) {
    throw new ToolError('format', `Cannot start DuckDB ${version} ("${path}"): ${messageOf(error)}.`, {
      cause: error,
    });
  }
}
