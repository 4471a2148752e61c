import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CollectionShape } from '../../lib/model.ts';
import type { ConversionJob, Converter } from '../../lib/writers/converter.ts';
import type { ConverterOptions } from '../../lib/writers/converter-options.ts';
import { writeNdjson } from './ndjson-data.ts';
import type { TestColumn } from './parquet-tables.ts';
import { shapeWith, vectorSpec } from './point-rows.ts';

export const CONVERTER_OPTIONS: ConverterOptions = {
  schema: 'keyed',
  keyField: 'key',
  metadataField: undefined,
  compression: 'zstd',
  vectorEncoding: 'plain',
  createdBy: 'qdrant-export-tools test',
  exportedAt: new Date(0),
  rowGroupRows: 2048,
  splitBytes: undefined,
};

/** The collection whose columns these are in schema keyed; the first two are `key` and `metadata`. */
export function shapeOf(
  columns: readonly TestColumn[],
  other: Partial<CollectionShape> = {},
): CollectionShape {
  const vectors = columns.slice(2).map((column) => {
    const name = column.name.replace(/^vector_?/, '');
    if (column.kind === 'text') throw new Error(`a text after the metadata: ${column.name}`);
    return vectorSpec(column.kind, name, column.kind === 'sparse' ? 0 : column.size);
  });
  return shapeWith(vectors, other);
}

/** Key and metadata for these vectors' columns. */
export function withTexts(
  vectors: readonly TestColumn[],
  text: (row: number) => string = (row) => `{"n":${row}}`,
): readonly TestColumn[] {
  const rows = vectors[0]?.cells.length ?? 0;
  const cells = (make: (row: number) => string) => Array.from({ length: rows }, (_, row) => make(row));
  return [
    { kind: 'text', name: 'key', cells: cells((row) => `key ${row}`) },
    { kind: 'text', name: 'metadata', cells: cells(text) },
    ...vectors,
  ];
}

/** A job for a data file that is there. */
export function jobOf(
  folder: string,
  from: string,
  sizes: { readonly rows: number; readonly longestRow: number },
): ConversionJob {
  const name = Bun.randomUUIDv7();
  return {
    ...sizes,
    from,
    to: join(folder, `${name}.parquet`),
    scratch: join(folder, `${name}.scratch`),
    onProgress: () => undefined,
  };
}

/** Writes the table's data file and converts it; returns where the Parquet file is. */
export async function converted(
  folder: string,
  columns: readonly TestColumn[],
  converter: Converter,
  linesAMember?: number,
): Promise<string> {
  const from = join(folder, `${Bun.randomUUIDv7()}.ndjson.gz`);
  const job = jobOf(folder, from, await writeNdjson(from, columns, linesAMember));
  await converter.convert(job, new AbortController().signal);
  return job.to;
}

export async function bytesOfFile(path: string): Promise<string> {
  return new Bun.CryptoHasher('sha256').update(await readFile(path)).digest('hex');
}
