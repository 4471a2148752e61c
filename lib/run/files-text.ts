import { folderOfPart } from '../split-keys.ts';
import type { Destination } from '../storage/storage.ts';

/** `s3://b/docs/20261123T004023Z-0a1b2c3d/part-*.parquet (12 files)`: where files are, those of one folder together. */
export function filesText(keys: readonly string[], { locate }: Pick<Destination, 'locate'>): string {
  const folders = Map.groupBy(keys, folderOfPart);
  return [...folders]
    .map(([folder, files]) => {
      const [only] = files;
      if (only !== undefined && files.length === 1) return locate(only);
      return `${locate(`${folder}part-*.parquet`)} (${files.length.toLocaleString('en-US')} files)`;
    })
    .join(', ');
}
