import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FilePart } from '../../lib/writers/format.ts';
import { queryWithDuckDb } from './foreign-readers.ts';

/** The files that lie end to end in these bytes. */
export function filesOf(bytes: Uint8Array, parts: readonly FilePart[] | undefined): readonly Uint8Array[] {
  if (parts === undefined) throw new Error('It was not split.');
  const files: Uint8Array[] = [];
  let start = 0;
  for (const part of parts) {
    files.push(bytes.subarray(start, start + part.bytes));
    start += part.bytes;
  }
  if (start !== bytes.length) throw new Error(`${parts.length} files of ${start} bytes in ${bytes.length}`);
  return files;
}

/** Writes each file on its own; returns their paths in order. */
export async function writeFiles(folder: string, files: readonly Uint8Array[]): Promise<readonly string[]> {
  const name = Bun.randomUUIDv7();
  const paths = files.map((_, index) => join(folder, `${name}-${String(index).padStart(5, '0')}.parquet`));
  await Promise.all(paths.map((path, index) => writeFile(path, files[index] as Uint8Array)));
  return paths;
}

/** Rows that only one of the two has, as DuckDB tells: the file, and these files together. */
export async function differencesInDuckDb(
  whole: string,
  parts: readonly string[],
): Promise<{ readonly rows: number; readonly missing: number; readonly added: number }> {
  const list = parts.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ');
  const [found] = await queryWithDuckDb(
    whole,
    `CREATE VIEW parts AS SELECT * FROM read_parquet([${list}]);
     SELECT (SELECT count(*) FROM parts) AS rows,
       (SELECT count(*) FROM (SELECT * FROM file EXCEPT ALL SELECT * FROM parts)) AS missing,
       (SELECT count(*) FROM (SELECT * FROM parts EXCEPT ALL SELECT * FROM file)) AS added;`,
  );
  return found as { rows: number; missing: number; added: number };
}
