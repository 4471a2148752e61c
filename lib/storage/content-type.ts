/** Manifests are JSON, everything else is an export. */
export function contentTypeOf(key: string): string {
  return key.endsWith('.json') ? JSON_TYPE : PARQUET_TYPE;
}

const JSON_TYPE = 'application/json';
const PARQUET_TYPE = 'application/vnd.apache.parquet';

/** All that an exporter writes: what a bucket has to allow. */
export const CONTENT_TYPES: readonly string[] = [PARQUET_TYPE, JSON_TYPE];
