import { expect } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CollectionShape } from '../../lib/model.ts';
import type { FileSummary } from '../../lib/writers/format.ts';
import { type ParquetOptions, parquetFormat } from '../../lib/writers/parquet/parquet.ts';
import {
  DUCKDB_MISSING,
  type ForeignColumns,
  PYARROW_MISSING,
  readColumnsWithDuckDb,
  readColumnsWithHyparquet,
  readWithPyarrow,
} from './foreign-readers.ts';
import { type PointRow, writeRows } from './point-rows.ts';

const OPTIONS: ParquetOptions = {
  strategy: 'parquet-small',
  rowGroupRows: 4,
  splitBytes: undefined,
  compression: 'zstd',
  vectorEncoding: 'plain',
  schema: 'keyed',
  keyField: 'key',
  metadataField: undefined,
  createdBy: 'qdrant-export-tools test',
  exportedAt: new Date(0),
  sample: { payloadBytes: 0, raggedVectorBytes: 0 },
};

export function schemaFormat(shape: CollectionShape, options: Partial<ParquetOptions>) {
  return parquetFormat(shape, { ...OPTIONS, ...options });
}

export interface SchemaFile {
  readonly path: string;
  readonly summary: FileSummary;
}

/** Files of one test file's tests, in a folder that `remove` deletes. */
export async function schemaFiles() {
  const folder = await mkdtemp(join(tmpdir(), 'schema-test-'));
  return {
    remove: () => rm(folder, { recursive: true }),
    async write(
      shape: CollectionShape,
      rows: readonly PointRow[],
      options: Partial<ParquetOptions>,
    ): Promise<SchemaFile> {
      const path = join(folder, `${Bun.randomUUIDv7()}.parquet`);
      const { bytes, summary } = await writeRows(schemaFormat(shape, options), rows);
      await Bun.write(path, bytes);
      return { path, summary };
    },
  };
}

/** Expects these columns, in this order, of every reader that there is. */
export async function expectInReaders(path: string, columns: ForeignColumns): Promise<void> {
  const readers = [
    readColumnsWithHyparquet,
    ...(DUCKDB_MISSING === undefined ? [readColumnsWithDuckDb] : []),
    ...(PYARROW_MISSING === undefined ? [async (file: string) => (await readWithPyarrow(file)).columns] : []),
  ];
  const found = await Promise.all(readers.map((read) => read(path)));
  for (const read of found) {
    expect(Object.keys(read)).toEqual(Object.keys(columns));
    expect(read).toEqual(columns);
  }
}
