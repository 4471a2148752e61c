import type { FilePart } from './format.ts';

/** Turns a whole data file of a format that is not Parquet into a Parquet file. */
export interface Converter {
  /** For people: `DuckDB 1.5.6, at most 256 MiB`, or `built-in converter`. */
  readonly description: string;
  /** Rows a row group. */
  readonly rowGroupRows: number;
  /** About how large a file of so many points is, which take `pointBytes` bytes each in memory. */
  estimateBytes(points: number, pointBytes: number): number;
  /**
   * Writes `to` anew and resolves when all of it was written and holds `rows` rows: to the files that it is, end to
   * end, where files may have only so many bytes, else to undefined. Rejects with a ToolError ('format' or 'store'), or as
   * the signal says, when nothing works on the file any more; what is there then is not whole.
   */
  convert(job: ConversionJob, signal: AbortSignal): Promise<readonly FilePart[] | undefined>;
  /**
   * What the footer of the file, or of the one between two offsets in it, says; 'integrity' where there is none.
   */
  summary(
    path: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<{ readonly rows: number; readonly rowGroups: number }>;
}

export interface ConversionJob {
  /** Path of the data file. */
  readonly from: string;
  /** Path of the Parquet file. */
  readonly to: string;
  /** An empty folder's path for files of its own, which need not exist; whoever asks removes it. */
  readonly scratch: string;
  readonly rows: number;
  /** Bytes of the longest row's text. */
  readonly longestRow: number;
  /** Rows converted and bytes written so far, where it is known. */
  readonly onProgress: (rows: number, bytes: number) => void;
}
