import { type FileHandle, open } from 'node:fs/promises';
import { abortReason, messageOf, ToolError } from '../../errors.ts';
import type { CollectionShape } from '../../model.ts';
import type { ConversionJob, Converter } from '../converter.ts';
import type { ConverterOptions } from '../converter-options.ts';
import { fileMetadata } from '../file-metadata.ts';
import { BufferPool } from '../parquet/buffer-pool.ts';
import { CODEC_IDS } from '../parquet/compress.ts';
import { assembleParquet, type Laid } from '../parquet/parquet-assemble.ts';
import { columnSpec, encodeCells } from '../parquet/parquet-cells.ts';
import { estimateParquetBytes } from '../parquet/parquet-estimate.ts';
import type { PageOptions, ParquetUnit } from '../parquet/parquet-page.ts';
import { parquetSummary } from '../parquet/parquet-summary.ts';
import type { Cells, Schema } from '../schema/schema.ts';
import { schemaOf } from '../schema/schema-of.ts';
import { readNdjson } from './ndjson-reader.ts';

/**
 * Page bodies that wait to be used again, of up to 2 MiB each. An uncompressed row group holds 80 MiB of them
 * (parquet-row-group.ts), the batch that is being encoded the rest.
 */
const POOLED_PAGES = 48;
const POOLED_PAGE_BYTES = 2 * 1024 * 1024;

/**
 * Makes the Parquet file in this process, with the pages of the Parquet strategies. Holds one batch (8 MiB of text, the
 * columns it became and their pages), the pages of one row group (80 MiB before compression), and where a row is longer
 * than that, a few times its bytes.
 */
export function builtInConverter(shape: CollectionShape, options: ConverterOptions): Converter {
  const schema = schemaOf(shape, options);
  return {
    description: 'built-in converter',
    rowGroupRows: options.rowGroupRows,
    estimateBytes: estimateParquetBytes,
    summary: parquetSummary,
    async convert(job, signal) {
      if (signal.aborted) throw abortReason(signal);
      const file = await writing(job.to, open(job.to, 'w'));
      try {
        const { rows, parts } = await writeParquet(file, job, shape, schema, options, signal);
        if (rows !== job.rows) {
          throw new ToolError(
            'integrity',
            `Cannot make Parquet of "${job.from}": it has ${rows} rows, ${job.rows} were written. Start over without --resume.`,
          );
        }
        return parts;
      } finally {
        await writing(job.to, file.close());
      }
    },
  };
}

async function writeParquet(
  file: FileHandle,
  job: ConversionJob,
  shape: CollectionShape,
  schema: Schema,
  options: ConverterOptions,
  signal: AbortSignal,
): Promise<Laid> {
  const pool = new BufferPool(POOLED_PAGES, POOLED_PAGE_BYTES);
  const page: PageOptions = { compression: options.compression, pool };
  const columns = schema.columns.map((column) => columnSpec(column, options.vectorEncoding));
  const { rowGroupRows, splitBytes } = options;
  let rows = 0;
  let bytes = 0;
  async function* units(): AsyncGenerator<ParquetUnit> {
    for await (const batch of readNdjson(job.from, schema.columns, rowGroupRows, splitBytes)) {
      if (signal.aborted) throw abortReason(signal);
      const pages = await Promise.all(
        columns.map((column, index) => encodeCells(column, batch.columns[index] as Cells, batch.rows, page)),
      );
      yield { rowCount: batch.rows, columns: pages.flat() };
      rows += batch.rows;
      job.onProgress(rows, bytes);
    }
  }
  const chunks = assembleParquet(units(), {
    columns,
    codec: CODEC_IDS[options.compression],
    rowGroupRows,
    splitBytes,
    createdBy: options.createdBy,
    keyValues: fileMetadata(shape, schema, options),
    release: (buffer) => pool.release(buffer),
  });
  try {
    for (;;) {
      const step: IteratorResult<Uint8Array<ArrayBuffer>, Laid> = await chunks.next();
      if (step.done) return step.value;
      if (signal.aborted) throw abortReason(signal);
      await writing(job.to, writeAll(file, step.value));
      bytes += step.value.length;
    }
  } finally {
    // Lets go of the data file.
    await chunks.return(undefined as never);
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done);
    done += bytesWritten;
  }
}

async function writing<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const isFull = (error as { code?: unknown }).code === 'ENOSPC';
    const why = isFull ? 'the disk is full (ENOSPC). Free space and go on with --resume' : messageOf(error);
    throw new ToolError('store', `Cannot write "${path}": ${why}.`, { cause: error });
  }
}
