import { isTimeName, timeName } from './dated-keys.ts';

/** Digits of a file's number at least: names of up to 100,000 files sort as they follow one another. */
const DIGITS = 5;

/**
 * Key of a file of an export that is split: `docs/20261123T004023Z-0a1b2c3d/part-00000.parquet` beside
 * `docs/latest.parquet`. Each run has a folder of its own, of its time and its id, so that no name ever has the file of
 * another run and a folder never holds files of two exports. `number` counts from 0.
 */
export function partKey(latestKey: string, at: Date, runId: string, number: number): string {
  return `${splitFolder(latestKey, at, runId)}part-${String(number).padStart(DIGITS, '0')}.parquet`;
}

/** What all keys of one run match, for people and for readers; of any run of that time where its id is not known yet. */
export function partsPattern(latestKey: string, at: Date, runId: string | undefined): string {
  return `${splitFolder(latestKey, at, runId ?? '*')}part-*.parquet`;
}

/** Folder of the run whose file has that key, with the slash at its end. */
export function folderOfPart(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

/** Whether `key` is one that partKey() makes beside `latestKey`: only such objects are removed as files of other runs. */
export function isPartKey(key: string, latestKey: string): boolean {
  const folder = folderOfPart(latestKey);
  if (!key.startsWith(folder)) return false;
  const name = /^(\d{8}T\d{6}Z)-[0-9a-f]{8}\/part-(\d{5}|[1-9]\d{5,})\.parquet$/.exec(
    key.slice(folder.length),
  );
  return name?.[1] !== undefined && isTimeName(name[1]);
}

function splitFolder(latestKey: string, at: Date, runId: string): string {
  return `${folderOfPart(latestKey)}${timeName(at)}-${runId}/`;
}
