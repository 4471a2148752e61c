import { ToolError } from '../errors.ts';
import type { CollectionShape } from '../model.ts';
import type { Converter } from './converter.ts';
import type { ConverterOptions } from './converter-options.ts';
import { duckDbConverter, type FoundDuckDb, type UnfitDuckDb } from './duckdb/duckdb.ts';
import { DUCKDB_LEAST_ROWS, duckDbRowGroup, rowBytesOf } from './duckdb/duckdb-memory.ts';
import { duckDbMisfit } from './duckdb/duckdb-sql.ts';
import type { PointSample } from './format.ts';
import { builtInConverter } from './ndjson/built-in-converter.ts';
import { byteCount } from './parquet/byte-count.ts';
import { schemaOf } from './schema/schema-of.ts';

/** Rows of the built-in converter's row groups: as many as DuckDB's largest. */
const BUILT_IN_ROWS = 10_240;

export interface ConverterChoice extends Omit<ConverterOptions, 'exportedAt' | 'rowGroupRows'> {
  /** What findDuckDb found. */
  readonly found: FoundDuckDb | UnfitDuckDb | undefined;
  /** Rows a row group, where somebody asked for a number. */
  readonly rowGroupRows: number | undefined;
}

/**
 * DuckDB where it was found and fits, else the built-in converter, which says why. Files of at most so many bytes are
 * always the latter's. Throws a ToolError 'usage' as
 * checkRowGroupRows does.
 */
export function chooseConverter(
  choice: ConverterChoice,
): (shape: CollectionShape, sample: PointSample, exportedAt: Date) => Converter {
  checkRowGroupRows(choice);
  return (shape, sample, exportedAt) => {
    const { found, rowGroupRows, ...shaping } = choice;
    const builtIn = (why: string) => {
      const options = { ...shaping, exportedAt, rowGroupRows: rowGroupRows ?? BUILT_IN_ROWS };
      const converter = builtInConverter(shape, options);
      return { ...converter, description: `${converter.description} (${why})` };
    };
    const usable = usableDuckDb(choice);
    if (usable.kind === 'none') return builtIn(usable.why);
    const misfit = duckDbMisfit(schemaOf(shape, shaping).columns);
    if (misfit !== undefined) return builtIn(misfit);
    const rowBytes = rowBytesOf(shape, sample);
    const rows = duckDbRowGroup(rowBytes, rowGroupRows);
    if (rows === undefined) {
      const size = rowBytes.toLocaleString('en-US');
      return builtIn(`rows of ${size} bytes would take DuckDB more than 300 MB`);
    }
    const duckDb = duckDbConverter(usable.found, shape, { ...shaping, exportedAt, rowGroupRows: rows });
    return orElse(duckDb, () => builtIn('DuckDB ran out of memory'));
  };
}

/**
 * Refuses a number of rows that DuckDB's row groups cannot have (a ToolError 'usage'). To be asked before the
 * collection is looked at.
 */
export function checkRowGroupRows(
  choice: Pick<ConverterChoice, 'found' | 'rowGroupRows' | 'splitBytes' | 'vectorEncoding'>,
): void {
  const { rowGroupRows } = choice;
  if (rowGroupRows === undefined || rowGroupRows >= DUCKDB_LEAST_ROWS) return;
  const usable = usableDuckDb(choice);
  if (usable.kind === 'none') return;
  throw new ToolError(
    'usage',
    `--row-group-size ${rowGroupRows} does not go with --strategy ndjson-gz: DuckDB ${usable.found.version} on the PATH makes the Parquet file, in row groups of at least 2,048 rows. Give 2048 or more, or another strategy.`,
  );
}

type Usable =
  | { readonly kind: 'found'; readonly found: FoundDuckDb }
  | { readonly kind: 'none'; readonly why: string };

function usableDuckDb({
  found,
  splitBytes,
  vectorEncoding,
}: Pick<ConverterChoice, 'found' | 'splitBytes' | 'vectorEncoding'>): Usable {
  if (splitBytes !== undefined) {
    return { kind: 'none', why: `DuckDB cannot be told to keep files to ${byteCount(splitBytes)}` };
  }
  if (found === undefined) return { kind: 'none', why: 'DuckDB is not on the PATH' };
  if ('problem' in found) return { kind: 'none', why: found.problem };
  if (vectorEncoding === 'plain') return { kind: 'found', found };
  return { kind: 'none', why: `DuckDB cannot be told to write ${vectorEncoding}` };
}

/**
 * The collection's first points promised small rows, and then came larger ones: an export of hours is not given up for
 * that.
 */
function orElse(duckDb: Converter, builtIn: () => Converter): Converter {
  return {
    ...duckDb,
    async convert(job, signal) {
      try {
        return await duckDb.convert(job, signal);
      } catch (error) {
        if (!(error instanceof ToolError && error.code === 'format' && error.remedy === 'smaller'))
          throw error;
        return await builtIn().convert(job, signal);
      }
    },
  };
}
