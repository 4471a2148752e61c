/** Key of the manifest beside an object: `latest.json` beside `latest.parquet`. */
export function manifestKey(objectKey: string): string {
  return objectKey.replace(/\.parquet$/, '.json');
}

/**
 * Path of the manifest beside a local file: `docs.parquet.json`. Behind the whole name, because `docs.json` may well
 * be a file of the user's own.
 */
export function manifestPath(file: string): string {
  return `${file}.json`;
}
