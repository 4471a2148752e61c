import type { FileOrigin } from './file-metadata.ts';
import type { Compression } from './parquet/compress.ts';
import type { VectorEncoding } from './parquet/parquet-page.ts';
import type { SchemaOptions } from './schema/schema-of.ts';

/** What shapes the Parquet file that a converter makes: the same as for files that are written directly. */
export interface ConverterOptions extends SchemaOptions, FileOrigin {
  readonly compression: Compression;
  readonly vectorEncoding: VectorEncoding;
  /** Most rows a row group; large rows close one early. */
  readonly rowGroupRows: number;
  /** Most bytes of a file; undefined = one file, whatever its size. */
  readonly splitBytes: number | undefined;
}
